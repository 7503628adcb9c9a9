"""Signs -> glosses: an isolated sign is given the gloss of the examples that it is nearest to.

Examples and signs are vectors in one space. Who signs the examples must not sign what is tested: `folds` divides by
signer or recording session, never at random.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.types import Embeddings, InputError

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


def classify(
    signs: Embeddings, examples: Embeddings, glosses: Sequence[str], *, method: Method = "neighbours"
) -> Guesses:
    """Guess the gloss of every sign from examples of glosses.

    Dimensions are first centred and scaled by the examples.

    Args:
        glosses: What each example is.
        method: "nearest" is the nearest example; "neighbours" the majority of the k nearest, with
            k = round(sqrt(examples)), nearer ones first where votes are equal; "prototypes" the nearest mean of the
            examples of a gloss.
    Raises:
        InputError: There are no examples, or the two are in different spaces.
    Source: SignCLIP (arXiv:2407.01264), few-shot recognition: standardized vectors and k neighbours. Differs: votes
        that are equal go to the nearer neighbours.
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
    count = 1 if method == "nearest" else max(1, round(len(glosses) ** 0.5))
    order = np.argsort(distance, axis=1, kind="stable")[:, :count]
    votes = np.zeros((len(asked), len(names)))
    rows = np.arange(len(asked))
    for rank in range(count):
        votes[rows, label[order[:, rank]]] += 1 - rank * 1e-6
    return Guesses(names, votes)


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
