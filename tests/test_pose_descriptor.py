"""The descriptor of signs: what it must not see, what it must, and poses that it cannot look at."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from seasign.models.pose_descriptor import LANDMARKS, PoseDescriptor
from seasign.types import InputError, Poses, Sign

DESCRIBE = PoseDescriptor()
WHOLE = [Sign(0.0, 2.0)]


def signing(seed, frames=50, fps=25):
    """Hands that rise, move smoothly on a path of their own, and fall; shoulders 100 pixels apart."""
    rng, t = np.random.default_rng(seed), np.linspace(0, 1, frames)[:, None, None]
    xyz = np.zeros((frames, len(LANDMARKS), 3))
    xyz[:, 0, :2], xyz[:, 1, :2] = (250, 200), (350, 200)
    xyz[:, 2:6, :2] = np.array([[380, 300], [220, 300], [340, 420], [260, 420]])
    rise = np.clip(4 * np.minimum(t, 1 - t), 0, 1)
    path = sum(
        rng.normal(size=(1, 2, 2)) * 20 * np.sin(np.pi * k * t + rng.uniform(0, 6, (1, 2, 2))) for k in (1, 2, 3)
    )
    xyz[:, 4:6, :2] += rise * (path - [0, 200])
    for side in (0, 1):
        hand = slice(6 + 21 * side, 27 + 21 * side)
        xyz[:, hand, :2] = xyz[:, 4 + side : 5 + side, :2] + 30 * rng.normal(size=(1, 21, 2)) * (
            1 + 0.3 * np.sin(5 * t)
        )
    return Poses(xyz.astype(np.float32), np.ones(xyz.shape[:2], np.float32), Fraction(fps), LANDMARKS)


def vector(poses, describe=DESCRIBE, signs=WHOLE):
    (row,) = describe.signs(poses, signs).vectors
    return row


def test_vectors_do_not_see_where_the_signer_stands_nor_how_large_nor_how_fast_nor_the_depth():
    poses = signing(0)
    same = vector(poses)
    assert np.linalg.norm(same) == pytest.approx(1, abs=1e-5)
    moved = replace(poses, xyz=poses.xyz * np.float32(1.7) + np.array([40, -30, 900], np.float32))
    assert vector(moved) == pytest.approx(same, abs=1e-5)
    twice = replace(poses, fps=Fraction(50), xyz=poses.xyz)
    assert vector(twice, signs=[Sign(0.0, 1.0)]) == pytest.approx(same, abs=1e-6)


def test_vectors_tell_signs_apart_and_know_one_in_spite_of_noise_and_rest():
    rng = np.random.default_rng(0)
    signs = [signing(seed) for seed in range(8)]
    known = np.stack([vector(poses) for poses in signs])
    again = []
    for poses in signs:
        noisy = poses.xyz + rng.normal(0, 1, poses.xyz.shape).astype(np.float32)
        rest = np.repeat(noisy[:1], 20, axis=0)  # before the hands rise
        longer = np.concatenate([rest, noisy])
        again.append(
            vector(replace(poses, xyz=longer, confidence=np.ones(longer.shape[:2], np.float32)), signs=[Sign(0, 9)])
        )
    assert (np.stack(again) @ known.T).argmax(axis=1).tolist() == list(range(8))
    whole = PoseDescriptor(raised=1)
    assert abs(vector(longer_rest(signs[0]), whole, [Sign(0, 9)]) - vector(signs[0], whole)).max() > 0.01


def longer_rest(poses):
    xyz = np.concatenate([np.repeat(poses.xyz[:1], 40, axis=0), poses.xyz])
    return replace(poses, xyz=xyz, confidence=np.ones(xyz.shape[:2], np.float32))


def test_a_sign_is_its_own_frames_alone():
    first, second = signing(1), signing(2)
    both = replace(
        first,
        xyz=np.concatenate([first.xyz, second.xyz]),
        confidence=np.concatenate([first.confidence, second.confidence]),
    )
    found = DESCRIBE.signs(both, [Sign(2.0, 4.0), Sign(0.0, 2.0)]).vectors
    assert found == pytest.approx(np.stack([vector(second), vector(first)]), abs=1e-6)


def test_what_is_missing_is_zero_and_a_gap_is_bridged():
    poses = signing(3)
    hidden = poses.xyz.copy()
    hidden[:, 6:27] = np.nan
    row = vector(replace(poses, xyz=hidden)).reshape(-1)
    hands = row[16 * 4 * 2 :].reshape(16, 42, 2)
    assert not hands[:, :21].any()
    assert hands[:, 22:].any()
    gap = poses.xyz.copy()
    gap[20:22] = np.nan
    assert vector(replace(poses, xyz=gap)) == pytest.approx(vector(poses), abs=0.02)
    nobody = np.full_like(poses.xyz, np.nan)
    nobody[:, :2] = poses.xyz[:, :2]
    assert not vector(replace(poses, xyz=nobody)).any()


def test_spaces_of_other_settings_have_other_names():
    assert len({PoseDescriptor().space, PoseDescriptor(frames=8).space, PoseDescriptor(raised=1).space}) == 3
    assert len(vector(signing(0), PoseDescriptor(frames=8))) == len(vector(signing(0))) // 2


def test_what_cannot_be_described_is_refused():
    poses = signing(0)
    with pytest.raises(InputError, match="has no words"):
        DESCRIBE.text(["house"])
    with pytest.raises(InputError, match="there are only signs"):
        DESCRIBE.signs(None, WHOLE)
    with pytest.raises(InputError, match=r"no RIGHT_HAND_LANDMARKS\.PINKY_TIP"):
        DESCRIBE.signs(
            replace(poses, xyz=poses.xyz[:, :-1], confidence=poses.confidence[:, :-1], landmarks=LANDMARKS[:-1]), WHOLE
        )
    with pytest.raises(InputError, match="shares of the picture"):
        DESCRIBE.signs(replace(poses, xyz=poses.xyz / np.float32(640)), WHOLE)
    hidden = poses.xyz.copy()
    hidden[:, 0] = np.nan
    with pytest.raises(InputError, match="no frame shows both shoulders"):
        DESCRIBE.signs(replace(poses, xyz=hidden), WHOLE)
