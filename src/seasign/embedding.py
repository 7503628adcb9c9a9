"""Signs or text -> embeddings -> similarity -> rewards that the aligner can add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.spans import nearest
from seasign.types import Embeddings, InputError, Normalization, Poses, Sign

NEIGHBOURS = 50  # signs around a cue that share its reward; also what each row of rewards sums to
TEMPERATURE = 10.0  # of the softmax
SHARPNESS = 5.0  # of the sigmoid over z-scores
ROUNDS = 10  # of Sinkhorn's alternation


@runtime_checkable
class Embedder(Protocol):
    """Anything that puts text and signs into one space.

    One that looks at poses may say at which `landmarks`, by name: others need not be read from a file.
    """

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text."""

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign, from the poses within its span, or from its gloss: then there need not be poses."""


@dataclass(frozen=True)
class Joined:
    """Several embedders as one: its similarities are the means of theirs."""

    embedders: tuple[Embedder, ...]

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that any of them looks at."""
        return tuple(dict.fromkeys(name for one in self.embedders for name in landmarks_of(one)))

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text."""
        return join([embed_text(texts, embedder) for embedder in self.embedders])

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign."""
        return join([embed_signs(poses, signs, embedder) for embedder in self.embedders])


def join(embeddings: Sequence[Embeddings]) -> Embeddings:
    """The vectors of the same things in several spaces, side by side: dot products are the means of theirs.

    Raises:
        InputError: There are none, or not as many rows in each.
    """
    rows = {len(one.vectors) for one in embeddings}
    if len(rows) != 1:
        raise InputError(f"cannot join embeddings of {sorted(rows)} rows: embed the same things in each space")
    vectors = np.hstack([one.vectors for one in embeddings]) / np.float32(len(embeddings) ** 0.5)
    return Embeddings(vectors, " + ".join(one.space for one in embeddings))


def landmarks_of(model: object) -> tuple[str, ...]:
    """Those that an embedder or a spotter looks at; none: it looks at no poses, or does not say, or is None."""
    found: tuple[str, ...] = getattr(model, "landmarks", ())
    return found


def embed_text(texts: Sequence[str], embedder: Embedder) -> Embeddings:
    """Put texts into the space of an embedder, one row per text.

    Raises:
        InputError: As the embedder; or its rows are not as many, or not finite.
    """
    return _checked(embedder.text(texts), len(texts), "texts")


def embed_signs(poses: Poses | None, signs: Sequence[Sign], embedder: Embedder) -> Embeddings:
    """Put signs into the space of an embedder, one row per sign.

    Args:
        poses: The signer; None is enough for an embedder that looks at glosses alone. Seconds of the signs count from
            their first frame.
    Raises:
        InputError: As the embedder; or its rows are not as many, or not finite.
    """
    return _checked(embedder.signs(poses, signs), len(signs), "signs")


def _checked(embeddings: Embeddings, count: int, kind: str) -> Embeddings:
    """The embeddings, if they are what was asked for."""
    if len(embeddings.vectors) != count:
        raise InputError(f"{embeddings.space!r} gave {len(embeddings.vectors)} rows for {count} {kind}: mend it")
    if broken := int(np.count_nonzero(~np.isfinite(embeddings.vectors).all(axis=1))):
        raise InputError(f"{embeddings.space!r} gave {broken} of {count} {kind} numbers that are not finite")
    return embeddings


def compare(text: Embeddings, signs: Embeddings) -> Float[np.ndarray, "texts signs"]:
    """Similarity of every text with every sign: the dot product of their vectors.

    Where either are none, dimensions need not agree.

    Raises:
        InputError: The two are in different spaces, or their vectors differ in length.
    """
    if text.space != signs.space:
        raise InputError(f"cannot compare {text.space!r} with {signs.space!r}: embed both with one model")
    if not (len(text.vectors) and len(signs.vectors)):
        return np.zeros((len(text.vectors), len(signs.vectors)), np.float32)
    if text.vectors.shape[1] != signs.vectors.shape[1]:
        raise InputError(
            f"cannot compare vectors of {text.vectors.shape[1]} and {signs.vectors.shape[1]} dimensions: "
            "embed both with one model"
        )
    similarity: Float[np.ndarray, "texts signs"] = text.vectors @ signs.vectors.T
    return similarity


def normalize(
    similarity: Float[np.ndarray, "cues signs"],
    cue_middles: Float64[np.ndarray, " cues"],
    sign_middles: Float64[np.ndarray, " signs"],
    normalization: Normalization,
) -> tuple[Int[np.ndarray, "cues neighbours"], Float64[np.ndarray, "cues neighbours"]]:
    """Turn raw similarities into rewards, around each cue; everywhere else the reward is 0.

    Middles are seconds. Returns the indices of the neighbouring signs of each cue, and their rewards. What is far from
    a cue is not looked at.

    Raises:
        InputError: A similarity that counts is not finite.
    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), Embed; softmax, z-score, Sinkhorn, the step over columns and the
        threshold of the authors' code @ 13b6a58, with its constants (the paper names neither the temperature nor the
        factor of 50). Differs: the softmax subtracts the maximum, so that large similarities do not overflow; two
        signs as near as each other are ranked by time. A row sums to 50 even where there are fewer signs, as there.
    """
    matrix = similarity
    cues, signs = matrix.shape
    cues_per_block = max(1, NEIGHBOURS * cues // signs)
    if normalization.columns:
        near = nearest(sign_middles, cue_middles, cues_per_block).T
        spread = np.zeros((cues, signs))
        columns = _finite(np.take_along_axis(matrix, near, axis=0))
        np.put_along_axis(spread, near, cues_per_block * _softmax(columns, axis=0), axis=0)
        matrix = spread
    if normalization.rows == "sinkhorn":
        neighbours, rewards = _sinkhorn(matrix, cue_middles, sign_middles, cues_per_block)
    else:
        neighbours = nearest(cue_middles, sign_middles, NEIGHBOURS if normalization.rows else None)
        rewards = _finite(np.take_along_axis(matrix, neighbours, axis=1))
    if normalization.rows == "softmax":
        rewards = NEIGHBOURS * _softmax(rewards, axis=1)
    elif normalization.rows == "z-score":
        deviations = rewards - rewards.mean(axis=1, keepdims=True)
        rewards = 1 / (1 + np.exp(-deviations / (rewards.std(axis=1, keepdims=True) + 1e-6) / SHARPNESS))
    rewards[rewards <= normalization.threshold] = 0
    return neighbours, rewards


def weigh_evidence(
    similarity: Float[np.ndarray, "cues neighbours"], own: Float64[np.ndarray, "cues neighbours"]
) -> Float64[np.ndarray, "cues neighbours"]:
    """Log-likelihood ratios, in nats: that a sign belongs to the cue, against that it does not.

    How far the similarities of a cue's own signs stand above the others is measured on this very episode, against where
    time alone puts each cue. An embedding that knows nothing stands out by no more than chance, and counts for nothing;
    so does a cue whose similarities are all the same, such as one with no word that a dictionary has.

    Args:
        own: Probability that the sign is the cue's, by time alone.
    """
    values = _finite(similarity)
    values -= values.mean(axis=1, keepdims=True)
    told = values.std(axis=1) > 1e-9 * max(1.0, float(np.abs(similarity).max(initial=0)))
    if not told.any():
        return np.zeros_like(values)
    if not told.all():
        nats = np.zeros_like(values)
        nats[told] = weigh_evidence(similarity[told], own[told])
        return nats
    values /= values.std()
    centred = own - own.mean(axis=1, keepdims=True)
    weight = (centred**2).sum()
    if not weight:
        return np.zeros_like(values)
    lift = float((centred * values).sum() / weight)  # of an own sign over others, in standard deviations: a slope
    error = float(np.sqrt(((values - lift * centred) ** 2).mean() / weight))
    lift *= max(0.0, 1 - (2 * error / lift) ** 2) if lift > 0 else 0.0  # what chance may explain is left out
    noise = max(float(((values - lift * centred) ** 2).mean()), 0.05)
    base = -lift * own.mean(axis=1, keepdims=True)  # where a sign of others stands, in centred values
    weighed: Float64[np.ndarray, "cues neighbours"] = (lift * (values - base) - lift**2 / 2) / noise
    return weighed


def _finite(values: Float[np.ndarray, "rows columns"]) -> Float64[np.ndarray, "rows columns"]:
    """The values in double precision, if all of them are numbers."""
    broken = np.count_nonzero(~np.isfinite(values))
    if broken:
        raise InputError(f"the similarity holds {broken} values that are not finite: compute it again")
    return values.astype(np.float64)


def _softmax(values: Float64[np.ndarray, "rows columns"], axis: int) -> Float64[np.ndarray, "rows columns"]:
    """Positive, and summing to 1 along `axis`."""
    scaled = values / TEMPERATURE
    scaled -= scaled.max(axis=axis, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=axis, keepdims=True)
    return scaled


def _sinkhorn(
    matrix: Float[np.ndarray, "cues signs"],
    cue_middles: Float64[np.ndarray, " cues"],
    sign_middles: Float64[np.ndarray, " signs"],
    size: int,
) -> tuple[Int[np.ndarray, "cues neighbours"], Float64[np.ndarray, "cues neighbours"]]:
    """Balance blocks of `size` consecutive cues and the signs around them: rows and columns take turns to sum to 1."""
    neighbours, rewards = [], []
    for start in range(0, len(matrix), size):
        block = slice(start, start + size)
        near = nearest(cue_middles[block].mean(keepdims=True), sign_middles, NEIGHBOURS)[0]
        balanced = np.maximum(_finite(matrix[block][:, near]), 1e-8)
        for _ in range(ROUNDS):
            balanced /= balanced.sum(axis=1, keepdims=True)
            balanced /= balanced.sum(axis=0, keepdims=True)
        rewards.append(size * balanced)
        neighbours.append(np.broadcast_to(near, balanced.shape))
    return np.concatenate(neighbours), np.concatenate(rewards)
