"""Scores of continuous recognition: the published evaluation to nine digits, and what words mean."""

import json
import re
from pathlib import Path

import pytest

from seasign.glosses import close, group, to_frames, walk, words_of
from seasign.metrics.glosses import OVERLAPS, evaluate_glosses
from seasign.types import InputError, Sign, Span

GOLDEN = Path(__file__).parent / "golden" / "cslr2"
INPUTS = json.loads((GOLDEN / "cslr_eval_inputs.json").read_text())
EXPECTED = json.loads((GOLDEN / "cslr_eval_expected.json").read_text())
SYNONYMS = close(INPUTS["synonyms_raw"])
NAMES = {number: word for word, number in INPUTS["vocab"].items()}
STEP = 2 / 25  # seconds


def sentences(split, synonyms=SYNONYMS):
    """What is signed in every sentence, and the guesses of every step."""
    for episode in INPUTS["episodes"].values():
        if episode["split"] != split:
            continue
        for start, end, _, glosses in episode["rows"]:
            signs = [
                Sign(float(a), float(b), gloss)
                for gloss, a, b in re.findall(r"([^\[\]]+)\[([\d.]+)--([\d.]+)\]", glosses)
            ]
            guesses = episode["predictions"][f"{start}--{end}"]
            yield to_frames(signs, Span(start, end), synonyms), guesses["labels"], guesses["probs"]


def test_synonyms_close_as_published():
    assert {word: frozenset(others) for word, others in INPUTS["synonyms_closed"].items()} == SYNONYMS


def test_a_synonym_that_is_no_word_is_refused():
    with pytest.raises(InputError, match="'glad' is given as a synonym of 'happy', and is no word itself"):
        close({"happy": ["glad"]})


@pytest.mark.parametrize("case", EXPECTED["synonym_combine"])
def test_guesses_that_mean_the_same_are_grouped_as_published(case):
    words, probabilities = group(case["labels"], case["probs"], SYNONYMS)
    assert list(words) == case["out_labels"]
    assert probabilities == pytest.approx(case["out_probs"], abs=1e-9)


def recognize(labels, probs, threshold, shortest, synonyms, grouped=True):
    """The signs that the published evaluation reads from guesses."""
    steps = [
        group([NAMES[label] for label in step], each, synonyms if grouped else {})
        for step, each in zip(labels, probs, strict=True)
    ]
    said = [words_of(words[0]) if each[0] >= threshold else None for words, each in steps]
    runs = walk(said, synonyms, shortest=shortest)
    if shortest == 1 and said and said[0] is None:  # that code takes a rest at the start for a sign of one step
        runs.insert(0, (0, 1, frozenset()))
    return [Sign(first * STEP, stop * STEP, " ".join(sorted(words))) for first, stop, words in runs]


def score(split, threshold, shortest, synonyms=SYNONYMS, **settings):
    true, found = [], []
    for signs, labels, probs in sentences(split, synonyms):
        true.append(signs)
        found.append(recognize(labels, probs, threshold, shortest, synonyms, **settings))
    return evaluate_glosses(true, found, synonyms)


RUNS = {
    "tuned_on_train": {"threshold": 0.0, "shortest": 4},
    "tau0.0_mc1": {"threshold": 0.0, "shortest": 1},
    "tau0.4_mc3": {"threshold": 0.4, "shortest": 3},
    "tau0.4_mc3_no_grouping": {"threshold": 0.4, "shortest": 3, "grouped": False},
    "tau0.4_mc3_no_synonyms": {"threshold": 0.4, "shortest": 3, "synonyms": {}},
}


@pytest.mark.parametrize("name", RUNS)
def test_scores_are_as_published(name):
    found, expected = score("test", **RUNS[name]), EXPECTED["runs"][name]
    assert (found.signs, found.edits) == (expected["GT length"], expected["Edit score"])
    assert found.wer == pytest.approx(expected["WER"], abs=1e-9)
    assert found.bag_iou == pytest.approx(expected["Segment IoU"], abs=1e-9)
    assert list(found.f1.values()) == pytest.approx([expected[f"mF1@{k}"] for k in OVERLAPS], abs=1e-9)


@pytest.mark.parametrize("row", EXPECTED["train_search"]["rows"], ids=lambda row: f"{row[0]}, {row[1]}")
def test_the_search_over_thresholds_is_as_published(row):
    threshold, shortest, _, wer, signs = row
    found = score("train", threshold, shortest)
    assert found.signs == signs
    assert found.wer == pytest.approx(wer, abs=1e-9)
