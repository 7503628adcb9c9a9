"""Poses -> text: each phrase that a segmenter finds is translated, and says how sure the translator is."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isfinite
from typing import Protocol, runtime_checkable

from seasign.segmentation import TRAINING_FREE, Segmenter, choose_decoder, find_phrases, find_signs
from seasign.spotting import check_hands
from seasign.types import Cue, InputError, InputWarning, Poses, Span

LONG = 30.0  # seconds: what translators learn from are sentences, and few are longer


@dataclass(frozen=True)
class Translation:
    """What a clip says."""

    text: str
    probability: float  # the translator's own, 0 .. 1, higher is surer: of the text, not that it is right


@dataclass(frozen=True)
class Translated:
    """Subtitles that nobody wrote, in order of time; seconds from the first frame of the poses."""

    cues: tuple[Cue, ...]
    probabilities: tuple[float, ...]  # of each cue, as `Translation` has it
    phrases: int  # that were found; those without a word are not among the cues


@runtime_checkable
class Translator(Protocol):
    """Anything that puts signing into words: a network, or four lines in a test.

    One may say at which `landmarks` it looks, by name: others need not be read from a file.
    """

    def translate(self, clips: Sequence[Poses]) -> Sequence[Translation]:
        """One text per clip, empty where nothing is said; clips that come together are of about one length."""


def translate(
    poses: Poses,
    translator: Translator,
    *,
    segmenter: Segmenter = TRAINING_FREE,
    batch: int = 8,
    progress: Callable[[int, int | None], None] | None = None,
) -> Translated:
    """Translate signing, one subtitle per phrase.

    Args:
        segmenter: Finds the phrases; where its tags say nothing of them, signs that touch are one.
        batch: Phrases that the translator gets at once, of about one length.
        progress: Is told how many phrases are done, and of how many.
    Returns:
        Seconds from the first frame of the poses; `segmentation.in_video` turns the cues into those of the video.
    Raises:
        InputError: No frame shows a hand; the segmenter or the translator refuses the poses; or the translator does not
            give one text, and one probability from 0 to 1, for every clip.
    Warns:
        InputWarning: No phrase is found, some say nothing and are left out, or some are longer than half a minute.
    """
    check_hands(poses, "the poses")
    tags = segmenter.tag(poses)
    signs = find_signs(tags, choose_decoder(segmenter, "annotation"))
    spans = find_phrases(tags, signs, choose_decoder(segmenter, "phrases"))
    if not spans:
        warnings.warn("nobody signs in these poses: there is nothing to translate", InputWarning, stacklevel=2)
    if late := [span for span in spans if span.duration > LONG]:
        message = (
            f"{len(late)} of {len(spans)} phrases {'is' if len(late) == 1 else 'are'} longer than {LONG:.0f} s, "
            f"the first at {late[0].start:.2f} s"
        )
        warnings.warn(f"{message}: expect little of such translations", InputWarning, stacklevel=2)
    clips = [cut(poses, span) for span in spans]
    order = sorted(range(len(clips)), key=lambda number: len(clips[number].xyz))
    said: dict[int, Translation] = {}
    for start in range(0, len(order), batch):
        some = order[start : start + batch]
        try:
            found = translator.translate([clips[number] for number in some])
        except InputError as error:
            starts = ", ".join(f"{spans[number].start:.2f}" for number in some)
            raise InputError(f"of the phrases at {starts} s: {error}") from error
        if len(found) != len(some):
            raise InputError(f"the translator gave {len(found)} texts for {len(some)} phrases: mend it")
        said |= zip(some, found, strict=True)
        if progress:
            progress(len(said), len(clips))
    for number, one in said.items():
        if not (isfinite(one.probability) and 0 <= one.probability <= 1):
            where = f"the phrase at {spans[number].start:.2f} s"
            raise InputError(f"the translator gave {where} a probability of {one.probability}: it should be 0 to 1")
    texts = [" ".join(said[number].text.split()) for number in range(len(spans))]
    if empty := texts.count(""):
        were, have = ("was", "has") if empty == 1 else ("were", "have")
        message = f"{empty} of {len(spans)} phrases {were} translated by nothing, and {have} no subtitle"
        warnings.warn(message, InputWarning, stacklevel=2)
    kept = [number for number, text in enumerate(texts) if text]
    return Translated(
        tuple(Cue(spans[number].start, spans[number].end, texts[number]) for number in kept),
        tuple(said[number].probability for number in kept),
        len(spans),
    )


def cut(poses: Poses, span: Span) -> Poses:
    """The frames that a span touches, at least one; seconds count from the first of the poses.

    Of the provenance stays what x and y are measured in: their unit, and the video, whose picture has a size.
    """
    first = min(max(floor(span.start * poses.fps + 1e-6), 0), len(poses.xyz) - 1)
    stop = max(ceil(span.end * poses.fps - 1e-6), first + 1)
    kept = {key: value for key, value in (poses.provenance or {}).items() if key in ("unit", "video")}
    return replace(poses, xyz=poses.xyz[first:stop], confidence=poses.confidence[first:stop], provenance=kept or None)
