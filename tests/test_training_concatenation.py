"""Isolated signs joined into episodes: where they are is known, and nothing jumps."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import seasign
from seasign.models import features
from seasign.segmentation import TrainingFree, bouts, find_sign, height, phrases, segment
from seasign.synthesis import synthesize
from seasign.training.concatenation import CENTER, LEAD, WIDTH, Joining, concatenate
from seasign.types import InputError, Sign, Span

LEXICON = Path(__file__).parents[2] / "shared" / "data" / "pose_samples" / "lexicon_sgg"


def clip(seed, size=1.0, fps=Fraction(25)):
    """A made-up clip of one sign: the loneliest phrase of an episode, by a signer of another size."""
    episode = synthesize(seed, duration=60.0, fps=fps)
    bouts = [Span(0.0, 0.0), *phrases(episode.signs), Span(60.0, 60.0)]
    before, bout, after = max(
        zip(bouts[:-2], bouts[1:-1], bouts[2:], strict=True),
        key=lambda three: min(three[1].start - three[0].end, three[2].start - three[1].end),
    )
    edges = max(before.end + 0.6, bout.start - 1), min(after.start - 0.6, bout.end + 1)
    first, stop = (round(edge * float(fps)) for edge in edges)
    xyz, confidence = episode.poses.xyz[first:stop] * size, episode.poses.confidence[first:stop]
    start = float(first / fps)
    return replace(episode.poses, xyz=xyz, confidence=confidence), Sign(
        bout.start - start, bout.end - start, f"SIGN-{seed}"
    )


CLIPS = [clip(seed, size) for seed, size in enumerate((1.0, 2.0, 0.5, 1.0, 1.5, 1.0))]


def of(poses, name):
    return poses.xyz[:, poses.landmarks.index(name)]


@pytest.mark.parametrize("seed", range(4))
def test_every_sign_is_found_again_frame_for_frame_where_it_is_said_to_be(seed):
    poses, signs = concatenate(CLIPS, seed)
    assert [sign.gloss for sign in signs] == [sign.gloss for _, sign in CLIPS]
    for (own, sign), joined in zip(CLIPS, signs, strict=True):
        first, stop = round(joined.start * 25), round(joined.end * 25)
        assert joined == Sign(first / 25, stop / 25, sign.gloss)
        begin = round(sign.start * 25)
        expected = features.normalize_shoulders(own).xyz[begin : begin + stop - first] * WIDTH + np.array(CENTER)
        np.testing.assert_allclose(poses.xyz[first:stop], expected, rtol=1e-4, atol=1e-2)
    assert (np.isnan(poses.xyz).any(axis=2) == (poses.confidence == 0)).all()


def test_signs_neither_overlap_nor_touch_and_pauses_are_as_asked():
    joining = Joining(phrase=(2, 2), transition=(0.2, 0.4), rest=(1.0, 1.2))
    _, signs = concatenate(CLIPS, joining=joining)
    gaps = [after.start - before.end for before, after in pairwise(signs)]
    assert all(0.16 <= gap <= 0.44 for gap in gaps[::2])
    assert all(1.0 - 0.04 <= gap <= 1.2 + 2 * LEAD + 0.04 for gap in gaps[1::2])


def test_the_body_stays_in_place_and_its_size():
    poses, _ = concatenate(CLIPS)
    right, left = (of(poses, name) for name in features.SHOULDERS)
    np.testing.assert_allclose(np.linalg.norm(right - left, axis=1), WIDTH, rtol=0.05)
    np.testing.assert_allclose((right + left)[:, :2] / 2, np.broadcast_to(CENTER[:2], (len(right), 2)), atol=8)


def test_nothing_moves_faster_than_in_the_clips():
    poses, _ = concatenate(CLIPS, joining=Joining(transition=(0.2, 0.3)))
    steps = [
        np.nanmax(np.linalg.norm(np.diff(of(one, "POSE_LANDMARKS.RIGHT_WRIST"), axis=0), axis=1))
        for one in (poses, *(replace(own, xyz=features.normalize_shoulders(own).xyz * WIDTH) for own, _ in CLIPS))
    ]
    assert steps[0] < 1.3 * max(steps[1:])


def test_hands_go_down_in_rests_also_when_clips_are_cut_at_their_signs():
    cut = []
    for poses, sign in CLIPS:
        rows = slice(round(sign.start * 25) + 4, round(sign.end * 25) - 4)
        poses = replace(poses, xyz=poses.xyz[rows], confidence=poses.confidence[rows])
        cut.append((poses, Sign(0.0, poses.duration)))
    poses, signs = concatenate(cut, joining=Joining(phrase=(2, 2), rest=(1.2, 1.2)))
    hands = height(poses)
    for number, (before, after) in enumerate(pairwise(signs)):
        between = hands[round(before.end * 25) : round(after.start * 25)]
        assert (np.nanmin(between) < -0.4) == (number % 2 == 1)
    assert len(bouts(hands, poses.fps)) == 3
    for side in "LEFT", "RIGHT":  # hands stay on their arms
        wrist, hand = of(poses, f"POSE_LANDMARKS.{side}_WRIST"), of(poses, f"{side}_HAND_LANDMARKS.WRIST")
        assert np.nanmax(np.abs(wrist - hand)[:, :2]) < 20


def test_tempo_shortens_signs_and_another_rate_keeps_their_times():
    _, slow = concatenate(CLIPS)
    _, quick = concatenate(CLIPS, joining=Joining(tempo=(2.0, 2.0)))
    for before, after in zip(slow, quick, strict=True):
        assert after.duration == pytest.approx(before.duration / 2, abs=0.041)
    filmed, signs = concatenate(CLIPS, fps=Fraction(50))
    assert filmed.fps == 50
    for before, after in zip(slow, signs, strict=True):
        assert after.duration == pytest.approx(before.duration, abs=0.021)


def test_a_seed_repeats_and_another_joins_differently():
    one, same, other = (concatenate(CLIPS, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one[0].xyz, same[0].xyz)
    assert one[1] == same[1] != other[1]


def test_clips_of_other_layouts_and_rates_join_on_what_they_share():
    poses, sign = clip(9, fps=Fraction(50))
    shared = [name for name in poses.landmarks if "FOOT" not in name][::-1]
    columns = [poses.landmarks.index(name) for name in shared]
    poses = replace(poses, xyz=poses.xyz[:, columns], confidence=poses.confidence[:, columns], landmarks=tuple(shared))
    joined, signs = concatenate([CLIPS[0], (poses, sign)])
    assert joined.landmarks == tuple(shared[::-1])
    np.testing.assert_allclose(of(joined, features.SHOULDERS[0])[:, 0].std(), 0, atol=3)
    assert joined.fps == 25
    assert signs[1].duration == pytest.approx(sign.duration, abs=0.041)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "there are no signs to join"),
        ([(CLIPS[0][0], Sign(1.0, 99.0))], r"the sign at 1.00 - 99.00 s is outside of its clip of"),
        ([(CLIPS[0][0], Sign(1.0, 1.0))], "outside of its clip"),
        ([CLIPS[0], (replace(CLIPS[1][0], landmarks=tuple(map(str, range(75)))), CLIPS[1][1])], "share no landmarks"),
        ([(replace(CLIPS[0][0], xyz=CLIPS[0][0].xyz * np.nan), Sign(0, 1))], "shows both shoulders"),
    ],
)
def test_what_cannot_be_joined_is_refused(clips, message):
    with pytest.raises(InputError, match=message):
        concatenate(clips)


def test_the_sign_of_a_clip_is_its_longest_bout():
    for poses, sign in CLIPS:
        found = find_sign(poses)
        assert abs(found.start - sign.start) < 0.3
        assert abs(found.end - sign.end) < 0.3
    still = replace(
        CLIPS[0][0], xyz=np.repeat(CLIPS[0][0].xyz[:1], 50, axis=0), confidence=np.ones((50, 75), np.float32)
    )
    assert find_sign(still) == Span(0.0, 2.0)


@pytest.mark.skipif(not LEXICON.exists(), reason="no shared data")
@pytest.mark.filterwarnings("ignore:.*missing in most frames")
def test_a_real_lexicon_becomes_an_episode():
    clips = []
    for path in sorted(LEXICON.glob("*.pose")):
        poses = seasign.read_poses(path)
        span = find_sign(poses)
        clips.append((poses, Sign(span.start, span.end, path.stem)))
    poses, signs = concatenate(clips * 3, seed=1)
    assert [sign.gloss for sign in signs] == ["essen", "kinder", "kleine", "pizza"] * 3
    assert signs[-1].end <= poses.duration
    found = segment(poses, TrainingFree(one_per_bout=True))
    covered = sum(max(0.0, min(one.end, sign.end) - max(one.start, sign.start)) for one in found for sign in signs)
    assert covered > 0.9 * sum(sign.duration for sign in signs)
