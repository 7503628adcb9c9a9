from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import holistic
from seasign.formats import pose
from seasign.models.features import (
    BODY,
    HANDS,
    HIPS,
    LEGS,
    SHOULDERS,
    flow,
    hide,
    normalize_shoulders,
    resample,
    select,
    turn_hand,
)
from seasign.types import InputError, InputWarning, Poses

SHARED = Path(__file__).parents[2] / "shared"
POINTS = BODY + HANDS


def of(poses, *names):
    return poses.xyz[:, [poses.landmarks.index(name) for name in names]]


# --- As published ---------------------------------------------------------------------------------------------------


def golden(clip):
    if not (SHARED / "data").exists():
        pytest.skip("needs shared data")
    name = {"example": "dgs_example", "dgs_sentence_25fps": "dgs_sentence_1248862"}[clip]
    poses = pose.read(SHARED / "data" / "poses" / f"{name}.pose", POINTS)
    return poses, np.load(SHARED / "models" / "segmenter-2023" / f"golden_{clip}.npz")


@pytest.mark.parametrize(("clip", "fps"), [("example", 30), ("dgs_sentence_25fps", 25)])
def test_points_are_those_that_the_networks_of_2023_saw(clip, fps):
    poses, expected = golden(clip)
    seen = resample(hide(normalize_shoulders(poses), LEGS), Fraction(fps))
    assert np.abs(np.nan_to_num(seen.xyz) - expected["input"]).max() < 1e-6


def test_hands_and_flow_are_those_that_the_networks_of_2023_saw():
    poses, expected = golden("example")
    poses = hide(normalize_shoulders(poses), LEGS)
    points = np.concatenate([poses.xyz, turn_hand(poses, "LEFT"), turn_hand(poses, "RIGHT")], axis=1)
    seen = np.nan_to_num(np.concatenate([points, flow(points, poses.fps)[..., None]], axis=2))
    assert seen.shape == expected["input_e4"].shape
    np.testing.assert_allclose(seen, expected["input_e4"], rtol=1e-4, atol=1e-4)  # hands from the side reach 729


# --- Selecting and hiding -------------------------------------------------------------------------------------------


def test_landmarks_are_found_by_name_whatever_their_order():
    poses = holistic(0)
    order = np.random.default_rng(1).permutation(len(POINTS))
    shuffled = Poses(
        poses.xyz[:, order], poses.confidence[:, order], poses.fps, tuple(POINTS[number] for number in order)
    )
    found = select(shuffled, POINTS)
    np.testing.assert_array_equal(found.xyz, poses.xyz)
    np.testing.assert_array_equal(found.confidence, poses.confidence)
    for side in ("LEFT", "RIGHT"):
        np.testing.assert_array_equal(turn_hand(shuffled, side), turn_hand(poses, side))
    np.testing.assert_array_equal(select(normalize_shoulders(shuffled), POINTS).xyz, normalize_shoulders(poses).xyz)


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (BODY, r"no LEFT_HAND_LANDMARKS and no RIGHT_HAND_LANDMARKS \(they have POSE_LANDMARKS\)"),
        (("pose_keypoints_2d.Nose",), "no POSE_LANDMARKS and no LEFT_HAND_LANDMARKS and no RIGHT_HAND_LANDMARKS"),
        (POINTS[:-1], r"no RIGHT_HAND_LANDMARKS\.PINKY_TIP "),
        ((), "they have nothing"),
    ],
)
def test_what_is_missing_is_named(landmarks, message):
    with pytest.raises(InputError, match=message):
        select(holistic(0, landmarks=landmarks), POINTS)


def test_poses_without_frames_are_refused():
    with pytest.raises(InputError, match="no frames"):
        select(holistic(0, frames=0), POINTS)


def test_a_hand_that_is_never_seen_is_said_and_two_are_refused():
    left = [name for name in HANDS if name.startswith("LEFT")]
    with pytest.warns(InputWarning, match="none of 20 frames shows the left hand"):
        select(hide(holistic(0), left), POINTS)
    with pytest.raises(InputError, match="none of 20 frames shows a hand"):
        select(hide(holistic(0), HANDS), POINTS)
    assert select(hide(holistic(0), HANDS), BODY).landmarks == BODY  # nobody asked for hands


def test_poses_without_depth_are_said():
    poses = holistic(0)
    poses.xyz[..., 2] *= 0
    with pytest.warns(InputWarning, match="no depth"):
        select(poses, POINTS)


def test_hiding_hides_those_named_and_nothing_else():
    poses = holistic(0, lost=0)
    hidden = hide(poses, LEGS + HIPS)
    gone = np.isnan(hidden.xyz).all(axis=(0, 2))
    assert {name for name, there in zip(POINTS, ~gone, strict=True) if not there} == {*LEGS, *HIPS}
    assert (hidden.confidence.max(axis=0) == ~gone).all()
    np.testing.assert_array_equal(hidden.xyz[:, ~gone], poses.xyz[:, ~gone])
    assert not np.isnan(poses.xyz).any()  # what came in stays as it was


# --- Normalization --------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-1000, 1000))
def test_normalizing_undoes_scale_and_place(seed, scale, by):
    poses = holistic(seed)
    moved = replace(poses, xyz=(poses.xyz * scale + by).astype(np.float32))
    np.testing.assert_allclose(normalize_shoulders(moved).xyz, normalize_shoulders(poses).xyz, atol=1e-3)


def test_shoulders_become_the_unit_over_the_frames_that_show_both():
    poses = normalize_shoulders(holistic(3))
    right, left = (of(poses, name)[:, 0] for name in SHOULDERS)
    assert np.isnan(right + left).any()
    np.testing.assert_allclose(np.nanmean(right + left, axis=0), 0, atol=1e-6)
    assert np.nanmean(np.linalg.norm(right - left, axis=1)) == pytest.approx(1)


def test_without_shoulders_nothing_is_normalized():
    poses = holistic(0)
    for hidden in SHOULDERS:
        with pytest.raises(InputError, match="none of 20 frames shows both shoulders"):
            normalize_shoulders(hide(poses, [hidden]))
    with pytest.raises(InputError, match="in one point"):
        normalize_shoulders(replace(poses, xyz=np.full_like(poses.xyz, 3)))


# --- Rates ----------------------------------------------------------------------------------------------------------


def test_a_whole_part_of_the_rate_takes_frames_as_they_are():
    poses = holistic(0, frames=21, fps=50)
    half = resample(poses, Fraction(25))
    np.testing.assert_array_equal(half.xyz, poses.xyz[::2])
    np.testing.assert_array_equal(half.confidence, poses.confidence[::2])
    assert half.fps == 25
    assert resample(half, Fraction(25)) is half


@given(
    st.integers(1, 60), st.sampled_from([Fraction(25), Fraction(30), Fraction(24000, 1001), Fraction(50)]), st.data()
)
def test_points_that_move_steadily_are_where_they_were_at_the_time(frames, fps, data):
    target = data.draw(st.sampled_from([Fraction(25), Fraction(30), Fraction(12), Fraction(30000, 1001)]))
    seconds = np.arange(frames) / float(fps)
    xyz = np.repeat(seconds.astype(np.float32), 3).reshape(-1, 1, 3)
    poses = resample(Poses(xyz, np.ones((frames, 1), np.float32), fps, ("X",)), target)
    np.testing.assert_allclose(poses.xyz[:, 0, 0], np.arange(len(poses.xyz)) / float(target), atol=1e-5)
    assert (len(poses.xyz) - 1) / target <= (frames - 1) / fps < len(poses.xyz) / target
    assert (poses.confidence == 1).all()


def test_between_two_frames_a_point_is_there_when_it_is_there_in_both():
    xyz = np.zeros((4, 1, 3), np.float32)
    xyz[1] = np.nan
    poses = resample(Poses(xyz, np.array([[1], [0], [1], [1]], np.float32), Fraction(20), ("X",)), Fraction(30))
    seen = [True, False, False, True, True]  # frames 0, .67, 1.33, 2, 2.67
    assert (~np.isnan(poses.xyz[:, 0, 0])).tolist() == seen
    assert (poses.confidence[:, 0] > 0).tolist() == seen


# --- Flow and hands -------------------------------------------------------------------------------------------------


def test_flow_is_length_per_second_and_unknown_where_a_point_was_not_seen():
    xyz = np.array([[0, 0, 0], [3, 4, 0], [3, 4, 12], [np.nan] * 3, [0, 0, 0]], np.float32)[:, None]
    np.testing.assert_allclose(flow(xyz, Fraction(10))[:, 0], [np.nan, 50, 120, np.nan, np.nan])
    assert np.isnan(flow(xyz[:1], Fraction(10))).all()


def test_a_turned_hand_looks_the_same_wherever_and_however_large_it_is():
    poses = holistic(5, lost=0)
    for side in ("LEFT", "RIGHT"):
        turned = turn_hand(poses, side)
        np.testing.assert_allclose(
            turn_hand(replace(poses, xyz=(poses.xyz * 2 + 7).astype(np.float32)), side), turned, rtol=1e-2, atol=1e-2
        )
        assert not turned[:, pose.HAND.index("WRIST")].any()
        middle = turned[:, pose.HAND.index("MIDDLE_FINGER_MCP")]
        np.testing.assert_allclose(np.linalg.norm(middle, axis=1), 1, rtol=1e-4)
        assert (middle[:, 1] < 0).all()
        np.testing.assert_allclose(middle[:, 0], 0, atol=1e-4)
        for knuckle in ("INDEX_FINGER_MCP", "PINKY_MCP"):  # they span the plane, with the wrist
            np.testing.assert_allclose(turned[:, pose.HAND.index(knuckle), 2], 0, atol=1e-3)


def test_a_hand_that_is_missing_or_has_no_plane_is_missing():
    poses = holistic(5, frames=3, lost=0)
    xyz = poses.xyz.copy()
    hand = [POINTS.index(f"LEFT_HAND_LANDMARKS.{point}") for point in pose.HAND]
    xyz[0, hand], xyz[1, hand] = np.nan, 4
    lost = np.isnan(turn_hand(replace(poses, xyz=xyz), "LEFT"))
    assert lost[:2].all()
    assert not lost[2].any()
