"""How each action moves the body: pose vectors over time, in body axes.

Every function takes `t` (n,) seconds since the start of the action and a `Style`, and returns (n, D) pose vectors whose
floor position and heading are zero, unless it says otherwise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointata.classes import class_list
from pointata.data.simulator.skeleton import FIELD, Body, pose
from pointata.data.simulator.splits import Ranges, uniform

Array = NDArray[np.float64]

ACTIONS = class_list(
    ("stand", (127, 127, 127)),
    ("walk", (31, 119, 180)),
    ("wave", (255, 127, 14)),
    ("sit down", (44, 160, 44)),
    ("stand up", (188, 189, 34)),
    ("bend", (148, 103, 189)),
    ("pick up", (23, 190, 207)),
    ("fall", (214, 39, 40)),
)
STAND, WALK, WAVE, SIT_DOWN, STAND_UP, BEND, PICK_UP, FALL = range(8)

_MIRRORED = [
    (FIELD[f"l{name}"], FIELD[f"r{name}"])
    for name in ("foot_x", "foot_out", "foot_z", "foot_pitch", "hand_x", "hand_out", "hand_z")
]
_NEGATED = [FIELD[name] for name in ("tilt_roll", "pelvis_y", "pelvis_roll", "spine_roll", "spine_twist", "head_yaw")]


@dataclass(frozen=True)
class Style:
    """How a person performs an action this time.

    Attributes:
        tempo: speed relative to the average.
        amplitude: size relative to the average.
        phase: where a cyclic action begins, radians.
        mirrored: left and right exchanged.
        both_hands: both hands reach down in "pick up" and "bend" lets the arms hang.
        variant: 0 to 1, chooses among arm positions, ways of lying, ...
        sway: (3,) radians, phases of the small movements nobody can suppress.
    """

    tempo: float
    amplitude: float
    phase: float
    mirrored: bool
    both_hands: bool
    variant: float
    sway: Array


def draw_style(rng: np.random.Generator, tempo: float, amplitude: float) -> Style:
    """A style around a person's usual tempo and amplitude."""
    return Style(
        tempo=tempo * uniform(rng, (0.92, 1.08)),
        amplitude=amplitude * uniform(rng, (0.95, 1.05)),
        phase=uniform(rng, (0.0, 2 * np.pi)),
        mirrored=bool(rng.random() < 0.5),
        both_hands=bool(rng.random() < 0.5),
        variant=float(rng.random()),
        sway=rng.uniform(0.0, 2 * np.pi, 3),
    )


def draw_body(rng: np.random.Generator, ranges: Ranges) -> Body:
    """A person of the split."""
    return Body(uniform(rng, ranges.height), uniform(rng, ranges.build), uniform(rng, ranges.clothing))


def smooth(share: Array) -> Array:
    """Smooth step: 0 below 0, 1 above 1, level at both ends."""
    s = np.clip(share, 0.0, 1.0)
    level: Array = s * s * (3.0 - 2.0 * s)
    return level


def blend(start: Array, end: Array, weight: Array) -> Array:
    """(n, D) between two poses (D,) or (n, D) by weights (n,): 0 gives `start`."""
    return start + (end - start) * weight[:, None]


def mirrored(poses: Array) -> Array:
    """(n, D) poses with left and right exchanged."""
    result: Array = poses.copy()
    for left, right in _MIRRORED:
        result[:, left], result[:, right] = poses[:, right], poses[:, left]
    result[:, _NEGATED] *= -1.0
    return result


def _sided(poses: Array, style: Style) -> Array:
    return mirrored(poses) if style.mirrored else poses


def _add(poses: Array, **entries: Array | float) -> Array:
    for name, value in entries.items():
        poses[:, FIELD[name]] += value
    return poses


def sway(poses: Array, t: Array, style: Style, strength: float = 1.0) -> Array:
    """Adds breathing, shifting weight and glances to (n, D) poses, in place."""
    slow, slower = np.sin(1.3 * t + style.sway[0]), np.sin(0.7 * t + style.sway[1])
    return _add(
        poses,
        pelvis_y=0.010 * strength * slow,
        spine_pitch=0.02 * strength * np.sin(1.8 * t + style.sway[2]),
        spine_roll=0.015 * strength * slower,
        head_yaw=0.3 * strength * slower,
        lhand_x=0.015 * strength * slow,
        rhand_x=0.015 * strength * slower,
    )


def resting(style: Style) -> Array:
    """(D,) upright pose: arms hanging, on the hips, or folded."""
    if style.variant < 0.6:
        return pose(lfoot_x=0.03, rfoot_x=-0.03, lhand_x=0.1 * style.variant, rhand_x=0.1 * style.variant)
    if style.variant < 0.8:
        hips = {"lhand_x": 0.12, "lhand_out": 0.12, "lhand_z": -0.62, "rhand_x": 0.12, "rhand_out": 0.12}
        return pose(**hips, rhand_z=-0.62)
    folded = {"lhand_x": 0.45, "lhand_out": -0.45, "lhand_z": -0.42, "rhand_x": 0.42, "rhand_out": -0.45}
    return pose(**folded, rhand_z=-0.36)


def stand(t: Array, style: Style) -> Array:
    """Quiet standing."""
    return sway(_sided(np.tile(resting(style), (len(t), 1)), style), t, style)


def wave(t: Array, style: Style) -> Array:
    """One raised hand swings sideways; the other arm hangs."""
    swing = np.sin(2 * np.pi * 1.15 * style.tempo * t + style.phase)
    raised = pose(lhand_x=0.28, lhand_out=0.38, lhand_z=0.62 + 0.12 * style.variant, spine_roll=0.04)
    poses = np.tile(raised, (len(t), 1))
    _add(poses, lhand_out=0.36 * style.amplitude * swing, lhand_z=-0.10 * style.amplitude * np.abs(swing))
    return sway(_sided(poses, style), t, style, 0.6)


def bend(t: Array, style: Style) -> Array:
    """Bows again and again with straight knees."""
    depth = 0.5 - 0.5 * np.cos(2 * np.pi * 0.42 * style.tempo * t)
    angle = 1.25 * style.amplitude
    hanging = style.both_hands
    arms = {"lhand_x": 0.12, "lhand_z": -0.93, "rhand_x": 0.12, "rhand_z": -0.93}
    if not hanging:
        arms = {"lhand_x": -0.1, "lhand_z": -0.85, "rhand_x": -0.1, "rhand_z": -0.85}
    bowed = pose(
        pelvis_x=-0.16, pelvis_z=0.955, pelvis_pitch=0.65 * angle, spine_pitch=0.45 * angle, head_pitch=0.15, **arms
    )
    return sway(blend(pose(), bowed, depth), t, style, 0.5)


def pick_up(t: Array, style: Style) -> Array:
    """Squats down, reaches for the floor, comes up with the hand before the chest; again and again."""
    cycle = np.mod(0.36 * style.tempo * t, 1.0)
    down = smooth(cycle / 0.38) * (1.0 - smooth((cycle - 0.55) / 0.38))
    lift = smooth((cycle - 0.55) / 0.3) * (1.0 - smooth((cycle - 0.85) / 0.15))
    depth = min(style.amplitude, 1.0)
    low = pose(
        pelvis_x=-0.22, pelvis_z=0.985 - 0.60 * depth, pelvis_pitch=0.5, spine_pitch=0.55, head_pitch=-0.2,
        lfoot_x=0.10, rfoot_x=-0.14, rfoot_pitch=0.3, lfoot_out=0.09, rfoot_out=0.09,
        lhand_x=0.42, lhand_out=-0.05, lhand_z=-0.88, rhand_x=0.35, rhand_out=0.05, rhand_z=-0.55,
    )  # fmt: skip
    if style.both_hands:
        for name in ("x", "out", "z"):
            low[FIELD[f"rhand_{name}"]] = low[FIELD[f"lhand_{name}"]]
    poses = blend(pose(), low, down)
    _add(poses, lhand_x=0.45 * lift, lhand_out=-0.2 * lift, lhand_z=0.5 * lift)
    return sway(_sided(poses, style), t, style, 0.4)


def gait(phase: Array, stride: Array, style: Style) -> Array:
    """Walking on the spot of the moving body.

    Args:
        phase: (n,) radians, 2 pi for two steps.
        stride: (n,) length of a step in leg lengths, 0 for stepping on the spot.
        style: how.
    """
    poses = np.tile(pose(spine_pitch=0.06), (len(phase), 1))
    arm = (0.12 + 0.45 * stride) * style.amplitude
    for side, angle, other in (("l", phase, 1.0), ("r", phase + np.pi, -1.0)):
        swing = np.maximum(np.sin(angle), 0.0)
        poses[:, FIELD[f"{side}foot_x"]] = -0.5 * stride * np.cos(angle)
        poses[:, FIELD[f"{side}foot_z"]] = (0.05 + 0.10 * np.minimum(stride, 1.0)) * swing
        poses[:, FIELD[f"{side}foot_pitch"]] = 0.5 * np.minimum(stride, 1.0) * swing
        poses[:, FIELD[f"{side}foot_out"]] = 0.0
        poses[:, FIELD[f"{side}hand_x"]] = 0.1 + arm * np.cos(angle)
        poses[:, FIELD[f"{side}hand_z"]] = -0.92 + 0.25 * arm * np.maximum(np.cos(angle), 0.0)
        poses[:, FIELD["spine_twist"]] += -0.12 * other * stride * np.cos(angle)
    # The pelvis is lowest when both feet touch the floor, far apart.
    return _add(poses, pelvis_y=-0.02 * np.sin(phase), pelvis_z=-0.14 * (stride * np.cos(phase)) ** 2 - 0.01)


def seated(style: Style, body: Body, seat_height: float) -> Array:
    """(D,) sitting with the hands on the thighs; the floor position is that of the feet."""
    lean = -0.22 * style.variant
    hands = {"lhand_x": 0.42, "lhand_out": -0.02, "lhand_z": -0.58, "rhand_x": 0.42, "rhand_out": -0.02}
    return pose(
        pelvis_x=-0.50, pelvis_z=body.seated_pelvis(seat_height), pelvis_pitch=lean, spine_pitch=0.08,
        lfoot_x=0.04, rfoot_x=0.04, lfoot_out=0.06, rfoot_out=0.06, **hands, rhand_z=-0.58,
    )  # fmt: skip


def _leaning(sitting: Array) -> Array:
    """(D,) between sitting and standing: the trunk comes forward over the feet."""
    middle: Array = sitting.copy()
    middle[FIELD["pelvis_pitch"]] = 0.55
    middle[FIELD["spine_pitch"]] = 0.35
    middle[FIELD["pelvis_x"]] = -0.38
    middle[FIELD["pelvis_z"]] += 0.14
    middle[FIELD["lhand_x"]] = middle[FIELD["rhand_x"]] = 0.30
    middle[FIELD["lhand_z"]] = middle[FIELD["rhand_z"]] = -0.75
    return middle


def sit_down(t: Array, style: Style, body: Body, seat_height: float) -> Array:
    """Goes down onto the seat in 1.3 to 2 s, then stays."""
    sitting = seated(style, body, seat_height)
    share = t * style.tempo / 1.6
    poses = blend(blend(pose(), _leaning(sitting), smooth(share / 0.6)), sitting, smooth((share - 0.4) / 0.6))
    return sway(poses, t, style, 0.6)


def rise_from_seat(t: Array, duration: float, sitting: Array) -> Array:
    """Comes forward and up from the pose `sitting` (D,), for the whole of `duration` seconds."""
    share = t / duration
    return blend(blend(sitting, _leaning(sitting), smooth(share / 0.45)), pose(), smooth((share - 0.3) / 0.7))


def lying(style: Style, direction: int) -> Array:
    """(D,) stretched out after a fall forward, backward, to the left or to the right (direction 0 to 3)."""
    v = style.variant
    spread = {"lhand_out": 0.3 + 0.4 * v, "lhand_z": -0.75 + 1.2 * v, "rhand_out": 0.8 - 0.4 * v, "rhand_z": -0.5}
    if direction == 0:
        straight = {"pelvis_z": 0.99, "lfoot_pitch": 1.3, "rfoot_pitch": 1.3, "lfoot_out": 0.12 * v}
        return pose(tilt_pitch=1.52, lhand_x=0.1, rhand_x=0.1, head_yaw=1.0 - 2.0 * v, **straight, **spread)
    if direction == 1:
        knee = {"pelvis_z": 0.97 - 0.25 * v, "rfoot_z": -0.2 * v, "lfoot_pitch": 0.5, "rfoot_pitch": 0.5}
        # Nearly straight arms, so that the trunk does not rest on the elbows.
        angle = 0.3 + 1.5 * v
        spread |= {"lhand_out": 0.96 * np.sin(angle), "lhand_z": -0.96 * np.cos(angle), "rhand_z": -0.6 - 0.28 * v}
        return pose(tilt_pitch=-1.52, lhand_x=0.0, rhand_x=0.0, **knee, **spread)
    curled = {"pelvis_z": 0.95 - 0.25 * v, "pelvis_pitch": 0.1 + 0.3 * v, "spine_pitch": 0.3 * v}
    below, above = ("l", "r") if direction == 2 else ("r", "l")
    # The arm below is stretched along the floor, so that the trunk does not rest on its elbow.
    arms = {f"{below}hand_x": 0.90 - 0.4 * v, f"{below}hand_out": -0.1, f"{below}hand_z": 0.38 + 0.45 * v}
    arms |= {f"{above}hand_x": 0.45, f"{above}hand_out": -0.25, f"{above}hand_z": -0.5}
    feet = {"lfoot_pitch": 0.6, "rfoot_pitch": 0.6, f"{above}foot_x": 0.2 * v, "lfoot_out": -0.02, "rfoot_out": -0.02}
    return pose(tilt_roll=-1.52 if direction == 2 else 1.52, **curled, **arms, **feet)


def fall(t: Array, style: Style, direction: int) -> Array:
    """Knees give way and the body tips over in 0.7 to 1.1 s, then stays on the floor."""
    share = np.clip(t * style.tempo / 0.95, 0.0, 1.0)
    down = lying(style, direction)
    poses = blend(pose(), down, share**2)
    buckle = np.sin(np.pi * share)
    _add(poses, pelvis_z=-0.28 * buckle, lhand_out=0.35 * buckle, rhand_out=0.35 * buckle, lhand_z=0.4 * buckle)
    _add(poses, rhand_z=0.4 * buckle, spine_pitch=0.25 * buckle)
    return sway(poses, t, style, 0.3)


def rise_from_floor(t: Array, duration: float, down: Array) -> Array:
    """Gathers into a crouch and stands up from the pose `down` (D,), for the whole of `duration` seconds."""
    crouch = pose(
        pelvis_x=-0.15, pelvis_z=0.42, pelvis_pitch=0.6, spine_pitch=0.5, lfoot_x=0.12, rfoot_x=-0.2, rfoot_pitch=0.5,
        lhand_x=0.4, lhand_z=-0.8, rhand_x=0.4, rhand_z=-0.8,
    )  # fmt: skip
    share = t / duration
    return blend(blend(down, crouch, smooth(share / 0.55)), pose(), smooth((share - 0.45) / 0.55))
