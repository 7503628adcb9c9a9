"""Sigma's pre-training as a task of the loop: clips and what they say -> four objectives at once.

HAL = (1 - alpha) global + alpha local aligns clips and texts as wholes and word by word; SGT = (1 - beta) matching +
beta language tells what belongs together and writes it. Their sum goes down.

Source: Sigma (arXiv:2509.21223); AdamW at 1e-4, 10 epochs, batches of 16, texts of 50 pieces. Differs: clips and texts
are aligned, and texts written, before they meet: after it, the text can be told from what it left in the frames,
whatever was signed (`fused = true` does so, as published). Texts of the same words are no negatives of each other.
Half of HAL + SGT is what the released code takes, with its decoder frozen in every second step and a schedule that
never steps.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from seasign import checkpoints
from seasign.corpora import traduttore, uni_sign
from seasign.corpora.clips import Clip, digest, divide_named, read_manifest
from seasign.corpora.recordings import Part
from seasign.formats.disk import sha256
from seasign.formats.tables import read_rows
from seasign.formats.words import read_vocabulary
from seasign.metrics.retrieval import evaluate_sentences
from seasign.models import pose_encoder
from seasign.models.cslr2_embedder import Cslr2Embedder
from seasign.models.frame_tokens import Cslr2Tokens, FrameTokens, Looked, PartTokens, SignClipTokens
from seasign.models.pose_encoder import stack
from seasign.models.sigma import (
    SHARPEST,
    Row,
    Seen,
    Shape,
    Sigma,
    contrast,
    narrow,
    untie,
    word_scores,
    words_of,
)
from seasign.models.sigma_translator import (
    PREFIX,
    SAID,
    SQUEEZED,
    Inputs,
    SigmaTranslator,
    Unit,
    look,
    units_of,
)
from seasign.models.sigma_words import PAD, Pieces, pad
from seasign.models.signclip_embedder import SignClipEmbedder
from seasign.recognition import shots
from seasign.segmentation import find_sign
from seasign.training.concatenation import Joining, concatenate
from seasign.training.cslr2 import text_number
from seasign.training.loop import Loss, gather, load, share
from seasign.training.recipe import Amount, Count, Counts, Loop, Positive, Share, Whole
from seasign.types import InputError, InputWarning, Poses, Sign

OBJECTIVES = ("global", "local", "matching", "language")
Objectives = Literal["global", "local", "matching", "language"]
FILE = "tokenizer.json"


@dataclass(frozen=True)
class Data:
    """What there is to learn from: the table [data]. Of `traduttore`, `manifest` and `labels` one is given."""

    traduttore: Path | None = None  # isolated signs; joined into sentences where there is a table [joined]
    manifest: Path | None = None  # a table of clips, see `corpora.clips.read_manifest`
    labels: Path | None = None  # a file of labels as Uni-Sign publishes them, see `corpora.uni_sign`; with the next two
    valid_labels: Path | None = None  # another, to measure on
    poses: Path | None = None  # the folder of their poses
    valid: Share = 0.1  # of the clips, unless they or the next two name the parts; no signer is in two
    valid_signers: tuple[str, ...] = ()  # or sessions: they are measured on,
    test_signers: tuple[str, ...] = ()  # and they are kept out
    examples: Count | None = None  # clips of every text that are learned from, at most
    repeat: Count = 1  # times that each of them comes in an epoch
    without: tuple[str, ...] = ()  # texts whose clips are kept out
    pairs: Path | None = None  # a table `gloss,text` of sentences nobody signs here; see [loss] pairs
    lexicon: Path | None = None  # words, one a line; those of several pieces or words are aligned as one
    batch: Count = 16  # clips per process
    workers: Whole = 0  # processes that prepare batches


@dataclass(frozen=True)
class Joined(Joining):
    """Sentences made of isolated signs, drawn anew in every epoch: the table [joined]."""

    sentences: Count = 512  # per epoch
    signs: Counts = (3, 5)  # per sentence, all of them different
    valid: Count = 100  # sentences that are measured on


@dataclass(frozen=True)
class Network:
    """A new network: the table [network]. The defaults are the published ones, as far as weights are not read."""

    mt5: Path | None = None  # a folder with an mT5, as Hugging Face writes it, and its sizes, up to `dropout`
    trim: bool = False  # of its pieces only those that the texts need: two thirds of its numbers are of pieces
    vocabulary: Count = 1000  # pieces, that are learned of the texts
    width: Count = 768
    key: Count = 64
    heads: Count = 12
    inner: Count = 2048
    layers: Count = 12
    decoder_layers: Count = 12
    dropout: Share = 0.1
    fused: Count = 3  # layers in which clips and texts meet, the last ones
    language: str = "English"  # of the texts, as it is named before every clip
    frames: Count = 256  # of a clip at most: drawn in training, evenly over it otherwise
    pieces: Count = 50  # of a text at most
    encoder: Path | None = None  # a SignCLIP or CSLR2 that looks at the frames; None: a new graph network, as follows
    joint: Count = 64
    spatial: tuple[Count, ...] = (64, 128, 256)
    temporal: Count = 3
    recompute: bool = False  # activations are computed twice: less memory, a third more time


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
class Recipe:
    """A recipe with `task = "sigma"`. Of `network` and `start` one is given."""

    data: Data
    loop: Loop
    network: Network | None = None
    start: Path | None = None  # a checkpoint to go on from
    joined: Joined | None = None
    loss: Objective = Objective()
    licence: str | None = None  # of the weights: goes into the checkpoint, as do the next two
    trained_on: str | None = None
    citation: str | None = None


class Example(NamedTuple):
    """A clip, and what it says."""

    name: str
    poses: Callable[[], Poses]
    text: str
    glosses: str = ""  # parted by spaces; none are known


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
        found["global"] = contrast(scores, scores.T, right)
    if "local" in weights:
        of_clips, of_texts = word_scores(
            met.frames, met.words, met.frames_there, met.words_there, row=objective.rows, score=objective.scores
        )
        found["local"] = contrast(of_clips / objective.local_temperature, of_texts / objective.local_temperature, right)
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
        data, seed = self.recipe.data, self.recipe.loop.seed
        shares = share(len(self.corpus), data.batch, seed=seed, epoch=epoch, rank=rank, ranks=ranks)
        return load(shares, partial(self.batch, epoch), data.workers)

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
            "licence": self.recipe.licence,
            "trained_on": self.recipe.trained_on,
            "citation": self.recipe.citation,
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


class Corpus:
    """Clips and what they say, in parts; no signer is in two. Poses in memory stay there."""

    def __init__(self, data: Data, joined: Joined | None, seed: int) -> None:
        self.joined, self.repeat = joined, data.repeat
        if sum(source is not None for source in (data.traduttore, data.manifest, data.labels)) != 1:
            raise InputError("[data]: expected one of traduttore, manifest and labels")
        if joined is not None and data.traduttore is None:
            raise InputError("[joined]: only the signs of traduttore are joined; leave it out")
        parts, self.files = _read(data, seed)
        self.parts = {part: sorted({str(clip.signer) for clip in some}) for part, some in parts.items()}
        self.lexicon = () if data.lexicon is None else read_vocabulary(data.lexicon)
        if data.examples is not None:
            chosen = shots([clip.text for clip in parts["train"]], data.examples, seed).tolist()
            parts["train"] = tuple(parts["train"][number] for number in chosen)
        for clip in (clip for some in parts.values() for clip in some):
            if not clip.text.strip():
                raise InputError(f"{clip.name}: its text is empty: write what it says, or take the clip out")
        self.by_word = {part: _by_word(some) for part, some in parts.items() if joined is not None}
        self.train = tuple(map(_example, parts["train"]))
        if joined is not None:
            if joined.signs[1] > (fewest := min(len(self.by_word[part]) for part in ("train", "valid"))):
                raise InputError(f"[joined] signs: {joined.signs[1]} different ones, of {fewest} words")
            self.valid = self.sentences("valid", joined.valid, np.random.default_rng([seed, 0, 0]))
        else:
            self.valid = tuple(map(_example, parts["valid"]))
        self.test = tuple(map(_example, parts["test"]))
        self.units = units_of(self.valid[0].poses())
        self.texts = sorted({text for clip in (*self.train, *self.valid) for text in (clip.text, clip.glosses) if text})

    def __len__(self) -> int:
        return self.joined.sentences if self.joined else len(self.train) * self.repeat

    def draw(self, item: int, rng: np.random.Generator) -> Example:
        """That one, or a new one where signs are joined."""
        return self.join("train", rng) if self.joined else self.train[item % len(self.train)]

    def sentences(self, part: Part, count: int, rng: np.random.Generator) -> tuple[Example, ...]:
        """That many joined ones."""
        return tuple(self.join(part, rng) for _ in range(count))

    def join(self, part: Part, rng: np.random.Generator) -> Example:
        """Some words, a clip of each, one after the other."""
        assert self.joined is not None
        low, high = self.joined.signs
        words = rng.permutation(sorted(self.by_word[part]))[: rng.integers(low, high, endpoint=True)].tolist()
        chosen = [self.by_word[part][word][rng.integers(len(self.by_word[part][word]))] for word in words]
        poses, _ = concatenate(chosen, int(rng.integers(2**31)), joining=replace(self.joined, phrase=(high, high)))
        said = " ".join(words)
        return Example(f"joined: {said}", lambda: poses, said, " ".join(word.replace(" ", "-") for word in words))


def _by_word(clips: Sequence[Clip]) -> dict[str, list[tuple[Poses, Sign]]]:
    found: dict[str, list[tuple[Poses, Sign]]] = {}
    for clip in clips:
        poses = clip.read()
        span = find_sign(poses)
        found.setdefault(clip.text, []).append((poses, Sign(span.start, span.end, clip.text)))
    return found


def _example(clip: Clip) -> Example:
    glosses = " ".join(clip.glosses) if isinstance(clip, uni_sign.LabelledClip) else ""
    return Example(clip.name, clip.read, clip.text, glosses)


def _read(data: Data, seed: int) -> tuple[dict[Part, tuple[Clip, ...]], dict[str, str]]:
    """The clips in parts, and the SHA-256 of what lists them or holds them."""
    clips: tuple[Clip, ...]
    if data.traduttore is not None:
        clips, files = traduttore.read(data.traduttore), sorted(data.traduttore.glob("*.npz"))
    elif data.manifest is not None:
        clips, files = read_manifest(data.manifest), [data.manifest]
    else:
        if data.labels is None or data.valid_labels is None or data.poses is None:
            raise InputError("[data]: labels, valid_labels and poses: expected all three")
        files = [data.labels, data.valid_labels]
        clips = (
            *uni_sign.read_clips(data.labels, data.poses, part="train"),
            *uni_sign.read_clips(data.valid_labels, data.poses, part="valid"),
        )
    if unknown := sorted(set(data.without) - {clip.text for clip in clips}):
        raise InputError(f"[data] without: no clip says {unknown[0]!r}")
    clips = tuple(clip for clip in clips if clip.text not in data.without)
    hashes = {path.name: sha256(path) for path in files}
    if data.traduttore is None:
        hashes["the clips in it"] = digest(clips)
    if data.labels is not None:  # which name no signers
        parts: dict[Part, tuple[Clip, ...]] = {"train": (), "valid": (), "test": ()}
        parts |= {part: tuple(clip for clip in clips if clip.part == part) for part in parts}
        if not (parts["train"] and parts["valid"]):
            raise InputError("[data] without: leaves no clip to learn from, or none to measure on")
        return parts, hashes
    return divide_named(clips, data.valid_signers, data.test_signers, valid=data.valid, seed=seed), hashes


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    pairs = [
        (str(cells["gloss"]), str(cells["text"])) for _, cells in read_rows(path, ("gloss", "text"), ("gloss", "text"))
    ]
    if not pairs:
        raise InputError(f"{path}: holds no pairs of glosses and text")
    return pairs


def see(network: Sigma, example: Example, rng: np.random.Generator | None = None, *, again: bool = False) -> Looked:
    """As `sigma_translator.look`; that clips show one hand, or no face, is nothing to warn of.

    Args:
        again: What there is to warn of was said: processes that prepare batches begin every epoch without a memory.
    """
    with warnings.catch_warnings():
        nothing = "the poses have no|none of .* hand|hardly any of the body|z varies"
        warnings.filterwarnings("ignore", "" if again else nothing, InputWarning)
        return look(network, example.poses(), example.name, rng)


def make_network(
    network: Network | None, start: Path | None, texts: Sequence[str], units: Sequence[Unit] = ("pixels",)
) -> tuple[Sigma, Pieces]:
    """The network of a recipe, new or as its checkpoint has it, and its tokenizer.

    Args:
        units: Of the poses that it is to learn from, their own first; what is started from keeps its own among them.

    Raises:
        InputError: Both are given, or neither; the tokenizer does not know the language of the texts; a file cannot be
            used.
    Warns:
        InputWarning: The checkpoint learned from poses in none of these units; from here on it learns from the first.
    """
    if (network is None) == (start is None):
        raise InputError("expected one of network and start")
    if start is not None:
        found = checkpoints.load(start if start.exists() else start.name)
        if not isinstance(found, SigmaTranslator) or not isinstance(found.network, Sigma):
            raise InputError(f"{start}: is no Sigma to go on from; name another encoder of frames in [network] encoder")
        found.pieces.check(texts, found.language)
        unit = found.network.inputs.unit or units[0]
        if unit not in units:
            message = f"{start}: learned from {SAID[unit]}, where these poses are in {SAID[units[0]]}"
            warnings.warn(f"{message}: {SQUEEZED}", InputWarning, stacklevel=2)
            unit = units[0]
        found.network.inputs = replace(found.network.inputs, unit=unit)
        return found.network, found.pieces
    assert network is not None
    prefix = PREFIX.format(language=network.language)
    mt5 = None
    if network.mt5 is not None:
        pieces = Pieces.read(network.mt5, network.pieces)
        mt5, shape = _read_mt5(network.mt5)
        shape = replace(shape, fused=network.fused)
        if network.trim:
            pieces, kept = pieces.trim([*texts, prefix])
            mt5, shape = narrow(mt5, kept), replace(shape, vocabulary=len(kept))
        if len(pieces) > shape.vocabulary:
            raise InputError(f"{network.mt5}: its tokenizer has {len(pieces)} pieces, the network {shape.vocabulary}")
    else:
        pieces = Pieces.learn([*texts, prefix], network.vocabulary, network.pieces)
        names = ("width", "key", "heads", "inner", "layers", "decoder_layers", "dropout", "fused")
        shape = Shape(vocabulary=len(pieces), **{name: getattr(network, name) for name in names})
    pieces.check([*texts, prefix], network.language)
    inputs = Inputs(network.language, tuple(pieces.ids(prefix, end=False)), network.frames, network.pieces, units[0])
    made = Sigma(shape, _make_frames(network, shape), inputs, mt5)
    if network.recompute:
        made.recompute_activations()
    return made, pieces


def _make_frames(network: Network, shape: Shape) -> FrameTokens:
    if network.encoder is None:
        sizes = pose_encoder.Shape(network.joint, tuple(network.spatial), network.temporal, features=shape.width)
        return PartTokens(sizes, recompute=network.recompute)
    found = checkpoints.load(network.encoder if network.encoder.exists() else network.encoder.name)
    if isinstance(found, SignClipEmbedder):
        return SignClipTokens(found.towers)  # type: ignore[arg-type]
    if isinstance(found, Cslr2Embedder):
        return Cslr2Tokens(found.network)  # type: ignore[arg-type]
    raise InputError(f"{network.encoder}: gives frames no vectors: name a SignCLIP or a CSLR2")


def _read_mt5(folder: Path) -> tuple[Any, Shape]:
    """The network of an mT5 in a folder, in 32 bits, and its sizes."""
    from safetensors import SafetensorError
    from transformers import MT5ForConditionalGeneration

    try:
        mt5: Any = MT5ForConditionalGeneration.from_pretrained(str(folder), local_files_only=True)
        mt5 = mt5.float()
        return untie(mt5, _read_head(folder, mt5.shared.weight)), Shape.of(mt5.config)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        line = str(error).partition("\n")[0]
        raise InputError(f"{folder}: no mT5 that can be read ({line[:200]})") from None


def _read_head(folder: Path, table: Float[Tensor, "pieces width"]) -> Float[Tensor, "pieces width"]:
    """The last map of an mT5 in a folder; where the file brings none, the table of pieces is it."""
    file = folder / "model.safetensors"
    if file.is_file():
        from safetensors import safe_open

        with safe_open(file, "pt") as tensors:
            head = tensors.get_tensor("lm_head.weight") if "lm_head.weight" in tensors.keys() else table  # noqa: SIM118
    elif (file := folder / "pytorch_model.bin").is_file():
        head = torch.load(file, map_location="cpu", weights_only=True, mmap=True).get("lm_head.weight", table)
    else:
        raise InputError(f"expected its weights in one file, model.safetensors or {file.name}")
    return head.detach().clone()


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
