"""CSLR2 as a task of the loop: sentences and the signs in them -> batches, both losses, retrieval and recognition.

Source: Raude et al. 2024 (arXiv:2405.10266) and the authors' code @ 5f3bd69: .9 of the loss of sentences and .0075 of
that of signs, Adam at 5e-5. Differs: sentences that say the same are no negatives of each other; weights of the loss
are normalized by their own row; the epoch that is best on what is held out is kept, where that code keeps the last.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader

from seasign.corpora import bobsl
from seasign.corpora.clips import Clip, divide_named
from seasign.corpora.recordings import Part
from seasign.formats.disk import sha256
from seasign.glosses import close
from seasign.metrics.retrieval import evaluate_sentences
from seasign.models import gloss_text
from seasign.models.body_parts import HOLISTIC
from seasign.models.cslr2 import Cslr2, Shape, hn_nce, pad
from seasign.models.cslr2_embedder import (
    LANDMARKS,
    Cslr2Embedder,
    Inputs,
    Letters,
    TextEncoder,
    check_vectors,
    frames_of,
)
from seasign.models.sentence_text import SentenceText
from seasign.recognition import WindowGuesses, cut_windows, guess_words, label_windows, tune_recognition
from seasign.training.concatenation import Joining
from seasign.training.contrast import text_number
from seasign.training.lexicon import by_word, join, read_clips
from seasign.training.loop import Loss, gather, load
from seasign.training.recipe import Amount, Count, Counts, Loop, Positive, Release, Share, Whole
from seasign.types import Embeddings, InputError, InputWarning, Sign, Span, WindowFeatures

LEAST = 25  # windows that augmentation leaves
PAD = 1.0  # seconds of a clip before and after its subtitle
SHORTEST, LONGEST = 1.0, 20.0  # seconds of subtitles that are learned from
THRESHOLDS = (0.0, 0.2, 0.4, 0.6, 0.8)  # of recognition, that are tried at every checkpoint


@dataclass(frozen=True)
class Data:
    """What there is to learn from: the table [data]. Of `traduttore`, `manifest` and `bobsl` one is given."""

    traduttore: Path | None = None  # isolated signs, joined into sentences: see [joined]
    manifest: Path | None = None  # a table of clips of sentences, and of their signs: `corpora.clips.read_manifest`
    bobsl: Path | None = None  # a folder, see `corpora.bobsl.read_folder`, with vocabulary.pkl or .txt, and synonyms
    valid: Share = 0.1  # of the clips, unless the manifest or the next two name the parts; no signer is in two
    valid_signers: tuple[str, ...] = ()  # or sessions: they are measured on,
    test_signers: tuple[str, ...] = ()  # and they are kept out
    shortest: Count = 6  # of `bobsl`: consecutive windows that must share their likeliest label before it is used,
    least: Share = 0.6  # and its probability in each; 1 and 0: all that somebody else has chosen
    encoder: Path | None = None  # the folder of the text encoder; None: texts are known by their letters
    letters: Count = 512  # buckets of those
    batch: Count = 128  # sentences per process
    workers: Whole = 0  # processes that prepare batches


@dataclass(frozen=True)
class Joined(Joining):
    """Sentences made of isolated signs, drawn anew in every epoch: the table [joined]."""

    sentences: Count = 512  # per epoch
    signs: Counts = (3, 5)  # per sentence, all of them different
    valid: Count = 150  # sentences that are measured on, no two of the same words


@dataclass(frozen=True)
class Network:
    """A new network: the table [network]. The defaults are the published ones."""

    features: Count = 768
    inner: Count = 2048
    heads: Count = 8
    layers: Count = 6
    joint: Count = 256
    part: Count = 128  # width of each part of the body, where poses are looked at
    graph: bool = False  # by the graph network of `pose_encoder`, of that width at first and four times that at last
    fps: Count = 25  # that poses are brought to


@dataclass(frozen=True)
class Objective:
    """What is to go down: the table [loss]. A loss whose weight is 0 is left out, with what only it would teach."""

    sentences: Amount = 0.9
    signs: Amount = 0.0075
    kind: Literal["hn-nce", "info-nce"] = "hn-nce"
    temperature: Positive = 0.07
    beta_sentences: Amount = 1.0  # how much more the harder negatives count
    beta_signs: Amount = 0.5


@dataclass(frozen=True)
class Augment:
    """What is changed at random: the table [augment]; nothing unless it says so. Published values in brackets."""

    texts: Share = 0.0  # how often words are dropped from a sentence (.8),
    drop_words: Share = 0.4  # each of them how often,
    shuffle: Share = 0.5  # and how often they are put in another order then
    clips: Share = 0.0  # how often windows are dropped from a clip (.8),
    drop_windows: Share = 0.5  # each of them how often, as long as 25 are left


@dataclass(frozen=True)
class Recipe(Release):
    """A recipe with `task = "cslr2"`."""

    data: Data
    loop: Loop
    network: Network = Network()
    joined: Joined = Joined()
    loss: Objective = Objective()
    augment: Augment = Augment()


class Sentence(NamedTuple):
    """A clip, what it says, and which of its windows say which word."""

    text: str
    signing: Float32[np.ndarray, "times numbers"]  # frames of poses, or features of windows
    rows: Int[np.ndarray, " labelled"]
    words: Int[np.ndarray, " labelled"]  # in the vocabulary
    signs: tuple[Sign, ...] = ()  # where they are known, in seconds


class Batch(NamedTuple):
    """Sentences, filled up with 0 at the end."""

    signing: Float[Tensor, "clips times numbers"]
    lengths: Int[Tensor, " clips"]  # in windows
    kept: Int[Tensor, "clips windows"]  # which windows are looked at, -1 at the end
    texts: Float[Tensor, "clips text"]
    said: Int[Tensor, " clips"]  # a number for every different text, the same in all processes
    clips: Int[Tensor, " labelled"]
    rows: Int[Tensor, " labelled"]
    words: Int[Tensor, " labelled"]


class Joint(nn.Module):
    """The network, with all that a batch needs in one call."""

    def __init__(self, network: Cslr2, words: Float32[np.ndarray, "words text"]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("vectors", torch.from_numpy(words), persistent=False)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Clips, their sentences, labelled windows and their words, in the joint space."""
        signing = batch.signing
        features = self.network.pose_windows(signing) if self.network.inputs.landmarks else signing
        index = batch.kept.clamp(min=0)[..., None].expand(-1, -1, features.shape[2])
        seen = self.network(features.gather(1, index), batch.lengths)
        vectors = self.vectors[batch.words]  # type: ignore[index]
        return (
            seen.sequence.float(),
            self.network.sentences(batch.texts).float(),
            seen.steps[batch.clips, batch.rows].float(),
            self.network.words(vectors).float(),
        )


def prepare(recipe: Recipe) -> "Cslr2Task":
    """Read what the recipe names, and make the network.

    Raises:
        InputError: There is nothing to learn from or to measure on, or a file cannot be used.
    """
    if sum(source is not None for source in (recipe.data.traduttore, recipe.data.manifest, recipe.data.bobsl)) != 1:
        raise InputError("[data]: expected one of traduttore, manifest and bobsl")
    if not recipe.loss.sentences and not recipe.loss.signs:
        raise InputError("[loss]: both weights are 0: there is nothing to learn")
    corpus: JoinedSigns | Clips | Episodes
    if recipe.data.traduttore is not None:
        corpus = JoinedSigns(recipe)
    else:
        corpus = Clips(recipe) if recipe.data.manifest is not None else Episodes(recipe)
    if recipe.loss.signs and not len(corpus.vocabulary):
        raise InputError("[loss] signs: no signs are known in these sentences; set it to 0")
    return Cslr2Task(recipe, corpus)


class Cslr2Task:
    """The network, the sentences that it learns from, and those that it is measured on."""

    def __init__(self, recipe: Recipe, corpus: "JoinedSigns | Clips | Episodes") -> None:
        self.recipe, self.corpus = recipe, corpus
        self.data = corpus.files
        folder = recipe.data.encoder
        self.encoder: TextEncoder = (
            replace(SentenceText.read(folder), unit=False) if folder else Letters(recipe.data.letters)
        )
        vocabulary = corpus.vocabulary or ("none",)
        vectors = check_vectors(vocabulary, self.encoder.text(vocabulary).vectors)
        self.word_vectors = Embeddings(vectors, self.encoder.space)  # texts are encoded once: no training changes them,
        self.said: tuple[tuple[str, ...], np.ndarray] = (), vectors[:0]  # but for those of batches, which lose words
        sizes = {name: getattr(recipe.network, name) for name in ("features", "inner", "heads", "layers", "joint")}
        if recipe.network.features % recipe.network.heads:
            raise InputError(
                f"[network] heads: {recipe.network.heads} do not divide features = {recipe.network.features}"
            )
        part = recipe.network.part if corpus.inputs.landmarks else 0
        shape = Shape(**sizes, text=vectors.shape[1], classes=0, part=part)
        learned = {"words": recipe.loss.signs, "sentences": recipe.loss.sentences}
        taught = tuple(what for what, weight in learned.items() if weight)
        inputs = replace(corpus.inputs, text=self.encoder.space, taught=taught)
        self.network = Cslr2(shape, inputs)
        self.model = Joint(self.network, vectors)
        if not recipe.loss.sentences:
            self.network.video_sequence_ll.requires_grad_(False)
            self.network.text_sentence_ll.requires_grad_(False)
        if not recipe.loss.signs:
            self.network.video_token_ll.requires_grad_(False)
            self.network.text_word_ll.requires_grad_(False)
        self.files = {"words.txt": "".join(f"{word}\n" for word in corpus.vocabulary)}

    def batches(self, epoch: int, rank: int, ranks: int) -> DataLoader[Batch]:
        """Sentences that the epoch and the seed throw together."""
        return load(len(self.corpus), self.batch, self.recipe, epoch, rank, ranks)

    def batch(self, epoch: int, items: Sequence[int]) -> Batch:
        """What an epoch makes of items."""
        augment = self.recipe.augment
        signing, kept, texts, labels = [], [], [], []
        for clip, item in enumerate(items):
            rng = np.random.default_rng([self.recipe.loop.seed, epoch, item])
            sentence = self.corpus.draw(item, rng)
            inputs = self.network.inputs
            count = len(sentence.signing)
            count = (count - inputs.window) // inputs.stride + 1 if inputs.landmarks else count
            some = drop_windows(count, rng, augment)
            signing.append(torch.from_numpy(sentence.signing))
            kept.append(torch.from_numpy(some))
            texts.append(drop_words(sentence.text, rng, augment))
            place = np.full(count, -1)
            place[some] = np.arange(len(some))
            left = place[sentence.rows] >= 0
            labels += [
                (clip, place[row], word) for row, word in zip(sentence.rows[left], sentence.words[left], strict=True)
            ]
        clips, rows, words = (torch.tensor([label[part] for label in labels], dtype=torch.long) for part in range(3))
        return Batch(
            pad(signing)[0],
            torch.tensor([len(one) for one in kept]),
            nn.utils.rnn.pad_sequence(kept, batch_first=True, padding_value=-1),
            torch.from_numpy(self.encoder.text(texts).vectors),
            torch.tensor([text_number(text) for text in texts]),
            clips,
            rows,
            words,
        )

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Of the sentences of all processes, and of the labelled windows of this one, as published."""
        clips, texts, steps, words = model(batch)
        terms, asked = {}, self.recipe.loss
        if asked.sentences:
            terms["sentences"] = asked.sentences * self._contrast(
                gather(clips), gather(texts), gather(batch.said), asked.beta_sentences
            )
        if asked.signs and len(steps) > 1:
            terms["signs"] = asked.signs * self._contrast(steps, words, batch.words, asked.beta_signs)
        elif asked.signs:
            terms["signs"] = 0 * (steps.sum() + words.sum() + clips.sum())
        return Loss(terms, len(batch.said))

    def _contrast(self, one: Tensor, other: Tensor, labels: Tensor, beta: float) -> Tensor:
        beta = beta if self.recipe.loss.kind == "hn-nce" else 0.0
        return hn_nce(one, other, labels, beta=beta, temperature=self.recipe.loss.temperature)

    def evaluate(self) -> dict[str, float]:
        """On sentences that were not learned from: retrieval in both directions, and the windows that are right.

        `text_to_video_r@1` and so on are shares, ranks as CSLR2 counts them; `windows_top1` is the share of labelled
        windows whose nearest word is right.
        """
        embedder = self.embedder("here")
        seen = [self._encode(embedder, sentence) for sentence in self.corpus.valid]
        found: dict[str, float] = {}
        if self.recipe.loss.sentences:
            pooled = np.stack([encoded.max(axis=0) for encoded in seen])
            asked = tuple(sentence.text for sentence in self.corpus.valid)
            if asked != self.said[0]:
                self.said = asked, check_vectors(asked, self.encoder.text(asked).vectors)
            texts = self.network.sentence_vectors(self.said[1])
            scores = evaluate_sentences(texts @ self.network.sequence_vectors(pooled).T)
            for name, way in zip(("text_to_video", "video_to_text"), scores, strict=True):
                found |= {f"{name}_r@{k}": r / 100 for k, r in zip((1, 5, 10), way.recall, strict=False)}
                found[f"{name}_median_rank"] = way.median_rank
        if self.recipe.loss.signs:
            words = embedder.words(self.corpus.vocabulary, self.word_vectors).vectors
            right, labelled = 0, 0
            for encoded, sentence in zip(seen, self.corpus.valid, strict=True):
                guess = (self.network.step_vectors(encoded[sentence.rows]) @ words.T).argmax(axis=1)
                right, labelled = right + int((guess == sentence.words).sum()), labelled + len(guess)
            found["windows_top1"] = right / max(labelled, 1)
        return found

    def guesses(self, embedder: Cslr2Embedder, sentence: Sentence) -> WindowGuesses:
        """The words of the windows of a sentence."""
        steps = self.network.step_vectors(self._encode(embedder, sentence))
        inputs = self.network.inputs
        windows = WindowFeatures(steps, inputs.fps, "here", inputs.stride, (inputs.window - 1) // 2)
        words = replace(embedder.words(self.corpus.vocabulary, self.word_vectors), space="here")
        return guess_words(windows, words, self.corpus.vocabulary)

    def _encode(self, embedder: Cslr2Embedder, sentence: Sentence) -> Float32[np.ndarray, "windows features"]:
        poses = self.network.inputs.landmarks
        features = self.network.pose_features(sentence.signing) if poses else sentence.signing
        found: Float32[np.ndarray, "windows features"] = self.network.encoded(features[None])[0]
        return found

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `checkpoints` reads it, with the settings of recognition that are best on what is held out."""
        embedder = self.embedder("here")
        about: dict[str, Any] = {
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "parts": self.corpus.parts,
        }
        known = [sentence for sentence in self.corpus.valid if sentence.signs]
        if known and self.recipe.loss.signs:
            sentences = [(self.guesses(embedder, sentence), sentence.signs) for sentence in known]
            tuned = tune_recognition(sentences, split="valid", thresholds=THRESHOLDS, shortest=range(1, 6))
            about |= asdict(tuned.walk) | {"tuned": {"split": tuned.split, "wer": tuned.scores.wer}}
        return self.network.config | about, dict(self.network.state_dict())

    def embedder(self, weights: str) -> Cslr2Embedder:
        """The network as it is now."""
        self.network.eval()
        return Cslr2Embedder(self.network, self.network.inputs, weights, self.encoder)


def _inputs(network: Network) -> Inputs:
    """Of poses."""
    looked = HOLISTIC if network.graph else LANDMARKS
    return Inputs(looked, Fraction(network.fps), features="poses", graph=network.graph)


class JoinedSigns:
    """Sentences of isolated signs, as a lexicon of several sessions makes them; no session is in two parts."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, data = recipe, recipe.data
        clips, self.files = read_clips(data.traduttore, data.manifest)
        parts = divide_named(clips, data.valid_signers, data.test_signers, valid=data.valid, seed=recipe.loop.seed)
        self.parts = {part: sorted({str(clip.signer) for clip in some}) for part, some in parts.items()}
        self.vocabulary = tuple(sorted({clip.text for clip in clips}))
        self.inputs = _inputs(recipe.network)
        if recipe.joined.signs[1] > len(self.vocabulary):
            raise InputError(
                f"[joined] signs: {recipe.joined.signs[1]} different ones, of {len(self.vocabulary)} words"
            )
        self.by_word = {part: by_word(some) for part, some in parts.items()}
        rng, made = np.random.default_rng([recipe.loop.seed, 0, 0]), dict[tuple[str, ...], Sentence]()
        for _ in range(50 * recipe.joined.valid):
            sentence = self.join("valid", rng)
            made.setdefault(tuple(sorted(sentence.text.split())), sentence)
            if len(made) == recipe.joined.valid:
                break
        else:
            raise InputError(f"[joined] valid: there are only {len(made)} sentences of different words; ask for fewer")
        self.valid = tuple(made.values())

    def __len__(self) -> int:
        return self.recipe.joined.sentences

    def draw(self, item: int, rng: np.random.Generator) -> Sentence:
        """A new one; the item says nothing."""
        return self.join("train", rng)

    def join(self, part: Part, rng: np.random.Generator) -> Sentence:
        """Some words, a clip of each, one after the other."""
        joined = self.recipe.joined
        poses, signs = join(self.by_word[part], joined.signs, rng, joining=joined, fps=self.inputs.fps)
        with warnings.catch_warnings(action="ignore", category=InputWarning):  # that a sentence shows one hand
            frames = frames_of(poses, self.inputs)
        words = " ".join(str(sign.gloss) for sign in signs)
        return Sentence(words, frames, *_label(len(frames), signs, self.vocabulary, self.inputs), signs)


def _label(
    frames: int, signs: Sequence[Sign], vocabulary: Sequence[str], inputs: Inputs
) -> tuple[Int[np.ndarray, " labelled"], Int[np.ndarray, " labelled"]]:
    """Which windows have their centre in a sign, and its word."""
    count = (frames - inputs.window) // inputs.stride + 1
    times = ((inputs.window - 1) // 2 + inputs.stride * np.arange(count)) / float(inputs.fps)
    said = np.full(count, -1)
    for sign in signs:
        said[(times >= sign.start) & (times < sign.end)] = vocabulary.index(str(sign.gloss))
    rows = np.flatnonzero(said >= 0)
    return rows, said[rows]


class Clips:
    """Sentences as a table lists their clips, and the signs in them as far as it names files of those."""

    def __init__(self, recipe: Recipe) -> None:
        self.inputs, data = _inputs(recipe.network), recipe.data
        clips, self.files = read_clips(data.traduttore, data.manifest)
        parts = divide_named(clips, data.valid_signers, data.test_signers, valid=data.valid, seed=recipe.loop.seed)
        self.parts = {part: sorted({str(clip.signer) for clip in some}) for part, some in parts.items()}
        learned = [*parts["train"], *parts["valid"]]
        self.vocabulary = tuple(sorted({str(sign.gloss) for clip in learned for sign in clip.read_signs()}))
        self.train, self.valid = (tuple(map(self._read, parts[part])) for part in ("train", "valid"))

    def __len__(self) -> int:
        return len(self.train)

    def draw(self, item: int, rng: np.random.Generator) -> Sentence:
        """That one."""
        return self.train[item]

    def _read(self, clip: Clip) -> Sentence:
        try:
            poses, signs = clip.read(), clip.read_signs()
            if not gloss_text.words(clip.text):
                raise InputError("its text has no letters")
            if outside := [sign for sign in signs if sign.start >= poses.duration]:
                raise InputError(
                    f"its sign {outside[0].gloss!r} at {outside[0].start:.2f} s is outside of the clip, which ends at "
                    f"{poses.duration:.2f} s and whose times count from its first frame"
                )
            frames = frames_of(poses, self.inputs)
            return Sentence(clip.text, frames, *_label(len(frames), signs, self.vocabulary, self.inputs), signs)
        except InputError as error:
            raise InputError(f"{clip.name}: {error}; take it out of the table") from None


class Episodes:
    """Subtitles of BOBSL with the features of their time, and labels that are sure enough.

    A clip is its subtitle and `PAD` seconds on both sides; in training both its ends move at random by up to half of
    that, as published.
    """

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.data.bobsl is not None
        folder = recipe.data.bobsl
        names = [folder / f"vocabulary.{suffix}" for suffix in ("txt", "pkl")]
        file = next((name for name in names if name.exists()), names[0])
        self.vocabulary = bobsl.read_vocabulary(file)
        others = next((name for name in (folder / "synonyms.json", folder / "synonyms.pkl") if name.exists()), None)
        self.synonyms = close(bobsl.read_synonyms(others), self.vocabulary) if others else {}
        self.rule = recipe.data.shortest, recipe.data.least
        self.inputs = Inputs()
        parts = {"train": bobsl.read_folder(folder, "train"), "valid": bobsl.read_folder(folder, "val")}
        self.parts = {part: [episode.name for episode in some] for part, some in parts.items()}
        self.files = {"split.json": sha256(folder / "split.json"), file.name: sha256(file)}
        for episode in (episode for some in parts.values() for episode in some):
            labels = np.zeros(1, int) if episode.labels is None else episode.labels
            if not 0 <= labels.min() <= labels.max() < len(self.vocabulary):
                raise InputError(
                    f"{folder}: labels of {episode.name} are {labels.min()} to {labels.max()}, where {file.name} has "
                    f"{len(self.vocabulary)} words, from 0 on: they are of another vocabulary"
                )
        clips = {
            part: [(episode, cue) for episode in some for cue in episode.cues if SHORTEST <= cue.duration <= LONGEST]
            for part, some in parts.items()
        }
        for episode, cue in (pair for some in clips.values() for pair in some):
            if cue.end > (end := _end(episode.features)) + PAD:
                raise InputError(
                    f"{folder}: the subtitle of {episode.name} at {cue.start:.2f} - {cue.end:.2f} s is outside of its "
                    f"video, which ends at {end:.2f} s"
                )
        if empty := [part for part, some in clips.items() if not some]:
            raise InputError(f"{folder}: no subtitle of the part {empty[0]} lasts {SHORTEST:g} to {LONGEST:g} s")
        self.train = clips["train"]
        self.valid = [
            self.cut(episode, Span(cue.start - PAD, cue.end + PAD), cue.text) for episode, cue in clips["valid"]
        ]

    def __len__(self) -> int:
        return len(self.train)

    def draw(self, item: int, rng: np.random.Generator) -> Sentence:
        """That one, with its ends moved."""
        episode, cue = self.train[item]
        early, late = rng.uniform(-PAD / 2, PAD / 2, 2)
        start = cue.start - PAD + early
        return self.cut(episode, Span(start, max(cue.end + PAD + late, start + SHORTEST)), cue.text)

    def cut(self, episode: bobsl.Episode, span: Span, text: str) -> Sentence:
        """What is signed in a span, as far as there is video."""
        windows, end = episode.features, _end(episode.features)
        span = Span(min(max(span.start, 0.0), max(end - SHORTEST, 0.0)), min(span.end, end))
        some = cut_windows(windows, span)
        signing = np.array(windows.vectors[some], np.float32)
        none = np.zeros(0, np.int64)
        if episode.labels is None or episode.probabilities is None:
            return Sentence(text, signing, none, none)
        cut = replace(windows, vectors=windows.vectors[some])
        guesses = WindowGuesses(episode.labels[some], episode.probabilities[some], self.vocabulary, cut)
        shortest, least = self.rule
        return Sentence(text, signing, *label_windows(guesses, self.synonyms, shortest=shortest, least=least))


def _end(windows: WindowFeatures) -> float:
    """Of the last window, in seconds."""
    return float((windows.first + windows.stride * len(windows.vectors)) / windows.fps)


def drop_words(text: str, rng: np.random.Generator, settings: Augment) -> str:
    """A sentence without some of its words, perhaps in another order; at least one is left.

    Source: CSLR2, the authors' code @ 5f3bd69.
    """
    words = text.split()
    if rng.random() >= settings.texts or not words:
        return text
    kept = rng.random(len(words)) >= settings.drop_words
    kept[rng.integers(len(words))] |= not kept.any()
    words = [word for word, left in zip(words, kept, strict=True) if left]
    if rng.random() < settings.shuffle:
        rng.shuffle(words)
    return " ".join(words)


def drop_windows(count: int, rng: np.random.Generator, settings: Augment) -> Int[np.ndarray, " left"]:
    """Which windows of a clip are left; those of a short one all are.

    Source: CSLR2, the authors' code @ 5f3bd69.
    """
    if count <= LEAST or rng.random() >= settings.clips:
        return np.arange(count)
    order = rng.permutation(count)
    dropped = order[rng.random(count) < settings.drop_windows][: count - LEAST]
    return np.setdiff1d(np.arange(count), dropped)
