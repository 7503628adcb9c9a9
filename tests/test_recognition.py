"""Recognition of isolated signs: planted classes, an oracle, and splits that keep signers apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.recognition import Guesses, classify, evaluate_recognition, folds, shots
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


# Evaluation -----------------------------------------------------------------------------------------------------------


def test_the_second_best_gloss_is_that_of_the_next_example_whatever_the_votes():
    examples = Embeddings(np.array([[0.0, 0], [1, 0], [3, 0], [9, 0], [9, 1]]), "line")
    asked = Embeddings(np.array([[0.1, 0]]), "line")
    for method in ("nearest", "neighbours"):
        (scores,) = classify(asked, examples, ["a", "b", "c", "d", "d"], method=method).scores
        assert np.argsort(-scores).tolist() == [0, 1, 2, 3], method


def grouped(seed=0, signers=6, each=4, classes=8, noise=0.3):
    """Glosses that every signer shows; and the same without what tells them apart."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(classes, 12))
    label = np.tile(np.repeat(np.arange(classes), each), signers)
    clear = middles[label] + noise * rng.normal(size=(len(label), 12))
    blurred = middles[label] + 4 * rng.normal(size=(len(label), 12))
    names = [f"SIGN{number}" for number in label]
    signer = [f"signer {number // (classes * each)}" for number in range(len(label))]
    return Embeddings(clear, "clear"), Embeddings(blurred, "blurred"), names, signer


@pytest.mark.parametrize("method", METHODS)
def test_planted_glosses_are_recognized_and_a_worse_baseline_is_beaten(method):
    clear, blurred, names, signer = grouped()
    found = evaluate_recognition(clear, names, signer, each=3, method=method, baseline=blurred, seeds=2)
    assert (found.each, found.tested, found.unseen, found.chance) == (3, len(names), 0, 1 / 8)
    assert found.top1.value > 0.95
    assert found.top1.value <= found.top5.value <= 1
    assert found.gain.value == pytest.approx(found.top1.value - found.baseline.value)
    assert found.gain.low > 0.3
    same = evaluate_recognition(blurred, names, signer, each=3, method="nearest", baseline=blurred, seeds=2)
    assert (same.gain.low, same.gain.value, same.gain.high) == (0, 0, 0)


def test_scores_of_recognition_are_those_counted_by_hand():
    _, blurred, names, signer = grouped(signers=3)
    found = evaluate_recognition(blurred, names, signer, each=2, seeds=3, method="nearest")
    right, five = [], []
    for held in sorted(set(signer)):
        rest = [i for i, one in enumerate(signer) if one != held]
        for seed in range(3):
            chosen = [rest[i] for i in shots([names[i] for i in rest], 2, seed)]
            known = blurred.vectors[chosen]
            spread = known.std(axis=0)
            for i in (i for i, one in enumerate(signer) if one == held):
                order = np.argsort((((known - blurred.vectors[i]) / spread) ** 2).sum(axis=1))
                glosses = list(dict.fromkeys(names[chosen[j]] for j in order))
                right.append(glosses[0] == names[i])
                five.append(names[i] in glosses[:5])
    assert found.top1.value == pytest.approx(np.mean(right))
    assert found.top5.value == pytest.approx(np.mean(five))
    assert found.baseline is found.gain is None


def test_glosses_of_one_signer_alone_are_left_out_and_counted():
    clear, _, names, signer = grouped(signers=3)
    names = [f"{name} of {who}" if name == "SIGN7" else name for name, who in zip(names, signer, strict=True)]
    found = evaluate_recognition(clear, names, signer, each=None)
    assert (found.tested, found.unseen) == (len(names) - 12, 12)
    with pytest.raises(InputError, match="no gloss is shown by two"):
        evaluate_recognition(clear, [f"{a} {b}" for a, b in zip(names, signer, strict=True)], signer)


def test_a_classifier_may_be_passed_and_gets_examples_of_others_alone():
    clear, _, names, signer = grouped(signers=3)
    row = {tuple(vector): who for vector, who in zip(clear.vectors, signer, strict=True)}

    def guess(signs, examples, glosses):
        held = {row[tuple(vector)] for vector in signs.vectors}
        assert len(held) == 1
        assert held.isdisjoint(row[tuple(vector)] for vector in examples.vectors)
        return Guesses(("SIGN0", *sorted(set(glosses) - {"SIGN0"})), np.zeros((len(signs.vectors), 8)))

    found = evaluate_recognition(clear, names, signer, method=guess, each=1, seeds=1)
    assert (found.top1.value, found.top5.value) == (1 / 8, 5 / 8)


def test_what_does_not_fit_is_not_evaluated():
    clear, blurred, names, signer = grouped()
    with pytest.raises(InputError, match="give one to each"):
        evaluate_recognition(clear, names[1:], signer)
    with pytest.raises(InputError, match="give one to each"):
        evaluate_recognition(clear, names, signer, baseline=Embeddings(blurred.vectors[1:], "blurred"))
    with pytest.raises(InputError, match="all items are of one group"):
        evaluate_recognition(clear, names, ["me"] * len(names))
