"""Videos -> windows that can be found: every sign and every sentence, each with its vector, its time and its words.

Where they are kept is a `VectorIndex`; those that there are lie in `stores`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int

from seasign.embedding import Embedder, embed_signs
from seasign.segmentation import in_poses, phrases
from seasign.types import Cue, Embeddings, InputError, Poses, Sign, Span

REST = 0.4  # seconds: a shorter pause between signs does not end a bout

Kind = Literal["sign", "sentence"]


@dataclass(frozen=True)
class Window(Span):
    """A stretch of a video that can be found, in seconds of the video."""

    kind: Kind
    gloss: str | None = None  # of a sign
    confidence: float | None = None  # of a sign, as whoever found it gave it
    text: str | None = None  # the cue: of a sentence its own, of a sign the one in which it is signed


@dataclass(frozen=True)
class File:
    """A file as it was when it was read."""

    path: str  # absolute
    size: int  # bytes
    modified: int  # nanoseconds since 1970
    sha256: str


@dataclass(frozen=True)
class Video:
    """What is known of a video; its windows come and go together."""

    name: str  # which no other has
    signer: str | None = None
    date: str | None = None  # YYYY-MM-DD
    files: tuple[File, ...] = ()  # that its windows were made of; the first is the signer's
    film: str | None = None  # where its pictures are
    made: str = ""  # how the windows were found: another way makes them anew


@dataclass(frozen=True)
class Filters:
    """What a window must be to be found. What is None is not asked; a window that does not say is not found."""

    kind: Kind | None = None
    gloss: str | None = None  # `*` is any letters, `?` is one; case does not matter; sentences have none
    signer: str | None = None
    since: str | None = None  # YYYY-MM-DD, the day itself included
    until: str | None = None
    least: float | None = None  # confidence

    @property
    def gloss_expression(self) -> str:
        """The regular expression of the whole of a gloss in lower case, for Python and for Rust."""
        marks = {"*": ".*", "?": "."}
        return "".join(marks.get(mark) or f"\\U{ord(mark):08x}" for mark in (self.gloss or "").lower())


EVERYTHING = Filters()


@dataclass(frozen=True)
class Match:
    """A window that was found."""

    video: str
    window: Window
    score: float  # the dot product with the query: higher is nearer; NaN where nothing was compared


@runtime_checkable
class VectorIndex(Protocol):
    """Anything that keeps windows with their vectors, on a disk or elsewhere.

    Every change is made whole or not at all, whenever the process or the machine stops; what reads meanwhile sees what
    was before it or what is after.
    """

    @property
    def space(self) -> str | None:
        """Of its vectors; None: there have not been any."""

    def __len__(self) -> int:
        """How many windows there are."""

    def videos(self, names: Collection[str] | None = None) -> Mapping[str, Video]:
        """Those that have windows, by their names; of those asked for, the ones that there are."""

    def windows(self, video: str, start: float = -np.inf, end: float = np.inf) -> tuple[Window, ...]:
        """Those of a video that overlap [start, end), by when they start, then by when they end."""

    def vectors(self, video: str) -> Float32[np.ndarray, "windows dimensions"]:
        """Those of its windows, in that order."""

    def put(self, video: Video, windows: Sequence[Window], embeddings: Embeddings) -> None:
        """Keep the windows of a video, in place of those that it had; none: it goes.

        Raises:
            InputError: The vectors are of another space, as many as others, or not finite; or somebody else writes.
            OSError: The disk is full. All is as it was.
        """

    def delete(self, video: str) -> bool:
        """Forget a video; whether it was there."""

    def search(self, query: Embeddings | None, filters: Filters = EVERYTHING, best: int = 10) -> tuple[Match, ...]:
        """The windows nearest to the one query, best first; without one those that pass, by video and time.

        Raises:
            InputError: The query is of another space.
        """

    def tidy(self) -> None:
        """Give back room, and prepare whatever makes search fast. To be called after changes."""


def index(
    video: Video,
    signs: Sequence[Sign],
    cues: Sequence[Cue],
    into: VectorIndex,
    *,
    poses: Poses | None = None,
    embedder: Embedder | None = None,
    embeddings: Embeddings | None = None,
) -> int:
    """Put the sign and sentence windows of a video into an index, in place of those that it had.

    A sentence is a cue in which somebody signs; without cues, a bout of signing that no pause of .4 s interrupts.

    Args:
        signs: In the time of the video, as the cues.
        poses: The signer, where the embedder looks at one.
        embedder: What makes the vectors; of a sentence from its whole span, or from the glosses of its signs.
        embeddings: The vectors of the signs, one each, in place of an embedder; that of a sentence is then the mean of
            its signs.
    Returns:
        How many windows there are.
    Raises:
        InputError: As the embedder and the index; there is neither an embedder nor a vector for every sign.
    """
    if embeddings is not None and len(embeddings.vectors) != len(signs):
        raise InputError(f"{video.name}: {len(signs)} signs have {len(embeddings.vectors)} vectors: embed again")
    order = sorted(range(len(signs)), key=lambda i: (signs[i].middle, signs[i].start))
    signs = [signs[i] for i in order]
    found, runs = find_windows(signs, cues)
    if embeddings is not None:
        vectors = embeddings.vectors[order].astype(np.float32)
        means = [vectors[first:stop].mean(axis=0, keepdims=True) for first, stop in runs]
        made = Embeddings(np.concatenate([vectors, *means]), embeddings.space)
    elif embedder is not None:
        said = [" ".join(sign.gloss for sign in signs[first:stop] if sign.gloss) or None for first, stop in runs]
        spans = [Sign(one.start, one.end, gloss) for one, gloss in zip(found[len(signs) :], said, strict=True)]
        made = embed_signs(poses, in_poses([*signs, *spans], poses) if poses else [*signs, *spans], embedder)
    else:
        raise InputError(f"{video.name}: there is nothing to embed its signs with: give an embedder or embeddings")
    into.put(video, found, made)
    return len(found)


def find_windows(signs: Sequence[Sign], cues: Sequence[Cue]) -> tuple[tuple[Window, ...], tuple[tuple[int, int], ...]]:
    """A window per sign, then one per sentence; and of every sentence its first sign, and the one after its last.

    A sign belongs to the cue that its middle is in; where cues overlap, to the one that starts last.

    Args:
        signs: In order of their middles.
    """
    middles = np.array([sign.middle for sign in signs], np.float64)
    spoken = sorted((cue for cue in cues if cue.duration > 0), key=lambda cue: (cue.start, cue.end))
    runs = _runs(middles, spoken)
    text: list[str | None] = [None] * len(signs)
    for cue, (first, stop) in zip(spoken, runs, strict=True):
        text[first:stop] = [cue.text] * (stop - first)
    said = [
        Window(sign.start, sign.end, "sign", sign.gloss, sign.score, own) for sign, own in zip(signs, text, strict=True)
    ]
    sentences: Sequence[Span] = spoken
    if not cues:
        bouts = phrases([Span(sign.start, sign.end + REST) for sign in signs])
        sentences = [Span(bout.start, bout.end - REST) for bout in bouts]
        runs = _runs(middles, sentences)
    signed = [(one, run) for one, run in zip(sentences, runs, strict=True) if run[0] < run[1]]
    whole = [Window(one.start, one.end, "sentence", text=getattr(one, "text", None)) for one, _ in signed]
    return (*said, *whole), tuple(run for _, run in signed)


def _runs(middles: Float[np.ndarray, " signs"], spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Of every span the first sign whose middle is in it, and the one after the last."""
    edges = np.array([(span.start, span.end) for span in spans], np.float64).reshape(-1, 2)
    found: Int[np.ndarray, "spans 2"] = np.searchsorted(middles, edges)
    return [(first, stop) for first, stop in found.tolist()]
