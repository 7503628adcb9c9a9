"""Sigma's fine-tuning as a task of the loop: clips -> text, be it the name of a sign, glosses, or a sentence.

Source: Sigma (arXiv:2509.21223) and Uni-Sign: AdamW at 3e-4, 20 epochs, label smoothing of .2; recognition, too, is
generation, and right when the text is. The encoder of sentences is dropped. Differs: what starts anew, from a SignCLIP
or from a CSLR2 goes the same way as what was pre-trained here; frames of validation are never drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader

from seasign.metrics.glosses import evaluate_words
from seasign.metrics.translation import evaluate_isolated, evaluate_translation
from seasign.models.pose_encoder import stack
from seasign.models.sigma import Sigma
from seasign.models.sigma_translator import Work
from seasign.models.sigma_words import PAD, pad
from seasign.training.loop import Loss, load
from seasign.training.recipe import Count, Loop, Release, Share
from seasign.training.sigma_corpus import Corpus, Data, Example, Joined
from seasign.training.sigma_network import FILE, Network, make_network, see
from seasign.types import InputError


@dataclass(frozen=True)
class Recipe(Release):
    """A recipe with `task = "sigma-finetune"`. Of `network` and `start` one is given."""

    data: Data
    loop: Loop
    work: Work  # what is written: the text of single signs (islr), glosses (cslr), or sentences (slt)
    network: Network | None = None  # a new one; [network] encoder may be a SignCLIP or CSLR2
    start: Path | None = None  # a checkpoint to go on from, pre-trained as a rule
    joined: Joined | None = None
    smoothing: Share = 0.2
    recompute: bool = False  # activations are computed twice: less memory, a third more time
    beams: Count = 4  # of what is measured after every epoch,
    most: Count = 100  # and pieces
    tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a"  # of BLEU; "char" is published of CSL-Daily


class Batch(NamedTuple):
    """Clips filled up with 0 at the end, and their texts."""

    looked: dict[str, Float[Tensor, "clips frames ..."]]
    there: Bool[Tensor, "clips frames"]
    ids: Int[Tensor, "clips pieces"]


class Writing(nn.Module):
    """The network, with its loss in one call."""

    def __init__(self, network: Sigma, smoothing: float) -> None:
        super().__init__()
        self.network, self.smoothing = network, smoothing

    def forward(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropy of the next piece."""
        seen = self.network.see(batch.looked, batch.there)
        return self.network.language(seen, batch.ids, self.smoothing)


def prepare(recipe: Recipe) -> "WritingTask":
    """Read what the recipe names, and make the network.

    Raises:
        InputError: There is nothing to learn from or to measure on, a text is empty, the tokenizer does not know the
            language, or a file cannot be used.
    """
    return WritingTask(recipe)


class WritingTask:
    """The network, the clips that it learns from, and those that it is measured on."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        if recipe.data.pairs or recipe.data.lexicon:
            raise InputError('[data] pairs, lexicon: they are for pre-training, with task = "sigma"; leave them out')
        self.corpus = Corpus(recipe.data, recipe.joined, recipe.loop.seed)
        self.data = self.corpus.files
        drawn = () if recipe.joined else self.corpus.train
        texts = sorted({self.text(example) for example in (*drawn, *self.corpus.valid)} | set(self.corpus.texts))
        network, self.pieces = make_network(recipe.network, recipe.start, texts, self.corpus.units)
        network.inputs = replace(network.inputs, work=recipe.work)
        self.network = network.without_text()
        if recipe.recompute or (recipe.network is not None and recipe.network.recompute):
            self.network.recompute_activations()
        self.model = Writing(self.network, recipe.smoothing)
        self.files = {FILE: self.pieces.text}
        self.valid = [see(self.network, example) for example in self.corpus.valid]

    def batches(self, epoch: int, rank: int, ranks: int) -> DataLoader[Batch]:
        """Clips that the epoch and the seed throw together."""
        return load(len(self.corpus), self.batch, self.recipe, epoch, rank, ranks)

    def batch(self, epoch: int, items: Sequence[int]) -> Batch:
        """What an epoch makes of items."""
        looked, ids = [], []
        for item in items:
            rng = np.random.default_rng([self.recipe.loop.seed, epoch, item])
            example = self.corpus.draw(item, rng)
            looked.append(see(self.network, example, rng, again=epoch > 1))
            ids.append(self.pieces.ids(self.text(example)))
        filled, there = stack(looked)
        return Batch(filled, there, torch.from_numpy(pad(ids, PAD)))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Of the next piece."""
        return Loss({"language": model(batch)}, len(batch.ids))

    def evaluate(self) -> dict[str, float]:
        """What is written of clips that were not learned from, against what they say.

        Single signs `per_instance` and `per_class`, glosses by `wer`, sentences by `bleu_4` and others; percent.
        """
        said: list[str] = []
        for first in range(0, len(self.valid), self.recipe.data.batch):
            some = self.valid[first : first + self.recipe.data.batch]
            found = self.network.say(some, beams=self.recipe.beams, most=self.recipe.most)
            said += [self.pieces.say(ids) for ids, _ in found]
        true = [self.text(example) for example in self.corpus.valid]
        if self.recipe.work == "islr":
            scores = evaluate_isolated(true, said)
            return {"per_instance": scores.per_instance, "per_class": scores.per_class}
        if self.recipe.work == "cslr":
            return {"wer": evaluate_words(true, said).wer}
        own = evaluate_translation(true, said, tokenize=self.recipe.tokenize).as_json()
        return {name: float(value) for name, value in own.items() if isinstance(value, float)}

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `checkpoints` reads it."""
        about = {
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "parts": self.corpus.parts,
        }
        return self.network.config | about, self.network.tensors

    def text(self, example: Example) -> str:
        """What is to be written of a clip."""
        if self.recipe.work != "cslr":
            return example.text
        if not example.glosses:
            raise InputError(f"{example.name}: its glosses are not known: cslr needs them (slt and islr do not)")
        return example.glosses
