"""An articulated human body: from a pose vector to the triangles of its surface.

A pose says where pelvis, feet and hands are; knees and elbows follow by two-bone inverse kinematics. Blending two pose
vectors linearly therefore gives another sensible pose. Lengths of body segments relative to the body height are those
of Drillis and Contini (1966), as tabulated in Winter, "Biomechanics and Motor Control of Human Movement".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointata.data.simulator.shapes import Mesh, capsule, ellipsoid, merge, rotation_x, rotation_y, rotation_z

Array = NDArray[np.float64]

#: Entries of a pose vector. Body axes: x forward, y left, z up; `out` is away from the body's middle on either side.
#: x, y: floor position of the body, metres; yaw: heading, radians; tilt_*: the whole body tipping over, radians.
#: pelvis_*, l/rfoot_*: in leg lengths, relative to the floor position; *hand_*: in arm lengths, relative to the
#: shoulder. Pitch angles: positive bends forward; roll: positive to the right; twist and head_yaw: positive to the left.
POSE_FIELDS = (
    "x", "y", "yaw", "tilt_pitch", "tilt_roll",
    "pelvis_x", "pelvis_y", "pelvis_z", "pelvis_pitch", "pelvis_roll",
    "spine_pitch", "spine_roll", "spine_twist", "head_pitch", "head_yaw",
    "lfoot_x", "lfoot_out", "lfoot_z", "lfoot_pitch", "rfoot_x", "rfoot_out", "rfoot_z", "rfoot_pitch",
    "lhand_x", "lhand_out", "lhand_z", "rhand_x", "rhand_out", "rhand_z",
)  # fmt: skip
FIELD = {name: index for index, name in enumerate(POSE_FIELDS)}
#: First entry that describes the posture; those before it place the body on the floor.
POSTURE = FIELD["tilt_pitch"]

_REST = {
    "pelvis_z": 0.985,
    "lfoot_out": 0.05, "rfoot_out": 0.05,
    "lhand_x": 0.06, "lhand_out": 0.14, "lhand_z": -0.93, "rhand_x": 0.06, "rhand_out": 0.14, "rhand_z": -0.93,
}  # fmt: skip


def pose(**entries: float) -> Array:
    """(D,) pose vector: upright with hanging arms, but for the entries given by name (see POSE_FIELDS)."""
    vector = np.zeros(len(POSE_FIELDS))
    for name, value in {**_REST, **entries}.items():
        vector[FIELD[name]] = value
    return vector


@dataclass(frozen=True)
class Body:
    """Size of a person.

    Attributes:
        height: metres.
        build: width of trunk and limbs relative to the average.
        clothing: thickness of the clothes, metres.
    """

    height: float
    build: float = 1.0
    clothing: float = 0.01

    @property
    def leg(self) -> float:
        """Hip to ankle, metres."""
        return 0.491 * self.height

    @property
    def arm(self) -> float:
        """Shoulder to wrist, metres."""
        return 0.332 * self.height

    @property
    def ankle(self) -> float:
        """Height of the ankle above the floor, metres."""
        return 0.039 * self.height

    def seated_pelvis(self, seat_height: float) -> float:
        """`pelvis_z` (leg lengths) of a body that sits on a seat of that height (metres)."""
        return (seat_height + 0.06 * self.height * self.build - self.ankle) / self.leg


class Person:
    """Surface of a body: 17 rigid parts on a skeleton.

    Args:
        body: the size.

    Attributes:
        faces: (F, 3) int64 triangles of what `vertices` returns.
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        parts = _part_meshes(body)
        merged = merge(parts)
        self.faces = merged.faces
        self._local = merged.vertices
        self._part = np.repeat(np.arange(len(parts)), [len(part.vertices) for part in parts])

    def vertices(self, vector: Array) -> Array:
        """(V, 3) surface points in the world, metres, for a pose vector (D,): the lowest one touches the floor z = 0."""
        rotations, origins = _part_frames(self.body, vector)
        points = np.einsum("vij,vj->vi", rotations[self._part], self._local) + origins[self._part]
        points[:, 2] -= points[:, 2].min()
        return points

    def mesh(self, vector: Array) -> Mesh:
        """The surface in the world for a pose vector (D,)."""
        return Mesh(self.vertices(vector), self.faces)


def _part_meshes(body: Body) -> list[Mesh]:
    """Parts in their own axes: trunk and head about their centres, limbs from joint to joint along +z."""
    h, wide, cloth = body.height, body.build, body.clothing

    def limb(length: float, start: float, end: float, worn: float = 1.0) -> Mesh:
        return capsule(length * h, start * h * wide + worn * cloth, end * h * wide + worn * cloth)

    def blob(x: float, y: float, z: float, worn: float = 1.0) -> Mesh:
        return ellipsoid([x * h * wide + worn * cloth, y * h * wide + worn * cloth, z * h], rings=8)

    upper_arm, forearm = limb(0.186, 0.031, 0.025), limb(0.146, 0.025, 0.017)
    thigh, shank = limb(0.245, 0.050, 0.034), limb(0.246, 0.035, 0.024)
    hand = ellipsoid([0.013 * h, 0.024 * h, 0.052 * h], segments=8, rings=5)
    foot = ellipsoid([0.078 * h, 0.029 * h * wide, 0.026 * h], segments=10, rings=5)
    trunk = [blob(0.066, 0.099, 0.082), blob(0.060, 0.088, 0.095), blob(0.070, 0.112, 0.125)]
    head = [limb(0.06, 0.034, 0.033, worn=0.3), ellipsoid([0.056 * h, 0.045 * h, 0.068 * h])]
    return [*trunk, *head, upper_arm, upper_arm, forearm, forearm, hand, hand, thigh, thigh, shank, shank, foot, foot]


def _part_frames(body: Body, vector: Array) -> tuple[Array, Array]:
    """Rotations (17, 3, 3) and origins (17, 3) of the parts, in the order of `_part_meshes`."""
    h = body.height
    p = dict(zip(POSE_FIELDS, vector.tolist(), strict=True))
    root = rotation_z(p["yaw"]) @ rotation_y(p["tilt_pitch"]) @ rotation_x(p["tilt_roll"])
    floor = np.array([p["x"], p["y"], 0.0])

    pelvis_at = floor + root @ np.array(
        [p["pelvis_x"] * body.leg, p["pelvis_y"] * body.leg, body.ankle + p["pelvis_z"] * body.leg]
    )
    pelvis = root @ rotation_y(p["pelvis_pitch"]) @ rotation_x(p["pelvis_roll"])
    half_bend = (
        rotation_z(p["spine_twist"] / 2) @ rotation_y(p["spine_pitch"] / 2) @ rotation_x(p["spine_roll"] / 2)
    )
    waist_at = pelvis_at + pelvis @ np.array([0.0, 0.0, 0.055 * h])
    abdomen = pelvis @ half_bend
    thorax_at = waist_at + abdomen @ np.array([0.0, 0.0, 0.10 * h])
    chest = abdomen @ half_bend
    neck_at = thorax_at + chest @ np.array([0.0, 0.0, 0.145 * h])
    head = chest @ rotation_z(p["head_yaw"]) @ rotation_y(p["head_pitch"])
    rotations = [pelvis, abdomen, chest, chest, head]
    origins = [
        pelvis_at + pelvis @ np.array([0.0, 0.0, 0.015 * h]),
        waist_at + abdomen @ np.array([0.0, 0.0, 0.03 * h]),
        thorax_at + chest @ np.array([0.0, 0.0, 0.055 * h]),
        neck_at,
        neck_at + head @ np.array([0.012 * h, 0.0, 0.105 * h]),
    ]

    lean = root @ rotation_y(p["pelvis_pitch"] + p["spine_pitch"])
    arms, legs = [], []
    for side, sign in (("l", 1.0), ("r", -1.0)):
        shoulder = thorax_at + chest @ np.array([0.0, sign * 0.112 * h * (0.6 + 0.4 * body.build), 0.125 * h])
        hand = np.array([p[f"{side}hand_x"], sign * p[f"{side}hand_out"], p[f"{side}hand_z"]])
        elbow, wrist = two_bones(
            shoulder, shoulder + root @ hand * body.arm, 0.186 * h, 0.146 * h, lean @ np.array([-1.0, sign * 0.5, -0.7])
        )
        upper, fore = bone_axes(elbow - shoulder), bone_axes(wrist - elbow)
        arms.append([(upper, shoulder), (fore, elbow), (fore, wrist + fore[:, 2] * 0.045 * h)])

        hip = pelvis_at + pelvis @ np.array([0.0, sign * 0.052 * h, 0.0])
        out = sign * (0.052 * h + p[f"{side}foot_out"] * body.leg)
        target = np.array([p[f"{side}foot_x"] * body.leg, out, body.ankle + p[f"{side}foot_z"] * body.leg])
        knee, ankle = two_bones(
            hip, floor + root @ target, 0.245 * h, 0.246 * h, root @ np.array([1.0, sign * 0.12, 0.25])
        )
        sole = root @ rotation_z(sign * 0.12) @ rotation_y(p[f"{side}foot_pitch"])
        foot_at = ankle + sole @ np.array([0.035 * h, 0.0, -0.013 * h])
        legs.append([(bone_axes(knee - hip), hip), (bone_axes(ankle - knee), knee), (sole, foot_at)])
    for (left, right) in [*zip(*arms, strict=True), *zip(*legs, strict=True)]:
        rotations += [left[0], right[0]]
        origins += [left[1], right[1]]
    return np.stack(rotations), np.stack(origins)


def two_bones(start: Array, target: Array, first: float, second: float, pole: Array) -> tuple[Array, Array]:
    """Joint and end of a two-bone chain that reaches for `target`, bending towards `pole`.

    Args:
        start: (3,) where the chain begins.
        target: (3,) where it should end; if out of reach, the chain points there.
        first: length of the first bone, metres.
        second: length of the second bone, metres.
        pole: (3,) direction of the bend.

    Returns:
        (3,) middle joint and (3,) end.
    """
    along = target - start
    distance = float(np.sqrt(along @ along))
    axis = along / distance if distance > 1e-9 else np.array([0.0, 0.0, -1.0])
    reach = float(np.clip(distance, abs(first - second) + 1e-3, 0.999 * (first + second)))
    side = pole - axis * float(pole @ axis)
    norm = float(np.sqrt(side @ side))
    side = side / norm if norm > 1e-9 else bone_axes(axis)[:, 0]
    ahead = (reach**2 + first**2 - second**2) / (2.0 * reach)
    joint = start + axis * ahead + side * np.sqrt(max(first**2 - ahead**2, 0.0))
    return joint, start + axis * reach


def bone_axes(along: Array) -> Array:
    """(3, 3) rotation whose third column points along (3,)."""
    z = along / np.sqrt(along @ along)
    helper = np.array([0.0, 0.0, 1.0]) if abs(z[0]) > 0.7 else np.array([1.0, 0.0, 0.0])
    y = np.array([z[1] * helper[2] - z[2] * helper[1], z[2] * helper[0] - z[0] * helper[2], z[0] * helper[1] - z[1] * helper[0]])
    y /= np.sqrt(y @ y)
    x = np.array([y[1] * z[2] - y[2] * z[1], y[2] * z[0] - y[0] * z[2], y[0] * z[1] - y[1] * z[0]])
    return np.stack([x, y, z], axis=1)
