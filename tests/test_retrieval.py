"""Search and its scores: published numbers, an oracle that sorts lists, and what must not be asked."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.retrieval import AT, evaluate_retrieval, search
from seasign.types import Embeddings, InputError

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
    with pytest.raises(InputError, match="1 signs say what no text says, such as 'tree'"):
        evaluate_retrieval(np.ones((1, 2)), ["house"], ["house", "tree"])
    with pytest.raises(InputError, match="not finite"):
        evaluate_retrieval(np.array([[np.nan]]), ["house"], ["house"])
    with pytest.raises(InputError, match="need as many scores"):
        evaluate_retrieval(np.ones((0, 0)), [], [])
