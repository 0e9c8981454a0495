"""The moving part of a street: cars in their lanes and people on the pavement."""

from typing import NamedTuple

import numpy as np

from pointata.data.simulator.motions import Style, draw_body, draw_style, gait
from pointata.data.simulator.scenery import car
from pointata.data.simulator.shapes import Mesh
from pointata.data.simulator.skeleton import Person
from pointata.data.simulator.splits import Ranges, uniform
from pointata.data.simulator.town import KERB, Road

#: Steps per second of an average walk, and poses into which its cycle of two steps is divided.
CADENCE = 1.75
PHASES = 32


class MovingCar(NamedTuple):
    """A car that keeps its lane and speed.

    Attributes:
        mesh: around the origin, nose to +x.
        start: s at time 0, metres.
        d: lane, metres left of the centre line.
        speed: along s, m/s; negative against it.
    """

    mesh: Mesh
    start: float
    d: float
    speed: float

    def at(self, road: Road, t: float) -> Mesh:
        """The car in the world at time `t` seconds."""
        return road.put(self.mesh, self.start + self.speed * t, self.d, yaw=0.0 if self.speed > 0 else np.pi)


class Pedestrian:
    """A person who walks along the road, or to and fro across it, at constant speed.

    Args:
        person: the body.
        style: of the gait.
        start: (s, d) at time 0, metres.
        velocity: (along s, along d), m/s.
        turn: (lowest, highest) d, where somebody who crosses the road turns back; None for those who walk along it.

    Attributes:
        speed: m/s.
    """

    def __init__(
        self,
        person: Person,
        style: Style,
        start: tuple[float, float],
        velocity: tuple[float, float],
        turn: tuple[float, float] | None = None,
    ) -> None:
        self._person, self._start, self._velocity, self._turn = person, start, velocity, turn
        self.speed = float(np.hypot(*velocity))
        self._phase, self._cadence = style.phase, CADENCE * style.tempo
        stride = self.speed / (self._cadence * person.body.leg)
        cycle = np.linspace(0.0, 2 * np.pi, PHASES, endpoint=False)
        self._cycle = person.place(gait(cycle, np.full(PHASES, stride), style))

    def position(self, t: float) -> tuple[float, float, float]:
        """(s, d, sign of the velocity along d) at time `t` seconds."""
        s, d = self._start[0] + self._velocity[0] * t, self._start[1] + self._velocity[1] * t
        if self._turn is None:
            return s, d, 1.0
        low, high = self._turn
        folded = (d - low) % (2 * (high - low))
        return (s, low + folded, 1.0) if folded < high - low else (s, 2 * high - low - folded, -1.0)

    def at(self, road: Road, t: float) -> Mesh:
        """The body in the world at time `t` seconds; on the pavement it stands higher than on the road."""
        s, d, across = self.position(t)
        turns = (self._phase + np.pi * self._cadence * t) / (2 * np.pi)
        body = self._person.mesh(self._cycle, int(turns * PHASES) % PHASES)
        yaw = float(np.arctan2(self._velocity[1] * across, self._velocity[0]))
        return road.put(body, s, d, KERB if abs(d) > road.half else 0.0, yaw)


def draw_cars(rng: np.random.Generator, road: Road, ego_speed: float) -> list[MovingCar]:
    """Cars of both lanes; those of the ego's lane keep its speed, so that nobody drives through anybody.

    The ego vehicle is at s = 0 at time 0.
    """
    cars, lane = [], road.width / 4
    for direction in (1, -1):
        gap = uniform(rng, (12.0, 35.0))
        speed = ego_speed if direction > 0 else uniform(rng, (4.0, 12.0))
        seconds = (road.reach[1] - road.reach[0]) / ego_speed
        s = -4.0 * gap if direction > 0 else road.reach[0]
        last = 5.0 * gap if direction > 0 else road.reach[1] + speed * seconds
        while s < last:
            if direction < 0 or abs(s) > 9.0:
                cars.append(MovingCar(car(rng), s, -direction * lane + uniform(rng, (-0.2, 0.2)), direction * speed))
            s += gap * uniform(rng, (0.7, 1.5))
    return cars


def draw_people(rng: np.random.Generator, ranges: Ranges, road: Road, ego_speed: float) -> list[Pedestrian]:
    """People on both pavements, single or in pairs, and one at each crossing.

    Those who cross are at a pavement when the ego vehicle passes; other cars are not waited for.
    """
    people = []

    def add(tempo: float, start: tuple[float, float], velocity: tuple[float, float], *turn: float) -> None:
        style = draw_style(rng, tempo, uniform(rng, ranges.amplitude))
        person = Person(draw_body(rng, ranges), segments=6)
        people.append(Pedestrian(person, style, start, velocity, (turn[0], turn[1]) if turn else None))

    for side in (-1, 1):
        s = road.reach[0] + uniform(rng, (0.0, 10.0))
        while s < road.reach[1]:
            tempo, out = uniform(rng, ranges.tempo), uniform(rng, (1.35, 1.7))
            speed = (1.25 if rng.random() < 0.5 else -1.25) * tempo
            for beside in range(1 if rng.random() < 0.65 else 2):
                start = (s + uniform(rng, (-0.2, 0.2)), side * (road.half + out + 0.65 * beside))
                add(tempo, start, (speed, 0.0))
            s += uniform(rng, (7.0, 24.0))
    for s in road.crossings:
        tempo, edge = uniform(rng, ranges.tempo), road.half + 1.0
        speed = 1.2 * tempo
        add(tempo, (s, edge - speed * s / ego_speed), (0.0, speed), -edge, edge)
    return people
