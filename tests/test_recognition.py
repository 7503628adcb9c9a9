"""Recognition of isolated signs: planted classes, an oracle, and splits that keep signers apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.recognition import classify, folds, shots
from seasign.types import Embeddings, InputError

METHODS = ("nearest", "neighbours", "prototypes")


def planted(seed, each=12, classes=5, noise=0.3):
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(classes, 16)) * np.logspace(0, 3, 16)  # some dimensions are a thousand times as large
    label = np.repeat(np.arange(classes), each)
    vectors = middles[label] + noise * rng.normal(size=(len(label), 16)) * np.logspace(0, 3, 16)
    return Embeddings(vectors, "planted"), [f"SIGN{number}" for number in label]


@pytest.mark.parametrize("method", METHODS)
def test_planted_signs_are_recognized(method):
    examples, glosses = planted(0)
    asked = Embeddings(examples.vectors + 0.1, "planted")
    assert list(classify(asked, examples, glosses, method=method).best) == glosses


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_recognized_where_there_is_nothing(method):
    rng = np.random.default_rng(1)
    examples, asked = (Embeddings(rng.normal(size=(200, 8)), "noise") for _ in range(2))
    glosses = [str(number % 10) for number in range(200)]
    right = np.mean(
        [a == b for a, b in zip(classify(asked, examples, glosses, method=method).best, glosses, strict=True)]
    )
    assert right < 0.25


@given(st.integers(2, 30), st.integers(0, 1000))
def test_neighbours_vote_as_a_list_would(count, seed):
    rng = np.random.default_rng(seed)
    examples = Embeddings(rng.normal(size=(count, 3)), "space")
    glosses = [str(number) for number in rng.integers(0, 3, count)]
    asked = Embeddings(rng.normal(size=(4, 3)), "space")
    spread = np.maximum(examples.vectors.std(axis=0), 1e-6)
    for vector, best in zip(asked.vectors, classify(asked, examples, glosses).best, strict=True):
        order = sorted(range(count), key=lambda i: np.sum(((vector - examples.vectors[i]) / spread) ** 2))
        near = [glosses[i] for i in order[: max(1, round(count**0.5))]]
        most = max(near.count(gloss) for gloss in near)
        assert near.count(best) == most


def test_folds_leave_out_each_group_whole():
    groups = ["b", "a", "b", "c", "a"]
    seen = []
    for rest, held in folds(groups):
        assert {groups[i] for i in rest}.isdisjoint(groups[i] for i in held)
        assert sorted([*rest, *held]) == list(range(5))
        seen += held.tolist()
    assert sorted(seen) == list(range(5))
    with pytest.raises(InputError, match="all items are of one group"):
        next(folds(["a", "a"]))


def test_shots_are_as_many_of_every_gloss_and_the_same_again():
    glosses = ["a"] * 5 + ["b"] * 2 + ["a"] * 3
    chosen = shots(glosses, 3, seed=4)
    assert sorted(glosses[i] for i in chosen) == ["a"] * 3 + ["b"] * 2
    assert (chosen == shots(glosses, 3, seed=4)).all()
    assert any((chosen != shots(glosses, 3, seed=other)).any() for other in range(5))


def test_examples_without_glosses_or_of_another_space_are_refused():
    examples, glosses = planted(0)
    with pytest.raises(InputError, match="give one to each"):
        classify(examples, examples, glosses[1:])
    with pytest.raises(InputError, match="cannot compare 'other' with 'planted'"):
        classify(Embeddings(examples.vectors, "other"), examples, glosses)
