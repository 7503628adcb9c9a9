import csv
import gzip
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seasign.alignment import align
from seasign.decoding import Argmax, Threshold
from seasign.metrics import Found, evaluate_signs, find_spans, find_times
from seasign.segmentation import (
    TRAINING_FREE,
    TrainingFree,
    bouts,
    cut,
    evidence,
    find_phrases,
    find_signs,
    gate,
    height,
    merge,
    movement,
    phrases,
    segment,
    smooth,
    speed,
    standardize,
)
from seasign.synthesis import synthesize
from seasign.types import Cue, InputError, InputWarning, Poses, Sign, Span, Tags

DATA = Path(__file__).parents[2] / "shared" / "data"
GOLDEN = Path(__file__).parent / "golden" / "sea_dp_public.json.gz"
BODY = [f"{side}_{point}" for point in ("SHOULDER", "ELBOW", "WRIST", "HIP") for side in ("LEFT", "RIGHT")]
OPENPOSE = {"LEFT": "L", "RIGHT": "R", "SHOULDER": "Shoulder", "ELBOW": "Elbow", "WRIST": "Wrist", "HIP": "Hip"}


@pytest.fixture(scope="module")
def episode():
    return synthesize(seed=7, duration=60)


def select(poses, names, renamed=None):
    """The named landmarks alone, in that order, perhaps under other names."""
    columns = [poses.landmarks.index(name) for name in names]
    return replace(
        poses,
        xyz=poses.xyz[:, columns],
        confidence=poses.confidence[:, columns],
        landmarks=tuple(renamed or names),
    )


def body(poses):
    return select(poses, [f"POSE_LANDMARKS.{point}" for point in BODY])


def hide(poses, *parts, frames=slice(None)):
    """NaN in the frames, wherever a landmark's name holds one of the parts."""
    xyz = poses.xyz.copy()
    xyz[frames, [k for k, name in enumerate(poses.landmarks) if any(part in name for part in parts)]] = np.nan
    return replace(poses, xyz=xyz)


@dataclass
class Letters:
    """Four lines: whatever letters it is given, with certainty."""

    letters: str

    def tag(self, poses: Poses) -> Tags:
        return Tags(np.eye(3)[["BIO".index(letter) for letter in self.letters]], None, poses.fps)


def read_tags(letters, fps=25):
    poses = Poses(
        np.zeros((len(letters), 1, 3), np.float32), np.ones((len(letters), 1), np.float32), Fraction(fps), ("X",)
    )
    return [(round(sign.start * fps), round(sign.end * fps)) for sign in segment(poses, Letters(letters))]


# --- Tags to signs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "signs"),
    [
        ("OOBIIOO", [(2, 5)]),
        ("BIIBIB", [(0, 3), (3, 5), (5, 6)]),
        ("BBIIBBI", [(0, 4), (4, 7)]),  # a network says B for some frames
        ("OIIOI", [(1, 3), (4, 5)]),  # one that does not know B
        ("OBO", [(1, 2)]),
        ("OOO", []),
        ("", []),
    ],
)
def test_signs_start_at_b_and_end_before_o_or_the_next(letters, signs):
    assert read_tags(letters) == signs


@given(st.text("BIO", max_size=30))
def test_every_frame_that_is_not_o_lies_in_exactly_one_sign(letters):
    covered = [frame for start, end in read_tags(letters) for frame in range(start, end)]
    assert covered == [frame for frame, letter in enumerate(letters) if letter != "O"]


def test_times_are_frames_over_the_exact_rate():
    poses = Poses(np.zeros((3, 1, 3), np.float32), np.ones((3, 1), np.float32), Fraction(24000, 1001), ("X",))
    assert segment(poses, Letters("OBI")) == (Sign(1001 / 24000, 3003 / 24000),)


@dataclass
class Doubtful:
    """A network that is never quite sure, with a head for phrases and decoders of its own."""

    decoders: dict

    def tag(self, poses: Poses) -> Tags:
        signs = np.array([[0.4, 0.1, 0.5], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3]])
        return Tags(signs, signs[::-1], Fraction(10))


FOUR = Poses(np.zeros((8, 1, 3), np.float32), np.ones((8, 1), np.float32), Fraction(20), ("X",))


def test_a_segmenter_says_how_its_tags_are_read_for_each_purpose():
    doubtful = Doubtful({"alignment": Threshold(0.3, 0.5)})
    assert segment(FOUR, doubtful) == (Sign(0.1, 0.2), Sign(0.3, 0.4))
    assert segment(FOUR, doubtful, purpose="alignment") == (Sign(0.0, 0.2),)
    assert segment(FOUR, doubtful, decoder=Argmax(split=False, bridge=1)) == (Sign(0.1, 0.4),)


def test_aligning_takes_the_decoder_for_alignment_unless_another_is_given():
    doubtful = Doubtful({"alignment": Threshold(0.3, 0.5)})
    cues = [Cue(0.0, 0.3, "a")]
    for decoder in None, Argmax():
        found = align(FOUR, cues, segmenter=doubtful, decoder=decoder, lag=(0, 0))
        signs = segment(FOUR, doubtful, purpose="alignment", decoder=decoder)
        assert found == align(signs, cues, lag=(0, 0))
        assert set(found.runs[0]) <= set(signs)
        assert found.runs[0]
    assert signs == (Sign(0.1, 0.2), Sign(0.3, 0.4))


def test_phrases_come_from_their_own_head_or_from_signs_that_touch():
    tags = Doubtful({}).tag(FOUR)
    signs = find_signs(tags, Argmax())
    assert find_phrases(tags, signs, Argmax()) == (Span(0, 0.1), Span(0.2, 0.3))
    assert find_phrases(replace(tags, phrases=None), signs, Argmax()) == phrases(signs)


def test_it_is_said_when_tags_were_read_in_another_way_than_they_should():
    doubtful = Doubtful({})
    with pytest.warns(InputWarning, match="no frame looks like the start of a sign: stretches"):
        assert segment(FOUR, doubtful, decoder=Threshold(0.9, 0.5)) == (Sign(0.1, 0.2), Sign(0.3, 0.4))
    with pytest.warns(InputWarning, match="start of a phrase"):
        find_phrases(doubtful.tag(FOUR), (), Threshold(0.9, 0.9))


# --- Phrases, gate, merge -------------------------------------------------------------------------------------------


def test_phrases_join_what_touches_or_overlaps():
    assert phrases([Sign(0, 1), Sign(1, 2), Sign(2.1, 3), Sign(2.5, 2.7)]) == (Span(0, 2), Span(2.1, 3))
    assert phrases([Sign(5, 6), Sign(0, 1)]) == (Span(0, 1), Span(5, 6))
    assert phrases([]) == ()


def test_the_gate_counts_and_prints():
    poses = Poses(np.zeros((100, 1, 3), np.float32), np.ones((100, 1), np.float32), Fraction(25), ("X",))
    found = gate([Sign(0, 0.5), Sign(0.5, 1), Sign(2, 3)], poses)
    assert (found.signs, found.bouts, found.rate, found.video_rate, found.signing, found.single) == (
        3, 2, 1.5, 0.75, 0.5, 0.5,
    )  # fmt: skip
    assert str(found) == (
        "3 signs in 2 bouts: 1.50 per second of signing, 0.75 per second of video; "
        "50% of the video is signing, 50% of the bouts one sign"
    )
    assert np.isnan(gate([], poses).rate)
    assert str(gate([], poses)) == "0 signs in 0 bouts"
    assert str(gate([Sign(0, 1)], poses)).startswith("1 sign in 1 bout: 1.00 per second of signing, ")


def test_the_gate_counts_the_bouts_of_one_sign_in_any_order():
    poses = Poses(np.zeros((100, 1, 3), np.float32), np.ones((100, 1), np.float32), Fraction(25), ("X",))
    random = np.random.default_rng(0)
    for _ in range(30):
        starts = random.integers(0, 40, random.integers(1, 12)) / 10
        signs = [
            Sign(start, start + length / 10) for start, length in zip(starts, random.integers(1, 6, 12), strict=False)
        ]
        inside = [sum(bout.start <= sign.start < bout.end for sign in signs) for bout in phrases(signs)]
        assert gate(signs, poses).single == inside.count(1) / len(inside)


def test_merging_equals_the_published_code():
    for case in json.loads(gzip.decompress(GOLDEN.read_bytes()))["merge_cases"]:
        base, new = ([Sign(*span) for span in case[name]] for name in ("base", "new"))
        merged = merge(base, new, min_iou=case["iou"] if case["conservative"] else None)
        assert [[sign.start, sign.end] for sign in merged] == case["merged"], case["id"]


def test_merging_nothing_changes_nothing():
    signs = (Sign(0, 1, "A"), Sign(2, 3))
    assert merge(signs, ()) == signs
    assert merge((), signs) == ()
    assert merge((), signs, min_iou=None) == signs


# --- The cuts -------------------------------------------------------------------------------------------------------


def value(edges, z, fps, settings):
    """What `cut` maximizes, as its docstring says it."""
    lengths = [(b - a) / float(fps) for a, b in pairwise(edges)]
    return sum(settings.w * z[edge] for edge in edges[1:-1]) - sum(
        log(d / settings.m) ** 2 / (2 * settings.s**2) for d in lengths
    )


def tilings(first, last, shortest, longest):
    if first == last:
        yield [last]
    for following in range(first + shortest, min(first + longest, last) + 1):
        for rest in tilings(following, last, shortest, longest):
            yield [first, *rest]


@settings(max_examples=60, deadline=None)
@given(
    z=st.lists(st.floats(-2, 3), min_size=4, max_size=18),
    fps=st.sampled_from([Fraction(5), Fraction(12), Fraction(24000, 1001)]),
    w=st.floats(0, 2),
    longest=st.sampled_from([0.3, 0.6, 3.0]),
)
def test_cuts_are_the_best_of_all(z, fps, w, longest):
    z, chosen = np.array(z), TrainingFree(w=w, longest=longest)
    least = max(2, -(-Fraction("0.12") * fps // 1))
    most = max(2 * least - 1, int(longest * fps))
    best = max(value(edges, z, fps, chosen) for edges in tilings(0, len(z), int(least), most))
    edges = cut(z, fps, chosen).tolist()
    assert edges in tilings(0, len(z), int(least), most)
    assert value(edges, z, fps, chosen) == pytest.approx(best)


def test_without_evidence_cuts_are_even():
    lengths = np.diff(cut(np.zeros(200), Fraction(25)))
    assert lengths.min() >= 9
    assert lengths.max() <= 11


def test_a_span_too_short_for_two_is_one():
    for frames in range(1, 6):
        assert cut(np.zeros(frames), Fraction(25)).tolist() == [0, frames]


def test_cuts_follow_peaks():
    z = np.zeros(52)
    z[[13, 20, 34, 43]] = 3
    assert cut(z, Fraction(25), TrainingFree(w=2)).tolist()[1:-1] == [13, 20, 34, 43]


# --- Bouts ----------------------------------------------------------------------------------------------------------


def spans(height, **settings):
    return bouts(np.array(height, dtype=float), Fraction(10), replace(TRAINING_FREE, trim=(0, 0), **settings)).tolist()


def test_bouts_stay_above_one_threshold_and_reach_the_other():
    assert spans([-1] * 3 + [0] * 3 + [0.2] * 2 + [0] * 3 + [-1] * 9 + [0.05] * 9 + [-1]) == [[3, 11]]


def test_short_rests_are_bridged_and_short_bouts_dropped():
    up, down = [1], [-1]
    assert spans(up * 5 + down * 3 + up * 5) == [[0, 13]]
    assert spans(up * 5 + down * 4 + up * 5) == [[0, 5], [9, 14]]
    assert spans(down * 5 + up * 2 + down * 5 + up * 3) == [[12, 15]]


def test_raising_and_lowering_are_trimmed_where_they_are_seen():
    settings = replace(TRAINING_FREE, trim=(0.2, 0.1))
    assert bouts(np.array([-1.0] * 5 + [1] * 9 + [-1] * 5), Fraction(10), settings).tolist() == [[7, 13]]
    assert bouts(np.ones(9), Fraction(10), settings).tolist() == [[0, 9]]


def test_no_hand_no_bout():
    assert spans([np.nan] * 9) == []
    assert spans([]) == []


# --- Evidence -------------------------------------------------------------------------------------------------------


def test_smoothing_keeps_a_constant_and_what_is_unknown():
    track = np.array([2.0] * 4 + [np.nan] * 3 + [2.0] * 4)
    np.testing.assert_allclose(smooth(track, Fraction(25)), track)


def test_speed_is_length_per_second():
    track = np.column_stack([np.arange(5) * 3.0, np.arange(5) * 4.0])
    np.testing.assert_allclose(speed(track, Fraction(10)), 50)
    assert speed(track[:1], Fraction(10)).tolist() == [0]


def test_evidence_hears_the_busier_hand_first():
    busy, calm = np.full(20, 2.0), np.full(20, 1.0)
    np.testing.assert_allclose(evidence(np.stack([calm, busy]), Fraction(25)), 2.0)
    np.testing.assert_allclose(evidence(np.stack([busy * 0, busy]), Fraction(25)), 2.0)
    np.testing.assert_allclose(evidence(np.stack([busy * np.nan, busy]), Fraction(25)), 2.0)
    assert np.isnan(evidence(np.full((2, 20), np.nan), Fraction(25))).all()


def test_standardized_evidence_is_clipped_and_neutral_where_unknown():
    z = standardize(np.array([*[0.0] * 50, 100.0, np.nan]))
    assert z[50] == 3
    assert z[51] == 0
    assert standardize(np.full(4, np.nan)).tolist() == [0] * 4
    assert standardize(np.ones(4)).tolist() == [0] * 4


# --- The scores -----------------------------------------------------------------------------------------------------


def test_spans_are_matched_one_to_one_the_best_first():
    reference, estimate = np.array([[0.0, 4], [4, 8]]), np.array([[0.0, 1], [1, 4], [4.5, 8], [9, 10]])
    assert find_spans(reference, estimate, 0.5) == Found(2, 2, 4)
    assert find_spans(reference, estimate, 0.75) == Found(2, 2, 4)
    assert find_spans(reference, estimate, 0.8) == Found(1, 2, 4)
    assert find_spans(reference, np.empty((0, 2)), 0.5) == Found(0, 2, 0)
    assert find_spans(np.empty((0, 2)), reference, 0.5) == Found(0, 0, 2)


def test_times_are_matched_one_to_one_the_nearest_first():
    assert find_times(np.array([1.0, 1.1]), np.array([1.08, 1.3]), 0.12) == Found(1, 2, 2)
    assert find_times(np.array([1.0, 1.1]), np.array([0.9, 1.08]), 0.12) == Found(2, 2, 2)
    assert find_times(np.array([0.12]), np.array([0.0]), 0.12).hits == 1


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=9))
def test_signs_found_exactly_score_everything_and_count_one(drawn):
    signs = [Sign(start, start + length) for start, length in sorted(set(drawn))]
    scores = evaluate_signs([(signs, signs), ((), ())])
    if signs:
        assert (scores.count, scores.f1, scores.mf1s, scores.onset_f1) == (1, 100, 100, 100)
    else:
        assert np.isnan(scores.f1)


@given(*[st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=9)] * 2)
def test_the_spans_that_matching_considers_are_all_that_overlap(a, b):
    reference, estimate = (
        np.array(sorted((x, x + d) for x, d in spans), dtype=float).reshape(-1, 2) for spans in (a, b)
    )
    shared = [min(p[1], q[1]) - max(p[0], q[0]) for p in reference.tolist() for q in estimate.tolist()]
    assert (find_spans(reference, estimate, 0.0).hits > 0) == any(length > 0 for length in shared)


# --- The whole, on planted signs ------------------------------------------------------------------------------------


def even_cuts(spans):
    for span in spans:
        edges = np.linspace(span.start, span.end, max(1, round(span.duration / 0.39)) + 1)
        yield from (Sign(*edge) for edge in pairwise(edges.tolist()))


def test_planted_signs_are_found_far_better_than_by_even_cuts():
    episodes = [synthesize(seed, duration=120) for seed in range(3)]
    found = [(episode.signs, segment(episode.poses)) for episode in episodes]
    scores = evaluate_signs(found)
    control = evaluate_signs([(signs, list(even_cuts(phrases(estimate)))) for signs, estimate in found])
    assert scores.f1 > 80 > 70 > control.f1  # 85 against 62: the signer is easier than people are
    assert scores.onset_f1 > control.onset_f1 + 15
    assert 0.9 < scores.count < 1.3


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30), Fraction(50), Fraction(60)])
def test_any_frame_rate_finds_the_same_signs(episode, fps):
    signs, others = (segment(poses) for poses in (episode.poses, synthesize(7, duration=60, fps=fps).poses))
    onsets = (np.array([sign.start for sign in found]) for found in (signs, others))
    assert find_times(*onsets, within=0.08).f1 > 95
    for mine, theirs in zip(phrases(signs), phrases(others), strict=True):
        assert abs(mine.start - theirs.start) <= 0.08
        assert abs(mine.end - theirs.end) <= 0.08


def test_signs_are_sorted_half_open_and_tile_their_bouts(episode):
    signs = segment(episode.poses)
    spans = bouts(height(episode.poses), Fraction(25)) / 25
    assert all(a.end <= b.start for a, b in pairwise(signs))
    assert all(0 <= sign.start < sign.end <= episode.poses.duration for sign in signs)
    assert [(span.start, span.end) for span in phrases(signs)] == [tuple(span) for span in spans.tolist()]
    assert all(0.12 <= round(sign.duration, 6) <= 3 for sign in signs)


def test_the_same_poses_give_the_same_signs(episode):
    assert segment(episode.poses) == segment(synthesize(seed=7, duration=60).poses)


def test_one_unit_per_bout_on_request(episode):
    units = segment(episode.poses, TrainingFree(one_per_bout=True))
    assert [(unit.start, unit.end) for unit in units] == [
        (span.start, span.end) for span in phrases(segment(episode.poses))
    ]
    assert gate(units, episode.poses).single == 1


def test_tags_are_certain_and_add_up(episode):
    tags = TRAINING_FREE.tag(episode.poses)
    assert tags.fps == episode.poses.fps
    assert tags.signs.shape == (len(episode.poses.xyz), 3)
    assert set(tags.signs.ravel().tolist()) == {0.0, 1.0}
    assert (tags.signs.sum(axis=1) == 1).all()


# --- Layouts --------------------------------------------------------------------------------------------------------


def test_landmarks_are_found_by_name_in_any_order(episode):
    shuffled = select(episode.poses, sorted(episode.poses.landmarks))
    assert segment(shuffled) == segment(episode.poses)


def test_other_landmarks_do_not_matter(episode):
    poses = episode.poses
    face = np.random.default_rng(0).normal(size=(len(poses.xyz), 468, 3)).astype(np.float32)
    wide = replace(
        poses,
        xyz=np.concatenate([poses.xyz[:, :33], face, poses.xyz[:, 33:]], axis=1),
        confidence=np.ones((len(poses.xyz), 543), np.float32),
        landmarks=(*poses.landmarks[:33], *(f"FACE_LANDMARKS.{k}" for k in range(468)), *poses.landmarks[33:]),
    )
    assert segment(wide) == segment(poses)


def test_eight_body_points_are_enough(episode):
    scores = evaluate_signs([(episode.signs, segment(body(episode.poses)))])
    assert scores.f1 > 75
    assert len(phrases(segment(body(episode.poses)))) == len(phrases(segment(episode.poses)))


def test_openpose_names_are_known(episode):
    poses = body(episode.poses)
    names = [name.partition(".")[2].split("_") for name in poses.landmarks]
    renamed = select(
        poses, poses.landmarks, [f"pose_keypoints_2d.{OPENPOSE[side]}{OPENPOSE[point]}" for side, point in names]
    )
    assert segment(renamed) == segment(poses)


def test_openpose_hands_count_as_hands(episode):
    names = {"LEFT_HAND_LANDMARKS.": "hand_left_keypoints_2d.", "RIGHT_HAND_LANDMARKS.": "hand_right_keypoints_2d."}
    renamed = list(episode.poses.landmarks)
    for theirs, ours in names.items():
        renamed = [name.replace(theirs, ours).replace(f"{ours}WRIST", f"{ours}BASE") for name in renamed]
    assert segment(select(episode.poses, episode.poses.landmarks, renamed)) == segment(episode.poses)


def test_the_hand_model_stands_in_for_the_body_s_wrists(episode):
    few = [
        name
        for name in episode.poses.landmarks
        if "HAND" in name or name.endswith(("SHOULDER", "ELBOW"))
    ]  # fmt: skip
    assert evaluate_signs([(episode.signs, segment(select(episode.poses, few)))]).f1 > 75


def test_without_elbows_the_shoulders_serve_and_it_says_so(episode):
    with pytest.warns(InputWarning, match="no elbows"):
        signs = segment(hide(episode.poses, "ELBOW"))
    assert len(phrases(signs)) == len(phrases(segment(episode.poses)))


# --- Odd input ------------------------------------------------------------------------------------------------------


def test_nobody_signs_when_the_hands_rest(episode):
    still = np.zeros(50, dtype=int)
    poses = replace(episode.poses, xyz=episode.poses.xyz[still], confidence=episode.poses.confidence[still])
    assert segment(poses) == ()


def test_one_frame_is_no_reason_to_fail(episode):
    assert segment(replace(episode.poses, xyz=episode.poses.xyz[:1], confidence=episode.poses.confidence[:1])) == ()


def test_very_few_frames_a_second_still_make_units_of_two_frames(episode):
    poses = synthesize(7, duration=60, fps=Fraction(4)).poses
    assert all(sign.duration >= 0.5 for sign in segment(poses))


def test_short_gaps_are_bridged(episode):
    poses = episode.poses
    for frame in range(10, len(poses.xyz) - 10, 60):
        poses = hide(poses, "LEFT", "RIGHT", frames=slice(frame, frame + 5))
    assert len(phrases(segment(poses))) == len(phrases(segment(episode.poses)))
    assert evaluate_signs([(segment(episode.poses), segment(poses))]).f1 > 80


def test_hands_that_are_never_seen_are_ignored(episode):
    one_handed = hide(episode.poses, "LEFT_WRIST", "LEFT_PINKY", "LEFT_INDEX", "LEFT_THUMB", "LEFT_HAND")
    assert evaluate_signs([(episode.signs, segment(one_handed))]).f1 > 75


def test_hands_without_fingers_have_no_shape(episode):
    signs = segment(body(episode.poses))
    fingers = ["THUMB_", "INDEX_", "MIDDLE_", "RING_", "PINKY_"]
    names = [f"POSE_LANDMARKS.{point}" for point in BODY]
    wrists = [f"{side}_HAND_LANDMARKS.WRIST" for side in ("LEFT", "RIGHT")]
    assert segment(select(episode.poses, [*names, *wrists])) == signs
    assert len(segment(hide(episode.poses, *(f"HAND_LANDMARKS.{finger}" for finger in fingers)))) > 50


def test_nobody_is_seen_signing_while_nobody_is_seen(episode):
    away = slice(500, 900)
    signs = segment(hide(episode.poses, "LANDMARKS", frames=away))
    assert signs
    assert all(sign.end <= 20 + 1e-9 or sign.start >= 36 - 1e-9 for sign in signs)


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        (["SHOULDER"], "never show both shoulders:"),
        (["RIGHT_SHOULDER"], "never show both shoulders:"),
        (["WRIST", "PINKY", "INDEX", "THUMB", "HAND"], "never show a wrist:"),
        (["LANDMARKS"], "never show both shoulders and a wrist:"),
    ],
)
def test_what_is_missing_is_named(episode, parts, missing):
    with pytest.raises(InputError, match=missing):
        segment(hide(episode.poses, *parts))
    kept = [name for name in episode.poses.landmarks if not any(part in name for part in parts)]
    with pytest.raises(InputError, match=missing):
        segment(select(episode.poses, kept))


def test_no_frames_are_refused(episode):
    with pytest.raises(InputError, match="no frames"):
        segment(replace(episode.poses, xyz=episode.poses.xyz[:0], confidence=episode.poses.confidence[:0]))


def test_shoulders_in_one_point_are_refused(episode):
    with pytest.raises(InputError, match="shoulders lie in one point"):
        segment(replace(episode.poses, xyz=np.zeros_like(episode.poses.xyz)))


# --- Shared data ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_real_clips_are_one_bout_each_and_cut_at_a_human_pace():
    units = {}
    for file in sorted((DATA / "poses").glob("*.pose")):
        poses = read_pose(file)
        found = gate(segment(poses), poses)
        assert found.bouts == 1, file.name
        assert 1.8 < found.rate < 3.2, file.name
        units[file.stem] = found.signs
    assert units["dgs_sentence_1248862"] == 6  # as many as there are glosses
    assert units["viewer_example"] == 4


def read_pose(file):
    from pose_format import Pose

    pose = Pose.read(file.read_bytes())
    confidence = np.asarray(pose.body.confidence[:, 0], dtype=np.float32)
    xyz = np.where(confidence[..., None] > 0, np.ma.getdata(pose.body.data)[:, 0], np.nan).astype(np.float32)
    names = tuple(f"{part.name}.{point}" for part in pose.header.components for point in part.points)
    return Poses(xyz, confidence, Fraction(pose.body.fps), names)


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
def test_boundaries_that_people_set_are_met_better_than_by_even_cuts():
    hands, signs = {}, {}
    with (DATA / "boston104" / "hands.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            point = [[float(row[f"{side}-{axis}"]) for axis in "xy"] for side in ("left", "right")]
            hands.setdefault(row["video"], []).append(point)
    with (DATA / "boston104" / "signs.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            signs.setdefault(row["video"], []).append((int(row["startframe"]), int(row["endframe"]) + 1))
    cuts, control = [], []
    for video, frames in signs.items():
        reference = [Span(start / 30, stop / 30) for start, stop in frames]
        first, last = frames[0][0], max(stop for _, stop in frames)
        seen = evidence(speed(np.array(hands[video]), Fraction(30)).T, Fraction(30))[first:last]
        edges = (first + cut(standardize(seen), Fraction(30))) / 30
        cuts.append((reference, [Span(*span) for span in pairwise(edges.tolist())]))
        control.append((reference, list(even_cuts([Span(first / 30, last / 30)]))))
    scores, even = evaluate_signs(cuts), evaluate_signs(control)
    assert scores.f1 > even.f1 + 2  # 76.8 against 71.0
    assert scores.mf1s > even.mf1s + 3  # 62.1 against 57.8
    assert scores.mf1b > even.mf1b + 7  # 56.5 against 47.9
    assert scores.onset_f1 > even.onset_f1 + 3  # 74.3 against 69.6


def test_the_pieces_agree_with_the_whole(episode):
    seen = evidence(movement(episode.poses), episode.poses.fps)
    signs = []
    for first, last in bouts(height(episode.poses), episode.poses.fps).tolist():
        edges = first + cut(standardize(seen[first:last]), episode.poses.fps)
        signs += [Sign(start / 25, end / 25) for start, end in pairwise(edges.tolist())]
    assert tuple(signs) == segment(episode.poses)
