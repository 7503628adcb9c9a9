"""SignCLIP as a task of the loop: clips and their texts -> batches, contrastive losses, retrieval and recognition.

Source: Jiang et al. 2024 (arXiv:2407.01264) and the authors' code, examples/MMPT of their fairseq fork @ a8199440: the
loss "infonce" with `positives = "own"` and no temperature. Ours beside it: a learned temperature, equal texts that are
all right, the loss of SigLIP (Zhai et al. 2023, arXiv:2303.15343), and batches that are drawn anew in every epoch,
where theirs are drawn once and only change their order.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from seasign import checkpoints
from seasign.corpora.clips import Clip, divide_named
from seasign.corpora.recordings import PARTS
from seasign.metrics import evaluate_retrieval
from seasign.models.batches import in_batches
from seasign.models.features import LEGS, SHOULDERS, check_unit, hide, measure, normalize_shoulders, select
from seasign.models.signclip import Head, Shape, SignClip
from seasign.models.signclip_embedder import (
    LAYOUTS,
    Inputs,
    SignClipEmbedder,
    Words,
    prompt,
    read_vocabulary,
)
from seasign.recognition import classify, shots
from seasign.training import augmentation
from seasign.training.contrast import infonce
from seasign.training.lexicon import leave_out, read_clips
from seasign.training.loop import Loss, gather, load, share
from seasign.training.probe import probe
from seasign.training.recipe import Amount, Count, Loop, Positive, Release, Share, Whole, folder_or_name
from seasign.types import Embeddings, InputError, InputWarning, Poses

Projection = Literal["plain", "l2"]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BIAS = -10.0  # of SigLIP, at first: of all pairs few are right


@dataclass(frozen=True)
class Data:
    """What there is to learn from: the table [data]. Of `manifest` and `traduttore` one is given."""

    manifest: Path | None = None  # a table of clips, see `corpora.clips.read_manifest`
    traduttore: Path | None = None  # the folder of that corpus, see `corpora.traduttore`
    valid: Share = 0.1  # of the clips, unless the manifest or the next two name the parts; no signer is in two
    test: Share = 0.0  # kept out altogether
    valid_signers: tuple[str, ...] = ()  # or sessions: they are measured on,
    test_signers: tuple[str, ...] = ()  # and they are kept out; the others are learned from
    without: tuple[str, ...] = ()  # texts whose clips are kept out
    tags: tuple[str, str] = ("en", "ase")  # of clips that name no languages: the written and the signed one
    batch: Count = 64  # pairs per process
    workers: Whole = 0  # processes that prepare batches


@dataclass(frozen=True)
class Network:
    """A new network: the table [network]. The defaults are those of the released ones."""

    layout: Literal["reduced-face", "arms-and-face", "body-and-hands", "hands", "right-hand"] = "reduced-face"
    hidden: Count = 768
    heads: Count = 12
    intermediate: Count = 3072
    video_layers: Count = 12
    text_layers: Count = 12
    max_frames: Count = 256  # longer clips are cut
    max_tokens: Count = 64
    vocabulary: Path | None = None  # a vocab.txt of BERT; None: the letters of the texts
    lowercase: bool = False
    bert: Path | None = None  # a folder of weights that both transformers start from, as Hugging Face writes it


@dataclass(frozen=True)
class Objective:
    """What is to go down: the table [loss]."""

    kind: Literal["infonce", "siglip"] = "infonce"
    positives: Literal["own", "equal"] = "equal"  # "own": a text is wrong for every clip but its own, as published
    temperature: Positive | None = None  # learned from here on; None: 1 and never learned, as published
    chunk: Count | None = None  # pairs whose activations are in memory at once; the rest is computed twice


@dataclass(frozen=True)
class Augment:
    """What is changed at random: the table [augment]; nothing unless it says so. Published values in brackets."""

    mirror: Share = 0.0  # how often (.2)
    pace: Amount = 0.0  # standard deviation of how many times as many frames there are (.2)
    shear: Amount = 0.0  # standard deviation of shear, rotation and stretching (.2)
    noise: Amount = 0.0  # standard deviation in shoulder widths (.001)


@dataclass(frozen=True)
class Recognition:
    """Recognition that is measured beside retrieval: the table [recognition]. Examples are clips learned from."""

    methods: tuple[Literal["nearest", "neighbours", "prototypes", "probe"], ...] = ("prototypes",)
    examples: Count = 5  # of each text at most


@dataclass(frozen=True)
class Recipe(Release):
    """A recipe with `task = "signclip"`. Of `network` and `start` one is given."""

    data: Data
    loop: Loop
    network: Network | None = None
    start: Path | None = None  # a checkpoint to go on from: a folder, or a published name
    train: Literal["all", "heads", "lora"] = "all"  # lora: low-rank changes of the transformers' matrices, and heads
    rank: Count = 8  # of those
    projection: Projection | None = None  # heads after pooling; where `start` has none they begin as identity
    loss: Objective = Objective()
    augment: Augment = Augment()
    recognition: Recognition = Recognition()


class Batch(NamedTuple):
    """Clips filled up with 0 at the end, and the different texts among theirs."""

    frames: Float[Tensor, "clips frames features"]
    frames_there: Bool[Tensor, "clips frames"]
    tokens: Int[Tensor, "texts tokens"]
    tokens_there: Bool[Tensor, "texts tokens"]
    own: Int[Tensor, "clips"]  # the row of every clip's text
    said: Int[Tensor, "clips"]  # the same in the numbers of the whole corpus


class Towers(nn.Module):
    """The network, and what the loss learns beside it."""

    def __init__(self, network: SignClip, objective: Objective) -> None:
        super().__init__()
        self.network, self.chunk = network, objective.chunk
        start = -log(objective.temperature or 1.0)
        self.scale = nn.Parameter(torch.tensor(start), requires_grad=objective.temperature is not None)
        self.bias = nn.Parameter(torch.tensor(BIAS), requires_grad=objective.kind == "siglip")

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The vectors of the clips and of their texts, the scale of scores, and their bias."""
        clips = self._embed(self.network.clips, batch.frames, batch.frames_there)
        texts = self._embed(self.network.texts, batch.tokens, batch.tokens_there)[batch.own]
        return clips.float(), texts.float(), self.sharpness, self.bias

    @property
    def sharpness(self) -> Tensor:
        """One over the temperature, 100 at most, as in CLIP (arXiv:2103.00020)."""
        return self.scale.clamp(max=log(100)).exp()

    def _embed(self, tower: Callable[[Tensor, Tensor], Tensor], rows: Tensor, there: Tensor) -> Tensor:
        """Rows in chunks, whose activations are thrown away and computed again when gradients come by.

        The gradient is that of the whole batch, as in gradient caching (Gao et al. 2021, arXiv:2101.06983).
        """
        if self.chunk is None:
            return tower(rows, there)
        again = partial(checkpoint, tower, use_reentrant=False)
        chunks = zip(torch.split(rows, self.chunk), torch.split(there, self.chunk), strict=True)
        return torch.cat([again(*chunk) for chunk in chunks])


class LowRank(nn.Module):
    """A matrix that learns a change of low rank (Hu et al. 2021, arXiv:2106.09685) and stays as it is otherwise."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, weight.shape[1]) / weight.shape[1] ** 0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The matrix with its change."""
        return weight + self.up @ self.down


def prepare(recipe: Recipe) -> "Pairing":
    """Read what the recipe names, and make the network.

    Raises:
        InputError: There is nothing to learn from or to measure on, or a file cannot be used.
    """
    if (recipe.network is None) == (recipe.start is None):
        raise InputError("expected one of network and start")
    if (recipe.data.manifest is None) == (recipe.data.traduttore is None):
        raise InputError("[data]: expected one of manifest and traduttore")
    if recipe.train == "heads" and recipe.projection is None and recipe.network is not None:
        raise InputError('train: there are no heads; add projection = "l2", or train "all"')
    return Pairing(recipe)


class Pairing:
    """Towers, the clips that they learn from, and those that they are measured on. Poses in memory stay there."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        data = recipe.data
        clips, self.data = read_clips(data.traduttore, data.manifest)
        clips = leave_out(clips, data.without)
        self.parts = divide_named(
            clips, data.valid_signers, data.test_signers, valid=data.valid, test=data.test, seed=recipe.loop.seed
        )
        self.said = sorted({self.prompt(clip) for part in PARTS for clip in self.parts[part]})
        self.network, self.vocabulary = make_network(recipe, [*self.said, *" ".join(self.said).split()])
        self.words = Words(self.vocabulary, lowercase=self.network.inputs.lowercase)
        self.model = Towers(self.network, recipe.loss)
        _choose(self.network, recipe.train, recipe.rank)
        self.files = {"vocab.txt": "".join(f"{token}\n" for token in self.vocabulary)}
        self.seen = {clip.name: self._see(clip) for clip in clips if isinstance(clip.poses, Poses)}
        self.valid = [self.features(self.see(clip)) for clip in self.parts["valid"]]
        train = self.parts["train"]
        chosen = shots([clip.text for clip in train], recipe.recognition.examples, recipe.loop.seed).tolist()
        self.examples = [train[number] for number in chosen if recipe.recognition.methods]
        self.shown = [self.features(self.see(clip)) for clip in self.examples]

    def batches(self, epoch: int, rank: int, ranks: int) -> DataLoader[Batch]:
        """Pairs that the epoch and the seed throw together."""
        return load(len(self.parts["train"]), self.batch, self.recipe, epoch, rank, ranks)

    def batch(self, epoch: int, items: Sequence[int]) -> Batch:
        """What an epoch makes of items."""
        clips = [self.parts["train"][item] for item in items]
        frames = []
        for item, clip in zip(items, clips, strict=True):
            rng = np.random.default_rng([self.recipe.loop.seed, epoch, item])
            poses = augment(self.see(clip), rng, self.recipe.augment, self.network.inputs.max_frames)
            frames.append(torch.from_numpy(self.features(poses)))
        prompts = [self.prompt(clip) for clip in clips]
        texts = list(dict.fromkeys(prompts))
        tokens = [torch.from_numpy(self.tokens(text)) for text in texts]
        return Batch(
            *_padded(frames),
            *_padded(tokens),
            torch.tensor([texts.index(text) for text in prompts]),
            torch.tensor([self.said.index(text) for text in prompts]),
        )

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Of the pairs of all processes."""
        clips, texts, scale, bias = model(batch)
        clips, texts, said = gather(clips), gather(texts), gather(batch.said)
        return Loss({self.recipe.loss.kind: self._contrast(clips, texts, said, scale, bias)}, len(batch.said))

    def _contrast(self, clips: Tensor, texts: Tensor, said: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """The loss of pairs, each clip with its text."""
        right = said[:, None] == said if self.recipe.loss.positives == "equal" else torch.eye(len(said)) > 0
        scores = scale * clips @ texts.T
        if self.recipe.loss.kind == "siglip":
            return siglip(scores + bias, right.to(scores.device))
        return infonce(scores, right.to(scores.device))

    def evaluate(self) -> dict[str, float]:
        """On clips of signers that were not learned from: `valid_loss`, `evaluate_retrieval`, and recognition.

        `text_to_sign_p@1` is the share of texts whose nearest clip is right, `sign_to_text_r@1` that of clips whose
        nearest text is right, and `recognized_METHOD` that of clips that are recognized by examples of other signers.
        Texts that no clip here says are not among those to choose from.
        """
        clips = in_batches(self.network.clip_vectors, self.valid)
        prompts = [self.prompt(clip) for clip in self.parts["valid"]]
        texts = list(dict.fromkeys(prompts))
        vectors = in_batches(self.network.text_vectors, [self.tokens(text) for text in texts])
        scores = evaluate_retrieval(vectors @ clips.T, texts, prompts)
        found = {"valid_loss": self._valid_loss(clips, vectors[[texts.index(text) for text in prompts]], prompts)}
        for name, way in ("text_to_sign", scores.text_to_sign), ("sign_to_text", scores.sign_to_text):
            found |= {f"{name}_r@{k}": value for k, value in zip((1, 5, 10), way.recall, strict=True)}
            found[f"{name}_median_rank"] = way.median_rank
            if way.precision:
                found[f"{name}_p@1"] = way.precision[0]
        if self.recipe.recognition.methods:
            asked = Embeddings(clips, "here")
            known = Embeddings(in_batches(self.network.clip_vectors, self.shown), "here")
            glosses, true = [clip.text for clip in self.examples], [clip.text for clip in self.parts["valid"]]
            for method in self.recipe.recognition.methods:
                if method == "probe":
                    guesses = probe(asked, known, glosses)
                else:
                    guesses = classify(asked, known, glosses, method=method)
                hits = [guess == gloss for guess, gloss in zip(guesses.best, true, strict=True)]
                found[f"recognized_{method}"] = float(np.mean(hits))
        return found

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `checkpoints` reads it, with low-rank changes in the weights, and who was in which part."""
        weights = dict(merged(self.network))
        about = {
            "parameters": sum(weight.numel() for weight in weights.values()),
            "parts": {part: sorted({str(clip.signer) for clip in self.parts[part]}) for part in PARTS},
        }
        return self.network.config | about, weights

    def embedder(self, space: str) -> SignClipEmbedder:
        """The network as it is now, for signs and texts."""
        return SignClipEmbedder(self.network.eval(), self.words, space, self.network.inputs)

    def prompt(self, clip: Clip) -> str:
        """The text with its tags, as the network reads it."""
        return prompt(clip.text, clip.tags or self.recipe.data.tags)

    def tokens(self, text: str) -> Int[np.ndarray, "tokens"]:
        """What the text tower takes."""
        (cls, sep), most = self.network.inputs.separators, self.network.inputs.max_tokens - 3
        return np.array([cls, *self.words.tokens(text)[:most], sep])

    def see(self, clip: Clip) -> Poses:
        """The landmarks that the network looks at, in shoulder widths from between the shoulders."""
        return self.seen[clip.name] if clip.name in self.seen else self._see(clip)

    def _see(self, clip: Clip) -> Poses:
        try:
            with warnings.catch_warnings(action="ignore", category=InputWarning):  # that a clip shows one hand
                names = dict.fromkeys((*self.network.inputs.landmarks, *SHOULDERS))
                chosen = hide(select(clip.read(), list(names)), LEGS)
                check_unit(chosen.xyz, measure(chosen.xyz, chosen.landmarks))
                return normalize_shoulders(chosen)
        except InputError as error:
            raise InputError(f"{clip.name}: {error}") from None

    def features(self, poses: Poses) -> Float32[np.ndarray, "frames features"]:
        """What the video tower takes."""
        columns = [poses.landmarks.index(name) for name in self.network.inputs.landmarks]
        xyz = poses.xyz[: self.network.inputs.max_frames, columns]
        found: Float32[np.ndarray, "frames features"] = np.nan_to_num(xyz).reshape(len(xyz), -1)
        return found

    def _valid_loss(self, clips: np.ndarray, texts: np.ndarray, prompts: Sequence[str]) -> float:
        """The mean over batches, in an order that never changes."""
        said = np.array([self.said.index(text) for text in prompts])
        scale, bias = self.model.sharpness.detach().cpu(), self.model.bias.detach().cpu()
        total = 0.0
        for rows in share(len(said), self.recipe.data.batch, seed=self.recipe.loop.seed, epoch=0):
            one, other, number = (torch.from_numpy(each[rows]) for each in (clips, texts, said))
            total += len(rows) * float(self._contrast(one, other, number, scale, bias))
        return total / len(said)


def siglip(scores: Float[Tensor, "pairs pairs"], right: Bool[Tensor, "pairs pairs"]) -> Float[Tensor, ""]:
    """Every pair on its own: is it right? The sum over pairs, per clip."""
    return -nn.functional.logsigmoid(torch.where(right, scores, -scores)).sum() / len(scores)


def augment(poses: Poses, rng: np.random.Generator, settings: Augment, most: int) -> Poses:
    """Poses in shoulder widths as `settings` change them, at random, into `most` frames at most."""
    if rng.random() < settings.mirror:
        poses = augmentation.mirror(poses)
    if settings.pace:
        poses = augmentation.pace(poses, rng, settings.pace, most)
    if settings.shear:
        poses = augmentation.shear(poses, rng, settings.shear)
    return augmentation.shake(poses, rng, settings.noise) if settings.noise else poses


def make_vocabulary(texts: Sequence[str]) -> tuple[str, ...]:
    """A vocabulary of letters, at the start of a word and within one; the languages' tags are spelled too."""
    letters = sorted({letter for text in texts for letter in text if not letter.isspace()} | set("<>"))
    return (*SPECIAL, *letters, *(f"##{letter}" for letter in letters))


def make_network(recipe: Recipe, texts: Sequence[str]) -> tuple[SignClip, tuple[str, ...]]:
    """The network of a recipe, new or as its checkpoint has it, and its vocabulary."""
    if recipe.start is not None:
        found = checkpoints.load(folder_or_name(recipe.start))
        if not isinstance(found, SignClipEmbedder) or not isinstance(found.towers, SignClip):
            raise InputError(f"{recipe.start}: is no network that this can train")
        numbers: dict[str, int] = found.words.tokenizer.get_vocab()
        return _with_heads(found.towers, recipe), tuple(sorted(numbers, key=lambda token: numbers[token]))
    assert recipe.network is not None
    asked = recipe.network
    letters = "abcdefghijklmnopqrstuvwxyz"
    made = make_vocabulary([*texts, letters, letters.upper(), "0123456789"])
    vocabulary = tuple(read_vocabulary(asked.vocabulary)) if asked.vocabulary else made
    if asked.hidden % asked.heads:
        raise InputError(f"[network] heads: {asked.heads} do not divide hidden = {asked.hidden}")
    sizes = {name: getattr(asked, name) for name in ("hidden", "heads", "intermediate", "video_layers", "text_layers")}
    shape = Shape(
        features=3 * len(LAYOUTS[asked.layout]),
        vocabulary=len(vocabulary),
        positions=max(512, asked.max_tokens - 1),
        video_positions=max(512, asked.max_frames + 2),
        projection=recipe.projection,
        trimmed=True,
        **sizes,
    )
    inputs = Inputs(
        landmarks=LAYOUTS[asked.layout],
        max_frames=asked.max_frames,
        max_tokens=asked.max_tokens,
        separators=(vocabulary.index("[CLS]"), vocabulary.index("[SEP]")),
        lowercase=asked.lowercase,
        tags=recipe.data.tags,
    )
    network = SignClip(shape, inputs)
    return (network if asked.bert is None else _from_bert(network, asked.bert)), vocabulary


def _from_bert(network: SignClip, folder: Path) -> SignClip:
    """Both transformers with the weights of a BERT, its first layers where it has more."""
    from transformers import BertModel

    try:
        bert = BertModel.from_pretrained(str(folder), local_files_only=True).state_dict()
    except (OSError, ValueError) as error:
        line = str(error).partition("\n")[0]
        raise InputError(f"{folder}: no BERT that can be read ({line})") from None
    tensors = network.state_dict()
    for name in tensors:
        for tower in "text_encoder.", "video_encoder.bert.":
            if name.startswith(tower):
                found = bert.get(name.removeprefix(tower))
                if found is not None and name.startswith("video") and name.endswith("word_embeddings.weight"):
                    found = found[list(network.inputs.separators)]
                if found is None or found.shape != tensors[name].shape:
                    raise InputError(f"{folder}: its {name.removeprefix(tower)} does not fit [network] or vocabulary")
                tensors[name] = found
    network.load_state_dict(tensors)
    return network


def _with_heads(network: SignClip, recipe: Recipe) -> SignClip:
    """With the heads that the recipe asks for: those that are there, or new ones that change nothing yet."""
    there, asked = network.shape.projection, recipe.projection or network.shape.projection
    if recipe.train == "heads" and asked is None:
        raise InputError(f'{recipe.start}: has no heads to train; add projection = "l2", or train "all"')
    if asked is None or asked == there:
        return network
    new = SignClip(replace(network.shape, projection=asked), network.inputs)
    identity = {f"{side}_projection.linear.weight": torch.eye(network.shape.hidden) for side in ("video", "text")}
    new.load_state_dict({**identity, **network.state_dict()})
    return new


def _choose(network: SignClip, train: str, rank: int) -> None:
    """Let learn what is to learn. Poolers, which no vector passes, never do."""
    heads = [module for module in network.modules() if isinstance(module, Head)]
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(train == "all" and ".pooler." not in name)
    for head in heads:
        head.requires_grad_(True)
    if train == "lora":
        for name, module in list(network.named_modules()):
            if ".encoder.layer." in name and isinstance(module, nn.Linear):
                parametrize.register_parametrization(module, "weight", LowRank(module.weight, rank))


def merged(network: SignClip) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a network, by the names that it has without low-rank changes, with those in them."""
    for name, tensor in network.state_dict().items():
        path, parted, rest = name.partition(".parametrizations.weight.")
        if not parted:
            yield name, tensor
        elif rest == "original":
            weight: Tensor = getattr(network.get_submodule(path), "weight")  # noqa: B009 - the type checker's
            yield f"{path}.weight", weight.detach()


def _padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows of one length, filled up with 0, and what is there of them."""
    lengths = torch.tensor([len(row) for row in rows])
    return pad_sequence(list(rows), batch_first=True), torch.arange(int(lengths.max())) < lengths[:, None]
