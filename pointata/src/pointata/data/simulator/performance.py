"""A person's recording: which action when, and the pose at every frame, without a jump."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointata.data.simulator import motions
from pointata.data.simulator.motions import (
    BEND,
    FALL,
    PICK_UP,
    SIT_DOWN,
    STAND,
    STAND_UP,
    WALK,
    WAVE,
    Style,
    draw_style,
)
from pointata.data.simulator.skeleton import FIELD, POSTURE, Body
from pointata.data.simulator.splits import Ranges, uniform

Array = NDArray[np.float64]

#: Seconds over which one action's pose blends into the next, and after which the new label holds.
BLEND_S = 0.5
LABEL_DELAY_S = 0.2


@dataclass(frozen=True)
class Stage:
    """Where a person may be.

    Attributes:
        seat_spot: (x, y, yaw) of the feet before sitting down, metres and radians.
        seat_height: metres.
        pick: draws a free (2,) floor position, metres.
        room_to: free metres from a floor position (2,) in a direction (2,).
    """

    seat_spot: tuple[float, float, float]
    seat_height: float
    pick: Callable[[np.random.Generator], Array]
    room_to: Callable[[Array, Array], float]


class Performance:
    """Poses and actions of one recording, drawn at once.

    Args:
        rng: source of the random numbers.
        ranges: of the split.
        body: who performs.
        stage: where.
        frames: how many.
        rate_hz: frames per second.
        action: the only action to perform; None for a random sequence.

    Attributes:
        poses: (frames, D) pose vectors, world.
        actions: (frames,) class id of the action.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        ranges: Ranges,
        body: Body,
        stage: Stage,
        frames: int,
        rate_hz: float,
        action: int | None = None,
    ) -> None:
        self._rng, self._body, self._stage, self._dt = rng, body, stage, 1.0 / rate_hz
        self._tempo, self._amplitude = uniform(rng, ranges.tempo), uniform(rng, ranges.amplitude)
        self._chunks: list[Array] = []
        self._labels: list[NDArray[np.int64]] = []
        self._root = np.array([*stage.pick(rng), uniform(rng, (-np.pi, np.pi))])
        self._seconds = frames / rate_hz
        if action is None:
            self._perform_sequence()
        else:
            self._perform_only(action)
        self.poses = np.concatenate(self._chunks)[:frames]
        self.actions = np.concatenate(self._labels)[:frames]

    def _missing(self) -> bool:
        return sum(map(len, self._labels)) * self._dt < self._seconds + self._dt

    def _perform_sequence(self) -> None:
        """Shuffled rounds of all actions; a walk to the seat leads to sitting, and rising follows sitting and falls."""
        deck: list[int] = []
        last = -1
        while self._missing():
            if not deck:
                deck = self._rng.permutation([STAND, WALK, WAVE, SIT_DOWN, BEND, PICK_UP, FALL]).tolist()
            action = deck.pop(0)
            if action == last or (action == WALK and deck and deck[0] == SIT_DOWN):
                continue
            if action == SIT_DOWN:
                self._walk(uniform(self._rng, (3.0, 5.0)), to_seat=True)
            self._do(action, uniform(self._rng, (4.0, 7.0)))
            last = action
            if action in (SIT_DOWN, FALL):
                self._rise()

    def _perform_only(self, action: int) -> None:
        """One action for the whole recording; "stand up" starts seated and sits down again between rises."""
        if action in (SIT_DOWN, STAND_UP):
            self._root = np.array(self._stage.seat_spot)
        if action in (WALK, SIT_DOWN, FALL):
            self._do(action, self._seconds + 1.0)
            return
        if action == STAND_UP:
            style = self._style()
            self._sitting = motions.seated(style, self._body, self._stage.seat_height)
            self._seated_still(uniform(self._rng, (0.3, 0.8)), style)
            while self._missing():
                self._rise()
                if self._missing():
                    self._do(SIT_DOWN, uniform(self._rng, (2.2, 3.0)))
            return
        while self._missing():
            self._do(action, uniform(self._rng, (4.0, 7.0)))

    def _style(self) -> Style:
        return draw_style(self._rng, self._tempo, self._amplitude)

    def _times(self, duration: float) -> Array:
        return np.arange(max(round(duration / self._dt), 2), dtype=np.float64) * self._dt

    def _do(self, action: int, duration: float) -> None:
        style = self._style()
        t = self._times(duration)
        # A cyclic action that opens the recording begins anywhere in its cycle.
        late = t if self._chunks else t + style.phase
        if action == WALK:
            self._walk(duration)
        elif action == SIT_DOWN:
            self._sitting = motions.seated(style, self._body, self._stage.seat_height)
            poses = motions.sit_down(t, style, self._body, self._stage.seat_height)
            self._append(poses, action, goal=np.array(self._stage.seat_spot))
        elif action == FALL:
            self._fall(t, style)
        else:
            move = {STAND: motions.stand, WAVE: motions.wave, BEND: motions.bend, PICK_UP: motions.pick_up}[action]
            self._append(move(late, style), action)

    def _seated_still(self, duration: float, style: Style) -> None:
        t = self._times(duration)
        poses = np.tile(self._sitting, (len(t), 1))
        self._append(motions.sway(poses, t, style, 0.6), SIT_DOWN)

    def _rise(self) -> None:
        """Rises from where the last action ended, floor or seat; "stand up" ends with the rise."""
        last = self._chunks[-1][-1]
        on_floor = self._labels[-1][-1] == FALL
        duration = uniform(self._rng, (2.2, 3.0)) / min(self._tempo, 1.1)
        posture = last.copy()
        posture[:POSTURE] = 0.0
        rise = motions.rise_from_floor if on_floor else motions.rise_from_seat
        self._append(rise(self._times(duration), duration, posture), STAND_UP)

    def _fall(self, t: Array, style: Style) -> None:
        """Falls to the side with most room; the feet slide the other way."""
        yaw = self._root[2]
        headings = [yaw, yaw + np.pi, yaw + np.pi / 2, yaw - np.pi / 2]
        ways = [np.array([np.cos(a), np.sin(a)]) for a in headings]
        space = [self._stage.room_to(self._root[:2], way) + 0.4 * self._rng.random() for way in ways]
        best = int(np.argmax(space))
        goal = self._root.copy()
        goal[:2] -= ways[best] * min(0.35 * self._body.height, max(1.9 - space[best], 0.2))
        self._append(motions.fall(t, style, best), FALL, goal=goal, settle=0.8)

    def _walk(self, duration: float, to_seat: bool = False) -> None:
        """Walks from one free place to the next; with `to_seat`, goes on until it stands before the seat."""
        style = self._style()
        speed = 0.95 * style.tempo
        x, y, yaw = self._root.tolist()
        phase, pace = style.phase, 0.0
        target = self._stage.pick(self._rng)
        roots: list[tuple[float, float, float]] = []
        phases: list[float] = []
        strides: list[float] = []
        while True:
            elapsed = len(roots) * self._dt
            homing = to_seat and elapsed >= duration - 1.5
            if homing:
                target = np.array(self._stage.seat_spot[:2])
            away = float(np.hypot(target[0] - x, target[1] - y))
            arrived = away < 0.12
            if arrived and not homing:
                target = self._pick_far(np.array([x, y]))
                continue
            heading = self._stage.seat_spot[2] if arrived else float(np.arctan2(target[1] - y, target[0] - x))
            error = float(np.angle(np.exp(1j * (heading - yaw))))
            if (not to_seat and elapsed >= duration) or (arrived and abs(error) < 0.1) or elapsed > duration + 12.0:
                break
            turn = float(np.clip(error / 0.3, -2.6, 2.6))
            wanted = 0.0 if arrived else speed * max(np.cos(error), 0.0) ** 2 * min(1.0, away / 0.4)
            pace += float(np.clip(wanted - pace, -2.5 * self._dt, 2.0 * self._dt))
            pace = min(pace, away / self._dt)
            yaw += turn * self._dt
            x, y = x + pace * np.cos(yaw) * self._dt, y + pace * np.sin(yaw) * self._dt
            stride = pace / (1.75 * style.tempo * self._body.leg)
            phase += np.pi * 1.75 * style.tempo * self._dt
            roots.append((x, y, yaw))
            phases.append(phase)
            strides.append(stride + 0.08 * abs(turn) / 2.6)
        if roots:
            self._append(motions.gait(np.array(phases), np.array(strides), style), WALK, roots=np.array(roots))

    def _pick_far(self, here: Array) -> Array:
        """The farthest of a few free places."""
        places = [self._stage.pick(self._rng) for _ in range(4)]
        return max(places, key=lambda place: float(np.linalg.norm(place - here)))

    def _append(
        self,
        poses: Array,
        action: int,
        roots: Array | None = None,
        goal: Array | None = None,
        settle: float = 1.0,
    ) -> None:
        """Adds an action's poses to the recording, blended out of the pose before.

        Args:
            poses: (n, D) postures.
            action: class id.
            roots: (n, 3) x, y, yaw at every frame; None to stay, or to slide to `goal` within `settle` seconds.
            goal: (3,) x, y, yaw.
            settle: seconds.
        """
        t = np.arange(1, len(poses) + 1, dtype=np.float64) * self._dt
        if roots is None:
            shift = np.zeros(3) if goal is None else goal - self._root
            shift[2] = np.angle(np.exp(1j * shift[2]))
            roots = self._root + shift * motions.smooth(t / settle)[:, None]
        poses = poses.copy()
        labels = np.full(len(poses), action)
        if self._chunks:
            before = self._chunks[-1][-1]
            fade = 1.0 - motions.smooth(t / BLEND_S)
            poses[:, POSTURE:] += (before - poses[0])[POSTURE:] * fade[:, None]
            labels[: round(LABEL_DELAY_S / self._dt)] = self._labels[-1][-1]
        poses[:, [FIELD["x"], FIELD["y"], FIELD["yaw"]]] = roots
        self._root = roots[-1].copy()
        self._chunks.append(poses)
        self._labels.append(labels)
