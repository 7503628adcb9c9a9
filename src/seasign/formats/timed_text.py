"""What subtitle formats share: stamps, the way back into the document, payloads, and times worth a warning."""

import html
import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, chain, pairwise, zip_longest
from math import floor, isfinite
from pathlib import Path
from typing import NamedTuple

from seasign.types import Cue, Document, InputError, InputWarning, Span, Subtitles

NAMES = {".vtt": "WebVTT", ".srt": "SubRip", ".ttml": "TTML"}

_STAMP = r"((?:[0-9]{1,9}:)?[0-5][0-9]:[0-5][0-9][.,][0-9]{%s})"
TIMING, SHORT_TIMING = (  # as it should be; also with fewer decimals
    re.compile(rf"[ \t]*{stamp}[ \t]*-->[ \t]*{stamp}(?:[ \t]+(.*))?") for stamp in (_STAMP % "3", _STAMP % "1,3")
)
TWO_TIMES = re.compile(r"[ \t]*[0-9:]{1,9}:[0-9]{1,2}[.,][0-9]{1,3}[ \t]*\S{0,4}[ \t]*[0-9:]{1,9}:[0-9]{1,2}[.,][0-9]")

_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TTML_ROOT = re.compile(r"<(?:[\w.-]+:)?tt[\s>]")

_TAGS = {
    ".vtt": re.compile(r"</?(?:[cibuv]|ruby|rt|lang)(?:[.\s][^<>]*)?>|<[0-9]+:[0-9:.]+>"),
    ".srt": re.compile(r"</?(?:[ibus]|font)(?:\s[^<>]*)?>|\{\\[^{}]*\}", re.IGNORECASE),
}
_ANY_TAG = re.compile(f"({_TAGS['.vtt'].pattern}|{_TAGS['.srt'].pattern})", re.IGNORECASE)
_COMMON_TAG = re.compile(r"<(/?)([ibu])\b.*>", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"&(?:#[0-9]+|#x[0-9a-f]+|[a-z][a-z0-9]*);", re.IGNORECASE)
_BARE_AMPERSAND = re.compile(rf"&(?!{_ENTITY.pattern[1:]})", re.IGNORECASE)


class Line(NamedTuple):
    """A line without its end, and where in the text it starts."""

    start: int
    text: str


def split_lines(text: str) -> list[Line]:
    """Lines that end in LF, CRLF or CR and in nothing else; a byte order mark belongs to none."""
    lines = [Line(match.start(1), match[1]) for match in _LINE.finditer(text, text.startswith("\ufeff"))]
    return lines[:-1]  # the last one is what follows the last end: always empty


def whole_milliseconds(seconds: float | Fraction) -> int:
    """The nearest millisecond of the decimal that stands there, half up: 1.0005 is 1001, -0.0005 is 0.

    Raises:
        ValueError: It is not finite.
    """
    if isinstance(seconds, Fraction):
        return floor(seconds * 1000 + Fraction(1, 2))
    if not isfinite(seconds):
        raise ValueError(f"cannot write {seconds} as a time")
    return floor(Decimal(repr(float(seconds))) * 1000 + Decimal("0.5"))  # 1.0005 * 1000 is 1000.4999999999999


def parse_stamp(stamp: str) -> int:
    """Milliseconds of `[hours:]MM:SS.mmm`, the point being `.` or `,`; fewer decimals are decimals too."""
    whole, decimals = stamp.replace(",", ".").split(".")
    seconds = 0
    for part in whole.split(":"):
        seconds = 60 * seconds + int(part)
    return 1000 * seconds + int(decimals.ljust(3, "0"))


def format_stamp(milliseconds: int, like: str = "00:00:00.000") -> str:
    """Write a time as `like` writes its own, to the millisecond; hours stay away as long as there are none."""
    point = "," if "," in like else "."
    hours = like.split(point)[0][: -len(":MM:SS")]
    seconds, rest = divmod(milliseconds, 1000)
    stamp = f"{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"
    return f"{seconds // 3600:0{len(hours or '00')}}:{stamp}" if hours or seconds >= 3600 else stamp


def cut(suffix: str, encoding: str, text: str, spans: Sequence[tuple[int, int]]) -> Document:
    """The document whose stamps stand at `spans` of `text`, which come in the order of the file."""
    edges = [0, *chain.from_iterable(spans), len(text)]
    between = tuple(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    return Document(suffix, encoding, between, tuple(text[start:end] for start, end in spans))


def join(document: Document, stamps: Sequence[str]) -> str:
    """The text of a document with other stamps."""
    return "".join(chain.from_iterable(zip_longest(document.between, stamps, fillvalue="")))


def splice(document: Document, times: Sequence[int]) -> str:
    """The text of a document with other times in milliseconds; a stamp that says the same already stays as written."""
    return join(
        document,
        [
            stamp if parse_stamp(stamp) == time else format_stamp(time, stamp)
            for stamp, time in zip(document.stamps, times, strict=True)
        ],
    )


def without(document: Document, cues: Sequence[Cue], gone: Collection[int]) -> Document:
    """The document of WebVTT or SubRip cues without some of them: their blocks go, all else stays.

    Args:
        cues: All that stand in the document, in its order.
    """
    between, stamps = [document.between[0]], list[str]()
    for i, cue in enumerate(cues):
        arrow, after = document.between[2 * i + 1 : 2 * i + 3]
        if i not in gone:
            between += [arrow, after]
            stamps += document.stamps[2 * i : 2 * i + 2]
            continue
        before = between[-1].rstrip(" \t")
        if cue.id is not None:  # the line above the times
            before = before[: _last_line(before)]
        lines = split_lines(after)
        if document.suffix == ".vtt":  # up to the first empty line, which stays if there is none before
            own = next((k for k, line in enumerate(lines) if k and not line.text), len(lines))
            own += not any(line.text for line in split_lines(before)[-1:])
            rest = lines[own].start if own < len(lines) else len(after)
        else:  # all but the number of the next cue is
            rest = _last_line(after) if i + 1 < len(cues) and cues[i + 1].id is not None else len(after)
        between[-1] = before + after[rest:]
    return replace(document, between=tuple(between), stamps=tuple(stamps))


def _last_line(text: str) -> int:
    """Where the last line starts that is not blank."""
    return max((line.start for line in split_lines(text) if line.text.strip()), default=0)


def prefixed(document: Document, cues: Sequence[Cue], marked: Collection[int], mark: str) -> Document:
    """The document of WebVTT or SubRip cues with a mark before the text of some.

    Args:
        cues: All that stand in the document, in its order.
    """
    between = list(document.between)
    for i in marked:
        after = between[2 * i + 2]
        lines = [*split_lines(after), Line(len(after), "")]
        if cues[i].text:
            text = next(line.start for line in lines[1:] if line.text.strip() or document.suffix == ".vtt")
            between[2 * i + 2] = f"{after[:text]}{mark} {after[text:]}"
        else:  # a line of its own, with the end of the line of times
            end = after[len(lines[0].text) : lines[1].start] or "\n"
            between[2 * i + 2] = f"{lines[0].text}{end}{mark}{end}{after[lines[1].start :]}"
    return replace(document, between=tuple(between))


def times_to_write(path: Path, cues: Sequence[Cue]) -> list[int]:
    """Start, end, start, end ... in milliseconds; times before zero become zero, with a warning that counts them."""
    times = [whole_milliseconds(time) for cue in cues for time in (cue.start, cue.end)]
    if early := sum(min(pair) < 0 for pair in zip(times[::2], times[1::2], strict=True)):
        warn(f"{path}: {early} of {len(cues)} cues begin or end before zero; written as zero")
    return [max(time, 0) for time in times]


def identifiers_lost(spans: Sequence[Span]) -> list[str]:
    """The identifiers that a format loses which has none, or only counts from 1."""
    return [
        span.id for number, span in enumerate(spans, 1) if isinstance(span, Cue) and span.id not in (None, str(number))
    ]


def own_document(path: Path, subtitles: Subtitles, suffix: str) -> Document | None:
    """The document to put the times into; None when the file has to be made anew.

    Raises:
        InputError: The cues are not as many as in the document.
    """
    document = subtitles.document
    if document is None or document.suffix != suffix:
        return None
    if 2 * len(subtitles.cues) != len(document.stamps):
        raise InputError(
            f"{path}: {len(subtitles.cues)} cues do not fit a document of {len(document.stamps) // 2}; "
            f"keep all of them, or write them without the document"
        )
    return document


def refuse_other_kind(path: Path, text: str, suffix: str) -> None:
    """Raise where a file is another kind of subtitles than its suffix says.

    Raises:
        InputError: It is; the message names the kind and the suffix.
    """
    head = text.lstrip("\ufeff \t\r\n")
    kind = suffix
    if head.startswith("WEBVTT"):
        kind = ".vtt"
    elif head.startswith("<") and _TTML_ROOT.search(head):
        kind = ".ttml"
    elif suffix != ".srt" and any(TIMING.fullmatch(line.text) for line in split_lines(text)):
        kind = ".srt"
    if kind != suffix:
        raise InputError(f"{path}: this is {NAMES[kind]}, not {NAMES[suffix]}; rename it to {path.stem}{kind}")


def settle_broken(path: Path, broken: Sequence[tuple[int, str]], *, skip: bool) -> None:
    """Refuse the first of the broken cues, (line, what is wrong), or warn of their number.

    Raises:
        InputError: There are some and `skip` is not set.
    """
    if not broken:
        return
    line, what = broken[0]
    if not skip:
        raise InputError(f"{path}:{line}: {what}; correct it, or leave such cues as they are with --skip-broken")
    cues = f"{len(broken)} broken cue{'s' * (len(broken) != 1)}"
    warn(f"{path}: {cues} left as they are, the first at line {line} ({what})")


def broken_timing(line: str) -> str:
    """What is wrong with a line that should hold times."""
    return f"expected 'start --> end', found {line.strip()[:60]!r}"


def warn_of_odd_times(path: Path, spans: Sequence[Span], noun: str = "cues") -> None:
    """Warn, once per kind and with the count, of spans reversed, empty, unsorted or overlapping, or of no spans at all.

    Every reader of cues or signs calls this; the spans are used as they are.
    """
    in_time = sorted(spans, key=lambda span: span.start)
    reach = accumulate((span.end for span in in_time), max)
    counts = {
        "end before they start": sum(span.end < span.start for span in spans),
        "last no time": sum(span.end == span.start for span in spans),
        "start before the one above": sum(below.start < above.start for above, below in pairwise(spans)),
        "overlap an earlier one": sum(span.start < end for span, end in zip(in_time[1:], reach, strict=False)),
    }
    for what, count in counts.items():
        if count:
            warn(f"{path}: {count} of {len(spans)} {noun} {what}; kept as they are")
    if not spans:
        warn(f"{path}: there are no {noun} in it")


def warn(message: str) -> None:
    """Warn the caller of a reader or writer, from a function that this calls."""
    warnings.warn(message, InputWarning, stacklevel=4)


def plain(text: str) -> str:
    """The words of a payload: no tags, entities as characters, no empty lines. Lines end in LF."""
    return _tidy(_unescape(_ANY_TAG.sub("", text)))


def payload(text: str, suffix: str) -> str:
    """A payload of any format for a new ".vtt" or ".srt": foreign tags go, what would read as markup is escaped.

    Bold, italics and underlining survive. SubRip knows no escapes: there an arrow `-->` becomes `->`.
    """
    vtt = suffix == ".vtt"
    pieces = _ANY_TAG.split(text)  # words, tag, words, tag, ..., words
    pieces[::2] = [
        _BARE_AMPERSAND.sub("&amp;", words).replace("<", "&lt;") if vtt else _unescape(words) for words in pieces[::2]
    ]
    pieces[1::2] = [_known_tag(tag, suffix) for tag in pieces[1::2]]
    tidy = _tidy("".join(pieces))
    return tidy.replace("-->", "--&gt;") if vtt else without_arrows(tidy)


def without_arrows(text: str) -> str:
    """Text that no reader takes for a line of times: arrows get a short shaft."""
    return re.sub("--+>", "->", text)


def _known_tag(tag: str, suffix: str) -> str:
    if _TAGS[suffix].fullmatch(tag):
        return tag
    common = _COMMON_TAG.fullmatch(tag)
    return f"<{common[1]}{common[2].lower()}>" if common else ""


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _tidy(text: str) -> str:
    lines = split_lines(_CONTROLS.sub("", text) + "\n")
    return "\n".join(line.text for line in lines if line.text.strip())
