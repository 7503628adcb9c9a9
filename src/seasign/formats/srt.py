"""SubRip: everything but the times of the cues leaves as it came in."""

import re
from itertools import pairwise
from pathlib import Path

from seasign.formats.disk import read_text, write_text
from seasign.formats.timed_text import (
    SHORT_TIMING,
    TWO_TIMES,
    broken_timing,
    cut,
    format_stamp,
    identifiers_lost,
    own_document,
    parse_stamp,
    payload,
    refuse_other_kind,
    settle_broken,
    splice,
    split_lines,
    times_to_write,
    warn,
    warn_of_odd_times,
)
from seasign.types import Cue, InputError, Subtitles

_NUMBER = re.compile(r"[ \t]*[0-9]+[ \t]*")


def read(path: Path, *, skip_broken: bool = False) -> Subtitles:
    """Read the cues of a SubRip file, with the document they stand in.

    A cue is a line of times, the number above it, if there is one, and all text down to the next cue, so that empty
    lines inside a text belong to it. The number is the cue's `id`; coordinates behind the times are its `settings`.
    Times with one or two decimals are read as what they say, `,5` being half a second, with a warning that counts them.

    Args:
        skip_broken: Leave cues without readable times where they are, instead of refusing the file.
    Raises:
        InputError: Not SubRip, no times at all, or a cue without readable times; the message names the line.
    """
    text, encoding = read_text(path)
    refuse_other_kind(path, text, ".srt")
    lines = split_lines(text)
    numbered = [False, *(bool(_NUMBER.fullmatch(line.text)) for line in lines)]  # [i]: is line i - 1 a number?
    heads = [
        i
        for i, line in enumerate(lines)
        if TWO_TIMES.match(line.text)
        or ("-->" in line.text and (numbered[i] or re.search("[0-9]", line.text)))  # an arrow alone may be text
    ]
    cues, spans, broken = [], [], []
    for i, following in pairwise([*heads, len(lines)]):
        timing = SHORT_TIMING.fullmatch(lines[i].text)
        if timing is None:
            broken.append((i + 1, broken_timing(lines[i].text)))
            continue
        end = following - (following < len(lines) and numbered[following])
        cues.append(
            Cue(
                parse_stamp(timing[1]) / 1000,
                parse_stamp(timing[2]) / 1000,
                "\n".join(line.text for line in lines[i + 1 : end]).lstrip("\n").rstrip(),
                lines[i - 1].text.strip() if numbered[i] else None,
                (timing[3] or "").strip() or None,
            )
        )
        spans += [(lines[i].start + timing.start(group), lines[i].start + timing.end(group)) for group in (1, 2)]
    settle_broken(path, broken, skip=skip_broken)
    if short := [stamp for stamp in (text[slice(*span)] for span in spans) if stamp[-4] not in ".,"]:
        found = (
            f"{len(short)} times have fewer than three decimals; {short[0]} is read as {parse_stamp(short[0]) / 1000} s"
        )
        warn(f"{path}: {found}")
    if not cues:
        raise InputError(f"{path}: no times such as '00:00:01,000 --> 00:00:02,500' were found; is it SubRip?")
    warn_of_odd_times(path, cues)
    return Subtitles(tuple(cues), cut(".srt", encoding, text, spans))


def write(path: Path, subtitles: Subtitles) -> None:
    """Write a SubRip file: the document it was read from with the times of the cues, else a new one.

    Times are rounded to the millisecond, half up; one that did not change stays as written. In a new file the cues are
    numbered from 1, unless all have numbers, and a warning counts the identifiers that are lost; tags that SubRip does
    not know and empty lines inside a cue are left out.

    Raises:
        InputError: The cues are not as many as in their document.
        OSError: `path` cannot be written; it is as it was.
    """
    document = own_document(path, subtitles, ".srt")
    times = times_to_write(path, subtitles.cues)
    if document is not None:
        write_text(path, splice(document, times), document.encoding)
        return
    numbers = [cue.id or "" for cue in subtitles.cues]
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        numbers = [str(i + 1) for i in range(len(numbers))]
        if lost := identifiers_lost(subtitles.cues):
            warn(f"{path}: {len(lost)} of {len(numbers)} identifiers are lost; SubRip has numbers only")
    blocks = []
    for cue, number, start, end in zip(subtitles.cues, numbers, times[::2], times[1::2], strict=True):
        timing = f"{format_stamp(start, '00:00:00,000')} --> {format_stamp(end, '00:00:00,000')}"
        if cue.settings and cue.settings.startswith("X1:"):
            timing += f" {cue.settings}"
        blocks.append(f"{number}\n{timing}\n{payload(cue.text, '.srt')}\n")
    write_text(path, "\n".join(blocks))
