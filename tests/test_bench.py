import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import perturbation
import pseudo_labels
import pytest
import quality
import results
import segmentation
import spotting

import seasign
from seasign.synthesis import synthesize, synthesize_signs
from seasign.types import Sign, Span

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def episode():
    return synthesize(0, duration=1100, fps=None)


def rng():
    return np.random.default_rng(0)


# --- Conditions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", quality.CONDITIONS)
def test_every_condition_makes_a_whole_episode_in_order(name):
    made, similarity = quality.make(quality.CONDITIONS[name], 0)
    assert len(made.cues) == len(made.reference) == len(made.runs) > 250
    assert similarity.shape == (len(made.cues), len(made.signs))
    for spans in (made.cues, made.signs):
        assert all(span.start < span.end for span in spans)
        assert all(a.end <= b.start for a, b in pairwise(spans))
    assert [len(run) > 0 for run in made.runs] == quality.signed(made).tolist()


@pytest.mark.parametrize("name", sorted(set(quality.CONDITIONS) - {"degraded signs", "cues stay up until the next"}))
def test_runs_are_the_signs_of_their_cue(name):
    made, _ = quality.make(quality.CONDITIONS[name], 0)
    for true, run in zip(made.reference, made.runs, strict=True):
        own = [sign for sign in made.signs if true.start <= sign.start and sign.end <= true.end]
        if run:
            assert list(made.signs[run.start : run.stop]) == own


def test_degraded_signs_are_merged_split_dropped_and_jittered(episode):
    worse = quality.degrade(episode, rng())
    before, after = len(episode.signs), len(worse.signs)
    assert (worse.cues, worse.reference) == (episode.cues, episode.reference)
    assert before * 0.72 < after < before * 0.86  # merge .25 of the pairs that are close, split .10, drop .05
    edges = np.array([(sign.start, sign.end) for sign in episode.signs]).ravel()
    starts = np.array([sign.start for sign in worse.signs])
    off = np.abs(starts[:, None] - edges).min(axis=1)
    assert 0.02 < np.median(off) < 0.08
    for true, run in zip(worse.reference, worse.runs, strict=True):
        for sign in worse.signs[run.start : run.stop]:
            assert sign.start < true.end + 0.4
            assert sign.end > true.start - 0.4


def test_in_the_pause_of_six_minutes_nobody_signs_72_cues():
    made, _ = quality.make(quality.CONDITIONS[quality.PAUSE], 0)
    silent = np.flatnonzero(~quality.signed(made))
    assert len(silent) == 72
    assert silent[-1] - silent[0] == 71
    assert 330 < made.cues[silent[-1]].end - made.cues[silent[0]].start < 390
    before, after = made.runs[silent[0] - 1], made.runs[silent[-1] + 1]
    assert before.stop == after.start
    assert made.signs[after.start].start - made.signs[before.stop - 1].end > 330


def test_after_the_adverts_cues_come_later(episode):
    broken = quality.advert(episode, rng())
    later = [b.start - a.start for a, b in zip(episode.cues, broken.cues, strict=True)]
    assert set(np.round(later, 6)) == {0.0, 14.0}
    assert quality.true_lag(broken, quality.BREAK)[0] == pytest.approx(2, abs=0.3)


def test_the_cues_of_another_episode_say_something_else(episode):
    wrong = quality.wrong_subtitles(episode, rng())
    assert wrong.signs == episode.signs
    assert not quality.signed(wrong).any()
    assert quality.true_lag(wrong) == (2.0, 2.0)


# --- Scores ---------------------------------------------------------------------------------------------------------


def outcome(episode, cues, kept=None, **said):
    return quality.Outcome(episode, cues, np.ones(len(cues), bool) if kept is None else kept, **said)


def test_the_truth_scores_full_marks_and_its_drops_count(episode):
    silent = quality.leave_unsigned(episode, range(60))
    real = quality.signed(silent)
    scores = quality.score([outcome(silent, silent.reference, real, lag=2.0, confidence=1.0 - ~real)], True)
    assert (scores.f1, scores.cue_f1, scores.right) == (100, 100, 100)
    assert (scores.start_error, scores.near_error) == (0, 0)
    assert (scores.drop_recall, scores.drop_precision) == (100, 100)
    assert scores.lag_error == pytest.approx(abs(quality.true_lag(silent)[0] - 2))
    assert np.isnan([scores.auroc, scores.found_first]).all()  # nothing is wrong


def test_cues_kept_although_nobody_signs_them_cost_precision(episode):
    silent = quality.leave_unsigned(episode, range(60))
    scores = quality.score([outcome(silent, silent.reference, confidence=np.arange(len(silent.cues)))], True)
    count = len(silent.cues)
    assert (scores.f1, scores.right, scores.drop_recall) == (100, 100, 0)
    assert scores.cue_f1 == pytest.approx(100 * 2 * (count - 60) / (2 * count - 60))
    assert (scores.auroc, scores.found_first) == (1, 1)  # the 60 come first


def test_errors_near_a_pause_are_seen_beside_those_of_all(episode):
    silent = quality.leave_unsigned(episode, range(100, 110))
    cues = [replace(cue, start=cue.start + 3 * (90 <= i < 120)) for i, cue in enumerate(silent.reference)]
    scores = quality.score([outcome(silent, cues)], True)
    assert (scores.start_error, scores.near_error) == (0, pytest.approx(3))


def test_where_nothing_is_signed_there_is_only_dropping_to_score(episode):
    wrong = quality.wrong_subtitles(episode, rng())
    kept = np.arange(len(wrong.cues)) % 4 == 0
    scores = quality.score([outcome(wrong, wrong.cues, kept)], False)
    assert np.isnan([scores.f1, scores.cue_f1, scores.right, scores.start_error, scores.lag_error]).all()
    assert 70 < scores.drop_recall < 80
    assert scores.drop_precision == 100


def test_an_aligner_without_an_assignment_leaves_the_cues_as_delivered():
    made, similarity = quality.make(quality.CONDITIONS["late interpreter, 60 cues"], 0)
    stuck = quality.run(quality.ALIGNERS["compat"], made, similarity, (2.0, 2.0))
    assert stuck.infeasible
    assert stuck.cues == made.cues


# --- Confidence -----------------------------------------------------------------------------------------------------


def draws(seed):
    """Wrong or not, and confidences with ties."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(6) < 0.5
    return wrong, rng.integers(0, 4, 6) / 4


@pytest.mark.parametrize("seed", range(20))
def test_auroc_is_the_share_of_pairs_in_the_right_order(seed):
    wrong, confidence = draws(seed)
    pairs = [(a < b) + (a == b) / 2 for a in confidence[wrong] for b in confidence[~wrong]]
    assert quality.auroc(wrong, confidence) == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)


@pytest.mark.parametrize("seed", range(20))
def test_found_first_is_the_mean_over_all_orders_of_equals(seed):
    wrong, confidence = draws(seed)
    looked = 2  # 30 % of 6, rounded up
    orders = [list(order) for order in permutations(range(6)) if (np.diff(confidence[list(order)]) >= 0).all()]
    shares = [wrong[order[:looked]].sum() / min(looked, wrong.sum()) for order in orders if wrong.any()]
    assert quality.found_first(wrong, confidence) == pytest.approx(np.mean(shares) if shares else np.nan, nan_ok=True)


def test_coverage_counts_the_edges_in():
    truth, low, high = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 3.5, 0.0]), np.array([2.0, 2.0, 4.0, 3.9])
    assert quality.coverage(truth, low, high) == 0.5


def test_targets_ask_more_where_something_has_no_partner():
    scores = quality.measure(quality.BASIS, 1)
    found = quality.targets(dict.fromkeys(quality.CONDITIONS, scores))
    limits = {(aim.condition, aim.metric): aim.limit for aim in found}
    best = max(scores["lag only"].f1, scores["compat"].f1)
    assert limits[quality.BASIS, "default: f1@0.50"] == pytest.approx(best - 0.5)
    assert limits[quality.PAUSE, "default: f1@0.50"] == pytest.approx(best + 3)
    assert (quality.WRONG, "default: f1@0.50") not in limits


# --- Faults of a segmentation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", perturbation.FAULTS)
def test_a_fault_keeps_signs_in_order_and_apart_and_grows_with_its_strength(episode, name):
    fault, strengths = perturbation.FAULTS[name]
    signs = [Span(sign.start, sign.end) for sign in episode.signs]
    assert list(fault(signs, 0.0, rng())) == signs
    changed = []
    for strength in strengths.values():
        found = fault(signs, strength, rng())
        assert all(sign.start < sign.end for sign in found)
        assert all(a.end <= b.start for a, b in pairwise(found))
        changed.append(len(set(found) ^ set(signs)))
    assert 0 < changed[0] <= changed[1] <= changed[2] or name == "jitter edges"  # which moves them all at once


def test_edges_move_by_as_much_as_they_say_and_shared_ones_together(episode):
    moved = perturbation.jitter(episode.signs, 0.05, rng())
    assert len(moved) > 0.99 * len(episode.signs)
    edges, true = (np.unique([(sign.start, sign.end) for sign in signs]) for signs in (moved, episode.signs))
    assert np.median(np.abs(edges[:, None] - true).min(axis=1)) == pytest.approx(0.6745 * 0.05, rel=0.1)
    assert len(edges) <= len(true)


def test_faults_are_as_frequent_as_they_say(episode):
    signs = episode.signs
    touching = sum(b.start - a.end <= perturbation.TRANSITION for a, b in pairwise(signs))
    short = sum(perturbation.TRANSITION < b.start - a.end <= perturbation.REST for a, b in pairwise(signs))
    counts = {
        name: len(fault(signs, strengths.get("25 %", 0.05), rng())) - len(signs)
        for name, (fault, strengths) in perturbation.FAULTS.items()
    }
    about = 0.05 * len(signs)
    assert counts["split signs"] == pytest.approx(0.25 * len(signs), abs=about)
    assert counts["merge neighbours"] == pytest.approx(-0.25 * touching, abs=about)
    assert counts["close rests up to 1 s"] == pytest.approx(-0.25 * short, abs=about)
    assert counts["delete signs"] == pytest.approx(-0.25 * len(signs), abs=about)
    assert 0.1 * len(signs) < counts["insert signs in rests"] <= 0.25 * len(signs)  # some find no room
    assert counts["jitter edges"] == pytest.approx(0, abs=about)


def test_new_signs_stand_in_rests(episode):
    new = set(perturbation.insert(episode.signs, 0.5, rng())) - set(episode.signs)
    edges = [(a.end, b.start) for a, b in pairwise(episode.signs)]
    assert all(any(start <= sign.start and sign.end <= end for start, end in edges) for sign in new)


# --- The book ---------------------------------------------------------------------------------------------------------


def test_wide_tables_have_a_row_for_what_stands_before_the_colon_and_a_column_for_what_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "BOOK", tmp_path / "book.jsonl")
    monkeypatch.setattr(results, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr("sys.argv", ["bench/perturbation.py"])
    results.PAGE.write_text("Before\n<!-- perturbation -->\nold\n<!-- end -->\nAfter\n")
    results.record("split: default", 1, "points")
    results.record("split: default", -1.25, "points", interval=(-2.0, 0.0))
    results.record("split: as published", 3, "points")
    results.record("merge, 10 %: default", 4, "points")
    results.tables()
    lines = results.PAGE.read_text().splitlines()
    assert lines[:8] == [
        "Before",
        "<!-- perturbation -->",
        "**synthetic**",
        "",
        "| | default, points | as published, points |",
        "|---|---|---|",
        "| split | -1.2 (-2.0 to 0.0) | 3.0 |",
        "| merge, 10 % | 4.0 |  |",
    ]
    assert lines[-2:] == ["<!-- end -->", "After"]


# --- Sets to segment --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
def test_stitched_sentences_are_signs_with_fifths_of_a_second_between():
    sentences = segmentation.stitched(DATA / "poses")
    assert [len(signs) for _, signs in sentences] == [6, 14, 14, 10]  # of 7, 16, 14 and 10 glosses: 3 lost all frames
    for poses, signs in sentences:
        assert signs[0].start == 0
        assert signs[-1].end == pytest.approx(poses.duration)
        joints = [round((b.start - a.end) * 25) for a, b in pairwise(signs)]
        assert set(joints) <= {4, 5, 10}


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
def test_reduced_poses_are_completed_near_where_the_body_has_its_points():
    whole = seasign.read_poses(DATA / "poses" / "dgs_example.pose")
    missing = [f"POSE_LANDMARKS.{name}" for name in ("NOSE", "LEFT_EYE", "MOUTH_RIGHT", "RIGHT_EAR", "LEFT_INDEX")]
    keep = [k for k, name in enumerate(whole.landmarks) if name not in missing]
    names = tuple(whole.landmarks[k] for k in keep)
    reduced = replace(whole, xyz=whole.xyz[:, keep], confidence=whole.confidence[:, keep], landmarks=names)
    made = segmentation.completed(reduced)
    assert len(made.landmarks) == 75
    sides = [whole.landmarks.index(f"POSE_LANDMARKS.{side}_SHOULDER") for side in ("LEFT", "RIGHT")]
    width = np.nanmedian(np.ptp(whole.xyz[:, sides, 0], axis=1))
    for name in missing:
        mine, true = made.xyz[:, made.landmarks.index(name), :2], whole.xyz[:, whole.landmarks.index(name), :2]
        assert np.nanmedian(np.hypot(*(mine - true).T)) < 0.12 * width, name


# --- Planted signs ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signs_of_sessions(tmp_path_factory):
    """The corpus of the bench, of made-up signs."""
    folder = tmp_path_factory.mktemp("made")
    data = spotting.tasks.Data(
        manifest=spotting.made_up(folder), valid_signers=("block 1",), test_signers=("block 2",), natural=4
    )
    joined = spotting.tasks.Joined(valid=4, signs=(3, 4))
    recipe = spotting.Recipe(data, spotting.tasks.Loop("roc_auc"), joined=joined)
    return spotting.JoinedSigns(recipe, spotting.Inputs(Fraction(10)))


@pytest.mark.parametrize("background", [False, True])
def test_cases_are_planted_where_they_say_half_of_them_and_the_same_again(signs_of_sessions, background):
    signing = [synthesize(0, duration=6.0).poses] if background else []
    cases = spotting.asked(signs_of_sessions, "test", "valid", 12, "balanced", signing)
    assert [len(case.spans) for case in cases] == [0, 1] * 6
    for case in cases:
        assert len(case.queries) == 1  # of each sign, a session has one token
        for span in case.spans:
            assert 0 <= span.start < span.end <= case.poses.duration + 0.1
            assert 0.3 < span.duration < 2.0
    again = spotting.asked(signs_of_sessions, "test", "valid", 12, "balanced", signing)
    np.testing.assert_array_equal(cases[7].poses.xyz, again[7].poses.xyz)
    assert cases[7].spans == again[7].spans


def test_cases_at_the_natural_rate_ask_for_any_sign(signs_of_sessions):
    cases = spotting.asked(signs_of_sessions, "test", "valid", 30, "natural")
    assert 0.15 < np.mean([bool(case.spans) for case in cases]) < 0.6  # 3 or 4 of 10 words


def test_a_spotter_that_knows_the_truth_gets_full_marks(signs_of_sessions):
    cases = spotting.asked(signs_of_sessions, "test", "valid", 12, "balanced")
    truth = {id(case.poses): case for case in cases}

    class Truth:
        calibration = (0.0, 1.0)

        def candidates(self, query, poses):
            return tuple(spotting.Spot(span.start, span.end, 5.0) for span in truth[id(poses)].spans)

    tables = spotting.measured(Truth(), {"chosen on": cases, "joined": cases}, ["no"])
    assert (
        set(tables) == {"joined", "joined, signs seen", "joined, signs unseen", "joined, five examples"}
        or len(tables) == 3
    )
    scores = tables["joined"]
    assert scores["balanced accuracy"] == scores["macro F1"] == scores["ROC-AUC"] == 100
    assert scores["IoU"] == scores["mAP@.3"] == scores["mAP@.5"] == 100


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
def test_hands_of_a_signer_become_poses_that_can_be_measured():
    sentence = segmentation.read(DATA / "boston104")[0]
    poses = spotting.hands(sentence)
    assert poses.xyz.shape == (sentence.hands.shape[1], 4, 3)
    np.testing.assert_allclose(poses.xyz[5, 2, :2], sentence.hands[0, 5], rtol=1e-6)


# --- Labels of CSLR2 --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lexicon():
    """Made-up signs by the words of the bench, four times each."""
    found = {}
    for number, (poses, one) in enumerate(synthesize_signs(len(pseudo_labels.WORDS), 4)):
        word = pseudo_labels.WORDS[number // 4]
        found.setdefault(word, []).append((poses, Sign(one.start, one.end, word)))
    return found


@pytest.fixture(scope="module")
def by(lexicon):
    """Calibrated, so that what is alike is found."""
    examples = pseudo_labels.examples({word: clips[:1] for word, clips in lexicon.items()}, 1, rng())
    return pseudo_labels.Annotator(examples, 0.03, (-18.0, 20.0))


def test_cues_say_about_four_of_five_words_near_their_time(lexicon):
    episodes = [pseudo_labels.sign(lexicon, np.random.default_rng(seed)) for seed in range(40)]
    off, said = [], []
    for episode in episodes:
        assert len(episode.signs) == 12
        for number, cue in enumerate(episode.cues):
            own = episode.signs[3 * number : 3 * number + 3]
            off.append(cue.end - own[-1].end)
            said += [pseudo_labels.says(cue, sign.gloss) for sign in own]
    assert np.std(off) == pytest.approx(0.5, abs=0.1)
    assert np.mean(said) == pytest.approx(0.8, abs=0.06)


def test_a_clip_has_the_labels_of_its_time(lexicon):
    episode = pseudo_labels.sign(lexicon, rng())
    truth = pseudo_labels.labelled(episode)
    for cue, clip in zip(episode.cues, pseudo_labels.clips(episode, truth), strict=True):
        begin = max(0.0, cue.start - 1)
        times = begin + (7 + 2 * clip.rows) / 25
        for at, word in zip(times, clip.words, strict=True):
            near = [sign.gloss for sign in episode.signs if sign.start - 0.09 <= at < sign.end + 0.09]
            assert pseudo_labels.WORDS[word] in near
        assert len(clip.rows) > 10


def test_an_annotator_with_examples_alike_is_mostly_right_whatever_the_way(lexicon, by):
    episodes = [pseudo_labels.sign(lexicon, np.random.default_rng(seed)) for seed in range(3)]
    said = [pseudo_labels.labels(episode, by) for episode in episodes]
    truth = [one["true times"] for one in said]
    found = {way: pseudo_labels.quality([one[way] for one in said], truth) for way in pseudo_labels.WAYS}
    assert found["true times"] == {"labels, precision": 100, "labels, of another word": 0, "labels, recall": 100}
    assert found["none"] == {"labels, recall": 0}
    for way in ("rule", "rule, words of the cue", "spotted"):
        assert found[way]["labels, precision"] > 40, way  # by lot: 6 %
        assert found[way]["labels, recall"] > 25, way
    for one in said:  # what no cue says is left out
        kept = one["rule, words of the cue"] >= 0
        np.testing.assert_array_equal(one["rule"][kept], one["rule, words of the cue"][kept])
        assert kept.sum() < (one["rule"] >= 0).sum()


def test_labels_are_counted_by_windows():
    truth, found = np.array([0, 0, 1, -1, -1]), np.array([0, 1, -1, -1, 0])
    scores = pseudo_labels.quality([found, found], [truth, truth])
    third = pytest.approx(100 / 3)
    assert scores == {"labels, precision": third, "labels, of another word": third, "labels, recall": third}


def test_the_book_has_every_way_to_label():
    lines = [json.loads(line) for line in results.BOOK.read_text(encoding="utf-8").splitlines()]
    latest = {(it["corpus"], it["metric"]): it["value"] for it in lines if it["bench"] == "pseudo_labels"}
    corpora = {corpus for corpus, _ in latest}
    assert len(corpora) == len(pseudo_labels.SHOTS)
    for corpus in corpora:
        own = {metric: value for (one, metric), value in latest.items() if one == corpus}
        for way in pseudo_labels.WAYS:
            for name in ("labels, recall", "WER", "windows right", "F1@.50"):
                assert 0 <= own[f"{way}: {name}"] < 200, way
        assert own["none: windows right"] < own["rule: windows right"]
        assert own["true times: labels, precision"] == own["true times: labels, recall"] == 100
        assert own["spotted: labels, precision"] > own["rule: labels, precision"]
