"""Sigma's pre-training as a task of the loop: clips and what they say -> four objectives at once.

HAL = (1 - alpha) global + alpha local aligns clips and texts as wholes and word by word; SGT = (1 - beta) matching +
beta language tells what belongs together and writes it. Their sum goes down.

Source: Sigma (arXiv:2509.21223); AdamW at 1e-4, 10 epochs, batches of 16, texts of 50 pieces. Differs: clips and texts
are aligned, and texts written, before they meet: after it, the text can be told from what it left in the frames,
whatever was signed (`fused = true` does so, as published). Texts of the same words are no negatives of each other.
Half of HAL + SGT is what the released code takes, with its decoder frozen in every second step and a schedule that
never steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from seasign.formats.disk import sha256
from seasign.formats.tables import read_rows
from seasign.metrics.retrieval import evaluate_sentences
from seasign.models.frame_tokens import Looked
from seasign.models.pose_encoder import stack
from seasign.models.sigma import SHARPEST, Seen, Sigma
from seasign.models.sigma_alignment import Row, word_scores, words_of
from seasign.models.sigma_words import PAD, pad
from seasign.training.contrast import infonce, text_number
from seasign.training.loop import Loss, gather, load
from seasign.training.recipe import Amount, Loop, Positive, Release, Share
from seasign.training.sigma_corpus import Corpus, Data, Joined
from seasign.training.sigma_network import FILE, Network, make_network, see
from seasign.types import InputError

OBJECTIVES = ("global", "local", "matching", "language")
Objectives = Literal["global", "local", "matching", "language"]


@dataclass(frozen=True)
class Objective:
    """What is to go down: the table [loss]. Each weight is published, and the smoothing."""

    alpha: Share = 0.5  # of local alignment against that of wholes
    beta: Share = 0.5  # of language against matching
    without: tuple[Objectives, ...] = ()  # objectives that are left out, the weights of the others being as they were
    fused: bool = False  # clips and texts are aligned, and texts written, after both have met, as published
    rows: Row = "max"  # how the words of a frame become one number,
    scores: Literal["sum", "average", "logsumexp", "softmax"] = "softmax"  # and the frames of a clip
    local_temperature: Positive = 1.0  # of scores by words; published: none
    smoothing: Share = 0.2  # of language
    pairs: Amount = 0.0  # weight of writing the texts of [data] pairs, whose glosses stand where frames would

    @property
    def weights(self) -> dict[str, float]:
        """Of every objective that is not left out."""
        weights = dict(zip(OBJECTIVES, (1 - self.alpha, self.alpha, 1 - self.beta, self.beta), strict=True))
        return {name: weight for name, weight in weights.items() if weight and name not in self.without}


@dataclass(frozen=True)
class Recipe(Release):
    """A recipe with `task = "sigma"`. Of `network` and `start` one is given."""

    data: Data
    loop: Loop
    network: Network | None = None
    start: Path | None = None  # a checkpoint to go on from
    joined: Joined | None = None
    loss: Objective = Objective()


class Batch(NamedTuple):
    """Clips filled up with 0 at the end, and their texts."""

    looked: dict[str, Float[Tensor, "clips frames ..."]]
    there: Bool[Tensor, "clips frames"]
    ids: Int[Tensor, "clips pieces"]
    words: Int[Tensor, "clips pieces"]  # the word that each piece is of, -1: none
    said: Int[Tensor, " clips"]  # a number for every different text, the same in all processes
    glosses: Int[Tensor, "pairs pieces"] | None = None  # of sentences that nobody signs here,
    texts: Int[Tensor, "pairs pieces"] | None = None  # and what they say


class Met(NamedTuple):
    """What the losses of a batch are made of."""

    clips: Float[Tensor, "clips width"]
    texts: Float[Tensor, "clips width"]  # wholes, of length 1
    frames: Float[Tensor, "clips tokens width"]
    frames_there: Bool[Tensor, "clips tokens"]
    words: Float[Tensor, "clips words width"]
    words_there: Bool[Tensor, "clips words"]
    scale: Float[Tensor, ""]
    matching: Float[Tensor, ""]
    language: Float[Tensor, ""]
    pairs: Float[Tensor, ""]


class Pretraining(nn.Module):
    """The network, with all that a batch needs in one call."""

    def __init__(self, network: Sigma, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective
        asked = objective.weights
        aligned = bool({"global", "local"} & asked.keys())
        for module, reached in (
            (network.text_encoder, aligned or "matching" in asked),
            (network.meeting, "matching" in asked or (objective.fused and bool(asked))),
            (network.matching, "matching" in asked),
            (network.mt5.encoder.block[-1], bool(asked.keys() - {"matching"}) or objective.pairs > 0),
            (network.mt5.encoder.final_layer_norm, bool(asked.keys() - {"matching"}) or objective.pairs > 0),
            (network.mt5.decoder.block, "language" in asked or objective.pairs > 0),
            (network.mt5.decoder.final_layer_norm, "language" in asked or objective.pairs > 0),
            (network.mt5.lm_head, "language" in asked or objective.pairs > 0),
        ):
            if not reached:
                module.requires_grad_(False)
        network.text_first.requires_grad_(aligned or "matching" in asked)
        network.scale.requires_grad_("global" in asked)

    def forward(self, batch: Batch) -> Met:
        """What the losses are made of; those that are not asked for are 0."""
        network, asked, none = self.network, self.objective.weights, batch.ids.new_zeros((), dtype=torch.float32)
        vision = network.early(network.enter(batch.looked, batch.there))
        text = network.early(network.enter_text(batch.ids), text=True)
        if self.objective.fused:
            seen, read = network.fuse(vision, text)
        else:
            seen, read = network.late(vision), network.late(text, text=True)
        clips, texts = normalize(seen.whole.float(), dim=1), normalize(read.whole.float(), dim=1)
        pieces, _ = read.parts
        words, words_there = words_of(pieces.float(), batch.words)
        frames, frames_there = seen.parts
        return Met(
            clips,
            texts,
            frames.float(),
            frames_there,
            words.float(),
            words_there,
            self.scale,
            self._match(vision, text, clips @ texts.T, batch.said) if "matching" in asked else none,
            network.language(seen, batch.ids, self.objective.smoothing) if "language" in asked else none,
            self._write(batch) if self.objective.pairs else none,
        )

    @property
    def scale(self) -> Tensor:
        """One over the temperature of wholes, 100 at most."""
        return self.network.scale.clamp(max=SHARPEST).exp()

    def _match(
        self, vision: Seen, text: Seen, cosines: Float[Tensor, "clips texts"], said: Int[Tensor, " clips"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of yes and no over every pair, its clip with another text, and its text with another clip.

        Others are drawn by how like they are, from those that say something else; where all say the same, there is
        nothing to tell apart.
        """
        other = said[:, None] != said
        hard = (self.scale * cosines).detach().float().masked_fill(~other, -torch.inf)
        rows = torch.arange(len(said), device=said.device)
        logits = [self._meet(vision, text)]
        can = other.any(dim=1).nonzero()[:, 0]
        if len(can):
            texts, clips = (torch.multinomial(near[can].softmax(dim=1), 1)[:, 0] for near in (hard, hard.T))
            logits += [self._meet(vision.at(can), text.at(texts)), self._meet(vision.at(clips), text.at(can))]
        label = torch.cat((torch.ones_like(rows), rows.new_zeros(2 * len(can))))
        return nn.functional.cross_entropy(torch.cat(logits), label)

    def _meet(self, vision: Seen, text: Seen) -> Float[Tensor, "pairs 2"]:
        return self.network.match(self.network.fuse(vision, text)[1]).float()

    def _write(self, batch: Batch) -> Float[Tensor, ""]:
        assert batch.glosses is not None
        assert batch.texts is not None
        seen = self.network.enter_glosses(batch.glosses)
        seen = self.network.late(self.network.early(seen))
        return self.network.language(seen, batch.texts, self.objective.smoothing)


def losses(met: Met, said: Int[Tensor, " clips"], objective: Objective) -> dict[str, Float[Tensor, ""]]:
    """All objectives that are asked for, with their weights in: their sum is HAL + SGT, and the pairs.

    Source: Sigma, HAL = (1 - alpha) L_global + alpha L_local and SGT = (1 - beta) L_STM + beta L_LM.
    """
    weights, right, found = objective.weights, said[:, None] == said, {}
    if "global" in weights:
        scores = met.scale * met.clips @ met.texts.T
        found["global"] = infonce(scores, right) / 2
    if "local" in weights:
        of_clips, of_texts = word_scores(
            met.frames, met.words, met.frames_there, met.words_there, row=objective.rows, score=objective.scores
        )
        temperature = objective.local_temperature
        found["local"] = infonce(of_clips / temperature, right, of_texts / temperature) / 2
    found |= {name: getattr(met, name) for name in ("matching", "language") if name in weights}
    weighted = {name: weights[name] * value for name, value in found.items()}
    return weighted | ({"pairs": objective.pairs * met.pairs} if objective.pairs else {})


def prepare(recipe: Recipe) -> "SigmaTask":
    """Read what the recipe names, and make the network.

    Raises:
        InputError: There is nothing to learn from or to measure on, a text is empty, the tokenizer does not know the
            language, or a file cannot be used.
    """
    if not recipe.loss.weights:
        raise InputError("[loss]: every objective is left out: there is nothing to learn")
    if (recipe.data.pairs is None) == (recipe.loss.pairs > 0):
        raise InputError("[data] pairs and [loss] pairs: expected both or neither")
    return SigmaTask(recipe)


class SigmaTask:
    """The network, the clips that it learns from, and those that it is measured on."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        pairs = [] if recipe.data.pairs is None else _read_pairs(recipe.data.pairs)
        self.corpus = Corpus(recipe.data, recipe.joined, recipe.loop.seed)
        self.network, self.pieces = make_network(
            recipe.network,
            recipe.start,
            [*self.corpus.texts, *(text for pair in pairs for text in pair)],
            self.corpus.units,
        )
        if not self.network.shape.fused:
            raise InputError(
                f"{recipe.start}: was fine-tuned and reads no texts any more: start from a pre-trained one"
            )
        self.pairs = [(self.pieces.ids(glosses), self.pieces.ids(text)) for glosses, text in pairs]
        self.data = self.corpus.files
        if recipe.data.pairs is not None:
            self.data = self.data | {recipe.data.pairs.name: sha256(recipe.data.pairs)}
        self.model = Pretraining(self.network, recipe.loss)
        self.files = {FILE: self.pieces.text}
        self.valid = [(see(self.network, example), example.text) for example in self.corpus.valid]

    def batches(self, epoch: int, rank: int, ranks: int) -> DataLoader[Batch]:
        """Clips that the epoch and the seed throw together."""
        return load(len(self.corpus), self.batch, self.recipe, epoch, rank, ranks)

    def batch(self, epoch: int, items: Sequence[int]) -> Batch:
        """What an epoch makes of items."""
        seed = self.recipe.loop.seed
        some = []
        for item in items:
            rng = np.random.default_rng([seed, epoch, item])
            example = self.corpus.draw(item, rng)
            some.append((see(self.network, example, rng, again=epoch > 1), example.text))
        rng = np.random.default_rng([seed, epoch, items[0]])
        return self.stacked([looked for looked, _ in some], [text for _, text in some], rng)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Alignment over the clips of all processes, the others over those of this one."""
        met: Met = model(batch)
        clips, texts, said = gather(met.clips), gather(met.texts), gather(batch.said)
        frames, frames_there = _gathered(met.frames, met.frames_there)
        words, words_there = _gathered(met.words, met.words_there)
        met = met._replace(
            clips=clips,
            texts=texts,
            frames=frames,
            frames_there=frames_there,
            words=words,
            words_there=words_there,
        )
        return Loss(losses(met, said, self.recipe.loss), len(batch.said))

    def evaluate(self) -> dict[str, float]:
        """On clips that were not learned from: the loss, its parts, and retrieval.

        `valid_loss` is in batches, as in training; `text_to_video_r@1` and so on are shares, by wholes. With `fused`
        they are of clips and texts that have not met.
        """
        device, found = self.network.scale.device, dict[str, float]()
        state = torch.get_rng_state()
        torch.manual_seed(0)  # negatives are drawn
        totals: dict[str, float] = {}
        clips: list[Tensor] = []
        texts: list[Tensor] = []
        for first in range(0, len(self.valid), self.recipe.data.batch):
            some = self.valid[first : first + self.recipe.data.batch]
            batch = _moved(self.stacked([looked for looked, _ in some], [text for _, text in some]), device)
            terms = losses(self.model(batch), batch.said, self.recipe.loss)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(some) / len(self.valid)
            seen = self.network.see(batch.looked, batch.there)
            read = self.network.late(self.network.early(self.network.enter_text(batch.ids), text=True), text=True)
            clips.append(normalize(seen.whole.float(), dim=1))
            texts.append(normalize(read.whole.float(), dim=1))
        torch.set_rng_state(state)
        found = {"valid_loss": sum(totals.values())} | {f"valid_{name}": value for name, value in totals.items()}
        scores = evaluate_sentences((torch.cat(texts) @ torch.cat(clips).T).cpu().numpy())
        for name, way in zip(("text_to_video", "video_to_text"), scores, strict=True):
            found |= {f"{name}_r@{k}": r / 100 for k, r in zip((1, 5, 10), way.recall, strict=False)}
        return found

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `checkpoints` reads it."""
        return self.network.config | self.about(), self.network.tensors

    def about(self) -> dict[str, Any]:
        """What a checkpoint says of itself."""
        return {
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "parts": self.corpus.parts,
        }

    def stacked(self, looked: Sequence[Looked], texts: Sequence[str], rng: np.random.Generator | None = None) -> Batch:
        """A batch of them."""
        ids = [self.pieces.ids(text) for text in texts]
        words = [self.pieces.words(own, self.corpus.lexicon).tolist() for own in ids]
        glosses = sentences = None
        if self.recipe.loss.pairs:
            rng = rng or np.random.default_rng(0)
            chosen = [self.pairs[number] for number in rng.integers(len(self.pairs), size=len(texts)).tolist()]
            glosses, sentences = (torch.from_numpy(pad(side, PAD)) for side in zip(*chosen, strict=True))
        filled, there = stack(looked)
        said = torch.tensor([text_number(text) for text in texts])
        return Batch(
            filled, there, torch.from_numpy(pad(ids, PAD)), torch.from_numpy(pad(words, -1)), said, glosses, sentences
        )


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    pairs = [
        (str(cells["gloss"]), str(cells["text"])) for _, cells in read_rows(path, ("gloss", "text"), ("gloss", "text"))
    ]
    if not pairs:
        raise InputError(f"{path}: holds no pairs of glosses and text")
    return pairs


def _gathered(
    rows: Float[Tensor, "rows steps width"], there: Bool[Tensor, "rows steps"]
) -> tuple[Float[Tensor, "all_rows most width"], Bool[Tensor, "all_rows most"]]:
    """Those of all processes, filled up to the longest."""
    longest = int(gather(torch.tensor([rows.shape[1]], device=rows.device)).max())
    more = longest - rows.shape[1]
    there = gather(nn.functional.pad(there, (0, more)).float()) > 0
    return gather(nn.functional.pad(rows, (0, 0, 0, more))), there


def _moved(batch: Batch, device: torch.device) -> Batch:
    parts: Mapping[str, Any] = batch._asdict()
    moved = {name: part.to(device) for name, part in parts.items() if isinstance(part, Tensor)}
    return batch._replace(**moved, looked={part: values.to(device) for part, values in batch.looked.items()})
