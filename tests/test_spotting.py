"""Spotting: what is suppressed, how likely it is, and what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from planted import signed
from seasign import spot
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.models.subsequence_dtw import SubsequenceDtw
from seasign.spotting import (
    EmbeddingWindows,
    Query,
    Spot,
    Spotter,
    fit_calibration,
    label_spots,
    rank,
    spot_words,
    state,
    suppress,
    trim,
)
from seasign.types import Cue, Embeddings, InputError, InputWarning, Poses, Sign, Span

LANDMARKS = ("POSE_LANDMARKS.LEFT_WRIST", "LEFT_HAND_LANDMARKS.WRIST", "RIGHT_HAND_LANDMARKS.WRIST")


def poses(frames: int = 50) -> Poses:
    return Poses(np.ones((frames, 3, 3), np.float32), np.ones((frames, 3), np.float32), Fraction(25), LANDMARKS)


@dataclass(frozen=True)
class Given:
    """A spotter that proposes what it was given."""

    spots: tuple[Spot, ...]
    calibration: tuple[float, float] = (0.0, 1.0)

    def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
        return self.spots


def draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    starts = rng.integers(0, 20, count) / 4
    return np.stack([starts, starts + rng.integers(0, 8, count) / 4], axis=1), rng.integers(0, 5, count).astype(float)


@pytest.mark.parametrize("seed", range(30))
def test_suppression_keeps_what_going_through_all_pairs_keeps(seed: int) -> None:
    spans, scores = draw(np.random.default_rng(seed), 25)
    order = sorted(range(25), key=lambda row: (-scores[row], *spans[row], row))
    kept: list[int] = []
    for row in order:
        (a, b), near = spans[row], []
        for c, d in spans[kept]:
            both, either = max(0.0, min(b, d) - max(a, c)), max(b, d) - min(a, c)
            near.append(both / (either if both else 1) if either else 0.0)
        if all(one <= 0.3 for one in near):
            kept.append(row)
    assert suppress(spans, scores).tolist() == kept
    assert suppress(spans, scores, best=3).tolist() == kept[:3]


def test_spots_are_ranked_and_their_probability_is_the_logistic_of_their_score() -> None:
    spots = (Spot(0, 1, -1.0), Spot(3, 4, 2.0), Spot(0.1, 1.1, 0.0), Spot(6, 7, -3.0, 0.9))
    found = spot("house", poses(), spotter=Given(spots, (0.5, 2.0)))
    assert [(one.start, one.score) for one in found] == [(3, 2.0), (0.1, 0.0), (6, -3.0)]
    assert [one.probability for one in found] == pytest.approx([1 / (1 + np.exp(-4.5)), 1 / (1 + np.exp(-0.5)), 0.9])
    assert [one.start for one in rank(spots, (0.5, 2.0), least=0.65)] == [3, 6]
    assert [one.start for one in rank(spots, (0.5, 2.0), best=1)] == [3]
    assert rank((), (0.0, 1.0)) == ()


def test_probabilities_of_scores_far_out_are_0_and_1() -> None:
    assert state(np.array([-1e9, 1e9]), (0.0, 1.0)).tolist() == [0, 1]


def test_a_spotter_is_anything_with_candidates_and_a_calibration() -> None:
    assert isinstance(Given(()), Spotter)
    assert not isinstance(object(), Spotter)


@pytest.mark.parametrize(
    ("query", "video", "says"),
    [
        ("", poses(), "there is no query: give a word, or an example of a sign"),
        ("  ", poses(), "there is no query"),
        ((), poses(), "there is no query"),
        ((poses(0),), poses(), "the query has no frames"),
        ((poses(1),), poses(), "the query is a single frame, and a sign moves: name all of it"),
        ("house", poses(0), "the poses have no frames"),
        ((poses(60),), poses(), r"the query lasts 2\.40 s, and the video 2\.00 s: it cannot be in it"),
        (
            (poses(10), replace(poses(5), xyz=np.full((5, 3, 3), np.nan, np.float32))),
            poses(),
            "none of 5 frames of example 2 of the query shows a hand",
        ),
        (
            ("house"),
            replace(poses(), xyz=poses().xyz * np.array([[1], [np.nan], [np.nan]], np.float32)),
            "none of 50 frames of the poses shows a hand",
        ),
    ],
)
def test_what_cannot_be_looked_for_or_at_is_refused(query: Query, video: Poses, says: str) -> None:
    with pytest.raises(InputError, match=says):
        spot(query, video, spotter=Given(()))


def test_a_query_is_as_long_as_its_sign_and_not_as_its_clip() -> None:
    clip, span = signed(0)  # 1.8 s, of which hands are up for .8
    video = replace(clip, xyz=clip.xyz[:38], confidence=clip.confidence[:38])
    assert span.duration < video.duration < clip.duration
    spot((clip,), video, spotter=SubsequenceDtw())
    with pytest.raises(InputError, match=r"the query lasts 1\.76 s, and the video 1\.52 s"):
        spot((clip,), video, spotter=SubsequenceDtw(trims=False))


def test_a_query_that_is_shorter_than_signs_is_warned_of() -> None:
    with pytest.warns(InputWarning, match=r"the query lasts 0\.20 s, and hardly a sign is as short"):
        spot((poses(5),), poses(), spotter=Given(()))


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 scores are not finite"):
        spot("house", poses(), spotter=Given((Spot(0, 1, float("nan")), Spot(1, 2, 0.5))))


# Windows --------------------------------------------------------------------------------------------------------------


class Levels:
    """Signs are as high as the wrist is, texts as their number says; both on a circle."""

    landmarks = LANDMARKS

    def __init__(self) -> None:
        self.asked = 0

    def text(self, texts: Sequence[str]) -> Embeddings:
        return self._place([float(text) if text.replace(".", "").isdecimal() else np.nan for text in texts])

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        assert poses is not None
        self.asked += len(signs)
        heights = [poses.xyz[round(one.start * 25) : max(round(one.end * 25), 1), 0, 1].mean() for one in signs]
        return self._place([float(height) for height in heights])

    def _place(self, angles: list[float]) -> Embeddings:
        vectors = 3 * np.nan_to_num(np.stack([np.cos(angles), np.sin(angles)], axis=1))
        return Embeddings(vectors.astype(np.float32), "levels")


def steps() -> Poses:
    """Ten seconds at rest, but for one from 4 to 5 s."""
    video = poses(250)
    video.xyz[:, 0, 1] = 0
    video.xyz[100:125, 0, 1] = 1
    return video


def example(seconds: float) -> Poses:
    clip = poses(round(25 * seconds))
    clip.xyz[:, 0, 1] = 1
    return clip


@pytest.mark.parametrize("query", ["1", (example(1.0),), (example(0.8), example(1.2))])
def test_the_windows_nearest_to_a_word_or_to_examples_are_found(query: Query) -> None:
    (found, *_) = spot(query, steps(), spotter=EmbeddingWindows(Levels()))
    assert 4 <= found.start < found.end <= 5
    assert isinstance(query, str) or (found.start, found.end) == pytest.approx((4, 5), abs=0.4)
    assert found.score == pytest.approx(1, abs=1e-3)
    assert np.isnan(found.probability)


def test_windows_look_at_the_landmarks_that_their_embedder_looks_at() -> None:
    assert EmbeddingWindows(Levels()).landmarks == LANDMARKS


def test_windows_of_examples_are_of_about_their_length_and_those_of_words_as_long_as_signs_mostly_are() -> None:
    lengths = [
        {round(one.duration, 6) for one in EmbeddingWindows(Levels()).candidates(query, steps())}
        for query in ("1", (example(0.52),), (example(2.5),))
    ]
    assert lengths == [{0.65, 1.0}, {0.4, 0.65, 1.0}, {1.5}]
    others = EmbeddingWindows(Levels(), lengths=(0.2, 2.0)).candidates("1", steps())
    assert {round(one.duration, 6) for one in others} == {2.0}  # the nearest to that


def test_windows_reach_to_the_last_frame_and_a_short_video_is_one() -> None:
    spotter = EmbeddingWindows(Levels(), lengths=(1.0,))
    spans = spotter.windows(steps())[1]
    assert spans[[0, -1]].tolist() == [[0, 1], [9, 10]]
    assert np.diff(spans[:-1, 0]) == pytest.approx(0.25)
    assert spotter.windows(poses(10))[1].tolist() == [[0, 0.4]]


def test_windows_are_embedded_once_for_many_queries_and_anew_for_another_video() -> None:
    embedder, video = Levels(), steps()
    spotter = EmbeddingWindows(embedder)
    spot("1", video, spotter=spotter)
    asked = embedder.asked
    again = spot("0.5", video, spotter=spotter)
    assert embedder.asked == asked
    anew = spot("0.5", video, spotter=EmbeddingWindows(Levels()))
    assert [one.score for one in again] == [one.score for one in anew]
    spot("0.5", poses(100), spotter=spotter)
    assert embedder.asked > asked


def test_of_very_many_windows_only_the_best_are_candidates() -> None:
    few = EmbeddingWindows(Levels(), most=5).candidates("0.3", steps())
    every = EmbeddingWindows(Levels()).candidates("0.3", steps())
    assert sorted(one.score for one in few) == sorted(one.score for one in every)[-5:]


def test_a_word_that_the_space_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="'house' is nothing at all in the space 'levels': look for something else"):
        spot("house", steps(), spotter=EmbeddingWindows(Levels()))
    with pytest.raises(InputError, match=r"'pose-descriptor:16:0\.5' has no words"):
        spot("house", steps(), spotter=EmbeddingWindows(PoseDescriptor()))


def test_least_needs_a_calibration() -> None:
    with pytest.raises(InputError, match="this spotter is not calibrated"):
        spot("1", steps(), spotter=EmbeddingWindows(Levels()), least=0.5)
    assert spot("1", steps(), spotter=EmbeddingWindows(Levels(), (-5.0, 10.0)), least=0.5)


def test_calibration_states_how_often_spots_are_right() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=4000)
    right = rng.random(4000) < state(scores, (-1.0, 2.0))
    spots = [Spot(0, 1, score) for score in scores.tolist()]
    found = [((Span(0, 1),) if one else (Span(5, 6),), (each,)) for each, one in zip(spots, right, strict=True)]
    assert fit_calibration(found) == pytest.approx((-1.0, 2.0), abs=0.15)
    with pytest.raises(InputError, match="0 of 1 spots are right"):
        fit_calibration([((), (Spot(0, 1, 0.5),))])
    with pytest.raises(InputError, match="of 4000 spots those that score higher are right less often"):
        fit_calibration([(signs, (replace(one, score=-one.score),)) for signs, (one,) in found])


def test_a_calibration_does_not_mind_spots_that_are_far_off() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate((rng.normal(0, 2, 200), -20 * rng.random(150)))
    right = rng.random(350) < state(scores, (-1.0, 1.0))
    found = [
        ((Span(0, 1),) if one else (), (Spot(0, 1, score),))
        for score, one in zip(scores.tolist(), right.tolist(), strict=True)
    ]
    assert fit_calibration(found) == pytest.approx((-1.0, 1.0), abs=0.2)


def test_a_clip_is_cut_to_the_time_that_hands_are_up() -> None:
    clip, span = signed(0)
    assert trim(clip).duration == pytest.approx(span.duration + 0.4, abs=0.3)
    bare = poses()
    assert trim(bare) is bare  # no elbows


# Words of cues --------------------------------------------------------------------------------------------------------

LEVEL = EmbeddingWindows(Levels(), (-40.0, 42.0))


def test_words_are_found_near_the_cues_that_say_them_and_nowhere_else() -> None:
    cues = (Cue(3.8, 4.6, "It is <One>."), Cue(8, 9, "one, again"), Cue(0.5, 1, "nothing"))
    (found,) = spot_words(cues, steps(), {"one": (example(1.0),)}, spotter=LEVEL)
    assert (found.start, found.end) == pytest.approx((4, 5), abs=0.35)
    assert found.gloss == "one"
    assert float(found.score or 0) > 0.8
    late = spot_words([Cue(1.0, 2.5, "one")], steps(), {"one": (example(1.0),)}, spotter=LEVEL)
    assert late == ()
    assert spot_words([Cue(1.0, 2.5, "one")], steps(), {"one": (example(1.0),)}, spotter=LEVEL, margin=2.5) != ()


def test_words_of_several_parts_and_other_forms_are_known_and_of_overlapping_signs_the_likelier_stays() -> None:
    queries: dict[str, Query] = {"thank you": (example(1.0),), "you": "0.9"}
    found = spot_words([Cue(4, 5, "Thanked you!")], steps(), queries, spotter=LEVEL, lemmatize=lambda word: word[:5])
    assert [sign.gloss for sign in found] == ["thank you"]
    assert spot_words([Cue(4, 5, "thank them")], steps(), queries, spotter=LEVEL) == ()


def test_cues_outside_of_the_video_or_without_hands_are_passed_over_and_no_queries_are_refused() -> None:
    video = steps()
    video.xyz[:125] = np.nan
    cues = (Cue(3.9, 4.1, "one"), Cue(50, 51, "one"), Cue(-9, -8, "one"))
    assert spot_words(cues, video, {"one": (example(1.0),)}, spotter=LEVEL, margin=0.5) == ()
    with pytest.raises(InputError, match="no words to look for"):
        spot_words(cues, video, {}, spotter=LEVEL)


def test_queries_that_are_the_same_words_are_refused() -> None:
    queries: dict[str, Query] = {"Rain": (example(1.0),), "sun": "0.5", "rain!": (example(0.5),)}
    with pytest.raises(InputError, match=r"^'Rain' and 'rain!' are the same words: keep one, with"):
        spot_words([Cue(4, 5, "Rain.")], steps(), queries, spotter=LEVEL)


def test_a_cue_around_which_nobody_can_look_does_not_end_the_others() -> None:
    @dataclass(frozen=True)
    class Shy:
        """Looks at no more than three seconds."""

        calibration: tuple[float, float] = LEVEL.calibration

        def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
            if poses.duration > 3.01:
                raise InputError("too long")
            return LEVEL.candidates(query, poses)

    cues, one = [Cue(4, 5, "one"), Cue(2, 8, "one")], {"one": (example(1.0),)}
    with pytest.warns(InputWarning, match=r"^around 1 of 2 cues: too long$"):
        assert spot_words(cues, steps(), one, spotter=Shy()) == spot_words(cues[:1], steps(), one, spotter=LEVEL)
    with pytest.raises(InputError, match=r"^too long$"):
        spot_words(cues[1:], steps(), one, spotter=Shy())


def test_labels_are_of_the_windows_whose_centre_a_sign_holds_likeliest_first() -> None:
    signs = (Sign(0.0, 0.5, "tree", 0.6), Sign(0.25, 1.0, "house", 0.9))
    labels, sure = label_spots(signs, np.arange(5) / 4, ("house", "sun", "tree"), best=2)
    assert labels.tolist() == [[2, 0], [0, 2], [0, 0], [0, 0], [0, 0]]
    assert sure.tolist() == [[0.6, 0], [0.9, 0.6], [0.9, 0], [0.9, 0], [0, 0]]
    for sign, says in (
        (Sign(0, 1, "rain", 0.5), "'rain', which is not in the"),
        (Sign(0, 1, "sun"), "which has no score"),
    ):
        with pytest.raises(InputError, match=says):
            label_spots([sign], np.arange(5.0), ("house", "sun"))
