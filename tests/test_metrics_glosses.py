"""Scores of continuous recognition: the published evaluation to nine digits, and what words mean."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seasign.glosses import close, group, name_of, paint, to_frames, walk, words_of
from seasign.metrics.glosses import OVERLAPS, FrameScores, GlossScores, evaluate_frames, evaluate_glosses
from seasign.models.wordnet import wordnet
from seasign.types import InputError, InputWarning, Sign, Span

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


def test_words_that_are_not_in_the_vocabulary_are_counted():
    with pytest.warns(InputWarning, match="1 of 2 words that have synonyms are not in the vocabulary, such as 'hous'"):
        assert close({"hous": [], "home": []}, ["Home", "tree"])["home"] == {"home"}


@pytest.mark.parametrize(
    ("true", "found"), [("THANK-YOU", "thanks"), ("Thanks", "thank you"), ("x/Thank you", "thanks")]
)
def test_synonyms_may_be_several_words_in_any_case(true, found):
    synonyms = close({"Thank You": ["thanks"], "THANKS": []})
    given = [[Sign(0.0, 1.0, true)]], [[Sign(0.0, 1.0, found)]]
    assert evaluate_glosses(*given, synonyms).wer == 0
    assert evaluate_glosses(*given).wer == 100


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


# Frames ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_frame_accuracy_is_as_published(name):
    synonyms, grouped = RUNS[name].get("synonyms", SYNONYMS), RUNS[name].get("grouped", True)
    true, found = [], []
    for episode in INPUTS["episodes"].values():
        for start, end, _, glosses in episode["rows"] if episode["split"] == "test" else ():
            signs = [
                Sign(float(a), float(b), gloss)
                for gloss, a, b in re.findall(r"([^\[\]]+)\[([\d.]+)--([\d.]+)\]", glosses)
            ]
            true.append(paint(signs, Span(start, end)))
            guesses = episode["predictions"][f"{start}--{end}"]
            steps = zip(guesses["labels"], guesses["probs"], strict=True)
            tops = [group([NAMES[one] for one in labels], p, synonyms if grouped else {})[0][0] for labels, p in steps]
            found.append([words_of(top) for top in tops for _ in range(2)])
    scores = evaluate_frames(true, found, synonyms)
    assert scores.published_accuracy == pytest.approx(EXPECTED["runs"][name]["frame accuracy"], abs=1e-9)
    assert scores.accuracy > scores.published_accuracy


def test_frames_without_a_sign_count_for_the_published_accuracy_alone():
    a, b = words_of("a"), words_of("b")
    scores = evaluate_frames([[a, a, None, b], [b]], [[a, b, b, None, a], [b, b]])
    assert scores == FrameScores(frames=5, annotated=4, correct=2)
    assert (scores.accuracy, scores.published_accuracy) == (50, 40)
    assert evaluate_frames([], []).accuracy != evaluate_frames([], []).accuracy  # NaN
    with pytest.raises(InputError, match="1 sentences in the reference and 0 in the estimate"):
        evaluate_frames([[a]], [])


# Lemmas ---------------------------------------------------------------------------------------------------------------

FILES = {  # a WordNet of four words, as NLTK reads it
    "lexnames": "00\tadj.all\t3\n",
    "index.noun": "house n 1 0 1 0 00000001\nrun n 1 0 1 0 00000002\nmouse n 1 0 1 0 00000003\n",
    "index.verb": "run v 1 0 1 0 00000001\nhouse v 1 0 1 0 00000002\nsee v 1 0 1 0 00000003\n",
    "verb.exc": "ran run\nsaw see\n",
    "noun.exc": "mice mouse\n",
    "data.adj": "  1 This is WordNet 3.0 in small\n",
}
EMPTY = "cntlist.rev index.sense index.adj index.adv data.adv data.noun data.verb adj.exc adv.exc"


def lemmas(folder, *words):
    """What a process with these data makes of words."""
    code = (
        "import sys; from seasign.models.wordnet import wordnet; from seasign.types import InputError\n"
        "try: print(*map(wordnet, sys.argv[1:]))\n"
        "except InputError as error: print(error)"
    )
    settings = os.environ | {"NLTK_DATA": str(folder), "HOME": str(folder)}
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=settings, check=True)
    return ran.stdout.strip()


def test_wordnet_makes_one_word_of_its_forms_as_verb_then_as_noun(tmp_path):
    pytest.importorskip("nltk")
    data = tmp_path / "corpora" / "wordnet"
    data.mkdir(parents=True)
    for name, text in (dict.fromkeys(EMPTY.split(), "") | FILES).items():
        (data / name).write_text(text)
    assert lemmas(tmp_path, "houses", "ran", "runs", "mice", "saw", "unknowns") == "house run run mouse see unknowns"


def test_wordnet_that_is_not_here_is_not_fetched(tmp_path):
    pytest.importorskip("nltk")
    line = "WordNet's data are not here, and are not fetched; run once: python -m nltk.downloader wordnet"
    assert lemmas(tmp_path, "houses") == line
    assert not list(tmp_path.iterdir())


def test_the_lemmatizer_matches_forms_and_is_in_the_scores():
    def stem(word):
        return word.rstrip("s")

    reference, estimate = [[Sign(0, 1, "houses")]], [[Sign(0, 1, "House")]]
    plain, stemmed = evaluate_glosses(reference, estimate), evaluate_glosses(reference, estimate, lemmatize=stem)
    assert (plain.wer, plain.as_json()["lemmatizer"]) == (100, "identity")
    assert (stemmed.wer, stemmed.as_json()["lemmatizer"]) == (0, "stem")
    assert (stemmed + stemmed).lemmatizer == "stem"
    assert name_of(wordnet) == "wordnet"
    with pytest.raises(InputError, match="scores by identity and by stem do not add up"):
        plain + stemmed
    assert GlossScores().as_json()["wer"] is None
