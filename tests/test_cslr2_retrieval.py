"""Retrieval of sentences as CSLR2 counts: published ranks and scores, ties and several sentences a video too."""

import json
from pathlib import Path

import numpy as np
import pytest

from seasign.metrics.retrieval import evaluate_sentences, rank_sentences
from seasign.types import InputError

GOLDEN = Path(__file__).parent / "golden" / "cslr2"
SCORES = np.load(GOLDEN / "retrieval.npz")
EXPECTED = json.loads((GOLDEN / "retrieval.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_ranks_and_scores_are_as_published(name):
    if f"{name}_t2v_cols" in SCORES:
        by_text, by_video = rank_sentences(SCORES[name])
        np.testing.assert_array_equal(by_text, SCORES[f"{name}_t2v_cols"])
        np.testing.assert_array_equal(by_video, SCORES[f"{name}_v2t_ranks"])
    for scores, way in zip(evaluate_sentences(SCORES[name]), ("t2v", "v2t"), strict=True):
        expected = EXPECTED[name][way]
        assert list(scores.recall) == [expected[f"R{k}"] for k in (1, 5, 10, 50)]
        assert (scores.median_rank, scores.mean_rank) == (expected["MedR"], expected["MeanR"])
        assert scores.geometric_mean == pytest.approx(expected["geometric_mean_R1-R5-R10"], rel=1e-12)


def test_where_all_scores_are_equal_nothing_is_first():
    (forth, back) = evaluate_sentences(np.zeros((10, 10)))
    assert forth == back
    assert forth.recall == (0, 100, 100, 100)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.zeros((5, 2)), "5 texts do not go round 2 videos"),
        (np.full((2, 2), np.nan), "not finite"),
        (np.zeros((0, 0)), "0 texts do not go round 0 videos"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, words):
    with pytest.raises(InputError, match=words):
        rank_sentences(scores)
