"""Clips and what they say, for the tasks of Sigma: from isolated signs, a manifest, or label files as published."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seasign.corpora import uni_sign
from seasign.corpora.clips import Clip, digest, divide_named
from seasign.corpora.recordings import Part
from seasign.formats.disk import sha256
from seasign.formats.words import read_vocabulary
from seasign.models.sigma_translator import units_of
from seasign.recognition import shots
from seasign.training.concatenation import Joining
from seasign.training.lexicon import by_word, join, leave_out, read_clips
from seasign.training.recipe import Count, Counts, Share, Whole
from seasign.types import InputError, Poses


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


class Example(NamedTuple):
    """A clip, and what it says."""

    name: str
    poses: Callable[[], Poses]
    text: str
    glosses: str = ""  # parted by spaces; none are known


class Corpus:
    """Clips and what they say, in parts; no signer is in two. Poses in memory stay there."""

    def __init__(self, data: Data, joined: Joined | None, seed: int) -> None:
        self.joined, self.repeat = joined, data.repeat
        if sum(source is not None for source in (data.traduttore, data.manifest, data.labels)) != 1:
            raise InputError("[data]: expected one of traduttore, manifest and labels")
        if joined is not None and data.traduttore is None:
            raise InputError("[joined]: only the signs of traduttore are joined; leave it out")
        for given, why in (
            (joined and data.repeat > 1, "repeat: what is joined is drawn anew; set [joined] sentences"),
            (
                data.labels and (data.valid_signers or data.test_signers),
                "valid_signers, test_signers: labels name none",
            ),
            (not data.labels and (data.valid_labels or data.poses), "valid_labels, poses: they go with labels"),
        ):
            if given:  # and would be passed over
                raise InputError(f"[data] {why}; leave it out")
        parts, self.files = _read(data, seed)
        self.parts = {part: sorted({str(clip.signer) for clip in some}) for part, some in parts.items()}
        self.lexicon = () if data.lexicon is None else read_vocabulary(data.lexicon)
        if data.examples is not None:
            chosen = shots([clip.text for clip in parts["train"]], data.examples, seed).tolist()
            parts["train"] = tuple(parts["train"][number] for number in chosen)
        for clip in (clip for some in parts.values() for clip in some):
            if not clip.text.strip():
                raise InputError(f"{clip.name}: its text is empty: write what it says, or take the clip out")
        self.by_word = {part: by_word(some) for part, some in parts.items() if joined is not None}
        self.train = tuple(map(_example, parts["train"]))
        if joined is not None:
            if joined.signs[1] > (fewest := min(len(self.by_word[part]) for part in ("train", "valid"))):
                raise InputError(f"[joined] signs: {joined.signs[1]} different ones, of {fewest} words")
            self.valid = self.sentences("valid", joined.valid, np.random.default_rng([seed, 0, 0]))
        else:
            self.valid = tuple(map(_example, parts["valid"]))
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
        poses, signs = join(self.by_word[part], self.joined.signs, rng, joining=self.joined)
        words = [str(sign.gloss) for sign in signs]
        said = " ".join(words)
        return Example(f"joined: {said}", lambda: poses, said, " ".join(word.replace(" ", "-") for word in words))


def _example(clip: Clip) -> Example:
    glosses = " ".join(clip.glosses) if isinstance(clip, uni_sign.LabelledClip) else ""
    return Example(clip.name, clip.read, clip.text, glosses)


def _read(data: Data, seed: int) -> tuple[dict[Part, tuple[Clip, ...]], dict[str, str]]:
    """The clips in parts, and the SHA-256 of what lists them or holds them."""
    if data.labels is None:
        clips, files = read_clips(data.traduttore, data.manifest)
        clips = leave_out(clips, data.without)
        return divide_named(clips, data.valid_signers, data.test_signers, valid=data.valid, seed=seed), files
    if data.valid_labels is None or data.poses is None:
        raise InputError("[data]: labels, valid_labels and poses: expected all three")
    labelled = (
        *uni_sign.read_clips(data.labels, data.poses, part="train"),
        *uni_sign.read_clips(data.valid_labels, data.poses, part="valid"),
    )
    clips = leave_out(labelled, data.without)
    parts: dict[Part, tuple[Clip, ...]] = {"train": (), "valid": (), "test": ()}  # labels name no signers
    parts |= {part: tuple(clip for clip in clips if clip.part == part) for part in parts}
    if not (parts["train"] and parts["valid"]):
        raise InputError("[data] without: leaves no clip to learn from, or none to measure on")
    files = {path.name: sha256(path) for path in (data.labels, data.valid_labels)}
    return parts, files | {"the clips in it": digest(clips)}
