"""WebVTT: everything but the times of the cues leaves as it came in."""

import re
from collections.abc import Sequence
from pathlib import Path

from seasign.formats.disk import read_text, write_text
from seasign.formats.timed_text import (
    TIMING,
    TWO_TIMES,
    broken_timing,
    cut,
    format_stamp,
    own_document,
    parse_stamp,
    payload,
    refuse_other_kind,
    settle_broken,
    splice,
    split_lines,
    times_to_write,
    warn_of_odd_times,
    without_arrows,
)
from seasign.types import Cue, InputError, Subtitles

_HEADER = re.compile(r"WEBVTT(?:[ \t].*)?")
_OTHER_BLOCK = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?:[ \t].*)?")


def read(path: Path, *, skip_broken: bool = False) -> Subtitles:
    """Read the cues of a WebVTT file, with the document they stand in.

    As in browsers, a line of times begins a cue wherever it stands, and the first line of its block, if that is the
    line above, is its identifier. Further than browsers: `,` before the milliseconds and one digit of hours will do.

    Args:
        skip_broken: Leave cues without readable times where they are, instead of refusing the file.
    Raises:
        InputError: Not WebVTT, or a cue without readable times; the message names the line.
    """
    text, encoding = read_text(path)
    lines = split_lines(text)
    if not lines or not _HEADER.fullmatch(lines[0].text):
        refuse_other_kind(path, text, ".vtt")
        raise InputError(f"{path}:1: expected WEBVTT, found {lines[0].text[:60] if lines else ''!r}; is it WebVTT?")
    cues, spans, broken = [], [], []
    first = 0  # the line that began the block
    for number, line in enumerate(lines):
        if not line.text:
            first = number + 1
        elif timing := TIMING.fullmatch(line.text):
            end = number + 1
            while end < len(lines) and lines[end].text and "-->" not in lines[end].text:
                end += 1
            cues.append(
                Cue(
                    parse_stamp(timing[1]) / 1000,
                    parse_stamp(timing[2]) / 1000,
                    "\n".join(line.text for line in lines[number + 1 : end]),
                    lines[first].text if 0 < first == number - 1 and "-->" not in lines[first].text else None,
                    (timing[3] or "").strip() or None,
                )
            )
            spans += [(line.start + timing.start(group), line.start + timing.end(group)) for group in (1, 2)]
            first = number
        elif ("-->" in line.text or TWO_TIMES.match(line.text)) and not _OTHER_BLOCK.fullmatch(lines[first].text):
            broken.append((number + 1, broken_timing(line.text)))
    settle_broken(path, broken, skip=skip_broken)
    warn_of_odd_times(path, cues)
    return Subtitles(tuple(cues), cut(".vtt", encoding, text, spans))


def write(path: Path, subtitles: Subtitles, *, head: str = "", notes: Sequence[str] = ()) -> None:
    """Write a WebVTT file: the document it was read from with the times of the cues, else a new one.

    Times are rounded to the millisecond, half up; one that did not change stays as written. In a new file tags that
    WebVTT does not know and empty lines inside a cue are left out.

    Args:
        head: A comment at the top of a new file; players show none.
        notes: A comment before every cue of a new file.
    Raises:
        InputError: The cues are not as many as in their document.
        OSError: `path` cannot be written; it is as it was.
    """
    document = own_document(path, subtitles, ".vtt")
    times = times_to_write(path, subtitles.cues)
    if document is not None:
        write_text(path, splice(document, times), document.encoding)
        return
    blocks = ["WEBVTT\n", *([_note(head)] if head else [])]
    for cue, start, end, note in zip(
        subtitles.cues, times[::2], times[1::2], notes or [""] * len(subtitles.cues), strict=True
    ):
        blocks += [_note(note)] if note else []
        name = " ".join(without_arrows(cue.id or "").split())
        settings = " ".join((cue.settings or "").split())
        if settings.startswith("X1:"):  # SubRip's coordinates
            settings = ""
        timing = f"{format_stamp(start)} --> {format_stamp(end)} {settings}".rstrip()
        blocks.append(f"{name}\n{timing}\n{payload(cue.text, '.vtt')}\n".lstrip("\n"))
    write_text(path, "\n".join(blocks))


def _note(text: str) -> str:
    """A comment, which ends with its line."""
    return f"NOTE {' '.join(without_arrows(text).split())}\n"
