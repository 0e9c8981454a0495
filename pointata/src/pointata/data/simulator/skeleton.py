"""An articulated human body: from a pose vector to the triangles of its surface.

A pose says where pelvis, feet and hands are; knees and elbows follow by two-bone inverse kinematics. Blending two pose
vectors linearly therefore gives another sensible pose. Lengths of body segments relative to the body height are those
of Drillis and Contini (1966), as tabulated in Winter, "Biomechanics and Motor Control of Human Movement".
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointata.data.simulator.shapes import Mesh, capsule, ellipsoid, merge, rotation_x, rotation_y, rotation_z

Array = NDArray[np.float64]

#: Entries of a pose vector. Body axes: x forward, y left, z up; `out` is away from the body's middle on either side.
#: x, y: floor position of the body, metres; yaw: heading, radians; tilt_*: the whole body tipping over, radians.
#: pelvis_*, l/rfoot_*: in leg lengths, relative to the floor position; *hand_*: in arm lengths, relative to the
#: shoulder. Pitch angles: positive bends forward; roll: to the right; twist and head_yaw: to the left.
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


class Placement(NamedTuple):
    """Where the 17 parts of a body are in n poses: rotations (n, 17, 3, 3) and origins (n, 17, 3), metres, world."""

    rotations: Array
    origins: Array


class Person:
    """Surface of a body: 17 rigid parts on a skeleton.

    Args:
        body: the size.
        segments: corners of a limb's cross-section.

    Attributes:
        faces: (F, 3) int64 triangles of what `mesh` returns.
    """

    def __init__(self, body: Body, segments: int = 10) -> None:
        self.body = body
        parts = _part_meshes(body, segments)
        merged = merge(parts)
        self.faces = merged.faces
        self._local = merged.vertices
        self._part = np.repeat(np.arange(len(parts)), [len(part.vertices) for part in parts])

    def place(self, vectors: Array) -> Placement:
        """Forward kinematics of pose vectors (n, D)."""
        return _place_parts(self.body, np.atleast_2d(vectors))

    def mesh(self, placement: Placement, index: int) -> Mesh:
        """The surface in the world in pose `index`; its lowest point touches the floor z = 0."""
        rotations, origins = placement.rotations[index], placement.origins[index]
        points = np.einsum("vij,vj->vi", rotations[self._part], self._local) + origins[self._part]
        points[:, 2] -= points[:, 2].min()
        return Mesh(points, self.faces)


def _part_meshes(body: Body, segments: int) -> list[Mesh]:
    """Parts in their own axes: trunk and head about their centres, limbs from joint to joint along +z."""
    h, wide, cloth = body.height, body.build, body.clothing

    def limb(length: float, start: float, end: float, worn: float = 1.0) -> Mesh:
        return capsule(length * h, start * h * wide + worn * cloth, end * h * wide + worn * cloth, segments)

    def blob(x: float, y: float, z: float) -> Mesh:
        return ellipsoid([x * h * wide + cloth, y * h * wide + cloth, z * h], segments + 2, segments - 2)

    upper_arm, forearm = limb(0.186, 0.031, 0.025), limb(0.146, 0.025, 0.017)
    thigh, shank = limb(0.245, 0.050, 0.034), limb(0.246, 0.035, 0.024)
    hand = ellipsoid([0.013 * h, 0.024 * h, 0.052 * h], segments - 1, 3)
    foot = ellipsoid([0.078 * h, 0.029 * h * wide, 0.026 * h], segments, 3 if segments < 8 else 5)
    trunk = [blob(0.066, 0.099, 0.082), blob(0.060, 0.088, 0.095), blob(0.070, 0.112, 0.125)]
    neck, head = limb(0.06, 0.034, 0.033, worn=0.3), ellipsoid([0.056 * h, 0.045 * h, 0.068 * h], segments + 2, 5)
    arms, legs = [upper_arm, upper_arm, forearm, forearm, hand, hand], [thigh, thigh, shank, shank, foot, foot]
    return [*trunk, neck, head, *arms, *legs]


def _place_parts(body: Body, vectors: Array) -> Placement:
    """Frames of the parts, in the order of `_part_meshes`, for pose vectors (n, D)."""
    h = body.height
    p = {name: vectors[:, index] for name, index in FIELD.items()}
    zero = np.zeros(len(vectors))
    floor = np.stack([p["x"], p["y"], zero], axis=1)
    root = rotation_z(p["yaw"]) @ rotation_y(p["tilt_pitch"]) @ rotation_x(p["tilt_roll"])
    height = body.ankle + p["pelvis_z"] * body.leg
    pelvis_at = floor + _turn(root, np.stack([p["pelvis_x"] * body.leg, p["pelvis_y"] * body.leg, height], axis=1))
    pelvis = root @ rotation_y(p["pelvis_pitch"]) @ rotation_x(p["pelvis_roll"])
    half_bend = rotation_z(p["spine_twist"] / 2) @ rotation_y(p["spine_pitch"] / 2) @ rotation_x(p["spine_roll"] / 2)
    waist_at = pelvis_at + _turn(pelvis, [0.0, 0.0, 0.055 * h])
    abdomen = pelvis @ half_bend
    thorax_at = waist_at + _turn(abdomen, [0.0, 0.0, 0.10 * h])
    chest = abdomen @ half_bend
    neck_at = thorax_at + _turn(chest, [0.0, 0.0, 0.145 * h])
    head = chest @ rotation_z(p["head_yaw"]) @ rotation_y(p["head_pitch"])
    rotations = [pelvis, abdomen, chest, chest, head]
    origins = [
        pelvis_at + _turn(pelvis, [0.0, 0.0, 0.015 * h]),
        waist_at + _turn(abdomen, [0.0, 0.0, 0.03 * h]),
        thorax_at + _turn(chest, [0.0, 0.0, 0.055 * h]),
        neck_at,
        neck_at + _turn(head, [0.012 * h, 0.0, 0.105 * h]),
    ]
    lean = root @ rotation_y(p["pelvis_pitch"] + p["spine_pitch"])
    arms = [_place_arm(body, side, p, root, lean, chest, thorax_at) for side in "lr"]
    legs = [_place_leg(body, side, p, root, pelvis, floor, pelvis_at) for side in "lr"]
    for left, right in [*zip(*arms, strict=True), *zip(*legs, strict=True)]:
        rotations += [left[0], right[0]]
        origins += [left[1], right[1]]
    return Placement(np.stack(rotations, axis=1), np.stack(origins, axis=1))


def _place_arm(
    body: Body, side: str, p: dict[str, Array], root: Array, lean: Array, chest: Array, thorax_at: Array
) -> list[tuple[Array, Array]]:
    """Rotation and origin of upper arm, forearm and hand."""
    h, sign = body.height, 1.0 if side == "l" else -1.0
    shoulder = thorax_at + _turn(chest, [0.0, sign * 0.112 * h * (0.6 + 0.4 * body.build), 0.125 * h])
    hand = np.stack([p[f"{side}hand_x"], sign * p[f"{side}hand_out"], p[f"{side}hand_z"]], axis=1)
    pole = _turn(lean, [-1.0, sign * 0.5, -0.7])
    elbow, wrist = two_bones(shoulder, shoulder + _turn(root, hand * body.arm), 0.186 * h, 0.146 * h, pole)
    upper, fore = bone_axes(elbow - shoulder), bone_axes(wrist - elbow)
    return [(upper, shoulder), (fore, elbow), (fore, wrist + fore[..., 2] * 0.045 * h)]


def _place_leg(
    body: Body, side: str, p: dict[str, Array], root: Array, pelvis: Array, floor: Array, pelvis_at: Array
) -> list[tuple[Array, Array]]:
    """Rotation and origin of thigh, shank and foot."""
    h, sign = body.height, 1.0 if side == "l" else -1.0
    hip = pelvis_at + _turn(pelvis, [0.0, sign * 0.052 * h, 0.0])
    out = sign * (0.052 * h + p[f"{side}foot_out"] * body.leg)
    target = np.stack([p[f"{side}foot_x"] * body.leg, out, body.ankle + p[f"{side}foot_z"] * body.leg], axis=1)
    pole = _turn(root, [1.0, sign * 0.12, 0.25])
    knee, ankle = two_bones(hip, floor + _turn(root, target), 0.245 * h, 0.246 * h, pole)
    sole = root @ rotation_z(sign * 0.12) @ rotation_y(p[f"{side}foot_pitch"])
    foot_at = ankle + _turn(sole, [0.035 * h, 0.0, -0.013 * h])
    return [(bone_axes(knee - hip), hip), (bone_axes(ankle - knee), knee), (sole, foot_at)]


def _turn(rotations: Array, vectors: ArrayLike) -> Array:
    """(n, 3): rotations (n, 3, 3) applied to vectors (n, 3) or (3,)."""
    turned: Array = np.einsum("nij,nj->ni", rotations, np.broadcast_to(vectors, (len(rotations), 3)))
    return turned


def two_bones(start: Array, target: Array, first: float, second: float, pole: Array) -> tuple[Array, Array]:
    """Joints and ends of two-bone chains that reach for `target`, bending towards `pole`.

    Args:
        start: (n, 3) where the chains begin.
        target: (n, 3) where they should end; if out of reach, the chain points there.
        first: length of the first bone, metres.
        second: length of the second bone, metres.
        pole: (n, 3) direction of the bend.

    Returns:
        (n, 3) middle joints and (n, 3) ends.
    """
    along = target - start
    distance = np.linalg.norm(along, axis=1, keepdims=True)
    axis = along / np.maximum(distance, 1e-9)
    reach = np.clip(distance, abs(first - second) + 1e-3, 0.999 * (first + second))
    side = pole - axis * np.sum(pole * axis, axis=1, keepdims=True)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    ahead = (reach**2 + first**2 - second**2) / (2.0 * reach)
    joint = start + axis * ahead + side * np.sqrt(np.maximum(first**2 - ahead**2, 0.0))
    return joint, start + axis * reach


def bone_axes(along: Array) -> Array:
    """(n, 3, 3) rotations whose third columns point along (n, 3)."""
    z = along / np.linalg.norm(along, axis=1, keepdims=True)
    helper = np.where(np.abs(z[:, :1]) > 0.7, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    y = np.cross(z, helper)
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return np.stack([np.cross(y, z), y, z], axis=2)
