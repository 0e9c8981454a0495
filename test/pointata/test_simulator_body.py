"""The articulated person: bones keep their lengths, poses do what the action's name says, nothing jumps."""

from itertools import pairwise

import numpy as np
import pytest

from pointata.data.simulator import motions
from pointata.data.simulator.motions import ACTIONS, BEND, FALL, PICK_UP, SIT_DOWN, STAND_UP, WALK, WAVE, mirrored
from pointata.data.simulator.performance import Performance, Stage
from pointata.data.simulator.skeleton import POSE_FIELDS, Body, Person, Placement, pose, two_bones
from pointata.data.simulator.splits import RANGES, random_stream

CHEST, HEAD, UPPER_ARM, FOREARM, HAND, THIGH, SHANK, FOOT = 2, 4, 5, 7, 9, 11, 13, 15
SEAT = (0.0, 1.0, -np.pi / 2)
STAGE = Stage(SEAT, 0.45, lambda rng: rng.uniform(-1.2, 1.2, 2), lambda place, way: 1.5)


def perform(action: int | None, seed: int = 0, frames: int = 200, rate_hz: float = 10.0) -> Performance:
    rng = random_stream(seed, "train", "room", 1)
    body = motions.draw_body(rng, RANGES["train"])
    return Performance(rng, RANGES["train"], body, STAGE, frames, rate_hz, action)


def joints(performance: Performance) -> tuple[Body, np.ndarray]:
    """Origins (frames, 17, 3) of the parts, lifted so that the lowest surface point is on the floor."""
    body = Body(1.75)
    person = Person(body)
    placement = person.place(performance.poses)
    lift = [placement.origins[i, 0, 2] - _pelvis_height(person, placement, i) for i in range(len(performance.poses))]
    return body, placement.origins - np.array(lift)[:, None, None] * [0, 0, 1]


def _pelvis_height(person: Person, placement: Placement, index: int) -> float:
    """Height of the pelvis in the grounded mesh, from the centre of its ellipsoid (the first vertices)."""
    count = np.count_nonzero(person._part == 0)
    vertices = person.mesh(placement, index).vertices[:count]
    return float((vertices.min(axis=0) + vertices.max(axis=0))[2] / 2)


def test_two_bones_keep_their_lengths_and_reach() -> None:
    rng = np.random.default_rng(0)
    start, pole = rng.normal(size=(500, 3)), rng.normal(size=(500, 3))
    target = start + rng.normal(size=(500, 3)) * 0.35
    middle, end = two_bones(start, target, 0.45, 0.40, pole)
    np.testing.assert_allclose(np.linalg.norm(middle - start, axis=1), 0.45, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=1), 0.40, atol=1e-9)
    distance = np.linalg.norm(target - start, axis=1)
    reachable = (distance > 0.06) & (distance < 0.84)
    assert reachable.sum() > 300
    np.testing.assert_allclose(end[reachable], target[reachable], atol=1e-9)
    # The middle joint lies on that side of the line from start to end where the pole points.
    across = end - start
    sideways = pole - across * (np.einsum("ij,ij->i", pole, across) / np.sum(across**2, axis=1))[:, None]
    assert np.all(np.einsum("ij,ij->i", middle - start, sideways) > -1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_limbs_keep_their_lengths_through_a_whole_recording(seed: int) -> None:
    body = Body(1.8, 1.1)
    origins = Person(body).place(perform(None, seed).poses).origins
    for side in (0, 1):
        upper = np.linalg.norm(origins[:, FOREARM + side] - origins[:, UPPER_ARM + side], axis=1)
        thigh = np.linalg.norm(origins[:, SHANK + side] - origins[:, THIGH + side], axis=1)
        np.testing.assert_allclose(upper, 0.186 * 1.8, atol=1e-9)
        np.testing.assert_allclose(thigh, 0.245 * 1.8, atol=1e-9)


@pytest.mark.parametrize(("height", "build"), [(1.52, 0.9), (1.94, 1.18)])
def test_an_upright_body_has_its_height(height: float, build: float) -> None:
    person = Person(Body(height, build))
    vertices = person.mesh(person.place(pose()[None]), 0).vertices
    assert abs(np.ptp(vertices[:, 2]) / height - 1) < 0.04
    assert 0.2 * height < np.ptp(vertices[:, 1]) < 0.45 * height
    assert vertices[:, 2].min() == 0.0


def test_mirroring_twice_changes_nothing_and_mirroring_once_swaps_sides() -> None:
    poses = np.random.default_rng(0).normal(size=(4, len(POSE_FIELDS)))
    np.testing.assert_array_equal(mirrored(mirrored(poses)), poses)
    person = Person(Body(1.7))
    leaning = pose(lhand_z=0.5, spine_roll=0.3, rfoot_x=0.2, head_yaw=0.4)[None]
    one, other = person.place(leaning).origins[0], person.place(mirrored(leaning)).origins[0]
    swapped = [0, 1, 2, 3, 4, *(index + 1 - 2 * (index % 2 == 0) for index in range(5, 17))]
    np.testing.assert_allclose(one[swapped] * [1, -1, 1], other, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_jumps_across_transitions(seed: int) -> None:
    performance = perform(None, seed, frames=400, rate_hz=20.0)
    speed = np.linalg.norm(np.diff(Person(Body(1.75)).place(performance.poses).origins, axis=0), axis=2) * 20.0
    assert speed.max() < 9.0
    falling = np.isin(performance.actions[1:], [FALL])
    assert speed[~falling].max() < 7.0


def test_a_recording_holds_every_action_for_a_meaningful_time() -> None:
    seen, lengths = set(), []
    for seed in range(8):
        actions = perform(None, seed, frames=400).actions
        seen |= set(actions.tolist())
        edges = np.flatnonzero(np.diff(actions)) + 1
        lengths += [(int(actions[a]), (b - a) / 10) for a, b in pairwise(edges.tolist())]
        rises = [i for i in edges if actions[i] == STAND_UP]
        assert all(actions[i - 1] in (SIT_DOWN, FALL) for i in rises)
    assert seen == set(range(len(ACTIONS)))
    assert all(seconds >= (1.9 if action == STAND_UP else 3.5) for action, seconds in lengths)
    assert max(seconds for action, seconds in lengths if action == STAND_UP) < 4.3


@pytest.mark.parametrize("action", range(len(ACTIONS)))
def test_one_action_alone(action: int) -> None:
    actions = perform(action, seed=3).actions
    allowed = {STAND_UP, SIT_DOWN} if action == STAND_UP else {action}
    assert set(actions.tolist()) == allowed
    assert np.mean(actions == action) >= 0.4


def test_walking_covers_ground_and_everything_else_stays() -> None:
    walked = perform(WALK, 1).poses[:, :2]
    assert np.linalg.norm(np.diff(walked, axis=0), axis=1).sum() > 6.0
    assert np.ptp(perform(WAVE, 1).poses[:, :2], axis=0).max() == 0.0


def test_waving_lifts_one_hand_above_the_shoulder_and_swings_it() -> None:
    _, at = joints(perform(WAVE, 2, frames=60))
    above = at[15:, HAND : HAND + 2, 2] - at[15:, UPPER_ARM : UPPER_ARM + 2, 2]
    assert np.sum(above.min(axis=0) > 0.15) == 1
    swinging = int(np.argmax(above.mean(axis=0)))
    moved = at[15:, HAND + swinging] - at[15:, CHEST]
    assert np.ptp(moved, axis=0).max() > 0.2


def test_sitting_puts_the_pelvis_on_the_seat() -> None:
    body, at = joints(perform(SIT_DOWN, 2, frames=60))
    pelvis = at[-1, 0]
    assert abs(pelvis[2] - (STAGE.seat_height + 0.075 * body.height)) < 0.12
    behind = (np.array(SEAT[:2]) - pelvis[:2]) @ [np.cos(SEAT[2]), np.sin(SEAT[2])]
    assert 0.3 < behind < 0.55
    assert at[0, HEAD, 2] - at[-1, HEAD, 2] > 0.3


def test_rising_ends_upright() -> None:
    performance = perform(STAND_UP, 2, frames=100)
    body, at = joints(performance)
    ends = np.flatnonzero((performance.actions[:-1] == STAND_UP) & (performance.actions[1:] != STAND_UP))
    assert len(ends) >= 1
    assert np.all(at[ends, HEAD, 2] > 0.8 * body.height)


def test_bending_lowers_the_head_but_not_the_pelvis() -> None:
    body, at = joints(perform(BEND, 2, frames=80))
    assert np.ptp(at[:, HEAD, 2]) > 0.25 * body.height
    assert np.ptp(at[:, 0, 2]) < 0.1 * body.height


def test_picking_up_squats_and_reaches_the_floor() -> None:
    body, at = joints(perform(PICK_UP, 2, frames=80))
    assert np.ptp(at[:, 0, 2]) > 0.15 * body.height
    assert at[:, HAND : HAND + 2, 2].min() < 0.2 * body.height


@pytest.mark.parametrize("seed", range(6))
def test_falling_ends_flat_on_the_floor(seed: int) -> None:
    person = Person(Body(1.75))
    performance = perform(FALL, seed, frames=60)
    placement = person.place(performance.poses)
    assert np.ptp(person.mesh(placement, 59).vertices[:, 2]) < 0.36 * 1.75
    assert np.ptp(person.mesh(placement, 0).vertices[:, 2]) > 0.85 * 1.75
