"""How sure is a score? Intervals and tests that resample whole episodes; docs/metrics.md says when to believe them."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int

from seasign.metrics import (
    Counts,
    Evaluation,
    RetrievalScores,
    SignScores,
    count_retrieval,
    count_signs,
    evaluate,
    naming,
)
from seasign.metrics.spotting import POOLED, PresenceScores, evaluate_presence, pool_presence
from seasign.metrics.translation import Counted
from seasign.spans import NANOSECOND
from seasign.types import Cue, InputError, InputWarning, Span, plain_values

BLOCK = 4_000_000  # weights of queries that are looked at together
SCORES = tuple(name for name in Counts().as_json() if name != "counts")


@dataclass(frozen=True)
class Interval:
    """A score, and a range that holds the true one in a share `level` of all studies; NaN for one episode alone."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Comparison:
    """Two runs on one reference, by one score."""

    score: str
    a: float  # pooled over the episodes
    b: float
    difference: Interval  # b minus a
    p: float  # how often chance alone, swapping the two within episodes, makes a difference as large, 0 .. 1
    wins: tuple[int, int]  # episodes in which a is better, in which b is; an offset is better when closer to 0
    per_file: Mapping[str, tuple[float, float]]  # a and b, by episode

    def as_json(self) -> dict[str, object]:
        """Plain values; None where there is nothing to score."""
        return plain_values(asdict(self))


def bootstrap(
    scored: Evaluation | Sequence[Counts],
    *,
    score: str = "f1@0.50",
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The interval of a pooled score over other episodes like these: percentiles of a bootstrap over episodes.

    Cues of one episode share a signer and a lag, so episodes are drawn, and never single cues. The percentiles are
    widened for small numbers of episodes. One episode alone says nothing about others: NaN, with a warning.

    Args:
        scored: What `evaluate` gave, or the counts of every episode.
        score: One of `SCORES`, named as in JSON.
    Raises:
        InputError: There is no such score, or no episode.
    """
    files = _files(scored) if isinstance(scored, Evaluation) else list(scored)
    if not files:
        raise InputError("there are no episodes to draw from")
    return _interval(lambda weights: _pool(files, score, weights), len(files), seed, draws, level)


def bootstrap_signs(
    episodes: Sequence[tuple[Sequence[Span], Sequence[Span]]],
    *,
    score: str = "onset_f1",
    against: Sequence[Sequence[Span]] | None = None,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The interval of a score of signs over other episodes like these, as `bootstrap`.

    Args:
        episodes: A reference and an estimate each, as in `evaluate_signs`.
        score: One of `SignScores`.
        against: Another estimate of each: the interval is of the difference, and draws the same episodes for both.
    Raises:
        InputError: There is no such score, or no episode.
    """
    names = [field.name for field in fields(SignScores)]
    if score not in names:
        raise InputError(f"there is no score {score!r}: choose one of {', '.join(names)}")
    if not episodes:
        raise InputError("there are no episodes to draw from")
    k = names.index(score)
    mine = np.array([count_signs(*episode)[k] for episode in episodes])
    if against is None:
        return _interval(lambda weights: _divide(*(weights @ mine).T), len(mine), seed, draws, level)
    theirs = np.array(
        [count_signs(reference, other)[k] for (reference, _), other in zip(episodes, against, strict=True)]
    )
    return _interval(
        lambda weights: _divide(*(weights @ mine).T) - _divide(*(weights @ theirs).T), len(mine), seed, draws, level
    )


def bootstrap_share(
    part: Float[np.ndarray, " groups"],
    whole: Float[np.ndarray, " groups"],
    *,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The interval of a share of all, over other groups like these: signers or sessions, never single signs.

    Args:
        part: What was right, by group; of a difference, how many more were.
        whole: What was asked.
    Raises:
        InputError: There is no group.
    """
    if not len(whole):
        raise InputError("there are no groups to draw from")
    counted = np.stack((part, whole))
    return _interval(lambda weights: _divide(*(counted @ weights.T)), len(whole), seed, draws, level)


def bootstrap_retrieval(
    scores: Float[np.ndarray, "texts signs"],
    texts: Sequence[str],
    signs: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[RetrievalScores, RetrievalScores]:
    """The low and the high end of the interval of every score of `evaluate_retrieval`, for other queries like these.

    Queries are drawn, and what they are looked for among stays as it is. Different texts are drawn one by one; signs by
    group, since those of one signer or session are alike. NaN, with a warning, where there is one alone.

    Args:
        groups: The signer or session of every sign; None draws signs one by one, which is too narrow where a signer
            has several.
    Raises:
        InputError: As `evaluate_retrieval`; or there are not as many groups as signs.
    """
    if groups is not None and len(groups) != len(signs):
        raise InputError(f"{len(signs)} signs have {len(groups)} groups: give one to each")
    to_sign, to_text = count_retrieval(scores, texts, signs)
    ends = []
    for ranks, group in (to_sign, None), (to_text, groups):
        each = np.arange(len(ranks.right)) if group is None else np.unique(np.array(group), return_inverse=True)[1]
        number = int(each.max()) + 1
        if number == 1:
            warnings.warn("one text or group says nothing about others: no interval", InputWarning, stacklevel=2)
            ends.append([ranks.named(np.full(8, math.nan))] * 2)
            continue
        rng, some = np.random.default_rng(seed), max(1, BLOCK // len(each))
        sizes = [min(some, draws - done) for done in range(0, draws, some)]
        pooled = [ranks.pool(rng.multinomial(number, np.full(number, 1 / number), size)[:, each]) for size in sizes]
        tail = _tail(number, level)
        ends.append([ranks.named(row) for row in np.quantile(np.concatenate(pooled), (tail, 1 - tail), axis=0)])
    low, high = (RetrievalScores(*sides) for sides in zip(*ends, strict=True))
    return low, high


def bootstrap_presence(
    scores: Float[np.ndarray, " pairs"],
    present: Bool[np.ndarray, " labels"],
    groups: Sequence[str],
    *,
    threshold: float = 0.5,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[PresenceScores, PresenceScores]:
    """The low and the high end of the interval of every score of `evaluate_presence`, for other groups like these.

    Draws without one of the classes are passed over by the scores that need it.

    Args:
        groups: The query, signer or session of every pair: pairs of one group are alike, and are drawn together.
    Raises:
        InputError: As `evaluate_presence`; or there are not as many groups as pairs.
    Warns:
        InputWarning: There is one group alone, and every end is NaN.
    """
    own = evaluate_presence(scores, present, threshold=threshold)
    if len(groups) != len(scores):
        raise InputError(f"{len(scores)} pairs have {len(groups)} groups: give one to each")
    each = np.unique(np.array(groups), return_inverse=True)[1]
    number = int(each.max()) + 1
    ends = np.full((2, len(POOLED)), math.nan)
    if number == 1:
        warnings.warn("one group says nothing about others: no interval", InputWarning, stacklevel=2)
    else:
        rng, some = np.random.default_rng(seed), max(1, BLOCK // len(each))
        sizes = [min(some, draws - done) for done in range(0, draws, some)]
        drawn = [rng.multinomial(number, np.full(number, 1 / number), size)[:, each] for size in sizes]
        pooled = np.concatenate([pool_presence(scores, present, some, threshold=threshold) for some in drawn])
        tail = _tail(number, level)
        known = [column[~np.isnan(column)] for column in pooled.T]
        ends = np.array([np.quantile(one, (tail, 1 - tail)) if len(one) else (math.nan,) * 2 for one in known]).T
    low, high = (PresenceScores(own.pairs, own.present, threshold, *row) for row in ends.tolist())
    return low, high


def bootstrap_texts(
    counted: Counted,
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Every score of translations, glosses or names of single signs, and its interval over other sentences like these.

    Sentences are drawn, and what was counted of them is pooled as always; NaN, with a warning, where there is one.

    Args:
        counted: What `count_translation`, `count_glosses` or `count_isolated` gave.
        groups: The video or signer of every sentence, to draw those; None draws sentences one by one, which is too
            narrow where a video has several.
    Raises:
        InputError: There are not as many groups as sentences.
    """
    if groups is not None and len(groups) != counted.number:
        raise InputError(f"{counted.number} sentences have {len(groups)} groups: give one to each")
    each = np.arange(counted.number) if groups is None else np.unique(np.array(groups), return_inverse=True)[1]
    number, rng = int(each.max()) + 1, np.random.default_rng(seed)
    values = counted.pool(np.ones((1, counted.number), int))[0]
    if number == 1:
        warnings.warn("one sentence or group says nothing about others: no interval", InputWarning, stacklevel=2)
        ends = np.full((2, len(values)), math.nan)
    else:
        some, tail = max(1, BLOCK // counted.number), _tail(number, level)
        sizes = [min(some, draws - done) for done in range(0, draws, some)]
        pooled = [counted.pool(rng.multinomial(number, np.full(number, 1 / number), size)[:, each]) for size in sizes]
        ends = np.nanquantile(np.concatenate(pooled), (tail, 1 - tail), axis=0)
    rows = zip(counted.names, values.tolist(), *ends.tolist(), strict=True)
    return {name: Interval(value, low, high, level) for name, value, low, high in rows}


def compare_runs(
    reference: Sequence[Cue] | Mapping[str, Sequence[Cue]],
    a: Sequence[Cue] | Mapping[str, Sequence[Cue]],
    b: Sequence[Cue] | Mapping[str, Sequence[Cue]],
    *,
    fps: float | Fraction | Mapping[str, float | Fraction] = 25,
    score: str = "f1@0.50",
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> Comparison:
    """Test whether two runs on the same reference differ by more than chance.

    Paired by episode: the interval draws episodes, the same ones for both runs. The p-value swaps the two runs within
    episodes at random, in all ways where these are no more than `draws`; with n episodes it is at least 2 / 2^n, so
    fewer than 6 can never show p < .05.

    Args:
        score: One of `SCORES`, named as in JSON.
    Raises:
        InputError: As `evaluate`; or there is no such score.
    """
    results = []
    for name, run in ("a", a), ("b", b):
        with naming(f"run {name}"):
            results.append(evaluate(reference, run, fps=fps))
    mine, theirs = (_files(result) for result in results)
    episodes = len(mine)
    each = np.eye(episodes, dtype=int)
    alone = np.stack([_pool(files, score, each) for files in (mine, theirs)])
    goodness = -np.abs(alone) if score.endswith("_offset") else alone
    swaps = _swap(episodes, draws, seed)
    pooled = [_pool([*mine, *theirs], score, np.hstack(taken)) for taken in ((1 - swaps, swaps), (swaps, 1 - swaps))]
    chance = np.abs(pooled[1] - pooled[0])  # the first is what was found
    return Comparison(
        score,
        a=float(pooled[0][0]),
        b=float(pooled[1][0]),
        difference=_interval(
            lambda weights: _pool(theirs, score, weights) - _pool(mine, score, weights), episodes, seed, draws, level
        ),
        p=math.nan if math.isnan(chance[0]) else float(np.mean(chance >= chance[0] - NANOSECOND)),
        wins=(int(np.sum(goodness[0] > goodness[1] + NANOSECOND)), int(np.sum(goodness[1] > goodness[0] + NANOSECOND))),
        per_file={
            stem: (x, y) for stem, (x, y) in zip(results[0].per_file or ("episode",), alone.T.tolist(), strict=True)
        },
    )


def _files(evaluation: Evaluation) -> list[Counts]:
    return list(evaluation.per_file.values()) or [evaluation.pooled]


def _interval(
    pool: Callable[[Int[np.ndarray, "draws files"]], Float[np.ndarray, "draws"]],
    episodes: int,
    seed: int,
    draws: int,
    level: float,
) -> Interval:
    """What `pool` makes of every episode once, and percentiles of what it makes of as many drawn with replacement."""
    value = float(pool(np.ones((1, episodes), dtype=int))[0])
    if episodes == 1:
        warnings.warn("one episode says nothing about others: no interval", InputWarning, stacklevel=3)
        return Interval(value, math.nan, math.nan, level)
    weights = np.random.default_rng(seed).multinomial(episodes, np.full(episodes, 1 / episodes), draws)
    drawn = pool(weights)
    drawn = drawn[~np.isnan(drawn)]
    tail = _tail(episodes, level)
    low, high = np.quantile(drawn, (tail, 1 - tail)).tolist() if len(drawn) else (math.nan,) * 2
    return Interval(value, low, high, level)


def _tail(episodes: int, level: float) -> float:
    """The share of resamples beyond each end: less than (1 - level) / 2, since few episodes vary too little.

    Source: the expanded percentile interval of Hesterberg 2014 (arXiv:1411.5279). Student's t is the first terms of
        its expansion about the normal distribution.
    """
    z, v = NormalDist().inv_cdf((1 + level) / 2), episodes - 1
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return NormalDist().cdf(-t * math.sqrt(episodes / v))


def _swap(episodes: int, draws: int, seed: int) -> Int[np.ndarray, "swaps episodes"]:
    """Rows of 0 and 1: every one there is, or as many as may be drawn at random; the first holds only 0."""
    if 2**episodes <= draws:
        return np.arange(2**episodes)[:, None] >> np.arange(episodes) & 1
    swaps = np.random.default_rng(seed).integers(0, 2, (draws, episodes))
    swaps[0] = 0
    return swaps


def _pool(files: Sequence[Counts], score: str, weights: Int[np.ndarray, "draws files"]) -> Float[np.ndarray, "draws"]:
    """The score pooled over the files, each taken as often as its weight says."""
    if score not in SCORES:
        raise InputError(f"there is no score {score!r}: choose one of {', '.join(SCORES)}")
    if not score.endswith("_offset"):
        part, whole = (weights @ np.array([counts.ratio(score) for counts in files])).T
        return _divide(100 * part, whole)
    kind, *absolute, side, _ = score.split("_")
    samples = [np.array(getattr(counts, f"{side}_offsets"), dtype=float) for counts in files]
    values = np.concatenate([np.abs(sample) if absolute else sample for sample in samples])
    sizes = np.array([len(sample) for sample in samples])
    file = np.repeat(np.arange(len(files)), sizes)
    if kind == "mean":
        return _divide(weights @ np.bincount(file, values, len(files)), weights @ sizes)
    order = np.argsort(values)
    values, file = values[order], file[order]
    return _medians(values, file, weights)


def _medians(
    values: Float[np.ndarray, "values"], file: Int[np.ndarray, "values"], weights: Int[np.ndarray, "draws files"]
) -> Float[np.ndarray, "draws"]:
    """Medians of sorted values, each taken as often as its file.

    Blocks are counted first, so that a draw looks at single values in two blocks only.
    """
    medians = np.full((2, len(weights)), np.nan)
    if len(values):
        size, every = math.isqrt(len(values)), np.arange(len(weights))
        cells = np.arange(len(values)) // size * weights.shape[1] + file
        blocks = np.bincount(cells, minlength=(cells[-1] // weights.shape[1] + 1) * weights.shape[1])
        upto = np.cumsum(weights.astype(float) @ blocks.reshape(-1, weights.shape[1]).T, axis=1)
        some = upto[:, -1] > 0
        for side, rank in enumerate(((upto[:, -1] - 1) // 2, upto[:, -1] // 2)):
            block = np.sum(upto <= rank[:, None], axis=1) * some
            rest = rank - np.where(block > 0, upto[every, block - 1], 0)
            places = np.minimum(block[:, None] * size + np.arange(size), len(values) - 1)
            counted = np.cumsum(np.take_along_axis(weights, file[places], axis=1), axis=1)
            place = places[every, np.sum(counted <= rest[:, None], axis=1) * some]
            medians[side] = np.where(some, values[place], np.nan)
    middle: Float[np.ndarray, " draws"] = medians.mean(axis=0)
    return middle


def _divide(part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, "draws"]:
    """NaN where there is nothing to divide by."""
    quotient = np.full(len(part), np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient
