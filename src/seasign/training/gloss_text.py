"""Gloss text as a task of the loop: sentences and the glosses that sign them -> which letters mean which.

A projection of hashed n-grams is learned, one for words and glosses, so that a sentence is nearer to its own glosses
than to those of others: it comes to know that REGION says nothing, and that ICH is "mir". The loss is "infonce", with
equal texts all right and a learned temperature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seasign.corpora.recordings import PARTS, Part, read_part
from seasign.formats.disk import sha256
from seasign.formats.tables import read_rows
from seasign.metrics import evaluate_retrieval
from seasign.models.gloss_text import PROJECTION, GlossText, parts, spell, words
from seasign.training.contrast import infonce
from seasign.training.loop import Loss, gather, share
from seasign.training.recipe import Count, Counts, Loop, Positive, Release, Share
from seasign.types import InputError


@dataclass(frozen=True)
class Data:
    """What there is to learn from: the table [data]."""

    pairs: Path  # a table `gloss,text[,split]`, a sentence a row, its glosses parted by spaces
    valid_pairs: Path | None = None  # another, to measure on
    valid: Share = 0.1  # else this share of the sentences, unless `split` says which
    batch: Count = 256  # pairs per process


@dataclass(frozen=True)
class Network:
    """The encoder: the table [network]."""

    buckets: Count = 4096
    lengths: Counts = (3, 5)  # of n-grams, from and to
    dimensions: Count = 256


@dataclass(frozen=True)
class Recipe(Release):
    """A recipe with `task = "gloss-text"`."""

    data: Data
    loop: Loop
    network: Network = Network()
    temperature: Positive = 1.0  # learned from here on


class Bags(NamedTuple):
    """The n-grams of several items, one behind the other."""

    buckets: Int[Tensor, "ngrams"]
    values: Float[Tensor, "ngrams"]
    starts: Int[Tensor, "items"]


class Batch(NamedTuple):
    """Sentences and their glosses."""

    texts: Bags
    glosses: Bags
    said: Int[Tensor, "items"]  # the same number for equal texts


class Projection(nn.Module):
    """N-grams -> vectors. It begins at random, where scores are about those of the n-grams themselves."""

    def __init__(self, network: Network, temperature: float):
        super().__init__()
        self.table = nn.Parameter(torch.randn(network.buckets, network.dimensions) / sqrt(network.dimensions))
        self.scale = nn.Parameter(torch.tensor(-log(temperature)))

    def forward(self, bags: Bags) -> Float[Tensor, "items dimensions"]:
        """One vector per item."""
        return summed(self.table, bags)


def summed(table: Float[Tensor, "buckets dimensions"], bags: Bags) -> Float[Tensor, "items dimensions"]:
    """The sum of the n-grams of every item."""
    return nn.functional.embedding_bag(bags.buckets, table, bags.starts, mode="sum", per_sample_weights=bags.values)


def prepare(recipe: Recipe) -> "Pairing":
    """Read the pairs, and make the projection.

    Raises:
        InputError: There is nothing to learn from or to measure on, or a table cannot be used.
    """
    return Pairing(recipe)


class Pairing:
    """A projection, the pairs it learns from, and those it is measured on."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, data = recipe, recipe.data
        low, high = recipe.network.lengths
        self.like = GlossText(recipe.network.buckets, tuple(range(low, high + 1)))
        self.model = Projection(recipe.network, recipe.temperature)
        self.files: dict[str, str] = {}
        tables = [data.pairs, *([data.valid_pairs] if data.valid_pairs else [])]
        self.data = {path.name: sha256(path) for path in tables}
        self.train, self.valid = _divide(*map(_read, tables), recipe=recipe)
        number = {text: place for place, text in enumerate(dict.fromkeys(text for _, text, _ in self.train))}
        self.said = [number[text] for _, text, _ in self.train]

    def batches(self, epoch: int, rank: int, ranks: int) -> list[Batch]:
        """Pairs that the epoch and the seed throw together."""
        seed = self.recipe.loop.seed
        shares = share(len(self.train), self.recipe.data.batch, seed=seed, epoch=epoch, rank=rank, ranks=ranks)
        return [self._batch([self.train[i] for i in some], [self.said[i] for i in some]) for some in shares]

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Of the pairs of all processes."""
        texts, glosses, said = gather(model(batch.texts)), gather(model(batch.glosses)), gather(batch.said)
        scores = self.model.scale.exp() * texts @ glosses.T
        return Loss({"infonce": infonce(scores, said[:, None] == said)}, len(batch.said))

    def evaluate(self) -> dict[str, float]:
        """`text_to_gloss_r@k` and `gloss_to_text_r@k`, as `evaluate_retrieval` has it, over sentences kept out."""
        texts, glosses, _ = self._batch(self.valid, [0] * len(self.valid))
        table = self.model.table.detach().cpu()
        scores = (summed(table, texts) @ summed(table, glosses).T).numpy()
        said = [text for _, text, _ in self.valid]
        found = evaluate_retrieval(scores, said, said)
        ways = {"text_to_gloss": found.text_to_sign, "gloss_to_text": found.sign_to_text}
        return {
            f"{name}_r@{k}": value
            for name, way in ways.items()
            for k, value in zip((1, 5, 10), way.recall, strict=True)
        }

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `checkpoints` reads it."""
        table = self.model.table.detach().cpu().clone()
        return self.like.config | {"parameters": table.numel()}, {PROJECTION: table}

    def _batch(self, pairs: Sequence["Pair"], said: Sequence[int]) -> Batch:
        texts = self._bags([list(dict.fromkeys(words(text, single=True))) for _, text, _ in pairs])
        glosses = self._bags([[part for gloss in glossed.split() for part in parts(gloss)] for glossed, _, _ in pairs])
        return Batch(texts, glosses, torch.tensor(said))

    def _bags(self, items: Sequence[Sequence[str]]) -> Bags:
        """The n-grams of items; the longer an item, the less each of its words counts."""
        spelled = [[spell(word, self.like.buckets, self.like.lengths) for word in item] for item in items]
        sizes = [sum(len(columns) for columns, _ in item) for item in spelled]
        values = [own / np.float32(sqrt(len(item))) for item in spelled for _, own in item]
        return Bags(
            torch.tensor([column for item in spelled for columns, _ in item for column in columns]),
            torch.from_numpy(np.concatenate([np.empty(0, np.float32), *values])),
            torch.from_numpy(np.cumsum([0, *sizes[:-1]])),
        )


Pair = tuple[str, str, Part | None]  # glosses, the text, and its part, if the table says


def _read(path: Path) -> list[Pair]:
    """The pairs of a table."""
    found = [
        (str(cells["gloss"]), str(cells["text"]), read_part(where, cells["split"]))
        for where, cells in read_rows(path, ("gloss", "text", "split"), ("gloss", "text"))
    ]
    if not found:
        raise InputError(f"{path}: holds no pairs of glosses and text")
    return found


def _divide(pairs: list[Pair], others: list[Pair] | None = None, *, recipe: Recipe) -> tuple[list[Pair], list[Pair]]:
    """What is learned from, and what is measured on; no text is in both."""
    if others is not None:
        train, valid = pairs, others
    elif any(part for _, _, part in pairs):
        train, valid = ([pair for pair in pairs if pair[2] == part] for part in PARTS[:2])
    else:
        texts = list(dict.fromkeys(text for _, text, _ in pairs))
        drawn = np.random.default_rng(recipe.loop.seed).permutation(len(texts))[: round(recipe.data.valid * len(texts))]
        kept = {texts[i] for i in drawn}
        train, valid = ([pair for pair in pairs if (pair[1] in kept) == is_kept] for is_kept in (False, True))
    known = {text for _, text, _ in valid}
    train = [pair for pair in train if pair[1] not in known]
    if not train or not valid:
        raise InputError(f"{recipe.data.pairs}: leaves {len(train)} pairs to learn from and {len(valid)} to measure on")
    return train, valid
