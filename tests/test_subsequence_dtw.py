"""Subsequence dynamic time warping: against going through all warps, and on signs that were planted."""

from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from planted import signed
from seasign import spot
from seasign.corpora import traduttore
from seasign.metrics.spotting import evaluate_localisation
from seasign.models.features import HANDS, resample
from seasign.models.subsequence_dtw import SubsequenceDtw, warp
from seasign.segmentation import find_sign
from seasign.spotting import Spotter, is_right
from seasign.training.concatenation import concatenate
from seasign.types import InputError, Poses, Sign

DATA = Path(__file__).parents[2] / "shared" / "data" / "traduttore_asl"
SPOTTER = SubsequenceDtw()


def best_warp(cost, end):
    """The least mean cost of all warps that end with a frame, and where they start: every way is gone."""
    rows = len(cost)

    def ways(row, frame):  # matched: rows from `row` on; `frame` is the last that is left
        if row < 0:
            yield 0.0, frame + 1
            return
        if frame < 0:
            return
        for value, start in ways(row - 1, frame - 1):
            yield value + cost[row, frame], start
        if frame:
            for value, start in ways(row - 1, frame - 2):
                yield value + (cost[row, frame] + cost[row, frame - 1]) / 2, start
        if row:
            for value, start in ways(row - 2, frame - 1):
                yield value + cost[row, frame] + cost[row - 1, frame], start

    found = sorted(ways(rows - 1, end))
    return (found[0][0] / rows, {start for value, start in found if value < found[0][0] + 1e-6}) if found else None


@pytest.mark.parametrize("seed", range(40))
def test_no_warp_is_cheaper_than_the_one_that_is_found(seed):
    rng = np.random.default_rng(seed)
    cost = rng.random((rng.integers(1, 6), rng.integers(1, 10))).astype(np.float32)
    found, starts = warp(cost)
    for end, (value, start) in enumerate(zip(found.tolist(), starts.tolist(), strict=True)):
        best = best_warp(cost, end)
        if best is None:
            assert value == np.inf
        else:
            assert value == pytest.approx(best[0], abs=1e-5)
            assert start in best[1]


@cache
def sentence(seed=0):
    """Eight made-up signs, joined; sign 3 comes twice, slower and with noise the second time."""
    order = (0, 1, 3, 2, 4, 5, 3, 6)
    clips = [signed(k, 1.0 if place == 6 else 0.8, noise=2.0 * (place == 6)) for place, k in enumerate(order)]
    return concatenate(
        [(poses, Sign(span.start, span.end, str(k))) for (poses, span), k in zip(clips, order, strict=True)], seed
    )


def test_a_planted_sign_is_found_at_both_its_places_and_they_are_likelier_than_all_others():
    poses, signs = sentence()
    found = spot((signed(3)[0],), poses, spotter=SPOTTER)
    places = [sign for sign in signs if sign.gloss == "3"]
    assert isinstance(SPOTTER, Spotter)
    assert all(is_right(one, places) for one in found[:2])
    assert found[0].start < found[1].start  # the clean one is the better
    assert found[1].probability > 2 * found[2].probability
    assert abs(found[0].start - places[0].start) < 0.15 > abs(found[0].end - places[0].end)


@pytest.mark.parametrize("seconds", [0.5, 0.65, 1.0, 1.3])
def test_tempo_does_not_hide_a_sign(seconds):
    poses, signs = sentence()
    found = spot((signed(5, seconds)[0],), poses, spotter=SPOTTER)
    assert is_right(found[0], [sign for sign in signs if sign.gloss == "5"])


def test_another_order_of_frames_is_another_sign():
    poses, _ = sentence()
    clip, span = signed(5)
    first, stop = round(span.start * 25), round(span.end * 25)
    own = replace(clip, xyz=clip.xyz[first:stop], confidence=clip.confidence[first:stop])
    other = replace(own, xyz=own.xyz[np.random.default_rng(0).permutation(stop - first)])
    scores = [spot((one,), poses, spotter=SPOTTER, best=1)[0].score for one in (own, own, other)]
    assert scores[0] == scores[1] > 2 * scores[2]


def test_what_comes_before_and_after_does_not_change_scores():
    poses, _ = sentence()
    query = (signed(5)[0],)
    cut = round(10 * 25 / 15) * 3
    part = replace(poses, xyz=poses.xyz[cut:], confidence=poses.confidence[cut:])
    whole, later = (SPOTTER.candidates(query, one) for one in (poses, part))
    best, again = (max(some, key=lambda one: one.score) for some in (whole, later))
    assert again.score == pytest.approx(best.score, rel=0.1)
    assert again.start == pytest.approx(best.start - cut / 25, abs=0.1)


def test_size_and_place_of_the_signer_and_the_frame_rate_do_not_matter():
    poses, _ = sentence()
    clip = signed(5)[0]
    other = resample(replace(clip, xyz=clip.xyz * np.float32(0.4) + np.array([90, 20, 0], np.float32)), Fraction(20))
    one, two = (spot((example,), poses, spotter=SPOTTER)[0] for example in (clip, other))
    assert (two.start, two.end) == pytest.approx((one.start, one.end), abs=0.1)
    assert two.score == pytest.approx(one.score, abs=0.02)


def test_of_several_examples_the_nearest_counts_or_the_mean():
    poses, _ = sentence()
    right, wrong = signed(5)[0], signed(9)[0]
    alone = spot((right,), poses, spotter=SPOTTER)[0]
    assert spot((wrong, right), poses, spotter=SPOTTER)[0].score == alone.score
    mean = spot((right, right), poses, spotter=SubsequenceDtw(combine="mean"))[0]
    assert (mean.start, mean.end, mean.score) == pytest.approx((alone.start, alone.end, alone.score))
    assert spot((right, wrong), poses, spotter=SubsequenceDtw(combine="mean"))[0].score < alone.score


def test_a_hand_that_is_lost_for_a_moment_is_bridged_and_one_that_is_lost_for_good_costs():
    poses, _ = sentence()
    clip, span = signed(5)
    first = round(span.start * 25)
    hand = [clip.landmarks.index(name) for name in HANDS]
    scores = []
    for lost in (0, 4, 20):
        xyz = clip.xyz.copy()
        xyz[first + 6 : first + 6 + lost, hand] = np.nan
        scores.append(spot((replace(clip, xyz=xyz),), poses, spotter=SPOTTER, best=1)[0].score)
    assert scores[0] >= scores[1] > scores[0] - 0.03
    assert scores[2] < scores[1] - 0.1


def test_shoulders_and_wrists_are_enough():
    poses, signs = sentence()

    def bare(clip: Poses) -> Poses:
        columns = [number for number, name in enumerate(clip.landmarks) if "SHOULDER" in name or "S.LEFT_W" in name]
        columns += [number for number, name in enumerate(clip.landmarks) if "S.RIGHT_W" in name]
        names = tuple(clip.landmarks[column] for column in columns)
        return replace(clip, xyz=clip.xyz[:, columns], confidence=clip.confidence[:, columns], landmarks=names)

    clip, span = signed(5)
    first, stop = round(span.start * 25), round(span.end * 25)
    clip = replace(clip, xyz=clip.xyz[first:stop], confidence=clip.confidence[first:stop])
    found = spot((bare(clip),), bare(poses), spotter=SPOTTER)
    assert is_right(found[0], [sign for sign in signs if sign.gloss == "5"])


def test_an_example_of_one_frame_is_looked_for_too():
    clip = signed(5)[0]
    one = replace(clip, xyz=clip.xyz[20:21], confidence=clip.confidence[20:21])
    assert SPOTTER.candidates((one,), sentence()[0])


def without(clip: Poses, part: str) -> Poses:
    columns = [number for number, name in enumerate(clip.landmarks) if part not in name]
    names = tuple(clip.landmarks[column] for column in columns)
    return replace(clip, xyz=clip.xyz[:, columns], confidence=clip.confidence[:, columns], landmarks=names)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("house", "'house' is a word, and warping compares poses: give an example, or a spotter of words"),
        ((without(signed(5)[0], "SHOULDER"),), "no POSE_LANDMARKS.RIGHT_SHOULDER|shoulders"),
        ((replace(signed(5)[0], xyz=signed(5)[0].xyz / 1000),), "no number of pixels"),
        ((without(without(signed(5)[0], "HAND"), "WRIST"),), "share neither wrists nor hands"),
    ],
)
def test_what_warping_cannot_look_for_is_refused(query, says):
    with pytest.raises(InputError, match=says):
        SPOTTER.candidates(query, sentence()[0])


def test_real_signs_of_other_sessions_are_found_and_probabilities_are_about_right():
    if not DATA.exists():
        pytest.skip("needs shared data")
    clips = traduttore.read(DATA)
    own = [clip for clip in clips if clip.signer == "block 1"][::3]
    others = {clip.text: clip for clip in clips if clip.signer != "block 1"}
    pieces = []
    for clip in own:
        span = find_sign(clip.read())
        pieces.append((clip.read(), Sign(span.start, span.end, clip.text)))
    poses, signs = concatenate(pieces, 0)
    found = {
        text: ([sign for sign in signs if sign.gloss == text], spot((clip.read(),), poses, spotter=SPOTTER))
        for text, clip in others.items()
    }
    assert evaluate_localisation({text: [one] for text, one in found.items()}).map[1] > 0.5
    stated = np.array([one.probability for _, spots in found.values() for one in spots])
    right = np.array([is_right(one, places) for places, spots in found.values() for one in spots])
    assert abs(stated.mean() - right.mean()) < 0.12


def test_a_part_of_the_video_is_found_in_it_as_it_is_whatever_is_lost_in_it():
    """A hand is lost before, within and at the end of the part."""
    poses, _ = sentence()
    xyz = poses.xyz.copy()
    for first, stop in ((90, 104), (110, 113), (118, 140)):
        xyz[first:stop, [poses.landmarks.index(name) for name in HANDS[21:]]] = np.nan
    poses = replace(poses, xyz=xyz)
    part = replace(poses, xyz=xyz[100:125], confidence=poses.confidence[100:125])
    best = spot((part,), poses, spotter=SubsequenceDtw(trims=False))[0]
    assert (best.start, best.end) == pytest.approx((4, 5), abs=0.01)
    assert best.score > -0.05


def test_examples_are_cut_to_their_sign_unless_they_are_cut_already():
    poses, _ = sentence()
    clip, _ = signed(5)
    whole, cut = (spot((clip,), poses, spotter=SubsequenceDtw(trims=trims))[0] for trims in (False, True))
    assert cut.score > whole.score


def test_spans_are_within_the_video():
    poses, _ = sentence()
    for one in SPOTTER.candidates((signed(5)[0],), poses):
        assert 0 <= one.start < one.end <= poses.duration
