"""Search and its scores: published numbers, an oracle that sorts lists, and what must not be asked."""

import doctest
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.metrics import AT, Ranks, count_retrieval, evaluate_retrieval, guess_retrieval
from seasign.retrieval import search
from seasign.types import Embeddings, InputError, InputWarning
from seasign.uncertainty import bootstrap_retrieval

GOLDEN = Path(__file__).parent / "golden" / "signclip_tiny"


def test_scores_of_retrieval_are_as_published():
    published = json.loads((GOLDEN / "case_h_metrics.json").read_text())
    scores, texts = np.load(GOLDEN / "case_h_scores_text_by_video.npy"), published["texts"]
    found = evaluate_retrieval(scores, texts, texts)
    for direction, expected in ((found.text_to_sign, "t2v"), (found.sign_to_text, "v2t")):
        expected = published["metrics"][expected]
        assert direction.recall == pytest.approx([expected[f"R{k}"] for k in AT])
        assert (direction.median_rank, direction.mean_rank) == (expected["MedianR"], pytest.approx(expected["MeanR"]))
        if direction.precision:
            assert direction.precision == pytest.approx([expected[f"P{k}"] for k in AT])


@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_scores_of_retrieval_equal_those_of_sorted_lists(words, count, seed):
    rng = np.random.default_rng(seed)
    signs = [f"word {number}" for number in rng.integers(0, words, count)]
    texts = [f"word {number}" for number in range(words)]
    scores = rng.integers(0, 6, (words, count)).astype(float)  # with ties
    found = evaluate_retrieval(scores, texts, signs)

    def ranks(row, right):
        order = sorted(range(len(row)), key=lambda item: (-row[item], right[item]))
        return [rank for rank, item in enumerate(order, 1) if right[item]]

    to_sign = [ranks(scores[i], [sign == text for sign in signs]) for i, text in enumerate(texts) if text in signs]
    to_text = [ranks(scores[:, j], [sign == text for text in texts])[0] for j, sign in enumerate(signs)]
    assert found.text_to_sign.queries == len(to_sign)
    for k, recall, precision, back in zip(
        AT, found.text_to_sign.recall, found.text_to_sign.precision, found.sign_to_text.recall, strict=True
    ):
        hits = [sum(rank <= k for rank in query) for query in to_sign]
        assert recall == pytest.approx(sum(hits) / count)
        assert precision == pytest.approx(np.mean(hits) / k)
        assert back == pytest.approx(np.mean([rank <= k for rank in to_text]))
    assert found.text_to_sign.median_rank == np.median([min(query) for query in to_sign])
    assert found.sign_to_text.mean_rank == pytest.approx(np.mean(to_text))


def test_a_constant_score_finds_nothing():
    found = evaluate_retrieval(np.zeros((20, 20)), [str(i) for i in range(20)], [str(i) for i in range(20)])
    assert found.text_to_sign.recall == found.sign_to_text.recall == (0, 0, 0)
    assert found.sign_to_text.median_rank == 20


def test_search_finds_what_was_planted_first_and_the_earlier_of_equal_ones(monkeypatch):
    monkeypatch.setattr("seasign.retrieval.ROWS", 7)
    rng = np.random.default_rng(0)
    among = rng.normal(size=(40, 8))
    among[33] = among[5]
    query = Embeddings(np.stack([among[5] * 3, -among[20]]), "space")
    hits = search(query, Embeddings(among, "space"), best=4)
    exact = query.vectors @ among.T
    assert [hit.row for hit in hits[0]][:2] == [5, 33]
    for row, found in zip(exact, hits, strict=True):
        assert [hit.row for hit in found] == np.argsort(-row, kind="stable")[:4].tolist()
        assert [hit.score for hit in found] == pytest.approx(np.sort(row)[::-1][:4])


def test_search_among_fewer_than_asked_for_and_among_none():
    query = Embeddings(np.ones((2, 3)), "space")
    assert [len(hits) for hits in search(query, Embeddings(np.ones((2, 3)), "space"), best=5)] == [2, 2]
    assert search(query, Embeddings(np.empty((0, 3)), "space")) == ((), ())


def test_what_cannot_be_retrieved_is_refused():
    with pytest.raises(InputError, match="cannot compare 'a' with 'b'"):
        search(Embeddings(np.ones((1, 3)), "a"), Embeddings(np.ones((1, 3)), "b"))
    with pytest.raises(InputError, match="not finite: embed again"):
        search(Embeddings(np.ones((1, 2)), "a"), Embeddings(np.array([[1, np.nan]]), "a"))
    with pytest.raises(InputError, match="1 signs say what no text says, such as 'tree'"):
        evaluate_retrieval(np.ones((1, 2)), ["house"], ["house", "tree"])
    with pytest.raises(InputError, match="not finite"):
        evaluate_retrieval(np.array([[np.nan]]), ["house"], ["house"])
    with pytest.raises(InputError, match="need as many scores"):
        evaluate_retrieval(np.ones((0, 0)), [], [])


# By chance, and for other queries -----------------------------------------------------------------------------------


def test_chance_is_what_random_scores_get_on_average():
    rng = np.random.default_rng(0)
    texts = [f"word {number}" for number in range(12)]
    signs = [texts[number] for number in (0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7)]
    draws = [evaluate_retrieval(rng.random((12, 14)), texts, signs) for _ in range(1500)]
    guessed = guess_retrieval(texts, signs)
    for side in ("text_to_sign", "sign_to_text"):
        expected, found = getattr(guessed, side), [getattr(draw, side) for draw in draws]
        assert expected.queries == found[0].queries
        for name, within in (("recall", 0.02), ("precision", 0.02), ("mean_rank", 0.15), ("median_rank", 0.8)):
            if getattr(expected, name) is not None:
                mean = np.mean([getattr(one, name) for one in found], axis=0)
                assert getattr(expected, name) == pytest.approx(mean, abs=within), name


def test_chance_among_many_takes_little_room():
    words = [f"word {number}" for number in range(3000)]
    tracemalloc.start()
    guessed = guess_retrieval(words, words)
    assert tracemalloc.get_traced_memory()[1] < 10e6  # a number for every pair would take 72 MB
    tracemalloc.stop()
    assert guessed.text_to_sign.median_rank == guessed.sign_to_text.median_rank == 1500


def test_chance_among_as_many_as_are_looked_at_is_certain():
    guessed = guess_retrieval(["a", "b", "c"], ["a", "b", "c", "c"])
    assert guessed.sign_to_text.recall == (pytest.approx(1 / 3), 1, 1)
    assert guessed.sign_to_text.median_rank == guessed.sign_to_text.mean_rank == 2
    assert guess_retrieval(["a"], ["a"]).text_to_sign.median_rank == 1
    with pytest.raises(InputError, match="nothing to retrieve"):
        guess_retrieval(["a"], ["b"])


@given(st.integers(1, 6), st.integers(0, 1000))
def test_a_query_that_weighs_twice_counts_as_two(queries, seed):
    rng = np.random.default_rng(seed)
    texts = [str(number) for number in range(queries)]
    _, ranks = count_retrieval(rng.random((queries, queries)), texts, texts)
    weights = rng.integers(0, 4, queries)
    weights[0] += 1
    taken = np.repeat(np.arange(queries), weights)
    many = Ranks(ranks.hits[taken], ranks.right[taken], ranks.first[taken], precise=False)
    assert ranks.pool(weights[None]) == pytest.approx(many.pool(np.ones((1, len(taken)), int)))
    assert ranks.pool(weights[None])[0, 6] == np.median(many.first)


def test_intervals_hold_the_scores_and_widen_where_signers_differ(monkeypatch):
    rng = np.random.default_rng(1)
    texts = [str(number) for number in range(10)]
    signs = texts * 8
    signers = np.repeat([f"signer {number}" for number in range(8)], 10)
    clear = np.repeat([0, 3, 0, 3, 0, 3, 0, 3], 10)  # half of the signers are understood
    scores = rng.random((10, 80)) + clear * (np.array(texts)[:, None] == np.array(signs))
    found = evaluate_retrieval(scores, texts, signs)
    alone = bootstrap_retrieval(scores, texts, signs)
    grouped = bootstrap_retrieval(scores, texts, signs, groups=signers.tolist())
    for low, high in (alone, grouped):
        for side in ("text_to_sign", "sign_to_text"):
            for a, value, b in zip(*(getattr(one, side).recall for one in (low, found, high)), strict=True):
                assert a <= value <= b
    width = [high.sign_to_text.recall[0] - low.sign_to_text.recall[0] for low, high in (alone, grouped)]
    assert width[1] > 1.5 * width[0]
    monkeypatch.setattr("seasign.uncertainty.BLOCK", 100)
    assert bootstrap_retrieval(scores, texts, signs, draws=50)[0].sign_to_text.recall[0] <= found.sign_to_text.recall[0]


def test_one_group_has_no_interval():
    with pytest.warns(InputWarning, match="no interval"):
        low, high = bootstrap_retrieval(np.eye(3), list("abc"), list("abc"), groups=["me"] * 3)
    assert np.isnan(low.sign_to_text.recall).all()
    assert np.isnan(high.sign_to_text.median_rank)
    assert low.text_to_sign.recall == (1, 1, 1)
    with pytest.raises(InputError, match="give one to each"):
        bootstrap_retrieval(np.eye(3), list("abc"), list("abc"), groups=["me"])


def test_the_page_computes_what_it_shows():
    page = Path(__file__).parents[1] / "docs" / "retrieval.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried > 4) == (0, True)
