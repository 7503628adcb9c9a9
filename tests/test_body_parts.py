"""Parts of a body: the published numbers, joints by their names, and what is missing."""

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.formats import pose
from seasign.formats.coco import COCO_WHOLEBODY
from seasign.models.body_parts import HOLISTIC, PARTS, adjacency, normalize, parts_of
from seasign.models.features import BODY, HANDS
from seasign.types import InputError, InputWarning, Poses

GOLDEN = Path(__file__).parent / "golden" / "sigma"
GRAPHS, CLIPS = np.load(GOLDEN / "graphs.npz"), np.load(GOLDEN / "pose_parts.npz")
KEYS = {"body": "body", "left": "left", "right": "right", "face": "face_all"}
KINDS = ("hi", "mixed", "lowbody", "same")
SHARED = Path(__file__).parents[2] / "shared" / "data"


def clip(kind):
    """A published clip: 133 landmarks in double precision."""
    return np.concatenate((CLIPS[f"{kind}_keypoints"], CLIPS[f"{kind}_scores"][..., None]), axis=2)


def poses(points, names=COCO_WHOLEBODY, depth=0.0):
    xyz = np.insert(points[..., :2], 2, depth, axis=2).astype(np.float32)
    return Poses(xyz, points[..., 2].astype(np.float32), Fraction(25), tuple(names))


def coco(kind="hi"):
    return poses(clip(kind))


def holistic(kind="hi"):
    """The same clip as MediaPipe Holistic would name it."""
    joints = {first: second for part in PARTS.values() for first, second in part.items()}
    kept = [number for number, name in enumerate(COCO_WHOLEBODY) if name in joints]
    return poses(clip(kind)[:, kept], [joints[COCO_WHOLEBODY[number]] for number in kept])


def without(these, *starts):
    kept = [number for number, name in enumerate(these.landmarks) if not name.startswith(starts)]
    return Poses(these.xyz[:, kept], these.confidence[:, kept], these.fps, tuple(these.landmarks[i] for i in kept))


def same(found, expected, **tolerance):
    for part in PARTS:
        np.testing.assert_allclose(found[part], expected[part], err_msg=part, **{"rtol": 0, "atol": 1e-6} | tolerance)


# As published


@pytest.mark.parametrize("part", PARTS)
def test_joints_hang_together_as_published(part):
    assert (adjacency(part) == GRAPHS[KEYS[part]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_become_what_they_became_in_the_released_code(kind):
    raw = {part: clip(kind)[:, [COCO_WHOLEBODY.index(name) for name in joints]] for part, joints in PARTS.items()}
    same(normalize(raw), {part: CLIPS[f"{kind}_{key}"] for part, key in KEYS.items()}, atol=1e-9)


def test_the_landmarks_of_coco_stand_where_the_files_have_them():
    assert len(set(COCO_WHOLEBODY)) == 133
    at = {part: [COCO_WHOLEBODY.index(name) for name in joints] for part, joints in PARTS.items()}
    assert at == {
        "body": [0, *range(3, 11)],
        "left": [*range(91, 112)],
        "right": [*range(112, 133)],
        "face": [23, *range(25, 40, 2), *range(83, 91), 53],
    }


# By names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:hardly any of the body")
def test_both_layouts_give_the_same_parts_in_whatever_order_landmarks_come(kind):
    expected = {part: CLIPS[f"{kind}_{key}"] for part, key in KEYS.items()}
    for these in (coco(kind), holistic(kind)):
        same(parts_of(these), expected)
        order = np.random.default_rng(0).permutation(len(these.landmarks))
        mixed = Poses(
            these.xyz[:, order], these.confidence[:, order], these.fps, tuple(these.landmarks[i] for i in order)
        )
        same(parts_of(mixed), expected)


def test_mediapipe_has_every_landmark_that_is_asked_of_it():
    mesh = {f"FACE_LANDMARKS.{vertex}" for vertex in range(468)}
    assert set(HOLISTIC) <= {*BODY, *HANDS, *mesh}
    assert len(set(HOLISTIC)) == len(HOLISTIC) == 69


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared data")
def test_vertices_of_the_face_mesh_lie_where_the_68_points_do():
    these = pose.read(SHARED / "poses" / "dgs_example.pose")
    faces = these.xyz[:, [these.landmarks.index(name) for name in PARTS["face"].values()], :2]
    points = np.nanmedian(faces, axis=0)  # y points down, and the right of a face is on the left
    jaw, lips, nose = points[:9], points[9:17], points[17]
    assert (np.diff(jaw[1:8, 0]) > 0).all()
    assert (np.diff(jaw[:5, 1]) > 0).all()
    assert (np.diff(jaw[4:, 1]) < 0).all()
    assert lips[:, 0].argmin() == 0
    assert lips[:, 0].argmax() == 4
    assert (lips[1:4, 1] <= lips[7:4:-1, 1]).all()
    assert (np.diff(lips[:5, 0]) > 0).all()
    assert (np.diff(lips[4:, 0]) < 0).all()
    assert jaw[0, 0] < lips[0, 0] < nose[0] < lips[4, 0] < jaw[8, 0]
    assert lips[:, 1].min() < jaw[4, 1]
    own = np.nanmedian(these.xyz[:, these.landmarks.index("POSE_LANDMARKS.NOSE"), :2], axis=0)
    assert np.hypot(*(nose - own)) < 0.3 * (lips[4, 0] - lips[0, 0])


# What is missing


@pytest.mark.parametrize(("start", "part"), [("COCO_LEFT_HAND", "left"), ("COCO_FACE", "face")])
def test_a_part_that_is_not_there_is_masked_and_said(start, part):
    with pytest.warns(InputWarning, match=f"nothing of the {part}"):
        found = parts_of(without(coco(), start))
    same(found, parts_of(coco()) | {part: np.zeros_like(found[part])})


def test_a_joint_that_is_not_there_is_masked_and_said_by_both_names():
    with pytest.warns(
        InputWarning,
        match=r"no COCO_RIGHT_HAND.PINKY_TIP or RIGHT_HAND_LANDMARKS.PINKY_TIP of the right hand",
    ):
        found = parts_of(without(coco(), "COCO_RIGHT_HAND.PINKY_TIP"))
    expected = dict(parts_of(coco()))
    expected["right"] = expected["right"].copy()
    expected["right"][:, 20] = 0
    same(found, expected)


def test_a_hand_without_its_wrist_is_masked_since_nothing_measures_it():
    with pytest.warns(InputWarning, match=r"WRIST or LEFT_HAND_LANDMARKS.WRIST, by which the left hand is measured"):
        assert not parts_of(without(coco(), "COCO_LEFT_HAND.WRIST"))["left"].any()


def test_poses_of_another_layout_are_refused_in_a_line():
    named = poses(clip("hi")[:, :5], [f"hand_left_keypoints_2d.{i}" for i in range(5)])
    with pytest.raises(InputError, match=r"no COCO_BODY.NOSE or POSE_LANDMARKS.NOSE.* 7 more \(they have hand_left_k"):
        parts_of(named)
    with pytest.raises(InputError, match="no frames"):
        parts_of(poses(clip("hi")[:0]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_landmark_that_is_no_number_is_masked(value):
    points = clip("hi")
    points[2, 95, 0] = value  # of the left hand
    expected = dict(parts_of(coco()))
    expected["left"] = expected["left"].copy()
    expected["left"][2, 4] = 0
    same(parts_of(poses(points)), expected)


def test_where_hardly_any_body_is_seen_everything_is_masked_and_said():
    with pytest.warns(InputWarning, match="hardly any of the body is seen in 5 frames"):
        found = parts_of(coco("lowbody"))
    assert not any(part.any() for part in found.values())


@pytest.mark.parametrize("frames", [1, 10_000])
def test_clips_may_be_short_or_long(frames):
    points = np.resize(clip("hi"), (frames, 133, 3))
    found = parts_of(poses(points))
    assert {part: own.shape for part, own in found.items()} == {
        "body": (frames, 9, 3), "left": (frames, 21, 3), "right": (frames, 21, 3), "face": (frames, 18, 3),
    }  # fmt: skip
    if frames > 6:
        same({part: own[:6] for part, own in found.items()}, parts_of(coco()))


@given(scale=st.floats(0.5, 500), right=st.floats(-1e3, 1e3), down=st.floats(-1e3, 1e3))
def test_neither_place_nor_size_of_a_signer_matters(scale, right, down):
    raw = {part: clip("mixed")[:, [COCO_WHOLEBODY.index(name) for name in joints]] for part, joints in PARTS.items()}
    moved = {part: np.concatenate((own[..., :2] * scale + (right, down), own[..., 2:]), 2) for part, own in raw.items()}
    same(normalize(moved), normalize(raw), atol=1e-9 * max(1, (abs(right) + abs(down)) / scale))


def test_depth_is_not_looked_at():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(parts_of(poses(clip("hi"), depth=7.0)), parts_of(coco()), atol=0)
