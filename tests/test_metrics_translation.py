"""BLEU, chrF, ROUGE-L, word error rate, and single signs: the published numbers, and what they must not do."""

import json
import math
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seasign.metrics.glosses import WordErrors, align_words, evaluate_glosses, evaluate_words
from seasign.metrics.translation import (
    count_glosses,
    count_isolated,
    count_translation,
    evaluate_isolated,
    evaluate_translation,
    join_cues,
    rouge_l,
    rouge_l_plain,
)
from seasign.types import Cue, InputError, InputWarning, Sign
from seasign.uncertainty import bootstrap_texts

GOLDEN = json.loads((Path(__file__).parent / "golden" / "sigma" / "translation_metrics.json").read_text())
SENTENCES = st.lists(st.sampled_from("abcd"), max_size=7)
needs_sacrebleu = pytest.mark.usefixtures("_sacrebleu")


@pytest.fixture
def _sacrebleu():
    pytest.importorskip("sacrebleu")


@needs_sacrebleu
def test_translations_score_what_was_published():
    golden = GOLDEN["slt"]
    scores = evaluate_translation(golden["refs"], golden["hyps"])
    assert scores.bleu == pytest.approx(tuple(golden["bleu"][f"bleu{n}"] for n in (1, 2, 3, 4)), abs=1e-6)
    assert scores.bleu[3] == pytest.approx(golden["sacrebleu_2_2_0"]["score"], abs=1e-6)
    assert scores.rouge_l == pytest.approx(golden["rouge_l_f"], abs=1e-6)
    assert (scores.sentences, scores.tokenization) == (60, "13a")


def test_glosses_and_single_signs_score_what_was_published():
    golden = GOLDEN["cslr"]
    errors = evaluate_words(golden["refs"], golden["hyps"])
    assert errors.wer == pytest.approx(golden["wer"], abs=1e-6)
    for kind, name in ("deletions", "del_rate"), ("insertions", "ins_rate"), ("substitutions", "sub_rate"):
        assert errors.rate(getattr(errors, kind)) == pytest.approx(golden[name], abs=1e-6)
    assert errors.least_wer == pytest.approx(golden["wer"], abs=1e-6), "equal here, not in general"
    golden = GOLDEN["islr"]
    scores = evaluate_isolated(golden["refs"], golden["hyps"])
    assert (scores.per_instance, scores.per_class) == pytest.approx(
        (golden["per_instance"], golden["per_class"]), abs=1e-6
    )
    assert (scores.signs, scores.classes) == (len(golden["refs"]), len(set(golden["refs"])))


@needs_sacrebleu
def test_chrf_is_that_of_sacrebleu_and_counts_add_up_to_it():
    from sacrebleu.metrics import BLEU, CHRF

    golden = GOLDEN["slt"]
    half = count_translation(golden["refs"], golden["hyps"]).pool(np.repeat([[1, 0]], 30, axis=1))[0]
    refs, hyps = golden["refs"][:30], golden["hyps"][:30]
    assert half[4] == pytest.approx(CHRF().corpus_score(hyps, [refs]).score, abs=1e-9)
    assert half[3] == pytest.approx(BLEU(force=True).corpus_score(hyps, [refs]).score, abs=1e-9)


@needs_sacrebleu
def test_chinese_is_scored_by_characters_whatever_the_spaces_and_the_width():
    from sacrebleu.metrics import BLEU

    reference = ["今天 天气 很 好 ， 你 去 哪里 ？", "我 们 都 是 好 朋 友"]  # noqa: RUF001
    estimate = ["今天天气好,你去哪里?", "我们是朋友"]
    scores = evaluate_translation(reference, estimate, tokenize="char")
    spaced = [
        [" ".join(text.replace(" ", "").replace("，", ",").replace("？", "?")) for text in side]  # noqa: RUF001
        for side in (reference, estimate)
    ]
    assert scores.bleu[3] == pytest.approx(BLEU(force=True).corpus_score(spaced[1], [spaced[0]]).score, abs=1e-9)
    assert scores.rouge_l == evaluate_translation(*spaced).rouge_l > 80
    assert scores.tokenization == "char"
    assert evaluate_translation(reference, reference, tokenize="zh").bleu[3] == pytest.approx(100)
    with pytest.warns(InputWarning, match="without spaces.*by char"):
        evaluate_translation(["今天天气很好你去哪里"], ["今天天气很好"])


@needs_sacrebleu
@pytest.mark.parametrize(
    ("reference", "estimate", "line"),
    [
        (["a"], ["a", "b"], "1 sentences in the reference and 2 in the estimate"),
        ([], [], "no sentences"),
        (["a", " ", ""], ["a", "b", "c"], "2 of 3 references are empty, the first is number 2"),
        (["sample: 001, ground-truth: hello"], ["hello"], "the reference has 'sample: 001"),
        (["hello"], ["sample: 001, prediction: hello"], "the estimate has 'sample: 001.*take .* off"),
    ],
)
def test_sentences_that_cannot_be_scored_are_refused_in_one_line(reference, estimate, line):
    with pytest.raises(InputError, match=line):
        evaluate_translation(reference, estimate)
    with pytest.raises(InputError, match="no tokenization 'spm'"):
        evaluate_translation(["a"], ["a"], tokenize="spm")


@needs_sacrebleu
def test_an_empty_translation_scores_nothing():
    scores = evaluate_translation(["hello there", "good"], ["", ""])
    assert (scores.bleu, scores.chrf, scores.rouge_l, scores.rouge_l_plain) == ((0, 0, 0, 0), 0, 0, 0)


def test_rouge_of_tables_counts_a_word_once_and_the_plain_one_as_often_as_it_stands():
    assert rouge_l("a a a b".split(), "a b".split()) == pytest.approx(1, abs=1e-7)
    assert rouge_l_plain("a a a b".split(), "a b".split()) == pytest.approx(2 / 3, abs=1e-7)
    assert rouge_l("a . b".split(), "b . a".split()) == pytest.approx(1, abs=1e-7), "pieces may be in another order"
    assert rouge_l_plain("a . b".split(), "b . a".split()) < 0.5


def test_more_than_255_words_do_not_overflow():
    words = [f"G{i}" for i in range(400)]
    assert evaluate_words([" ".join(words)], [""]) == WordErrors(1, 400, 400, 0, 0, 400)
    assert evaluate_words([" ".join(words)], [" ".join(["x", *words[:-1]])]) == WordErrors(1, 400, 1, 1, 0, 2)


def test_the_error_rate_may_exceed_100_and_three_kinds_are_told_apart():
    assert evaluate_words(["a"], ["b c d"]).wer == 300
    assert evaluate_words(["a b c"], ["a x c"]).substitutions == 1
    assert evaluate_words(["a b c"], ["a c"]).deletions == 1
    assert evaluate_words(["a c"], ["a b c"]).insertions == 1
    assert math.isnan(evaluate_words([""], ["a"]).wer)
    with pytest.raises(InputError, match="1 sentences in the reference and 0"):
        evaluate_words(["a"], [])


def test_least_edits_are_fewer_where_substitutions_are_dear():
    pairs = [" ".join(words) for words in product("ab", repeat=5)]
    scores = [evaluate_words([a], [b]) for a in pairs for b in pairs]
    assert all(it.edits <= it.deletions + it.insertions + it.substitutions for it in scores)
    shifted = evaluate_words(["a b c"], ["c x y"])  # 4 deletions and insertions cost as much as 3 substitutions
    assert (shifted.deletions, shifted.insertions, shifted.substitutions, shifted.edits) == (2, 2, 0, 3)
    assert shifted.least_wer == 100 < shifted.wer


@settings(deadline=None)
@given(SENTENCES, SENTENCES)
def test_words_are_aligned_at_the_least_cost(reference, estimate):
    def cheapest(i, j):
        if not i or not j:
            return 3 * (i + j)
        same = reference[i - 1] == estimate[j - 1]
        return min(cheapest(i - 1, j - 1) + 4 * (not same), cheapest(i - 1, j) + 3, cheapest(i, j - 1) + 3)

    steps = align_words(reference, estimate)
    cost = sum(3 if None in step else 4 * (reference[step[0]] != estimate[step[1]]) for step in steps)
    assert cost == cheapest(len(reference), len(estimate))
    for side, words in enumerate((reference, estimate)):
        assert [step[side] for step in steps if step[side] is not None] == list(range(len(words)))


@settings(deadline=None)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_least_edits_are_those_of_timed_glosses(pairs):
    def timed(words):
        return [Sign(i, i + 1, word) for i, word in enumerate(words)]

    pairs = [(a, b) for a, b in pairs if a]
    scores = evaluate_glosses([timed(a) for a, _ in pairs], [timed(b) for _, b in pairs])
    assert evaluate_words([" ".join(a) for a, _ in pairs], [" ".join(b) for _, b in pairs]).edits == scores.edits


def test_single_signs_count_by_instance_and_by_class():
    scores = evaluate_isolated(["a", "a", "a", "b"], ["a", " a ", "b", "a"])
    assert (scores.per_instance, scores.per_class) == pytest.approx((50, 100 / 3))


def test_cues_of_other_times_are_read_by_what_they_share():
    reference = [Cue(0, 4, "one two"), Cue(4, 8, "three"), Cue(20, 24, "four")]
    estimate = [Cue(5, 7, "three"), Cue(2, 3.9, "two"), Cue(0, 2, "one"), Cue(9, 10, "and more")]
    assert join_cues(reference, estimate) == ("one two", "three and more", "")
    with pytest.raises(InputError, match="no cues in the reference"):
        join_cues([], estimate)


@needs_sacrebleu
def test_intervals_hold_the_score_and_are_wider_by_groups():
    golden = GOLDEN["slt"]
    counted = count_translation(golden["refs"], golden["hyps"])
    intervals = bootstrap_texts(counted, draws=200)
    scores = evaluate_translation(golden["refs"], golden["hyps"]).as_json()
    assert {name: it.value for name, it in intervals.items()}.items() <= scores.items()
    assert all(it.low < it.value < it.high for it in intervals.values())
    assert intervals == bootstrap_texts(counted, draws=200), "the same draws for the same seed"
    golden = GOLDEN["islr"]
    names = count_isolated(golden["refs"], golden["hyps"])
    alone, by_class = (bootstrap_texts(names, groups=it)["per_instance"] for it in (None, golden["refs"]))
    assert by_class.high - by_class.low > alone.high - alone.low
    glosses = count_glosses(GOLDEN["cslr"]["refs"], GOLDEN["cslr"]["hyps"])
    wer = bootstrap_texts(glosses, draws=200)["wer"]
    assert wer.low < wer.value < wer.high
    assert wer.value == pytest.approx(GOLDEN["cslr"]["wer"], abs=1e-6)
    with pytest.raises(InputError, match="150 sentences have 1 groups"):
        bootstrap_texts(names, groups=["a"])
    with pytest.warns(InputWarning, match="no interval"):
        assert math.isnan(bootstrap_texts(count_isolated(["a"], ["a"]))["per_class"].low)


def test_lacking_sacrebleu_says_the_light_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs sacrebleu: pip install sacrebleu$"):
        evaluate_translation(["a"], ["a"])
