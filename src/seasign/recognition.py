"""Signs -> glosses: an isolated sign is given the gloss of the examples that it is nearest to.

Examples and signs are vectors in one space. Who signs the examples must not sign what is tested: `folds` divides by
signer or recording session, never at random.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.types import Embeddings, InputError
from seasign.uncertainty import Interval, bootstrap_share

Method = Literal["nearest", "neighbours", "prototypes"]


@dataclass(frozen=True)
class Guesses:
    """What signs may be, one row a sign."""

    glosses: tuple[str, ...]  # the columns
    scores: Float64[np.ndarray, "signs glosses"]  # higher is likelier; comparable within a row

    @property
    def best(self) -> tuple[str, ...]:
        """The likeliest gloss of every sign; of equal ones the first."""
        return tuple(self.glosses[column] for column in self.scores.argmax(axis=1).tolist())


Classifier = Callable[[Embeddings, Embeddings, Sequence[str]], Guesses]  # signs, examples, and what each example is


def classify(
    signs: Embeddings, examples: Embeddings, glosses: Sequence[str], *, method: Method = "neighbours"
) -> Guesses:
    """Guess the gloss of every sign from examples of glosses.

    Dimensions are first centred and scaled by the examples.

    Args:
        glosses: What each example is.
        method: "nearest" is the nearest example; "neighbours" the majority of the k nearest, with
            k = round(sqrt(examples)), and of equal votes, none among them, the gloss of the nearest example;
            "prototypes" the nearest mean of the examples of a gloss.
    Raises:
        InputError: There are no examples, or the two are in different spaces.
    Source: SignCLIP (arXiv:2407.01264), few-shot recognition: standardized vectors and k neighbours. Differs: equal
        votes, which are ranked there by the order of the classes.
    """
    if signs.space != examples.space:
        raise InputError(f"cannot compare {signs.space!r} with {examples.space!r}: embed both with one model")
    if not len(glosses) or len(glosses) != len(examples.vectors):
        raise InputError(f"{len(examples.vectors)} examples have {len(glosses)} glosses: give one to each")
    middle, spread = examples.vectors.mean(axis=0), np.maximum(examples.vectors.std(axis=0), 1e-6)
    known, asked = ((one.vectors - middle) / spread for one in (examples, signs))
    names = tuple(dict.fromkeys(glosses))
    label = np.array([names.index(gloss) for gloss in glosses])
    if method == "prototypes":
        known = np.stack([known[label == column].mean(axis=0) for column in range(len(names))])
        return Guesses(names, -_distances(asked, known))
    distance = _distances(asked, known)
    nearest = np.stack([distance[:, label == column].min(axis=1) for column in range(len(names))], axis=1)
    if method == "nearest":
        return Guesses(names, -nearest)
    votes = 1 / (2.0 + nearest.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable"))  # less than one vote
    rows = np.arange(len(asked))
    for neighbour in np.argsort(distance, axis=1, kind="stable")[:, : max(1, round(len(glosses) ** 0.5))].T:
        votes[rows, label[neighbour]] += 1
    return Guesses(names, votes)


@dataclass(frozen=True)
class RecognitionScores:
    """How well signs of others are recognized. Shares are 0 .. 1; their intervals are for other groups like these."""

    each: int | None  # examples of every gloss; None: all that there are
    tested: int  # signs, each in every draw
    unseen: int  # signs that were left out, since nobody else shows their gloss
    chance: float  # of a gloss drawn from those of the examples
    top1: Interval
    top5: Interval
    baseline: Interval | None  # top-1 of the nearest example in the vectors of the baseline, from the same draws
    gain: Interval | None  # top-1 above that

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def evaluate_recognition(
    signs: Embeddings,
    glosses: Sequence[str],
    groups: Sequence[str],
    *,
    each: int | None = 5,
    method: Method | Classifier = "neighbours",
    baseline: Embeddings | None = None,
    seeds: int = 5,
) -> RecognitionScores:
    """How well signs of one signer or session are recognized by examples of all others, each left out in turn.

    A gloss that nobody else shows cannot be known: its signs are left out and counted. Among up to five glosses top-5
    says nothing.

    Args:
        groups: The signer or recording session of every sign, never a random part.
        each: How many examples of every gloss, of all others together, drawn anew for every seed; None takes all.
        method: As in `classify`, or anything that guesses as it does, such as a linear probe.
        baseline: The same signs in a space that takes no training, such as that of a pose descriptor.
    Raises:
        InputError: There is one group alone, or no gloss in two; or not as many glosses, groups or vectors of the
            baseline as signs.
    """
    if {len(glosses), len(groups), len((baseline or signs).vectors)} != {len(signs.vectors)}:
        raise InputError(
            f"{len(signs.vectors)} signs have {len(glosses)} glosses, {len(groups)} groups and "
            f"{len((baseline or signs).vectors)} vectors of a baseline: give one to each"
        )
    guess = partial(classify, method=method) if isinstance(method, str) else method
    rival = partial(classify, method="nearest")
    counted = []
    for rest, held in folds(groups):
        known = {glosses[i] for i in rest}
        asked = [i for i in held.tolist() if glosses[i] in known]
        counts = np.array([len(asked), len(held) - len(asked), len(asked) / len(known), 0, 0, 0, 0], float)
        for seed in range(seeds if each else 1):
            examples = rest[shots([glosses[i] for i in rest], each or len(rest), seed)].tolist()
            place = _places(guess, signs, glosses, examples, asked)
            counts[3:6] += len(asked), (place < 1).sum(), (place < 5).sum()
            if baseline:
                counts[6] += (_places(rival, baseline, glosses, examples, asked) < 1).sum()
        counted.append(counts)
    tested, unseen, chance, *_ = np.sum(counted, axis=0)
    if not tested:
        raise InputError(
            "no gloss is shown by two signers or sessions: nothing can be recognized by examples of others"
        )
    whole, top1, top5, nearest = np.array([counts[3:] for counts in counted if counts[0]]).T
    return RecognitionScores(
        each,
        int(tested),
        int(unseen),
        float(chance / tested),
        bootstrap_share(top1, whole),
        bootstrap_share(top5, whole),
        bootstrap_share(nearest, whole) if baseline else None,
        bootstrap_share(top1 - nearest, whole) if baseline else None,
    )


def _places(
    guess: Classifier, signs: Embeddings, glosses: Sequence[str], examples: Sequence[int], asked: Sequence[int]
) -> Int[np.ndarray, " asked"]:
    """How many glosses are thought likelier than the right one, for every sign that is asked."""
    few, those = (Embeddings(signs.vectors[list(rows)], signs.space) for rows in (examples, asked))
    guesses = guess(those, few, [glosses[i] for i in examples])
    own = np.array([guesses.glosses.index(glosses[i]) for i in asked], int)
    order = np.argsort(-guesses.scores, axis=1, kind="stable")
    place: Int[np.ndarray, " asked"] = (order == own[:, None]).argmax(axis=1)
    return place


def folds(groups: Sequence[str]) -> Iterator[tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " held"]]]:
    """Leave out each signer or session in turn: the others, and those left out.

    Raises:
        InputError: There is only one group, and nothing could be learned from others.
    """
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise InputError(
            f"all items are of one group ({names[0] if names else 'none'}): recognition is tested on others"
        )
    of = np.array([names.index(group) for group in groups])
    for number in range(len(names)):
        yield np.flatnonzero(of != number), np.flatnonzero(of == number)


def shots(glosses: Sequence[str], each: int, seed: int) -> Int[np.ndarray, " chosen"]:
    """That many examples of every gloss, drawn; all of a gloss that has fewer. In order."""
    rng = np.random.default_rng(seed)
    of: dict[str, list[int]] = {}
    for number, gloss in enumerate(glosses):
        of.setdefault(gloss, []).append(number)
    chosen = [rng.choice(rows, min(each, len(rows)), replace=False) for rows in of.values()]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, int)


def _distances(
    a: Float[np.ndarray, "rows dimensions"], b: Float[np.ndarray, "columns dimensions"]
) -> Float64[np.ndarray, "rows columns"]:
    """Squared, without a constant for every row."""
    b = b.astype(float)
    found: Float64[np.ndarray, "rows columns"] = (b**2).sum(axis=1) - 2 * a.astype(float) @ b.T
    return found
