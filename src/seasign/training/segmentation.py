"""Segmenters as a task of the loop: recordings -> batches, the losses of tags, and how well signs are found.

Labels are those of the 2023 networks: the first frame at or after a sign's start is B, those before its end are I, all
others O; differs: a sign that begins within another has its B where it begins. Losses: negative log-likelihood weighted
by the inverse frequency of the labels (Moryossef et al., EMNLP Findings 2023), and dice on P(B) + P(I) (the networks of
2026, weight 1.5), both the mean over the frames that are there.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from seasign import checkpoints
from seasign.corpora.recordings import PARTS, Part, Recording, divide, read_folder, read_manifest
from seasign.decoding import B, I, O
from seasign.formats import TIERS, read_poses, read_signs
from seasign.formats.disk import sha256
from seasign.metrics import cut_evenly, evaluate_signs
from seasign.models import bio_tagger, features, unet_tagger
from seasign.models.bio_tagger import BioTagger
from seasign.models.unet_tagger import UnetTagger
from seasign.segmentation import choose_decoder, find_sign, in_poses, phrases
from seasign.training import augmentation
from seasign.training.concatenation import Joining, concatenate
from seasign.training.loop import Loss, load
from seasign.training.recipe import Amount, Count, Factors, Loop, Positive, Release, Share, Whole, folder_or_name
from seasign.types import InputError, InputWarning, Poses, Sign, Span

UNKNOWN = -1  # the label of padding
TRIES = 20  # to draw a part of a recording that shows a hand


@dataclass(frozen=True)
class Data:
    """What there is to learn from: the table [data]. Of `manifest` and `folder` one is given."""

    manifest: Path | None = None  # a table of recordings, see `corpora.recordings.read_manifest`
    folder: Path | None = None  # poses and signs under the same names, see `corpora.recordings.read_folder`
    tier: str = "SIGN"  # of an ELAN file
    phrase_tier: str | None = None  # of the same; without it phrases are signs that are near each other
    phrase_gap: Amount = 0.5  # seconds: signs nearer than that are of one phrase
    divide: Literal["signer", "file"] = "signer"  # what is never in two parts
    valid: Share = 0.1  # of the recordings, unless the manifest names the parts
    test: Share = 0.0  # kept out altogether
    batch: Count = 8  # recordings, or parts of them, per process
    seconds: Positive = 60.0  # longer recordings are learned from in parts of that length, drawn anew in every epoch
    workers: Whole = 0  # processes that prepare batches


@dataclass(frozen=True)
class Concatenate(Joining):
    """Episodes made of isolated signs, drawn anew in every epoch: the table [concatenate]."""

    episodes: Count = 100  # per epoch
    signs: Count = 20  # per episode
    valid: Count = 20  # episodes that are measured on, where no recording of whole signing is


@dataclass(frozen=True)
class Augment:
    """What is changed at random: the table [augment]; nothing unless it says so."""

    fps: Factors | None = None  # the camera's rate, drawn between these, up to the one there is
    frame_dropout: Share = 0.0  # of the frames
    hand_dropout: Share = 0.0  # of the time, of each hand
    mirror: Share = 0.0  # how often
    scale: Amount = 0.0  # standard deviation of the logarithm of width and of height
    rotation: Amount = 0.0  # standard deviation in degrees


@dataclass(frozen=True)
class Bio:
    """A network of the 2023 family: the table [bio_tagger]. The defaults are E1's."""

    depth: Count = 1
    width: Count = 256
    flow: bool = False
    hands: bool = False
    points: tuple[str, ...] = features.BODY + features.HANDS


@dataclass(frozen=True)
class Unet:
    """A network of the 2026 family: the table [unet_tagger]. The defaults are the published ones."""

    hidden_dim: Count = 384
    encoder_depth: Count = 4
    attn_nhead: Count = 8
    attn_ff_mult: Count = 2
    attn_dropout: Share = 0.1
    num_frames: Count = 1024


@dataclass(frozen=True)
class Recipe(Release):
    """A recipe with `task = "segmenter"`. Of `bio_tagger`, `unet_tagger` and `start` one is given."""

    data: Data
    loop: Loop
    bio_tagger: Bio | None = None
    unet_tagger: Unet | None = None
    start: Path | None = None  # a checkpoint to go on from: a folder, or a published name
    concatenate: Concatenate | None = None
    augment: Augment = Augment()
    dice: Amount = 1.5  # weight of that loss


class Episode(NamedTuple):
    """Whole signing: poses, and what is signed in them."""

    poses: Poses
    signs: tuple[Sign, ...]
    phrases: tuple[Span, ...]


class Batch(NamedTuple):
    """Excerpts of about one length, filled up with 0 at the end."""

    frames: Float[Tensor, "batch frames *features"]
    seconds: Float[Tensor, "batch frames"]
    lengths: Int[Tensor, "batch"]
    signs: Int[Tensor, "batch frames"]  # B, I, O; UNKNOWN at the end
    phrases: Int[Tensor, "batch frames"]


Tagger = BioTagger | UnetTagger


def prepare(recipe: Recipe) -> "Tagging":
    """Read what the recipe names, and make the network.

    Raises:
        InputError: There is nothing to learn from or to measure on, or a file cannot be used.
    Warns:
        InputWarning: The first that is odd in the recordings, and how much more there is.
    """
    given = [name for name in ("bio_tagger", "unet_tagger", "start") if getattr(recipe, name) is not None]
    if len(given) != 1:
        raise InputError(f"expected one of bio_tagger, unet_tagger and start, found {', '.join(given) or 'none'}")
    if (recipe.data.manifest is None) == (recipe.data.folder is None):
        raise InputError("[data]: expected one of manifest and folder")
    return Tagging(recipe)


def make_tagger(recipe: Recipe) -> Tagger:
    """The network of a recipe, new or as its checkpoint has it."""
    if recipe.start is not None:
        tagger = checkpoints.load(folder_or_name(recipe.start))
        if not isinstance(tagger, BioTagger | UnetTagger):
            raise InputError(f"{recipe.start}: is no network that this can train")
        return tagger
    if recipe.unet_tagger is not None:
        statistics: dict[str, Any] = {
            name: tuple(tuple(row) if isinstance(row, list) else row for row in rows)
            for name, rows in features.statistics_2026().items()
        }
        return UnetTagger(unet_tagger.Settings(**statistics, **asdict(recipe.unet_tagger)))
    assert recipe.bio_tagger is not None
    if recipe.bio_tagger.width % 2:
        raise InputError(f"[bio_tagger] width: expected an even number, found {recipe.bio_tagger.width}")
    return BioTagger(bio_tagger.Settings(**asdict(recipe.bio_tagger)))


class Tagging:
    """A tagger, the recordings it learns from, and those it is measured on. All are kept in memory: 0.1 GB an hour."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model = make_tagger(recipe)
        data = recipe.data
        listed = read_manifest(data.manifest) if data.manifest else read_folder(data.folder or Path())
        self.parts = divide(listed, data.divide, valid=data.valid, test=data.test, seed=recipe.loop.seed)
        if not self.parts["valid"]:
            raise InputError("no recording is in the part valid: there is nothing to measure on")
        self.data: dict[str, str] = {}
        self.files: dict[str, str] = {}
        with _summed_up():
            train, clips = self._read("train")
            self.valid, valid_clips = self._read("valid")
        self.train, self.clips = train, clips
        if bool(clips or valid_clips) != (recipe.concatenate is not None):
            found = f"{len(clips)} isolated signs (poses without a file of signs) are there to learn from"
            raise InputError(f"[concatenate]: {found}: {'leave the table out' if recipe.concatenate else 'add it'}")
        if recipe.concatenate is not None and not self.valid:
            self.valid = [self._join(valid_clips, self._rng(0, n, 0)) for n in range(recipe.concatenate.valid)]
        self.pieces = [
            number for number, episode in enumerate(train) for _ in range(ceil(episode.poses.duration / data.seconds))
        ]
        self.weights = {name: torch.tensor(row) for name, row in self._weigh().items()}
        if isinstance(self.model, BioTagger):
            rows = {name: tuple(row.tolist()) for name, row in self.weights.items()}
            self.model.settings = replace(self.model.settings, weights=rows)

    def batches(self, epoch: int, rank: int, ranks: int) -> DataLoader[Batch]:
        """Parts of recordings and episodes of isolated signs, in an order that the seed decides."""
        items = len(self.pieces) + (self.recipe.concatenate.episodes if self.clips and self.recipe.concatenate else 0)
        return load(items, self.batch, self.recipe, epoch, rank, ranks)

    def batch(self, epoch: int, items: Sequence[int]) -> Batch:
        """What an epoch makes of items."""
        frames, seconds, labels = [], [], []
        for item in items:
            seen, rate, episode, start = self.excerpt(epoch, item)
            frames.append(torch.from_numpy(seen))
            seconds.append(torch.arange(len(seen)) / float(rate))
            labels.append([label(spans, len(seen), rate, start) for spans in (episode.signs, episode.phrases)])
        signs, bouts = (
            pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True, padding_value=UNKNOWN)
            for rows in zip(*labels, strict=True)
        )
        lengths = torch.tensor([len(seen) for seen in frames])
        return Batch(
            pad_sequence(frames, batch_first=True), pad_sequence(seconds, batch_first=True), lengths, signs, bouts
        )

    def loss(self, model: torch.nn.Module, batch: Batch) -> Loss:
        """The two losses of signs and of phrases."""
        second = batch.lengths if isinstance(self.model, BioTagger) else batch.seconds
        said = model(batch.frames, second)
        terms = {}
        for name, logp, labels in ("sign", said.signs, batch.signs), ("phrase", said.phrases, batch.phrases):
            weights = self.weights[f"{name}s"].to(logp.device)
            terms[f"{name}_nll"], dice = tag_losses(logp, labels, weights)
            terms[f"{name}_dice"] = self.recipe.dice * dice
        return Loss(terms, float((batch.signs != UNKNOWN).sum()))

    def evaluate(self) -> dict[str, float]:
        """`SignScores` of the signs, as the network reads its own tags for annotation.

        Beside them `even_mf1s`, what even cuts get in the bouts that were found; `nll`, that loss of the signs; and
        `phrase_f1` and `phrase_iou`, f1 and mask_iou of the phrases.
        """
        signs, even, bouts, losses = [], [], [], []
        by_signs, by_phrases = (choose_decoder(self.model, purpose) for purpose in ("annotation", "phrases"))
        weights = self.weights["signs"].numpy()
        for episode in self.valid:
            with warnings.catch_warnings(action="ignore", category=InputWarning):  # said when it was read
                tags = self.model.tag(episode.poses)
            found = by_signs.decode(tags.signs, tags.fps).spans
            said = phrases(found) if tags.phrases is None else by_phrases.decode(tags.phrases, tags.fps).spans
            signs.append((episode.signs, found))
            even.append((episode.signs, cut_evenly(phrases(found))))
            bouts.append((episode.phrases, said))
            labels = label(episode.signs, len(tags.signs), tags.fps)
            losses.append(-np.log(tags.signs[np.arange(len(labels)), labels].clip(1e-9)) * weights[labels])
        scores = evaluate_signs(bouts)
        return asdict(evaluate_signs(signs)) | {
            "even_mf1s": evaluate_signs(even).mf1s,
            "nll": float(np.concatenate(losses).mean()),
            "phrase_f1": scores.f1,
            "phrase_iou": scores.mask_iou,
        }

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `checkpoints` reads it, with the weights of the labels and who was in which part."""
        about = {
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "weights": {name: row.tolist() for name, row in self.weights.items()},
            "parts": {part: [recording.name for recording in self.parts[part]] for part in PARTS},
        }
        return self.model.config | about, dict(self.model.state_dict())

    def excerpt(
        self, epoch: int, number: int
    ) -> tuple[Float32[np.ndarray, "frames *features"], Fraction, Episode, float]:
        """What the network sees of an item in an epoch, at which rate, of what, and from which second of it on.

        A part that shows no hand teaches nothing; then another one is drawn.
        """
        for attempt in range(TRIES):
            rng = self._rng(epoch, number, attempt)
            poses, episode, start = self._draw(epoch, number, rng)
            try:
                with warnings.catch_warnings(action="ignore", category=InputWarning):  # the same
                    return self.model.prepare(poses), self._rate(poses), episode, start
            except InputError as error:
                last = error
        raise InputError(f"{TRIES} parts of a recording, drawn at random: {last}") from last

    def _draw(self, epoch: int, number: int, rng: np.random.Generator) -> tuple[Poses, Episode, float]:
        """Poses to learn from, of what, and from which second of it on."""
        start = 0.0
        if number < len(self.pieces):
            episode = self.train[self.pieces[number]]
            poses = episode.poses
            if poses.duration > self.recipe.data.seconds:
                size = round(self.recipe.data.seconds * float(poses.fps))
                first = int(rng.integers(len(poses.xyz) - size, endpoint=True))
                rows = slice(first, first + size)
                poses = replace(poses, xyz=poses.xyz[rows], confidence=poses.confidence[rows])
                start = float(first / poses.fps)
        else:
            episode = self._join(self.clips, rng)
            poses = episode.poses
        return augment(poses, rng, self.recipe.augment), episode, start

    def _rate(self, poses: Poses) -> Fraction:
        """Frames per second of the tags."""
        return (isinstance(self.model, BioTagger) and self.model.settings.fps) or poses.fps

    def _read(self, part: Part) -> tuple[list[Episode], list[tuple[Poses, Sign]]]:
        """The recordings of whole signing, and those of isolated signs."""
        whole, clips = [], []
        for recording in self.parts[part]:
            poses = read_poses(recording.poses, self.model.settings.points)
            self.data[recording.name] = sha256(recording.poses)
            try:
                if recording.signs is None:
                    span = find_sign(poses)
                    clips.append((poses, Sign(span.start, span.end, recording.gloss)))
                else:
                    self.model.prepare(poses)  # which says what is wrong with them
                    whole.append(self._annotate(recording, recording.signs, poses))
            except InputError as error:
                raise InputError(f"{recording.poses}: {error}") from None
        return whole, clips

    def _annotate(self, recording: Recording, path: Path, poses: Poses) -> Episode:
        """Poses with the signs and phrases of a file."""
        data = self.recipe.data
        self.data[f"{recording.name}: {path.name}"] = sha256(path)
        signs = in_poses(read_signs(path, data.tier), poses)
        if not signs:
            raise InputError(f"{path}: there are no signs in it; leave {recording.name} out")
        if lost := sum(sign.start >= poses.duration or sign.end <= 0 for sign in signs):
            raise InputError(f"{path}: {lost} of {len(signs)} signs lie before or after all of {recording.poses.name}")
        if data.phrase_tier is None:
            return Episode(poses, signs, join(signs, data.phrase_gap))
        if path.suffix.lower() not in TIERS:
            raise InputError(f"{path}: has no tiers, and phrases are asked for from {data.phrase_tier!r}")
        return Episode(poses, signs, in_poses(read_signs(path, data.phrase_tier), poses))

    def _rng(self, epoch: int, number: int, attempt: int) -> np.random.Generator:
        """What decides an item of an epoch; epoch 0 is what is measured on (attempt 0) and weighed by (1)."""
        return np.random.default_rng([self.recipe.loop.seed, epoch, number, attempt])

    def _join(self, clips: Sequence[tuple[Poses, Sign]], rng: np.random.Generator) -> Episode:
        """An episode of isolated signs."""
        settings = self.recipe.concatenate
        assert settings is not None
        chosen = [clips[number] for number in rng.integers(len(clips), size=settings.signs)]
        poses, signs = concatenate(chosen, int(rng.integers(2**31)), joining=settings, fps=self._rate(chosen[0][0]))
        return Episode(poses, signs, join(signs, self.recipe.data.phrase_gap))

    def _weigh(self) -> dict[str, tuple[float, ...]]:
        """The weights of B, I and O: the inverse of how frequent they are where the network learns."""
        learned = [*self.train, *(self._join(self.clips, self._rng(0, n, 1)) for n in range(10 * bool(self.clips)))]
        weights = {}
        for name in "signs", "phrases":
            counts = np.zeros(3)
            for episode in learned:
                rate = self._rate(episode.poses)
                frames = ceil(episode.poses.duration * float(rate))
                counts += np.bincount(label(getattr(episode, name), frames, rate), minlength=3)
            weights[name] = tuple((counts.sum() / np.maximum(counts, 1)).tolist())
        return weights


def label(spans: Iterable[Span], frames: int, fps: Fraction, start: float = 0.0) -> Int[np.ndarray, "frames"]:
    """What every frame from `start` seconds on is: B, I or O. A span that lies between two frames has none."""
    labels = np.full(frames, O)
    ranges = [tuple(ceil((edge - start) * float(fps) - 1e-6) for edge in (span.start, span.end)) for span in spans]
    for first, stop in ranges:
        labels[max(first, 0) : max(stop, 0)] = I
    labels[[first for first, stop in ranges if 0 <= first < min(stop, frames)]] = B
    return labels


def join(signs: Sequence[Span], gap: float) -> tuple[Span, ...]:
    """Phrases: signs that are nearer to each other than `gap` seconds, from the first one's start to the last end."""
    longer = phrases([Span(sign.start, sign.end + gap) for sign in signs])
    return tuple(replace(phrase, end=phrase.end - gap) for phrase in longer)


def tag_losses(
    logp: Float[Tensor, "batch frames _"], labels: Int[Tensor, "batch frames"], weights: Float[Tensor, "3"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Weighted negative log-likelihood, and dice of each sequence; the mean over the frames whose label is known.

    Args:
        logp: ln P of B, I, O, and perhaps of what nothing is labelled with.
    """
    known = (labels != UNKNOWN).to(logp.dtype)
    number = known.sum()
    sure = labels.clamp(min=0)
    nll = -logp.gather(2, sure[..., None])[..., 0] * weights[sure] * known
    said = logp[..., [B, I]].exp().sum(dim=2) * known
    true = (labels != O) * known
    overlap = (2 * (said * true).sum(dim=1) + 1) / (said.sum(dim=1) + true.sum(dim=1) + 1)
    return nll.sum() / number, ((1 - overlap) * known.sum(dim=1)).sum() / number


def augment(poses: Poses, rng: np.random.Generator, settings: Augment) -> Poses:
    """Poses as `settings` change them, at random."""
    if rng.random() < settings.mirror:
        poses = augmentation.mirror(poses)
    if settings.scale or settings.rotation:
        poses = augmentation.warp(poses, rng, scale=settings.scale, rotation=settings.rotation)
    if settings.fps is not None:
        poses = augmentation.film(poses, rng, *settings.fps)
    if settings.frame_dropout:
        poses = augmentation.drop_frames(poses, rng, settings.frame_dropout)
    return augmentation.drop_hands(poses, rng, settings.hand_dropout) if settings.hand_dropout else poses


@contextmanager
def _summed_up() -> Iterator[None]:
    """What is warned of, once, with how often: a corpus of a thousand files would warn a thousand times."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        yield
    said = [str(one.message) for one in caught if issubclass(one.category, InputWarning)]
    for one in caught:
        if not issubclass(one.category, InputWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if said:
        more = f" (and {len(said) - 1} more warnings about the recordings)" if len(said) > 1 else ""
        warnings.warn(f"{said[0]}{more}", InputWarning, stacklevel=3)
