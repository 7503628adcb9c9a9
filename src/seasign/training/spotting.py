"""Spotters as a task of the loop: pairs of a query and a sentence -> batches, losses, presence and places.

Source: "Pose-Based Sign Language Spotting" (arXiv:2512.08738): binary cross-entropy of presence, and a contrast of the
means of both, temperature .07, weight .5. Its optimizer, batches and negatives are not known. Ours: everything that is
learned of frames, negatives that are alike, and the threshold and the calibration that a checkpoint keeps.
"""

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader

from seasign import checkpoints
from seasign.confidence import fit_weights
from seasign.corpora import wslp
from seasign.corpora.clips import Clip, divide_named
from seasign.corpora.recordings import Part, divide
from seasign.embedding import Embedder, embed_signs
from seasign.formats import read_poses
from seasign.formats.disk import sha256
from seasign.metrics.spotting import evaluate_localisation, evaluate_presence
from seasign.models.features import HANDS
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.models.spotter import TEMPERATURE, Seen, Shape, Spotter, pad
from seasign.models.spotter_inputs import Inputs, PoseSpotter, look, places
from seasign.segmentation import find_sign
from seasign.spans import iou
from seasign.spotting import RIDGE, Spot, rank
from seasign.training import augmentation
from seasign.training.concatenation import Joining, concatenate
from seasign.training.lexicon import leave_out, read_clips
from seasign.training.loop import Loss, gather, load
from seasign.training.recipe import Amount, Count, Counts, Loop, Release, Share, Whole
from seasign.types import InputError, InputWarning, Poses, Sign, Span, plain_values

LEAST = 0.5  # share of the frames of a sign that show a hand: of one with less nothing is learned, or asked
NEAR = 10  # tokens whose length is nearest, among which a negative is chosen


@dataclass(frozen=True)
class Data:
    """What there is to learn from: the table [data]. Of `traduttore`, `manifest` and `wslp` one is given."""

    traduttore: Path | None = None  # isolated signs, joined into sentences: see [joined]
    manifest: Path | None = None  # the same, of a table of clips of one sign each: `corpora.clips.read_manifest`
    wslp: Path | None = None  # the table of words and sentences, see `corpora.wslp`
    poses: Path | None = None  # the folder of its poses
    valid: Share = 0.1  # of the clips, unless the manifest or the next two name the parts; no signer is in two
    valid_signers: tuple[str, ...] = ()  # or sessions: they are measured on,
    test_signers: tuple[str, ...] = ()  # and they are kept out
    without: tuple[str, ...] = ()  # words that are kept out, too
    hard: Share = 0.5  # of the negatives: those most alike, of as long ones; the others are any of those
    embedder: Path | None = None  # a checkpoint that says what is alike; None: the shape of hands and their way
    natural: Count = 400  # pairs that are measured with every word as likely as any, present or not
    batch: Count = 32  # pairs per process
    workers: Whole = 0  # processes that prepare batches


@dataclass(frozen=True)
class Joined(Joining):
    """Sentences made of isolated signs, drawn anew in every epoch: the table [joined]."""

    pairs: Count = 512  # per epoch
    signs: Counts = (3, 5)  # per sentence, all of them different
    valid: Count = 200  # pairs that are measured on


@dataclass(frozen=True)
class Network:
    """A new network: the table [network]. The defaults are the published ones, whose sizes are our choice."""

    convolution: Literal["2d", "1d"] = "2d"
    channels: tuple[Count, Count, Count] = (32, 64, 128)
    width: Count = 256
    layers: Whole = 4
    heads: Count = 8
    inner: Count = 1024
    longest: Count = 1024
    times: Whole = 0
    head: Literal["presence", "contrast", "frames"] = "presence"
    compare: Whole = 0
    wrists: bool = False
    fps: Count = 25


@dataclass(frozen=True)
class Objective:
    """What is to go down: the table [loss]. A loss whose weight is 0 is left out."""

    presence: Amount = 1.0  # whether a query is there; of frames, the greatest
    frames: Amount = 0.0  # which frames it is, where that is known
    contrast: Amount = 0.0  # means of queries and sentences against those of the batch (.5)


@dataclass(frozen=True)
class Augment:
    """What is changed at random, of query and sentence each by itself: the table [augment]; nothing by default."""

    scale: Amount = 0.0  # see `augmentation.warp`
    rotation: Amount = 0.0  # degrees
    hands: Share = 0.0  # see `augmentation.drop_hands`
    pace: Amount = 0.0  # of queries, see `augmentation.pace`; sentences have [joined] tempo
    mirror: Share = 0.0  # how often both are


@dataclass(frozen=True)
class Recipe(Release):
    """A recipe with `task = "spotter"`."""

    data: Data
    loop: Loop
    network: Network = Network()
    joined: Joined = Joined()
    loss: Objective = Objective()
    augment: Augment = Augment()


class Pair(NamedTuple):
    """A query, a sentence, whether the one is in the other, and where."""

    word: str
    query: Float32[np.ndarray, "some points 2"]
    sentence: Float32[np.ndarray, "frames points 2"]
    present: bool
    inside: Float32[np.ndarray, " frames"]  # 1 in the sign, 0 elsewhere; NaN where it is not known


class Batch(NamedTuple):
    """Pairs, filled up with 0 at the end; what is `inside` with NaN."""

    query: Float[Tensor, "pairs some points 2"]
    sentence: Float[Tensor, "pairs frames points 2"]
    lengths: Int[Tensor, "pairs 2"]
    present: Float[Tensor, " pairs"]
    inside: Float[Tensor, "pairs frames"]


@runtime_checkable
class Corpus(Protocol):
    """Where pairs come from."""

    files: dict[str, str]
    parts: dict[Part, list[str]]
    valid: tuple[Pair, ...]  # half of them present
    natural: tuple[Pair, ...]  # as many present as there are

    def __len__(self) -> int:
        """Pairs per epoch."""

    def draw(self, item: int, rng: np.random.Generator) -> Pair:
        """One to learn from."""


def prepare(recipe: Recipe) -> "SpottingTask":
    """Read what the recipe names, and make the network.

    Raises:
        InputError: There is nothing to learn from or to measure on, a file cannot be used, or a setting does not go
            with another.
    """
    data, loss, settings = recipe.data, recipe.loss, recipe.network
    if sum(source is not None for source in (data.traduttore, data.manifest, data.wslp)) != 1:
        raise InputError("[data]: expected one of traduttore, manifest and wslp")
    if data.wslp is not None and data.poses is None:
        raise InputError("[data] poses: expected the folder of the poses that wslp names")
    if not loss.presence and not loss.frames and not loss.contrast:
        raise InputError("[loss]: all weights are 0: there is nothing to learn")
    if loss.frames and (data.wslp is not None or settings.head != "frames"):
        raise InputError("[loss] frames: takes a head of frames, and signs whose place is known; set it to 0")
    if loss.presence and settings.head == "contrast":
        raise InputError("[loss] presence: a head that contrasts learns from contrast alone; set it to 0")
    if not loss.presence and not loss.frames and settings.head != "contrast":
        raise InputError(f"[loss]: contrast alone teaches a head of {settings.head} nothing")
    sizes = {name: value for name, value in asdict(settings).items() if name in Shape.__dataclass_fields__}
    try:
        network = Spotter(Shape(**sizes), Inputs(Fraction(settings.fps), settings.wrists))
    except ValueError as error:
        raise InputError(f"[network]: {error}") from None
    corpus = Sentences(recipe, network) if data.wslp is not None else JoinedSigns(recipe, network.inputs)
    return SpottingTask(recipe, network, corpus)


class SpottingTask:
    """The network, the pairs that it learns from, and those that it is measured on."""

    def __init__(self, recipe: Recipe, network: Spotter, corpus: Corpus) -> None:
        self.recipe, self.model, self.corpus = recipe, network, corpus
        self.data, self.files = corpus.files, dict[str, str]()

    def batches(self, epoch: int, rank: int, ranks: int) -> DataLoader[Batch]:
        """Pairs that the epoch and the seed throw together."""
        return load(len(self.corpus), self.batch, self.recipe, epoch, rank, ranks)

    def batch(self, epoch: int, items: Sequence[int]) -> Batch:
        """What an epoch makes of items."""
        pairs = [self.corpus.draw(item, np.random.default_rng([self.recipe.loop.seed, epoch, item])) for item in items]
        inside = [torch.from_numpy(pair.inside) for pair in pairs]
        return Batch(
            *pad([(pair.query, pair.sentence) for pair in pairs]),
            torch.tensor([float(pair.present) for pair in pairs]),
            nn.utils.rnn.pad_sequence(inside, batch_first=True, padding_value=torch.nan),
        )

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Presence, frames and contrast, as far as they have a weight."""
        seen: Seen = model(batch.query, batch.sentence, batch.lengths)
        asked, terms = self.recipe.loss, dict[str, Tensor]()
        if asked.presence:
            terms["presence"] = asked.presence * _entropy(seen.presence, batch.present)
        if asked.frames:
            assert seen.frames is not None
            known = ~batch.inside.isnan()
            terms["frames"] = asked.frames * _entropy(seen.frames[known], batch.inside[known])
        if asked.contrast:
            terms["contrast"] = asked.contrast * contrast(*(gather(own) for own in (*seen[2:], batch.present)))
        return Loss(terms, len(batch.present))

    def evaluate(self) -> dict[str, float]:
        """On pairs that were not learned from: presence, with half of them present, and as many as there are.

        Where the places of signs are known and the head is of frames, also mAP, of the present ones.
        """
        scores, frames = self._ask(self.corpus.valid)
        found = _presence(scores, self.corpus.valid, choose(scores, _labels(self.corpus.valid)))
        natural = _presence(self._ask(self.corpus.natural)[0], self.corpus.natural, 0.0)
        found["natural_average_precision"] = natural["average_precision"]
        if frames and self._known:
            scored: dict[str, list[tuple[list[Span], tuple[Spot, ...]]]] = {}
            for pair, logits in zip(self.corpus.valid, frames, strict=True):
                if pair.present:
                    spots = rank(self._places(pair, logits), (0.0, 1.0), least=0.0)
                    scored.setdefault(pair.word, []).append((_spans(pair, self.model.inputs.fps), spots))
            located = evaluate_localisation(scored)
            found |= {"map@0.30": located.map[0], "map@0.50": located.map[1]}
        return found

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def _known(self) -> bool:
        return not any(np.isnan(pair.inside).any() for pair in self.corpus.valid)

    def _places(self, pair: Pair, logits: Float32[np.ndarray, " frames"]) -> tuple[Spot, ...]:
        fps = self.model.inputs.fps
        return places(logits, len(pair.query) / float(fps), fps)

    def _ask(self, pairs: Sequence[Pair]) -> tuple[Float64[np.ndarray, " pairs"], list[Float32[np.ndarray, " _"]]]:
        """Logits of presence, and of frames, if the network gives any."""
        scores, frames, batch = [], list[Float32[np.ndarray, " _"]](), self.recipe.data.batch
        for first in range(0, len(pairs), batch):
            some = pairs[first : first + batch]
            with torch.inference_mode():
                seen = self.model(
                    *(part.to(self._device) for part in pad([(pair.query, pair.sentence) for pair in some]))
                )
            scores.append(seen.presence.double().cpu().numpy())
            if seen.frames is not None:
                rows = seen.frames.float().cpu().numpy()
                frames += [row[: len(pair.sentence)] for row, pair in zip(rows, some, strict=True)]
        return np.concatenate(scores), frames

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `checkpoints` reads it, with the threshold and the calibration that fit what is held out."""
        inputs = self.fitted()
        about: dict[str, Any] = {
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "parts": self.corpus.parts,
            "without": list(self.recipe.data.without),
            "calibration": list(inputs.calibration),
            "threshold": inputs.threshold,
        }
        return self.model.config | plain_values(about), dict(self.model.state_dict())

    def fitted(self) -> Inputs:
        """With the threshold of presence, and what scores of spots mean, as both are best on what is held out.

        A spot is right when its IoU with the sign is at least .5; where places are not known, when the query is there.
        A network that only says whether is asked of windows: then the score is that of presence. Where all are right,
        or none, or those that score higher less often, nothing is known of scores, and no probability will be stated.
        """
        self.model.eval()
        pairs = self.corpus.valid
        scores, frames = self._ask(pairs)
        threshold = choose(scores, _labels(pairs))
        evidence, right = list(scores), [pair.present for pair in pairs]  # what windows are asked, and what is right
        if frames:
            evidence, right = [], []
        for pair, logits in zip(pairs, frames, strict=bool(frames)):
            spans = [(span.start, span.end) for span in _spans(pair, self.model.inputs.fps)]
            for spot in rank(self._places(pair, logits), (0.0, 1.0), best=3):
                near = iou(np.array([spot.start, spot.end]), np.array(spans).reshape(-1, 2)).max(initial=0.0)
                evidence.append(spot.score)
                right.append(bool(near >= 0.5) if self._known else pair.present)
        base = slope = math.nan
        if any(right) and not all(right):
            base, slope = fit_weights(np.array(evidence)[:, None], np.array(right), ridge=RIDGE)
        calibration = (base, slope) if slope > 0 else (math.nan, math.nan)
        return replace(self.model.inputs, threshold=threshold, calibration=calibration)

    def spotter(self) -> PoseSpotter:
        """The network as it is now."""
        inputs = self.fitted()
        return PoseSpotter(self.model, inputs, inputs.calibration)


def contrast(
    query: Float[Tensor, "pairs width"], sentence: Float[Tensor, "pairs width"], present: Float[Tensor, " pairs"]
) -> Float[Tensor, ""]:
    """Every query that is present against the other sentences of the batch, and against the pairs that are not present.

    The paper says no more than the temperature. A transformer that reads both makes the means of a pair alike whether
    the query is there or not, so pairs that are not present have to be negatives, too; that is ours.
    """
    one, other = (nn.functional.normalize(some, dim=1) for some in (query, sentence))
    scores = one @ other.T / TEMPERATURE
    own, kept = scores.diagonal(), present > 0
    if not kept.any() or len(own) < 2:
        return 0 * own.sum()
    apart = own.masked_fill(kept, -torch.inf)[None].expand(len(own), -1)
    total = torch.cat((scores, apart), dim=1).logsumexp(dim=1)
    return (total - own)[kept].mean()


def choose(scores: Float64[np.ndarray, " pairs"], present: Bool[np.ndarray, " pairs"]) -> float:
    """The threshold with the best balanced accuracy, in the middle between two scores; of equals the middle one."""
    order = np.sort(scores)
    between = np.concatenate(([order[0] - 1], (order[1:] + order[:-1]) / 2))
    right = [(scores[present] >= at).mean() + (scores[~present] < at).mean() for at in between]
    best = np.flatnonzero(np.array(right) >= max(right) - 1e-9)
    return float(between[best[len(best) // 2]])


def _entropy(logits: Float[Tensor, " items"], labels: Float[Tensor, " items"]) -> Float[Tensor, ""]:
    return nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.float())


def _labels(pairs: Sequence[Pair]) -> Bool[np.ndarray, " pairs"]:
    return np.array([pair.present for pair in pairs])


def _presence(scores: Float64[np.ndarray, " pairs"], pairs: Sequence[Pair], threshold: float) -> dict[str, float]:
    found = evaluate_presence(scores, _labels(pairs), threshold=threshold)
    return {name: getattr(found, name) for name in ("balanced_accuracy", "average_precision", "roc_auc")}


def _spans(pair: Pair, fps: Fraction) -> list[Span]:
    """Where the query is, in seconds of the frames."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], pair.inside == 1, [0])))).reshape(-1, 2)
    return [Span(start / float(fps), stop / float(fps)) for start, stop in edges.tolist()]


# What queries are drawn from ------------------------------------------------------------------------------------------


class Token(NamedTuple):
    """A clip of one sign, and where in it the sign is."""

    word: str
    signer: str | None
    poses: Poses
    sign: Span


class Queries:
    """Tokens of signs, and which of them are alike."""

    def __init__(self, tokens: Sequence[Token], embedder: Embedder) -> None:
        self.tokens = tuple(tokens)
        self.words = np.array([token.word for token in tokens])
        self.signers = np.array([str(token.signer) for token in tokens])
        self.lengths = np.array([token.sign.duration for token in tokens])
        vectors = [
            embed_signs(token.poses, [Sign(token.sign.start, token.sign.end)], embedder).vectors[0] for token in tokens
        ]
        self.alike = np.stack(vectors) @ np.stack(vectors).T

    def draw(self, word: str, rng: np.random.Generator, signers: Sequence[str] = ()) -> int:
        """One of a word, of the signers if there is one of them."""
        rows = np.flatnonzero(self.words == word)
        own = rows[np.isin(self.signers[rows], signers)] if len(signers) else rows
        return int(rng.choice(own if len(own) else rows))

    def other(self, row: int, among: Sequence[str], rng: np.random.Generator, hard: float) -> int:
        """One of other words that nothing but its sign gives away: of the same signer, if there is one, and as long.

        Args:
            among: The words.
            hard: How often it is the one most alike, of the ten nearest in length; else any of the ten.
        """
        rows = np.flatnonzero(np.isin(self.words, among))
        own = rows[self.signers[rows] == self.signers[row]]
        rows = rng.permutation(own if len(own) else rows)  # of equals any
        rows = rows[np.abs(self.lengths[rows] - self.lengths[row]).argsort(kind="stable")][:NEAR]
        return int(rows[self.alike[row, rows].argmax()] if rng.random() < hard else rng.choice(rows))


def _embedder(data: Data) -> Embedder:
    return checkpoints.load_embedder(data.embedder) if data.embedder is not None else PoseDescriptor(raised=1.0)


def augmented(poses: Poses, rng: np.random.Generator, settings: Augment, *, mirror: bool) -> Poses:
    """As another camera and detector would have seen it."""
    poses = augmentation.mirror(poses) if mirror else poses
    if settings.scale or settings.rotation:
        poses = augmentation.warp(poses, rng, scale=settings.scale, rotation=settings.rotation)
    fewer = augmentation.drop_hands(poses, rng, settings.hands) if settings.hands else poses
    return fewer if seen(fewer) >= LEAST else poses


def seen(poses: Poses) -> float:
    """The share of the frames that show a hand."""
    hands = [column for column, name in enumerate(poses.landmarks) if name in HANDS]
    return float((~np.isnan(poses.xyz[:, hands, 0])).any(axis=1).mean()) if hands else 0.0


def trimmed(poses: Poses, sign: Span) -> Poses:
    """The frames of a sign, at least one."""
    first, stop = (round(edge * float(poses.fps)) for edge in (sign.start, sign.end))
    own = slice(min(first, len(poses.xyz) - 1), max(stop, first + 1))
    return replace(poses, xyz=poses.xyz[own], confidence=poses.confidence[own])


class JoinedSigns:
    """Isolated signs as queries, and joined into sentences; no signer, or session, is in two parts.

    What is measured asks with a sign that was learned from, in a sentence of others' signs that were not.
    """

    def __init__(self, recipe: Recipe, inputs: Inputs) -> None:
        self.recipe, self.inputs, data = recipe, inputs, recipe.data
        clips, self.files = read_clips(data.traduttore, data.manifest)
        leave_out(clips, data.without)  # which only says what there is not: they are signed, and not asked for
        parts = divide_named(clips, data.valid_signers, data.test_signers, valid=data.valid, seed=recipe.loop.seed)
        self.parts = {part: sorted({str(clip.signer) for clip in some}) for part, some in parts.items()}
        embedder = _embedder(data)
        tokens = {part: [_token(clip) for clip in some] for part, some in parts.items()}
        shown = {
            part: [token for token in some if seen(trimmed(token.poses, token.sign)) >= LEAST]
            for part, some in tokens.items()
        }
        if hidden := len(clips) - sum(map(len, shown.values())):
            message = f"{hidden} of {len(clips)} clips show a hand in less than half of their sign; left out"
            warnings.warn(message, InputWarning, stacklevel=2)
        self.queries = {part: Queries(some, embedder) for part, some in shown.items() if some}
        self.known = {part: sorted(set(own.words.tolist()) - set(data.without)) for part, own in self.queries.items()}
        if (least := min(len(self.known["train"]), len(self.known["valid"]))) <= recipe.joined.signs[1]:
            raise InputError(
                f"[joined] signs: {recipe.joined.signs[1]} different ones, and one that is not there, of {least} words"
            )
        rng = np.random.default_rng([recipe.loop.seed, 0, 0])
        both = [self.pair("valid", "train", rng, present=bool(item % 2)) for item in range(recipe.joined.valid)]
        self.valid = tuple(both)
        self.natural = tuple(self.pair("valid", "train", rng, present=None) for _ in range(data.natural))

    def __len__(self) -> int:
        return self.recipe.joined.pairs

    def draw(self, item: int, rng: np.random.Generator) -> Pair:
        """A new one; the item says nothing."""
        return self.pair("train", "train", rng, present=bool(rng.random() < 0.5), settings=self.recipe.augment)

    def pair(
        self,
        part: Part,
        asking: Part,
        rng: np.random.Generator,
        *,
        present: bool | None,
        settings: Augment = Augment(),
    ) -> Pair:
        """Some words of a part, joined, and a sign of another part to look for.

        Args:
            present: Whether it is there; None: any word, as likely as any.
        """
        mirror = bool(rng.random() < settings.mirror)
        poses, signs = self.join(part, self.known[part], rng)
        said = [str(sign.gloss) for sign in signs]
        queries, known = self.queries[asking], self.known[asking]
        asked = [word for word in said if word in known] or known
        word = str(rng.choice(known if present is None else asked))
        own = self._own(part, poses, word) if part == asking else ()
        row = queries.draw(word, rng, [signer for signer in set(queries.signers.tolist()) if signer not in own])
        if present is False:
            row = queries.other(row, [other for other in known if other not in said], rng, self.recipe.data.hard)
        token = queries.tokens[row]
        query = trimmed(token.poses, token.sign)
        if settings.pace:
            query = augmentation.pace(query, rng, settings.pace)
        query = augmented(query, rng, settings, mirror=mirror)
        poses = augmented(poses, rng, settings, mirror=mirror)
        return make_pair(token.word, query, poses, signs, self.inputs)

    def join(
        self, part: Part, words: Sequence[str], rng: np.random.Generator, fps: Fraction | None = None
    ) -> tuple[Poses, tuple[Sign, ...]]:
        """Some of the words, a clip of each, one after the other.

        Args:
            fps: Of the result; None: as the network takes it.
        """
        low, high = self.recipe.joined.signs
        some = rng.permutation(list(words))[: rng.integers(low, high, endpoint=True)].tolist()
        tokens = [self.queries[part].tokens[self.queries[part].draw(word, rng)] for word in some]
        chosen = [(token.poses, Sign(token.sign.start, token.sign.end, token.word)) for token in tokens]
        joining = replace(self.recipe.joined, phrase=(high, high))  # one phrase
        poses, signs = concatenate(chosen, int(rng.integers(2**31)), joining=joining, fps=fps or self.inputs.fps)
        return replace(poses, provenance={"signers": {token.word: str(token.signer) for token in tokens}}), signs

    def words(self, part: Part) -> list[str]:
        """All that there are in a part, those kept out with them."""
        return sorted(set(self.queries[part].words.tolist()))

    def _own(self, part: Part, poses: Poses, word: str) -> tuple[str, ...]:
        signers = (poses.provenance or {}).get("signers")
        return (signers[word],) if isinstance(signers, dict) and word in signers else ()


def make_pair(word: str, query: Poses, sentence: Poses, signs: Sequence[Sign], inputs: Inputs) -> Pair:
    """What a network takes of a query and a sentence whose signs are known."""
    frames, first = look(sentence, inputs, "a sentence")
    inside = np.zeros(len(frames), np.float32)
    own = [sign for sign in signs if sign.gloss == word]
    for sign in own:
        start, stop = (round(edge * float(inputs.fps)) - first for edge in (sign.start, sign.end))
        inside[max(0, start) : max(0, stop)] = 1
    return Pair(word, look(query, inputs, f"a query of {word!r}").frames, frames, bool(own), inside)


def _token(clip: Clip) -> Token:
    poses = clip.read()
    return Token(clip.text, clip.signer, poses, find_sign(poses))


class Sentences:
    """Words and sentences of WSLP 2025: what is listed is present, the rest is drawn; no uid is in two parts."""

    def __init__(self, recipe: Recipe, network: Spotter) -> None:
        data = recipe.data
        assert data.wslp is not None
        assert data.poses is not None
        self.recipe, self.inputs, longest = recipe, network.inputs, network.shape.longest
        pairs = wslp.read(data.wslp, data.poses)
        files = sorted({file for pair in pairs for file in (pair.query, pair.sentence)})
        digests = "".join(f"{sha256(file)}\n" for file in files)
        self.files = {data.wslp.name: sha256(data.wslp), "the poses": hashlib.sha256(digests.encode()).hexdigest()}
        parts = divide(pairs, valid=data.valid, seed=recipe.loop.seed)
        self.parts = {part: sorted({pair.signer for pair in some}) for part, some in parts.items()}
        embedder, self.frames, broken = _embedder(data), dict[Path, Float32[np.ndarray, "_ points 2"]](), list[str]()
        tokens = dict[Path, Token]()
        for pair in pairs:
            for file in {pair.query, pair.sentence} - self.frames.keys():
                poses = read_poses(file)
                try:
                    self.frames[file] = look(poses, self.inputs, file.name).frames
                except InputError as error:
                    broken.append(str(error))
                    continue
                if file == pair.query:
                    tokens[file] = Token(pair.word, None, poses, Span(0.0, poses.duration))
        usable: dict[Part, list[wslp.Pair]] = {}
        for part, own in parts.items():
            whole = [pair for pair in own if pair.query in self.frames and pair.sentence in self.frames]
            most = max((len(self.frames[pair.query]) for pair in whole), default=0)
            usable[part] = [pair for pair in whole if most + len(self.frames[pair.sentence]) + 2 <= longest]
            if long := len(whole) - len(usable[part]):
                broken.append(f"{long} sentences are longer than the network reads ([network] longest = {longest})")
        if broken:
            more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
            warnings.warn(f"{data.wslp}: left out: {broken[0]}{more}", InputWarning, stacklevel=2)
        if empty := [part for part in ("train", "valid") if len({pair.word for pair in usable.get(part, ())}) < 2]:
            raise InputError(f"{data.wslp}: fewer than two words are left in the part {empty[0]}")
        self.listed = usable
        self.queries, self.rows = dict[Part, Queries](), dict[Part, dict[Path, int]]()
        self.also = dict[Path, set[str]]()  # words that a sentence is listed with
        for part, some in usable.items():
            asked = list(dict.fromkeys(pair.query for pair in some))
            if asked:
                self.queries[part] = Queries([tokens[file] for file in asked], embedder)
                self.rows[part] = {file: row for row, file in enumerate(asked)}
            for pair in some:
                self.also.setdefault(pair.sentence, set()).add(pair.word)
        rng = np.random.default_rng([recipe.loop.seed, 0, 0])
        listed = usable["valid"]
        pairs_of = [
            (pair, present) for pair in listed for present in (True, False) if present or self._others(pair, "valid")
        ]
        self.valid = tuple(self.pair("valid", pair, rng, present) for pair, present in pairs_of)
        order = rng.integers(len(listed), size=data.natural).tolist()
        self.natural = tuple(self.pair("valid", listed[row], rng, None) for row in order)

    def __len__(self) -> int:
        return 2 * len(self.listed["train"])

    def draw(self, item: int, rng: np.random.Generator) -> Pair:
        """The even ones as they are listed, the odd ones with another query."""
        return self.pair("train", self.listed["train"][item // 2], rng, item % 2 == 0)

    def pair(self, part: Part, listed: wslp.Pair, rng: np.random.Generator, present: bool | None) -> Pair:
        """A sentence with its query, with another that it does not say, if there is one, or (None) with any."""
        queries, row, others = self.queries[part], self.rows[part][listed.query], self._others(listed, part)
        if present is None:
            row = int(rng.integers(len(queries.tokens)))
        elif not present and others:
            row = queries.other(row, others, rng, self.recipe.data.hard)
        file, frames = list(self.rows[part])[row], self.frames[listed.sentence]
        word = queries.tokens[row].word
        unknown = np.full(len(frames), 0.0 if word in others else np.nan, np.float32)
        return Pair(word, self.frames[file], frames, word not in others, unknown)

    def _others(self, listed: wslp.Pair, part: Part) -> list[str]:
        """Words that a sentence does not say."""
        return [
            word
            for word in dict.fromkeys(self.queries[part].words.tolist())
            if word not in self.also[listed.sentence] and not wslp.says(listed.text, word)
        ]
