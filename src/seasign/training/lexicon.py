"""Clips of words, as several tasks take them: read, put by their words, and some of them joined into a sentence."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from seasign.corpora import traduttore
from seasign.corpora.clips import Clip, digest, read_manifest
from seasign.formats.disk import sha256
from seasign.segmentation import find_sign
from seasign.training.concatenation import Joining, concatenate
from seasign.types import InputError, Poses, Sign

Lexicon = Mapping[str, Sequence[tuple[Poses, Sign]]]


def read_clips(folder: Path | None, manifest: Path | None) -> tuple[tuple[Clip, ...], dict[str, str]]:
    """The clips of a folder (`corpora.traduttore`), or else of a table, and the SHA-256 of what holds or lists them."""
    if folder is not None:
        return traduttore.read(folder), {path.name: sha256(path) for path in sorted(folder.glob("*.npz"))}
    assert manifest is not None
    clips = read_manifest(manifest)
    return clips, {manifest.name: sha256(manifest), "the clips in it": digest(clips)}


def leave_out(clips: Sequence[Clip], without: Collection[str]) -> tuple[Clip, ...]:
    """The clips of other texts.

    Raises:
        InputError: No clip is of a text that is to be left out.
    """
    if unknown := sorted(set(without) - {clip.text for clip in clips}):
        raise InputError(f"[data] without: no clip says {unknown[0]!r}")
    return tuple(clip for clip in clips if clip.text not in without)


def by_word(clips: Sequence[Clip]) -> Lexicon:
    """Clips of one sign each, and where in them it is."""
    found: dict[str, list[tuple[Poses, Sign]]] = {}
    for clip in clips:
        poses = clip.read()
        span = find_sign(poses)
        found.setdefault(clip.text, []).append((poses, Sign(span.start, span.end, clip.text)))
    return found


def join(
    lexicon: Lexicon,
    signs: tuple[int, int],
    rng: np.random.Generator,
    *,
    joining: Joining,
    fps: Fraction | None = None,
) -> tuple[Poses, tuple[Sign, ...]]:
    """Some words, all of them different, a clip of each, one after the other in one phrase; see `concatenate`.

    Args:
        signs: How many there are at least and at most.
    """
    low, high = signs
    words = rng.permutation(sorted(lexicon))[: rng.integers(low, high, endpoint=True)].tolist()
    chosen = [lexicon[word][int(rng.integers(len(lexicon[word])))] for word in words]
    return concatenate(chosen, int(rng.integers(2**31)), joining=replace(joining, phrase=(high, high)), fps=fps)
