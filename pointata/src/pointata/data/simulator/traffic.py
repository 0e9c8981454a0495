"""The moving part of a street: cars in their lanes and people on the pavement."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointata.data.simulator.motions import Style, draw_body, draw_style, gait
from pointata.data.simulator.shapes import Mesh
from pointata.data.simulator.skeleton import FIELD, Person
from pointata.data.simulator.splits import Ranges, uniform
from pointata.data.simulator.town import KERB, Road, car

Array = NDArray[np.float64]

#: Steps per second of an average walk.
CADENCE = 1.75


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


class Pedestrian(NamedTuple):
    """A person who walks along the road or across it.

    Attributes:
        person: the body.
        style: of the gait.
        start: (s, d) at time 0, metres.
        velocity: (along s, along d), m/s.
        turn: (lowest, highest) d, between which somebody who crosses the road goes to and fro.
    """

    person: Person
    style: Style
    start: tuple[float, float]
    velocity: tuple[float, float]
    turn: tuple[float, float]

    def position(self, t: float) -> tuple[float, float, float]:
        """(s, d, sign of the way across) at time `t` seconds."""
        low, high = self.turn
        s, d = self.start[0] + self.velocity[0] * t, self.start[1] + self.velocity[1] * t
        span = high - low
        if span <= 0.0:
            return s, d, 1.0
        folded = (d - low) % (2 * span)
        return (s, low + folded, 1.0) if folded < span else (s, low + 2 * span - folded, -1.0)

    def at(self, road: Road, t: float) -> Mesh:
        """The body in the world at time `t` seconds; on the pavement it stands higher than on the road."""
        s, d, across = self.position(t)
        speed = float(np.hypot(*self.velocity))
        phase = np.array([self.style.phase + np.pi * CADENCE * self.style.tempo * t])
        stride = np.array([speed / (CADENCE * self.style.tempo * self.person.body.leg)])
        vector = gait(phase, stride, self.style)[0]
        vector[[FIELD["x"], FIELD["y"]]] = road.place(s, d)
        vector[FIELD["yaw"]] = float(road.heading(s)) + np.arctan2(self.velocity[1] * across, self.velocity[0])
        vertices = self.person.vertices(vector)
        vertices[:, 2] += KERB if abs(d) > road.half else 0.0
        return Mesh(vertices, self.person.faces)


def draw_cars(rng: np.random.Generator, road: Road, reach: tuple[float, float], ego: tuple[float, float]) -> list[MovingCar]:
    """Cars of both lanes; those of the ego's lane keep its speed, so that nobody drives through anybody.

    Args:
        rng: source of the random numbers.
        road: where.
        reach: (first, last) s of the recording, metres.
        ego: (s at time 0, speed) of the ego vehicle, metres and m/s.
    """
    cars, lane = [], road.width / 4
    for direction in (1, -1):
        gap = uniform(rng, (12.0, 35.0))
        speed = ego[1] if direction > 0 else uniform(rng, (4.0, 12.0))
        s = ego[0] - 4.0 * gap if direction > 0 else reach[0]
        last = ego[0] + 5.0 * gap if direction > 0 else reach[1] + speed * (reach[1] - reach[0]) / max(ego[1], 1.0)
        while s < last:
            if direction < 0 or abs(s - ego[0]) > 9.0:
                cars.append(MovingCar(car(rng), s, -direction * lane + uniform(rng, (-0.2, 0.2)), direction * speed))
            s += gap * uniform(rng, (0.7, 1.5))
    return cars


def draw_people(rng: np.random.Generator, ranges: Ranges, road: Road, reach: tuple[float, float]) -> list[Pedestrian]:
    """People on both pavements, single or in pairs, and a few who cross the road."""
    people = []
    for side in (-1, 1):
        s = reach[0] + uniform(rng, (0.0, 10.0))
        while s < reach[1]:
            direction, tempo = (1 if rng.random() < 0.5 else -1), uniform(rng, ranges.tempo)
            out = uniform(rng, (1.3, 2.0))
            for beside in range(1 if rng.random() < 0.65 else 2):
                style = draw_style(rng, tempo, uniform(rng, ranges.amplitude))
                where = (s + uniform(rng, (-0.2, 0.2)), side * (road.half + out + 0.8 * beside))
                velocity = (direction * 1.25 * tempo, 0.0)
                people.append(Pedestrian(Person(draw_body(rng, ranges)), style, where, velocity, (0.0, 0.0)))
            s += uniform(rng, (6.0, 22.0))
    s = reach[0] + uniform(rng, (20.0, 60.0))
    while s < reach[1]:
        tempo, edge = uniform(rng, ranges.tempo), road.half + 1.0
        style = draw_style(rng, tempo, uniform(rng, ranges.amplitude))
        place = (s, uniform(rng, (-edge, edge)))
        people.append(Pedestrian(Person(draw_body(rng, ranges)), style, place, (0.0, 1.2 * tempo), (-edge, edge)))
        s += uniform(rng, (40.0, 90.0))
    return people
