"""TTML, IMSC and EBU-TT-D: times change, every other byte stays."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from html import escape
from itertools import accumulate, chain, pairwise
from math import ceil
from pathlib import Path
from xml.parsers import expat

from seasign.formats.disk import read_text, write_text
from seasign.formats.timed_text import (
    cut,
    format_stamp,
    join,
    own_document,
    plain,
    refuse_other_kind,
    settle_broken,
    times_to_write,
    warn,
    warn_of_odd_times,
    whole_milliseconds,
)
from seasign.types import Cue, InputError, Subtitles

_NAME = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CLOCK = re.compile(r"([0-9]{1,9}):([0-5][0-9]):([0-5][0-9])(?:(\.[0-9]{1,99})|:([0-9]{2,9}))?")
_OFFSET = re.compile(r"([0-9]{1,18})(\.[0-9]{1,99})?(h|ms|m|s|f|t)")
_RATE = re.compile(r"\s*[0-9]{1,18}(\.[0-9]{1,18})?\s*")  # no exponent: 1e-999999999 takes all memory
LONGEST = 3600 * 10**9  # seconds; as in WebVTT, hours have nine digits
_XML_NAME = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True)
class _Clock:
    """How the root says that time expressions count."""

    frame_rate: int = 30  # frames that make a second of hh:mm:ss:ff
    rate: Fraction = Fraction(30)  # frames that pass in a second
    ticks: Fraction = Fraction(1)  # per second
    smpte: bool = False  # hh:mm:ss:ff counts frames, not seconds
    drop: str = "nonDrop"

    def seconds(self, expression: str) -> Fraction | None:
        """Exact seconds; None where it is no time expression, or absurdly late."""
        if match := _OFFSET.fullmatch(expression):
            seconds = Fraction(match[1] + (match[2] or "")) * self._unit(match[3])
            return seconds if seconds < LONGEST else None
        match = _CLOCK.fullmatch(expression)
        if match is None or int(match[5] or 0) >= self.frame_rate:
            return None
        hours, minutes, frames = int(match[1]), int(match[2]), int(match[5] or 0)
        whole = 3600 * hours + 60 * minutes + int(match[3]) + Fraction(match[4] or 0)
        if self.smpte:
            seconds = (whole * self.frame_rate + frames - self._dropped(60 * hours + minutes)) / self.rate
        else:
            seconds = whole + frames / self.rate
        return seconds if seconds < LONGEST else None

    def expression(self, wanted: int, base: Fraction, like: str) -> str:
        """Write `wanted` milliseconds as time after `base` seconds, in the style of `like` if that can say it.

        It can if it reads as `wanted` again. Otherwise this is clock time with milliseconds or, under SMPTE time, which
        has frames only, the nearest frame. Nothing is before `base`.
        """
        exact = max(Fraction(0), Fraction(wanted, 1000) - base)
        offset = max(0, ceil(wanted - 1000 * base - Fraction(1, 2)))  # the least milliseconds that round to `wanted`
        styled = self._styled(exact, offset, like)
        seconds = self.seconds(styled)
        if seconds is not None and whole_milliseconds(base + seconds) == wanted:
            return styled
        return self._label(exact) if self.smpte else format_stamp(offset)

    def _styled(self, exact: Fraction, offset: int, like: str) -> str:
        """The time in seconds and in milliseconds, written like another as well as that goes."""
        if match := _OFFSET.fullmatch(like):
            unit = self._unit(match[3])
            if match[3] in ("f", "t"):
                return f"{round(exact / unit)}{match[3]}"
            thousandths = Fraction(offset) / unit
            if thousandths.denominator != 1:
                return ""
            count, rest = divmod(int(thousandths), 1000)
            return f"{count}{_fraction(f'{rest:03}', match[2])}{match[3]}"
        match = _CLOCK.fullmatch(like)
        if match is None:
            return ""
        if match[5] or self.smpte:
            return self._label(exact, len(match[1]), len(match[5] or "00"))
        whole, _, digits = format_stamp(offset, f"{match[1]}:00:00.000").rpartition(".")
        return whole + _fraction(digits, match[4])

    def _label(self, seconds: Fraction, hour_digits: int = 2, frame_digits: int = 2) -> str:
        """The nearest frame as hh:mm:ss:ff."""
        if self.smpte:
            count = label = round(seconds * self.rate)
            for _ in range(3):  # labels left out push later ones on, at times past another gap
                label = count + self._dropped(label // self.frame_rate // 60)
            whole, frames = divmod(label, self.frame_rate)
        else:
            whole, frames = int(seconds), round(seconds % 1 * self.rate)
            if frames >= self.frame_rate:
                whole, frames = whole + 1, 0
        hours, minutes = divmod(whole // 60, 60)
        return f"{hours:0{hour_digits}}:{minutes:02}:{whole % 60:02}:{frames:0{frame_digits}}"

    def _dropped(self, minutes: int) -> int:
        """Labels that drop-frame counting has left out after so many minutes."""
        if self.drop == "dropNTSC":
            return 2 * (minutes - minutes // 10)
        if self.drop == "dropPAL":
            return 4 * (minutes // 2 - minutes // 20)
        return 0

    def _unit(self, metric: str) -> Fraction:
        """Seconds."""
        units = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
        return units[metric] if metric in units else 1 / (self.rate if metric == "f" else self.ticks)


def _fraction(digits: str, like: str | None) -> str:
    """Three digits behind the point, with as few zeros at the end as `like` (".5", None: no point) had digits."""
    digits = digits.rstrip("0").ljust(len(like or ".") - 1, "0")
    return f".{digits}" if digits else ""


def _clock_of(path: Path, root: dict[str, str]) -> _Clock:
    """Read the root's ttp: attributes, whatever their prefix.

    Raises:
        InputError: One of them is not what TTML allows.
    """
    values = {name.rpartition(":")[2]: value for name, value in root.items()}
    try:
        frame_rate = int(values.get("frameRate", 30))
        numerator, denominator = re.split(r"[\s:]+", values.get("frameRateMultiplier", "1 1").strip())
        rate = frame_rate * Fraction(int(numerator), int(denominator))
        default = frame_rate * int(values.get("subFrameRate", 1)) if "frameRate" in values else 1
        ticks = Fraction(default)
        if "tickRate" in values:
            ticks = Fraction(values["tickRate"]) if _RATE.fullmatch(values["tickRate"]) else Fraction(0)
        if min(rate, ticks) <= 0:
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"{path}: frameRate, frameRateMultiplier or tickRate of <tt> is not a rate; correct it"
        ) from None
    return _Clock(frame_rate, rate, ticks, values.get("timeBase") == "smpte", values.get("dropMode", "nonDrop"))


@dataclass(eq=False)
class _Element:
    """A <body>, <div>, <p> or <span>."""

    name: str
    line: int
    id: str | None
    parent: "_Element | None"
    inside: int  # the byte behind the name, where attributes can be put
    times: dict[str, tuple[int, str]]  # begin, end, dur as written: the byte where the value starts, and the value
    text: list[str] = field(default_factory=list)
    cue: bool = False
    broken: bool = False
    start: Fraction = Fraction(0)  # seconds from the start of the document
    end: Fraction | None = None  # None: it lasts for ever

    def ancestors(self) -> Iterator["_Element"]:
        """The parent, its parent and so on."""
        element = self.parent
        while element:
            yield element
            element = element.parent

    def resolve(self, clock: _Clock) -> None:
        """Set `start` and `end` from the times as written and from the parent, which is resolved.

        Raises:
            ValueError: A value is no time expression.
        """
        seconds = {}
        for name, (_, value) in self.times.items():
            time = clock.seconds(value)
            if time is None:
                raise ValueError(f"expected a time, found {name}={value[:60]!r}")
            seconds[name] = time
        base, limit = (self.parent.start, self.parent.end) if self.parent else (Fraction(0), None)
        self.start = base + seconds.get("begin", 0)
        ends = [] if limit is None else [limit]
        if "end" in seconds:
            ends.append(base + seconds["end"])
        if "dur" in seconds:
            ends.append(self.start + seconds["dur"])
        self.end = min(ends, default=None)

    def end_names(self) -> list[str]:
        """The attributes that say when it ends; they need not be there."""
        return [name for name in ("end", "dur") if name in self.times] or ["end"]


class _Scan:
    """A TTML file taken apart."""

    def __init__(self, path: Path, text: str) -> None:
        self.data = text.encode()  # whatever encoding the file declares
        self.clock = _Clock()
        self.elements: list[_Element] = []  # in the order of the file, those inside a cue left out
        self.broken: list[tuple[int, str]] = []
        self._path = path
        self._open: list[_Element | None] = []  # one per open tag; None: of no interest here
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._stop
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._entity
        try:
            self._parser.Parse(self.data, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise InputError(f"{path}:{error.lineno}: not well-formed XML ({what}); export it again") from None
        self._resolve()

    @property
    def cues(self) -> list[_Element]:
        """Paragraphs with times of their own or of a <div> or <body>, and spans with times in paragraphs without."""
        return [element for element in self.elements if element.cue]

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition(":")[2]
        line = self._parser.CurrentLineNumber
        if not self._open:
            if name != "tt":
                raise InputError(f"{self._path}:{line}: expected <tt>, found <{qualified}>; is it TTML?")
            self.clock = _clock_of(self._path, attributes)
        parent = self._open[-1] if self._open else None
        element = None
        if name == "br" and parent:
            self._add(parent, "\n")
        elif name == "body" or (name in ("div", "p", "span") and parent):
            if attributes.get("timeContainer") == "seq":
                raise InputError(f'{self._path}:{line}: timeContainer="seq" is not supported; export it without')
            head = _NAME.match(self.data, self._parser.CurrentByteIndex)
            assert head, "entities, the only other source of tags, are refused"
            inside = at = head.end()
            times = {}
            while attribute := _ATTRIBUTE.match(self.data, at):
                at = attribute.end()
                if (key := attribute[1].decode()) in ("begin", "end", "dur"):
                    times[key] = (attribute.start(attribute.lastindex or 0), attributes[key])
            identifier = attributes.get("xml:id", attributes.get("cue:id"))
            element = _Element(name, line, identifier, parent, inside, times)
            self.elements.append(element)
        self._open.append(element)

    def _stop(self, _: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        if element := self._open[-1]:
            self._add(element, re.sub(r"[ \t\r\n]+", " ", text))

    def _add(self, element: _Element, text: str) -> None:
        for holder in (element, *element.ancestors()):
            if holder.name in ("p", "span"):
                holder.text.append(text)

    def _entity(self, name: str, *_: object) -> None:
        line = self._parser.CurrentLineNumber
        raise InputError(f"{self._path}:{line}: declares the entity {name!r}, which is refused; export it without")

    def _resolve(self) -> None:
        """Set the times of the elements, and find the cues and the broken ones among them."""
        split = {above for span in self.elements if span.name == "span" and span.times for above in span.ancestors()}
        outer = []
        for element in self.elements:
            above = list(element.ancestors())
            if any(ancestor.cue or ancestor.broken for ancestor in above):
                continue
            outer.append(element)
            timed = bool(element.times)
            if element.name == "p" and element not in split:
                timed = timed or any(ancestor.times for ancestor in above)
            element.cue = timed and element.name in ("p", "span")
            try:
                element.resolve(self.clock)
                if element.cue and element.end is None:
                    raise ValueError(f"expected an end or dur, found a <{element.name}> without")
            except ValueError as error:
                if not element.cue:
                    raise InputError(f"{self._path}:{element.line}: {error}; correct it") from None
                element.cue, element.broken = False, True
                self.broken.append((element.line, str(error)))
        self.elements = [element for element in outer if not element.broken]


def read(path: Path, *, skip_broken: bool = False) -> Subtitles:
    """Read the cues of a TTML, IMSC or EBU-TT-D file, with the document they stand in.

    Times may be clock times with a fraction or frames, or offsets in h, m, s, ms, f or t; they count from the parent's
    begin and end with the parent at the latest. A cue's text is its characters: <br/> is a new line, other tags are
    left out, entities are resolved, white space is one space. A stamp is the value of `begin`, and of `end` or `dur`;
    it is empty where the time is inherited.

    Args:
        skip_broken: Leave cues without readable times where they are, instead of refusing the file.
    Raises:
        InputError: Not TTML, no times at all, a cue without readable times (the message names the line), declared
            entities, or children timed one after the other.
    """
    text, encoding = read_text(path)
    refuse_other_kind(path, text, ".ttml")
    scan = _Scan(path, text)
    settle_broken(path, scan.broken, skip=skip_broken)
    if not scan.cues and any(element.name == "p" for element in scan.elements):
        raise InputError(f"{path}: no <p> has times; export it with times")
    cues, spans = [], []
    for element in scan.cues:
        start, end = (whole_milliseconds(time) / 1000 for time in (element.start, element.end or Fraction(0)))
        lines = "".join(element.text).split("\n")
        cues.append(Cue(start, end, "\n".join(" ".join(filter(None, line.split(" "))) for line in lines), element.id))
        for name in ("begin", element.end_names()[0]):
            at, value = element.times.get(name, (element.inside, ""))
            spans.append((at, at + len(value)))
    edges = [0, *chain.from_iterable(sorted(spans))]
    edges = list(accumulate(len(scan.data[start:end].decode()) for start, end in pairwise(edges)))
    warn_of_odd_times(path, cues)
    return Subtitles(tuple(cues), cut(".ttml", encoding, text, list(zip(edges[::2], edges[1::2], strict=True))))


def write(path: Path, subtitles: Subtitles) -> None:
    """Write a TTML file: the document it was read from with the times of the cues, else a new one.

    Times are rounded to the millisecond, half up; one that did not change stays as written. A time that frames, ticks
    or minutes cannot say exactly to the millisecond becomes clock time with a fraction (hh:mm:ss.mmm); under SMPTE
    time, which allows frames only, it becomes the nearest frame. An inherited time that changed is written into the
    cue. A <div> or <body> whose times would cut a cue off is widened, and what else stands in it stays when it was.

    In a new file all tags are left out, and an identifier that XML does not allow goes into an attribute `cue:id`.

    Raises:
        InputError: The cues are not as many as in their document.
        OSError: `path` cannot be written; it is as it was.
    """
    document = own_document(path, subtitles, ".ttml")
    times = times_to_write(path, subtitles.cues)
    if document is None:
        write_text(path, _new(subtitles.cues, times))
    else:
        moved = _moved(path, _Scan(path, join(document, document.stamps)), times)
        write_text(path, moved.decode(), document.encoding)


def _moved(path: Path, scan: _Scan, times: Sequence[int]) -> bytes:
    """The file with other times of its cues, in milliseconds."""
    wanted = {
        element: (whole_milliseconds(element.start), None if element.end is None else whole_milliseconds(element.end))
        for element in scan.elements
    }
    for cue, *pair in zip(scan.cues, times[::2], times[1::2], strict=True):
        wanted[cue] = (pair[0], pair[1])
        for above in cue.ancestors():
            start, end = wanted[above]
            wanted[above] = (min(start, *pair), None if end is None else max(end, *pair))
    patches = []

    def put(element: _Element, name: str, base: Fraction, time: int) -> None:
        at, old = element.times.get(name, (element.inside, ""))
        new = scan.clock.expression(time, base, old)
        patches.append((at, len(old), new if name in element.times else f' {name}="{new}"'))
        element.times[name] = (at, new)
        element.resolve(scan.clock)

    reversed_cues = 0
    for element, (start, end) in wanted.items():  # parents first
        base = element.parent.start if element.parent else Fraction(0)
        element.resolve(scan.clock)
        if whole_milliseconds(element.start) != start and (element.cue or "begin" in element.times):
            put(element, "begin", base, start)
        if end is None or element.end is None or whole_milliseconds(element.end) == end:
            continue
        for name in element.end_names():
            if element.cue or name in element.times:
                reversed_cues += name == "dur" and end < start
                put(element, name, element.start if name == "dur" else base, end)
    if reversed_cues:
        warn(f"{path}: {reversed_cues} cues end before they start, which dur cannot say; written with no duration")
    pieces, at = [], 0
    for start, length, new in sorted(patches, key=lambda patch: patch[0]):
        pieces += [scan.data[at:start], new.encode()]
        at = start + length
    return b"".join([*pieces, scan.data[at:]])


def _new(cues: Sequence[Cue], times: Sequence[int]) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:cue="urn:seasign:cue" xml:lang="">',
        "  <body>",
        "    <div>",
    ]
    names = {cue.id for cue in cues}
    for cue, start, end in zip(cues, times[::2], times[1::2], strict=True):
        identifier = ""
        if cue.id is not None:
            allowed = _XML_NAME.fullmatch(cue.id) and cue.id in names
            names.discard(cue.id)  # the next one of that name cannot have it
            identifier = f' {"xml" if allowed else "cue"}:id="{escape(cue.id)}"'
        text = escape(plain(cue.text), quote=False).replace("\n", "<br/>")
        lines.append(f'      <p{identifier} begin="{format_stamp(start)}" end="{format_stamp(end)}">{text}</p>')
    return "\n".join([*lines, "    </div>", "  </body>", "</tt>", ""])
