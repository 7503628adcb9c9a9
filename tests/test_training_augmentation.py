"""Augmentations: each does what it says, to what it says, and the same again from the same seed."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import seasign
from seasign.models import features
from seasign.models.signclip_embedder import LAYOUTS
from seasign.synthesis import LANDMARKS, synthesize
from seasign.training.augmentation import drop_frames, drop_hands, film, mirror, pace, shake, shear, warp
from seasign.types import InputError, Poses

POSES = synthesize(3, duration=12.0).poses
GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "signclip_tiny" / "pose"  # shared data


def rng(seed=0):
    return np.random.default_rng(seed)


def at(poses, name):
    return poses.xyz[:, poses.landmarks.index(name)]


def test_the_mirror_swaps_sides_by_name_and_turns_x_around_the_signer():
    mirrored = mirror(POSES)
    center = np.mean([at(POSES, name)[:, 0].mean() for name in features.SHOULDERS])
    for name, other in [
        ("POSE_LANDMARKS.LEFT_WRIST", "POSE_LANDMARKS.RIGHT_WRIST"),
        ("RIGHT_HAND_LANDMARKS.THUMB_TIP", "LEFT_HAND_LANDMARKS.THUMB_TIP"),
        ("POSE_LANDMARKS.MOUTH_LEFT", "POSE_LANDMARKS.MOUTH_RIGHT"),
        ("POSE_LANDMARKS.NOSE", "POSE_LANDMARKS.NOSE"),
    ]:
        np.testing.assert_allclose(at(mirrored, name)[:, 0], 2 * center - at(POSES, other)[:, 0], rtol=1e-5)
        np.testing.assert_array_equal(at(mirrored, name)[:, 1:], at(POSES, other)[:, 1:])
    assert mirrored.landmarks == POSES.landmarks
    left = POSES.landmarks.index("LEFT_HAND_LANDMARKS.WRIST")
    right = POSES.landmarks.index("RIGHT_HAND_LANDMARKS.WRIST")
    np.testing.assert_array_equal(mirrored.confidence[:, left], POSES.confidence[:, right])
    twice = mirror(mirrored)
    np.testing.assert_allclose(twice.xyz, POSES.xyz, rtol=1e-5)
    np.testing.assert_array_equal(twice.confidence, POSES.confidence)


def test_shoulders_stay_on_their_sides_in_the_mirror():
    right, left = (at(mirror(POSES), name)[:, 0].mean() for name in features.SHOULDERS)
    assert right < left


@pytest.mark.parametrize("name", ["FACE_LANDMARKS.1", "POSE_WORLD_LANDMARKS.NOSE", "POSE_LANDMARKS.LEFT_THING"])
def test_a_landmark_without_a_known_other_side_is_not_mirrored(name):
    poses = replace(POSES, landmarks=(name, *LANDMARKS[1:]))
    with pytest.raises(InputError, match=f"cannot mirror {name}"):
        mirror(poses)


def test_openpose_is_mirrored_too():
    names = (
        "pose_keypoints_2d.RWrist",
        "pose_keypoints_2d.LWrist",
        "pose_keypoints_2d.Nose",
        "hand_left_keypoints_2d.BASE",
    )
    names += ("hand_right_keypoints_2d.BASE", *features.SHOULDERS)
    xyz = rng().normal(size=(4, len(names), 3)).astype(np.float32)
    poses = Poses(xyz, np.ones((4, len(names)), np.float32), Fraction(25), names)
    np.testing.assert_array_equal(mirror(poses).xyz[:, 0, 1], poses.xyz[:, 1, 1])
    np.testing.assert_array_equal(mirror(poses).xyz[:, 3, 1], poses.xyz[:, 4, 1])
    np.testing.assert_array_equal(mirror(poses).xyz[:, 2, 1], poses.xyz[:, 2, 1])


def test_turning_keeps_lengths_and_the_middle_of_the_shoulders():
    turned = warp(POSES, rng(), rotation=20.0)
    assert not np.allclose(turned.xyz, POSES.xyz, equal_nan=True)
    for a, b in ("POSE_LANDMARKS.LEFT_ELBOW", "POSE_LANDMARKS.LEFT_WRIST"), features.SHOULDERS:
        lengths = [np.linalg.norm((at(poses, a) - at(poses, b))[:, :2], axis=1) for poses in (turned, POSES)]
        np.testing.assert_allclose(*lengths, rtol=1e-3)
    middles = [
        np.mean([at(poses, name)[:, :2].mean(axis=0) for name in features.SHOULDERS], axis=0)
        for poses in (turned, POSES)
    ]
    np.testing.assert_allclose(*middles, rtol=1e-4)
    np.testing.assert_array_equal(np.isnan(turned.xyz), np.isnan(POSES.xyz))


def test_stretching_is_seen_after_measuring_by_the_shoulders():
    before, after = (features.normalize_shoulders(poses) for poses in (POSES, warp(POSES, rng(), scale=0.2)))
    ratio = np.nanmedian(at(after, "POSE_LANDMARKS.LEFT_HIP")[:, 1] / at(before, "POSE_LANDMARKS.LEFT_HIP")[:, 1])
    assert abs(np.log(ratio)) > 0.05


def test_no_warp_changes_nothing():
    np.testing.assert_allclose(warp(POSES, rng()).xyz, POSES.xyz, rtol=1e-5)


def test_filming_draws_a_rate_that_the_poses_have_and_keeps_times():
    rates = {film(POSES, rng(seed), 10, 50).fps for seed in range(40)}
    assert min(rates) >= 10
    assert max(rates) <= 25
    assert len(rates) > 8
    filmed = film(POSES, rng(1), 10, 20)
    wrist = "POSE_LANDMARKS.LEFT_WRIST"
    times = np.arange(len(filmed.xyz)) / float(filmed.fps)
    expected = np.interp(times, np.arange(len(POSES.xyz)) / 25, at(POSES, wrist)[:, 0])
    np.testing.assert_allclose(at(filmed, wrist)[:, 0], expected, rtol=1e-4)
    assert film(POSES, rng(), 25, 50) is POSES


def test_dropped_frames_are_a_share_and_show_nobody():
    dropped = drop_frames(POSES, rng(), 0.3)
    gone = np.isnan(dropped.xyz).all(axis=(1, 2))
    assert gone.mean() == pytest.approx(0.3, abs=0.08)
    np.testing.assert_array_equal(dropped.xyz[~gone], POSES.xyz[~gone])
    assert not dropped.confidence[gone].any()


def test_dropped_hands_are_a_share_of_the_time_in_stretches_and_leave_the_body():
    poses = synthesize(1, duration=300.0).poses
    poses = replace(poses, xyz=np.nan_to_num(poses.xyz))
    dropped = drop_hands(poses, rng(), 0.2)
    gone = np.isnan(dropped.xyz).any(axis=2)
    hands = [
        [number for number, name in enumerate(LANDMARKS) if name.startswith(f"{side}_HAND")] for side in features.SIDES
    ]
    for hand in hands:
        assert gone[:, hand].mean() == pytest.approx(0.2, abs=0.05)
        assert (gone[:, hand].all(axis=1) == gone[:, hand].any(axis=1)).all()
        edges = np.diff(gone[:, hand[0]].astype(int))
        assert 3 < gone[:, hand[0]].sum() / max((edges == 1).sum(), 1) < 15
    assert (gone[:, hands[0][0]] != gone[:, hands[1][0]]).any()
    assert not gone[:, [name.startswith("POSE") for name in LANDMARKS]].any()
    np.testing.assert_array_equal(drop_hands(poses, rng(), 0.0).xyz, poses.xyz)


class Given(np.random.Generator):
    """A generator that gives these numbers."""

    def __init__(self, *numbers):
        super().__init__(np.random.PCG64())
        self.numbers = np.array(numbers)

    def standard_normal(self, *_):
        return self.numbers if len(self.numbers) > 1 else self.numbers[0]


@pytest.fixture(scope="module")
def house():
    """The published clip as the published code normalizes it, and what its augmentations make of that."""
    if not GOLDEN.exists():
        pytest.skip("no shared data")
    poses = seasign.read_poses(GOLDEN / "house.pose")
    normal = features.normalize_shoulders(features.hide(features.select(poses, LAYOUTS["reduced-face"]), features.LEGS))
    return normal, np.load(GOLDEN / "house_augmented.npz")


def flat(poses):
    return np.nan_to_num(poses.xyz).reshape(len(poses.xyz), -1)


def test_the_mirror_is_the_published_one_with_the_face(house):
    poses, golden = house
    np.testing.assert_allclose(flat(mirror(poses))[:5], golden["flip_first5"], atol=1e-6)


def test_the_shear_is_the_published_one(house):
    poses, golden = house
    sheared = shear(poses, Given(*golden["affine2d_draws_shear_rotation_scale"] / 0.2), 0.2)
    np.testing.assert_allclose(flat(sheared)[:5], golden["affine2d_first5"], atol=1e-6)


def test_the_pace_is_the_published_one_over_gaps_too(house):
    poses, golden = house
    ratio = Given((float(golden["temporal_ratio"]) - 1) / 0.2)
    paced = pace(poses, ratio, 0.2, most=256)
    assert paced.fps == golden["temporal_new_fps"]
    assert flat(paced).shape == tuple(golden["temporal_shape"])
    np.testing.assert_allclose(flat(paced)[:5], golden["temporal_first5"], atol=1e-6)
    np.testing.assert_allclose(flat(paced)[-2:], golden["temporal_last2"], atol=1e-6)
    assert pace(poses, ratio, 0.2, most=80) is poses


def test_the_pace_is_undone_by_its_inverse_and_spares_what_has_one_frame():
    slow = pace(POSES, Given(5), 0.2)
    assert len(slow.xyz) == 2 * len(POSES.xyz)
    np.testing.assert_allclose(at(slow, "POSE_LANDMARKS.NOSE")[[0, -1]], at(POSES, "POSE_LANDMARKS.NOSE")[[0, -1]])
    one = replace(POSES, xyz=POSES.xyz[:1], confidence=POSES.confidence[:1])
    assert pace(one, Given(5), 0.2) is one
    assert pace(POSES, Given(-4.9), 0.2) is POSES


def test_shaking_moves_points_by_the_spread_and_no_missing_one():
    by = shake(POSES, rng(), 0.5).xyz - POSES.xyz
    assert np.nanstd(by) == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(np.isnan(by), np.isnan(POSES.xyz))


@pytest.mark.parametrize(
    "change",
    [
        lambda rng: warp(POSES, rng, scale=0.1, rotation=5),
        lambda rng: film(POSES, rng, 10, 25),
        lambda rng: drop_frames(POSES, rng, 0.2),
        lambda rng: drop_hands(POSES, rng, 0.2),
        lambda rng: shear(POSES, rng, 0.2),
        lambda rng: pace(POSES, rng, 0.2),
        lambda rng: shake(POSES, rng, 0.1),
    ],
    ids=["warp", "film", "drop_frames", "drop_hands", "shear", "pace", "shake"],
)
def test_a_seed_repeats_and_another_differs_and_the_poses_stay(change):
    before = POSES.xyz.copy()
    one, same, other = (change(rng(seed)).xyz for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or not np.array_equal(one, other, equal_nan=True)
    np.testing.assert_array_equal(POSES.xyz, before)
