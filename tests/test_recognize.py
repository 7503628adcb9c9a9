"""Continuous recognition: what is planted is found, labels and thresholds are as published, memory stays bounded."""

import json
import re
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from seasign import recognition
from seasign.glosses import close, to_frames
from seasign.recognition import (
    Decode,
    Recognizer,
    Vocabulary,
    Walk,
    WindowGuesses,
    cut_guesses,
    cut_windows,
    find_alternatives,
    guess_words,
    label_windows,
    likeliest_words,
    read_guesses,
    recognize,
    tune_recognition,
    window_at,
)
from seasign.types import Embeddings, InputError, Sign, Span, WindowFeatures

GOLDEN = Path(__file__).parent / "golden" / "cslr2"
LABELS = json.loads((GOLDEN / "pseudo_labels.json").read_text())
ARRAYS = np.load(GOLDEN / "pseudo_labels.npz")
INPUTS = json.loads((GOLDEN / "cslr_eval_inputs.json").read_text())
EXPECTED = json.loads((GOLDEN / "cslr_eval_expected.json").read_text())


def features(vectors, **settings):
    return WindowFeatures(np.asarray(vectors, np.float32), Fraction(25), "here", **settings)


def unit(rng, *shape):
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


# Labels ---------------------------------------------------------------------------------------------------------------


def seconds(text):
    hours, minutes, rest = text.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


@pytest.mark.parametrize(
    "case", LABELS["items"], ids=lambda case: f"{case['sub']}, {case['min_count']}, {case['grouping']}"
)
def test_labels_to_learn_from_are_as_published(case):
    vocabulary = tuple(sorted(LABELS["vocab"], key=LABELS["vocab"].get))
    whole = WindowGuesses(ARRAYS["pseudo_labels"], ARRAYS["pseudo_probs"], vocabulary, features(ARRAYS["features"]))
    start, end = (seconds(LABELS["subtitles"][edge][case["sub"]]) for edge in ("start", "end"))
    span = Span(start - LABELS["temporal_pad"], end + LABELS["temporal_pad"])
    some = cut_windows(whole.windows, span)
    assert (some.start, some.stop - some.start) == (case["first_feature_row"], case["n_features"])
    synonyms = close(LABELS["synonyms_raw"]) if case["grouping"] else {}
    rows, words = label_windows(cut_guesses(whole, span), synonyms, shortest=case["min_count"], least=case["threshold"])
    assert rows.tolist() == case["target_indices"]
    assert words.tolist() == case["target_labels"]


def test_a_window_is_that_whose_centre_was_last():
    windows = features(np.zeros((9, 1)))
    assert [window_at(windows, frame) for frame in (0, 6, 7, 8, 9, 10, 11)] == [0, 0, 0, 0, 1, 1, 2]
    np.testing.assert_allclose(windows.times[:3], [7 / 25, 9 / 25, 11 / 25])


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (Span(-0.1, 0.5), "outside of the video"),
        (Span(0.5, 9.0), "outside of the video, whose windows end at 1.32 s"),
        (Span(0.48, 0.5), "holds no window"),
    ],
)
def test_a_span_that_holds_no_windows_is_refused(span, words):
    with pytest.raises(InputError, match=words):
        cut_windows(features(np.zeros((9, 1))), span)


# Guesses --------------------------------------------------------------------------------------------------------------


def test_guesses_are_those_of_the_whole_matrix(monkeypatch):
    rng = np.random.default_rng(0)
    windows, words = unit(rng, 90, 16), unit(rng, 40, 16)
    scores = windows.astype(float) @ words.astype(float).T / 0.05
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    order = np.argsort(-probabilities, axis=1)[:, :5]
    monkeypatch.setattr("seasign.recognition.AT_ONCE", 7 * 40)  # in 13 parts
    found = guess_words(features(windows), Embeddings(words, "here"), [f"w{i}" for i in range(40)])
    np.testing.assert_array_equal(found.words, order)
    np.testing.assert_allclose(found.probabilities, np.take_along_axis(probabilities, order, axis=1), rtol=1e-4)


def test_fewer_words_than_are_kept_are_all_kept_and_of_equal_ones_the_earlier_is_first():
    words = np.ones((3, 4), np.float32) / 2
    found = guess_words(features(words[:2]), Embeddings(words, "here"), ["a", "b", "c"])
    assert found.words.tolist() == [[0, 1, 2]] * 2
    np.testing.assert_allclose(found.probabilities, 1 / 3, rtol=1e-6)


def test_memory_does_not_grow_with_windows_times_words():
    rng = np.random.default_rng(0)
    windows, words = unit(rng, 6_000, 8), unit(rng, 4_000, 8)
    tracemalloc.start()
    guess_words(features(windows), Embeddings(words, "here"), [str(i) for i in range(4_000)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90e6  # all scores alone would be 96 MB, and three times that to sort them


@pytest.mark.parametrize(
    ("windows", "words", "vocabulary", "message"),
    [
        (features(np.eye(2)), Embeddings(np.eye(2), "there"), ["a", "b"], "cannot compare 'here' with 'there'"),
        (features(np.eye(2)), Embeddings(np.eye(2), "here"), ["a"], "1 words have 2 vectors"),
        (features(np.eye(2)), Embeddings(np.zeros((0, 2)), "here"), [], "0 words have 0 vectors"),
        (features(np.full((1, 2), np.nan)), Embeddings(np.eye(2), "here"), ["a", "b"], "1 of 1 windows hold numbers"),
    ],
)
def test_what_cannot_be_compared_is_refused(windows, words, vocabulary, message):
    with pytest.raises(InputError, match=message):
        guess_words(windows, words, vocabulary)


# Signs ----------------------------------------------------------------------------------------------------------------


class Known:
    """A recognizer whose windows are there already."""

    def windows(self, signing):
        return signing

    def words(self, texts, vectors=None):
        return vectors


def planted():
    """Three signs and rests between, in the space of their words; a rest is near to none."""
    words = np.eye(6, dtype=np.float32)
    truth = [(4, 12, 0), (12, 20, 1), (26, 36, 2)]
    vectors = np.zeros((44, 6), np.float32)
    for first, stop, word in truth:
        vectors[first:stop, word] = 1
    vocabulary = Vocabulary(("house", "tree", "thank you", "a", "b", "c"), Embeddings(words, "here"))
    edges = [((7 + 2 * first) / 25, (7 + 2 * stop) / 25, vocabulary.words[word]) for first, stop, word in truth]
    return features(vectors), vocabulary, edges


@pytest.mark.parametrize("reading", [None, Walk(0.5, 4), Decode()], ids=["default", "walk", "decode"])
def test_planted_signs_are_found_with_their_words(reading):
    windows, vocabulary, edges = planted()
    assert isinstance(Known(), Recognizer)
    signs = recognize(windows, vocabulary, Known(), reading=reading)
    assert [(sign.start, sign.end, sign.gloss) for sign in signs] == edges
    assert all(sign.score > 0.99 for sign in signs)


def test_a_sign_is_as_long_as_asked_and_as_sure():
    windows, vocabulary, _ = planted()
    assert [sign.gloss for sign in recognize(windows, vocabulary, Known(), reading=Walk(0.5, 9))] == ["thank you"]
    assert recognize(windows, vocabulary, Known(), reading=Walk(1.1, 1)) == ()
    with pytest.raises(InputError, match="a window or more"):
        Walk(0.5, 0)


def test_alternatives_are_the_mean_guesses_over_a_sign():
    words = np.array([[0, 1], [0, 2], [1, 0]])
    guesses = WindowGuesses(words, np.array([[0.6, 0.4], [0.8, 0.2], [0.5, 0.3]]), ("a", "b", "c"), features(np.eye(3)))
    (sign,) = read_guesses(guesses, Walk(0.55, 1))
    assert (sign.gloss, sign.score) == ("a", pytest.approx(0.7))
    ((first, second, third),) = find_alternatives([sign], guesses)
    assert [first[0], second[0], third[0]] == ["a", "b", "c"]
    assert [first[1], second[1], third[1]] == pytest.approx([0.7, 0.2, 0.1])


@pytest.mark.parametrize("words", [("big", "large"), ("BIG", "Large"), ("ever so big", "large-ish")])
def test_synonyms_are_one_sign_whose_word_is_the_first(words):
    guesses = WindowGuesses(
        np.array([[0, 1], [1, 0]]), np.array([[0.3, 0.25], [0.3, 0.25]]), words, features(np.eye(2))
    )
    synonyms = close({words[0].lower(): [words[1]], words[1]: []}, words)
    assert [sign.gloss for sign in read_guesses(guesses, Walk(0.5, 2), synonyms)] == [words[0]]
    assert read_guesses(guesses, Walk(0.5, 1)) == ()


def test_words_that_are_not_guessed_cost_nothing(monkeypatch):
    """Sentences are many, and so are the words of a vocabulary: both times both would take hours."""
    asked = []
    monkeypatch.setattr(recognition, "words_of", lambda word: asked.append(word) or frozenset({word}))
    vocabulary = tuple(f"word{number}" for number in range(5_000))
    guesses = WindowGuesses(np.array([[7, 9]] * 6), np.array([[0.6, 0.3]] * 6), vocabulary, features(np.eye(6)))
    assert [sign.gloss for sign in read_guesses(guesses, Walk())] == ["word7"]
    assert likeliest_words(guesses)[0] == {"word7"}
    assert set(asked) == {"word7"}


# Settings -------------------------------------------------------------------------------------------------------------


def test_tuning_finds_the_published_settings():
    synonyms = close(INPUTS["synonyms_raw"])
    vocabulary = tuple(sorted(INPUTS["vocab"], key=INPUTS["vocab"].get))
    sentences = []
    for episode in INPUTS["episodes"].values():
        if episode["split"] != "train":
            continue
        for start, end, _, glosses in episode["rows"]:
            found = re.findall(r"([^\[\]]+)\[([\d.]+)--([\d.]+)\]", glosses)
            signs = to_frames([Sign(float(a), float(b), gloss) for gloss, a, b in found], Span(start, end), synonyms)
            step = episode["predictions"][f"{start}--{end}"]
            windows = features(np.zeros((len(step["labels"]), 1)), first=0)
            guesses = WindowGuesses(np.array(step["labels"]), np.array(step["probs"]), vocabulary, windows)
            sentences.append((guesses, signs))
    tuned = tune_recognition(sentences, synonyms, split="train", thresholds=(0.0, 0.1, 0.4), shortest=(2, 3, 4, 5))
    assert tuned.walk == Walk(0.0, 4)
    assert tuned.split == "train"
    assert tuned.scores.lemmatizer == "identity"
    cell = {(row[0], row[1]): row[3] for row in EXPECTED["train_search"]["rows"]}
    assert tuned.scores.wer == pytest.approx(cell[0.0, 4], abs=1e-9)


def test_settings_are_not_tuned_on_what_they_are_tested_on():
    windows, vocabulary, _ = planted()
    guesses = guess_words(windows, vocabulary.vectors, vocabulary.words)
    for split in ("public_test", "Test2", "cslr-testset"):
        with pytest.raises(InputError, match=f"tuned on '{split}' say nothing"):
            tune_recognition([(guesses, [Sign(0, 1, "house")])], split=split)
    assert tune_recognition([(guesses, [Sign(0, 1, "house")])], split="latest").split == "latest"
    with pytest.raises(InputError, match="none of 1 sentences of 'dev' has signs"):
        tune_recognition([(guesses, [])], split="dev")
