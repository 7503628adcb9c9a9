"""Glosses and texts by their letters: what is nearer to what, in any script, and what it is worth."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seasign
from seasign.models.gloss_text import GlossText, spell, words
from seasign.synthesis import Stress, synthesize
from seasign.types import InputError, Sign


def similarity(texts, glosses, **settings):
    embedder = GlossText(**settings)
    signs = [Sign(0, 1, gloss) for gloss in glosses]
    return seasign.compare(embedder.text(texts), embedder.signs(None, signs))


@pytest.mark.parametrize(
    ("word", "inflected", "other"),
    [
        ("house", "houses", "tree"),
        ("RAIN", "rainy", "sun"),
        ("Wetter", "Wetters", "Sonne"),
        ("Größe", "GROESSEN", "Haus"),
        ("погода", "погоды", "дом"),
        ("hello", "hell", "garden"),
        ("בית", "הבית", "עץ"),
        ("मौसम", "मौसमी", "घर"),
        ("날씨", "날씨가", "집"),
        ("天气", "天气预报", "房子"),
    ],
)
def test_a_word_is_nearest_to_itself_then_to_its_forms_then_to_others(word, inflected, other):
    itself, form, stranger = similarity([word], [word, inflected, other])[0]
    assert itself == pytest.approx(1, abs=1e-5)
    assert 0.99 > form > 0.2
    assert abs(stranger) < 0.2


@given(st.text(st.characters(categories=["L"]), min_size=1, max_size=12))
def test_every_word_of_letters_is_itself(word):
    assert words(word), "letters make words"
    assert similarity([word], [word])[0, 0] > 0.9


@given(st.lists(st.sampled_from("house rain sun weather mountain tomorrow".split()), min_size=1, max_size=6))
def test_a_gloss_that_is_a_word_of_a_text_scores_about_1_and_another_about_0(said):
    glosses = "HOUSE RAIN SUN WEATHER MOUNTAIN TOMORROW".split()
    for gloss, score in zip(glosses, similarity([" ".join(said)], glosses)[0], strict=True):
        assert score == pytest.approx(float(gloss.lower() in said), abs=0.25)


def test_case_accents_and_punctuation_do_not_count():
    assert words("Ça va, İstanbul? ﬁne!") == ["ca", "va", "istanbul", "fine"]
    assert words("हिन्दी ไม้") == ["हिनदी", "ไม"]
    assert words("今天雨 ok") == ["今天", "天雨", "ok"]
    assert words("天雨", single=True) == ["天雨", "天", "雨"]
    assert words("雨", single=True) == ["雨"]
    assert words("12 !? _") == []


def test_a_sign_of_a_character_is_found_in_a_text_without_spaces():
    (row,) = similarity(["明天会下雨吗"], ["雨", "明天", "山"])
    assert row[0] > 0.9
    assert row[1] > 0.9
    assert abs(row[2]) < 0.2


def test_what_transcribers_note_beside_a_gloss_does_not_count():
    glosses = ["fs-HOUSE", "(2h)HOUSE", 'HOUSE"big"', "HOUSE"]
    np.testing.assert_allclose(similarity(["house"], glosses), 1, atol=1e-5)
    assert similarity(["a house by the sea"], ["HOUSE/TREE"])[0, 0] == pytest.approx(0.5, abs=0.1)  # half of it


def test_nothing_is_0():
    assert not GlossText().text(["", "12", "♪"]).vectors.any()
    signs = [Sign(0, 1), Sign(1, 2, "HOUSE"), Sign(2, 3, "5")]
    assert GlossText().signs(None, signs).vectors.any(axis=1).tolist() == [False, True, False]
    assert GlossText().text([]).vectors.shape == (0, 4096)
    assert GlossText().signs(None, []).vectors.shape == (0, 4096)
    with pytest.raises(InputError, match="none of 2 signs has a gloss"):
        GlossText().signs(None, [Sign(0, 1), Sign(1, 2)])


def test_vectors_are_the_same_in_every_process():
    code = "from seasign.models.gloss_text import spell; print(spell('house', 4096, (3, 4, 5))[0])"
    for seed in "12":
        run = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True)
        assert run.stdout.strip() == str(spell("house", 4096, (3, 4, 5))[0])


def test_other_settings_are_another_space():
    plain, learned = GlossText(), GlossText(projection=np.eye(4096, 8, dtype=np.float32))
    assert learned.text(["house"]).vectors.shape == (1, 8)
    other = GlossText(projection=2 * np.eye(4096, 8, dtype=np.float32))
    spaces = {it.space for it in (plain, learned, other, GlossText(buckets=64), GlossText(lengths=(2,)))}
    assert len(spaces) == 5
    with pytest.raises(InputError, match="cannot compare"):
        seasign.compare(plain.text(["house"]), learned.text(["house"]))


@pytest.mark.filterwarnings("ignore")  # the lag is a guess, and cues are out of order
def test_glosses_bring_more_cues_to_their_signing():
    found = {"time": [], "glosses": []}
    for seed in range(4):
        episode = synthesize(seed, duration=240.0, fps=None, stress=Stress(wobble=3.0))
        for name, embedder in (("time", None), ("glosses", GlossText())):
            aligned = seasign.align(episode.signs, episode.cues, embedder=embedder)
            found[name].append(seasign.evaluate(episode.reference, aligned.cues).as_json()["f1@0.50"])
    assert np.mean(found["glosses"]) > np.mean(found["time"]) + 10, found
