"""ELAN files (.eaf): read any tier, write our own tiers and not one byte elsewhere, check the structure.

Times are those of the document: a TIME_ORIGIN, by which ELAN shifts one medium against the others, is not applied.
"""

import codecs
import math
import os
import re
import warnings
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise, takewhile
from mimetypes import MimeTypes
from operator import itemgetter
from pathlib import Path
from typing import Any

from lxml import etree
from lxml.etree import _Element as Element

from seasign.formats import disk
from seasign.formats.timed_text import identifiers_lost, plain, whole_milliseconds
from seasign.types import Cue, InputError, InputWarning, Sign, Span, TierError

PINNED = "PINNED"  # the tier on which people mark cues whose times are right
NOT_SIGNED = "[not signed]"  # before the text of a dropped cue, as `legality` marks it
LINGUISTIC_TYPE = "seasign"  # of the tiers we write: aligned to time, dependent on no other tier
ALIGNABLE = ("Time_Subdivision", "Included_In")  # stereotypes of dependent tiers whose annotations have time slots
SYMBOLIC = ("Symbolic_Subdivision", "Symbolic_Association")  # ... whose annotations refer to one of the parent tier
ORDER = (  # of the elements below the root, EAF 3.0
    "LICENSE",
    "HEADER",
    "TIME_ORDER",
    "TIER",
    "LINGUISTIC_TYPE",
    "LOCALE",
    "LANGUAGE",
    "CONSTRAINT",
    "CONTROLLED_VOCABULARY",
    "LEXICON_REF",
    "REF_LINK_SET",
    "EXTERNAL_REF",
)
_SLOTS = ("TIME_SLOT_REF1", "TIME_SLOT_REF2")
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_TAG = re.compile(r"""<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<((?:[^"'>]++|"[^"]*"|'[^']*')*+)>""", re.DOTALL)

Spans = dict[Element, tuple[float, float]]  # of annotations, in milliseconds
Row = tuple[int, int, str | None]  # an annotation to write: start and end in milliseconds, value
Fault = tuple[Element, str]  # what is wrong, and where


def read(path: Path, tiers: Sequence[str] | None = None) -> dict[str, tuple[Sign, ...]]:
    """Each tier's annotations in order of time, their values as glosses.

    Annotations that refer to one of the parent tier share its time evenly, and so do neighbours whose common time
    slots have no value. Overlapping, reversed and zero-length annotations come as they are.

    Args:
        tiers: The names to read; None reads all. What is wrong in other tiers is passed over.
    Raises:
        InputError: The file is no ELAN file, it has no tier of that name (the message lists those it has) or several,
            or an annotation has no time.
    """
    root = _parse(path, path.read_bytes())
    named, times, done = _by_name(root), _times(root), dict[Element, Spans]()
    signs = {}
    for name in named if tiers is None else tiers:
        tier = _single(path, named, name)
        spans = _spans(tier, named, times, done)
        for annotation in _annotations(tier):
            if annotation not in spans or not all(map(math.isfinite, spans[annotation])):
                raise InputError(_untimed(path, name, annotation, times))
        signs[name] = tuple(
            Sign(start / 1000, end / 1000, annotation.findtext("ANNOTATION_VALUE") or None)
            for annotation, (start, end) in sorted(spans.items(), key=itemgetter(1))
        )
    return signs


def names(path: Path, *, own: bool = False) -> tuple[str, ...]:
    """The tiers that a file has, in its order; only those that were written here, on request.

    Raises:
        InputError: The file is no ELAN file.
    """
    named = _by_name(_parse(path, path.read_bytes()))
    ours = {name for name, tiers in named.items() if tiers[0].get("LINGUISTIC_TYPE_REF") == LINGUISTIC_TYPE}
    return tuple(name for name in named if not own or name in ours)


def pins(path: Path, cues: Sequence[Cue]) -> dict[int, tuple[float, float]]:
    """The times that people marked on the tier PINNED: the index of a cue -> its start and end, in seconds.

    Each annotation there is a pin, when it starts and ends; its value names the cue: its number, counted from 1, or its
    text, as ELAN copies it from SUBTITLE_ALIGNED. Without a value it is the cue of SUBTITLE_ALIGNED that it shares most
    time with, and at least half. Where several cues have one text, they are told apart by their place in that tier.

    Raises:
        InputError: There is no such tier, a value names no cue, a cue is pinned twice, or it cannot be told which.
    """
    tiers = names(path)
    if PINNED not in tiers:
        raise InputError(f"{path}: no tier {PINNED!r}: mark the cues that are right on a tier of that name in ELAN")
    marked = read(path, [PINNED, *({"SUBTITLE_ALIGNED"} & set(tiers))])
    aligned = marked.get("SUBTITLE_ALIGNED", ())
    words = [_words(cue.text) for cue in cues]
    found: dict[int, tuple[float, float]] = {}
    for pin in marked[PINNED]:
        where = f"{path}: annotation at {pin.start:.2f} s of tier {PINNED!r}"
        value = (pin.gloss or "").strip()
        if re.fullmatch("[0-9]+", value):
            cue = int(value) - 1
            if not 0 <= cue < len(cues):
                raise InputError(f"{where}: there is no cue {value}; they count from 1 to {len(cues)}")
        else:
            cue = _marked(where, value, pin, aligned, cues, words)
        if cue in found:
            raise InputError(f"{where}: cue {cue + 1} is pinned twice; keep one of them")
        found[cue] = pin.start, pin.end
    return found


def _marked(where: str, value: str, pin: Span, aligned: Sequence[Sign], cues: Sequence[Cue], words: list[str]) -> int:
    """The index of the cue that a value names, or that a pin without one lies on."""
    shared = [min(pin.end, span.end) - max(pin.start, span.start) for span in aligned]
    own = [k for k in range(len(aligned)) if not value or _words(aligned[k].gloss or "") == _words(value)]
    best = max(own, key=shared.__getitem__, default=None)
    if not value and (best is None or 2 * shared[best] < pin.duration):
        raise InputError(f"{where}: has no value and lies on no cue; write the number of the cue there")
    text = _words(value or aligned[best or 0].gloss or "")
    same = sorted((i for i, said in enumerate(words) if said == text), key=lambda i: cues[i].start)
    if not same:
        raise InputError(f"{where}: {value or text!r} is neither the number nor the text of a cue; write its number")
    if len(same) > 1:
        places = [k for k, span in enumerate(aligned) if _words(span.gloss or "") == text]
        if best is None or len(places) != len(same):
            numbers = ", ".join(str(i + 1) for i in same[:5])
            raise InputError(f"{where}: {len(same)} cues have that text ({numbers}); write the number of one")
        return same[places.index(best)]
    return same[0]


def _words(text: str) -> str:
    """A text without tags, line ends, and the mark of a cue that was dropped."""
    return " ".join(plain(text).split()).removeprefix(NOT_SIGNED).strip()


def write(
    path: Path, tiers: Mapping[str, Sequence[Span]], *, like: Path | str | None = None, media: Sequence[Path | str] = ()
) -> None:
    """Write each tier's spans as annotations: a sign's gloss, a cue's text, or no value.

    ELAN allows no overlap within a tier and no annotation without length. So annotations are put in order of their
    starts (equal ones stay as they come), those that end before or where they start become 1 ms long, overlapping
    ones end where the next one starts, at least 1 ms later, and negative times become 0. Each kind of change is
    warned of once per tier, with its count; no annotation is lost. Times are rounded to whole milliseconds, half up.
    Tiers have no place for the identifiers of cues: those that are more than numbers counting from 1 are counted in a
    warning too.

    Args:
        like: An ELAN file to start from. Tiers of these names are replaced where they stand and keep their attributes,
            but depend on no parent and take our linguistic type; others are added. Nothing else changes, byte for
            byte, except: time slots that are left without an annotation go, time slots that were out of order are
            sorted, and lastUsedAnnotationId counts on. None starts from an empty EAF 3.0 document.
        media: Files that an empty document links to; `like` keeps its own links.
    Raises:
        InputError: `like` is no ELAN file; other tiers or links depend on a tier to replace; a value holds a character
            that XML cannot. Nothing is written.
        ValueError: A time is not finite.
    """
    source = Path(like or path)
    data = source.read_bytes() if like else _fresh(path, [Path(medium) for medium in media])
    rows = {}
    for name, spans in tiers.items():
        rows[name], oddities = _fit(spans)
        for oddity, count in oddities.items():
            found = f"{count} of {len(spans)} annotations {oddity}"
            warnings.warn(f"{path}: tier {name!r}: {found}", InputWarning, stacklevel=2)
    if lost := {name for spans in tiers.values() for name in identifiers_lost(spans)}:
        found = f"{len(lost)} identifiers of cues are left out, for which tiers have no place"
        warnings.warn(f"{path}: {found}", InputWarning, stacklevel=2)
    data = _edit(source, data, rows)
    with disk.replacing(path) as temporary:
        temporary.write_bytes(data)


def validate(path: Path, schema: Path | None = None) -> list[str]:
    """What is wrong with the structure of an ELAN file, a line each: file:line, what was found.

    Checked are the order of elements, ids, time slots, references, the stereotypes of dependent tiers, annotations
    within their parents, overlap within a tier, and lastUsedAnnotationId.

    Args:
        schema: An XML schema (.xsd) to check against as well, such as ELAN's own.
    Raises:
        InputError: The file is no ELAN file, or the schema is none.
    """
    root = _parse(path, path.read_bytes())
    faults = [*_order_faults(root), *_id_faults(root), *_slot_faults(root), *_tier_faults(root)]
    found = [(element.sourceline or 0, text) for element, text in faults]
    if schema:
        try:
            validator = etree.XMLSchema(etree.parse(str(schema), _parser()))
        except (etree.XMLSyntaxError, etree.XMLSchemaParseError) as error:
            raise InputError(f"{schema}: not an XML schema ({error}): point to an .xsd file") from None
        validator.validate(root)
        errors: Any = validator.error_log  # the stubs leave out that it can be iterated
        found += [(error.line, error.message) for error in errors]
    return [f"{path}:{line}: {text}" for line, text in sorted(found, key=itemgetter(0))]


# Reading


def _parser() -> etree.XMLParser:
    """A parser that opens nothing but what it is given."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def _parse(path: Path, data: bytes) -> Element:
    """The root of an ELAN document."""
    if not data.strip():
        raise InputError(f"{path}: empty file: save it again in ELAN")
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        what = " ".join(str(error.msg).split())  # some messages of libxml2 have two lines
        raise InputError(f"{path}:{error.lineno}: not whole XML ({what}): save it again in ELAN") from None
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(
            f"{path}:{root.sourceline}: <{root.tag}> is not an ELAN document: expected ANNOTATION_DOCUMENT"
        )
    if root.getroottree().docinfo.internalDTD is not None:  # entities could make two of what stands there once
        raise InputError(f"{path}: has a DOCTYPE, which ELAN files do not have: remove it")
    for header in root.iterfind("HEADER"):
        if (units := header.get("TIME_UNITS", "milliseconds")) != "milliseconds":
            raise InputError(f"{path}:{header.sourceline}: times are in {units}: save it in milliseconds with ELAN")
    return root


def _by_name(root: Element) -> dict[str, list[Element]]:
    """The tiers by name; a valid file has one of each."""
    named = defaultdict(list)
    for tier in root.iterfind("TIER"):
        named[tier.get("TIER_ID", "")].append(tier)
    return dict(named)


def _single(path: Path, named: Mapping[str, Sequence[Element]], name: str) -> Element:
    """The tier of that name."""
    if name not in named:
        raise TierError(f"{path}: no tier {name!r}: choose one of {', '.join(map(repr, named)) or '(it has none)'}")
    if len(named[name]) > 1:
        raise InputError(f"{path}:{named[name][1].sourceline}: a second tier {name!r}: rename one of them in ELAN")
    return named[name][0]


def _annotations(tier: Element) -> list[Element]:
    """The alignable and the reference annotations of a tier."""
    return list(tier.iterfind("ANNOTATION/*"))


def _times(root: Element) -> dict[str, float | None]:
    """Milliseconds by time slot: None without a value, NaN for a value that is no whole number."""
    values = ((slot.get("TIME_SLOT_ID", ""), slot.get("TIME_VALUE")) for slot in root.iterfind("TIME_ORDER/TIME_SLOT"))
    return {
        slot: None if value is None else int(value) if re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value) else math.nan
        for slot, value in values
    }


def _spans(
    tier: Element, named: Mapping[str, Sequence[Element]], times: dict[str, float | None], done: dict[Element, Spans]
) -> Spans:
    """The annotations of a tier that have a time. Slots without a value get theirs in `times` on the way."""
    if tier in done:  # or under way: tiers that depend on each other in a circle get no time
        return done[tier]
    spans = done[tier] = {}
    parents = named.get(tier.get("PARENT_REF", ""), ())[:1]
    above = [pair for parent in parents for pair in _spans(parent, named, times, done).items()]  # times its slots first

    aligned = list(tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION"))
    following = {annotation.get(_SLOTS[0], ""): annotation.get(_SLOTS[1], "") for annotation in aligned}
    for slot in following:
        if times.get(slot) is not None:
            _interpolate(slot, following, times)
    for annotation in aligned:
        start, end = (times.get(annotation.get(slot, "")) for slot in _SLOTS)
        if start is not None and end is not None:
            spans[annotation] = (start, end)

    of_parent = {parent.get("ANNOTATION_ID"): span for parent, span in above}
    for reference, children in _children(tier).items():
        if reference in of_parent:
            start, end = of_parent[reference]
            chain = _chained(children)
            cuts = [start + (end - start) * part / len(chain) for part in range(len(chain) + 1)] if chain else []
            spans.update(zip(chain, pairwise(cuts), strict=True))
    return spans


def _interpolate(slot: str, following: Mapping[str, str], times: dict[str, float | None]) -> None:
    """Spread the slots without a value that follow `slot` evenly up to the next one with a value."""
    chain = [slot, following[slot]]
    while times.get(chain[-1]) is None and chain[-1] in following and len(chain) <= len(following):
        chain.append(following[chain[-1]])
    start, end = times[slot], times.get(chain[-1])
    if start is not None and end is not None:
        for part, between in enumerate(chain[1:-1], 1):
            times[between] = start + (end - start) * part / (len(chain) - 1)


def _children(tier: Element) -> dict[str, list[Element]]:
    """The reference annotations of a tier by the annotation they refer to."""
    children = defaultdict(list)
    for annotation in tier.iterfind("ANNOTATION/REF_ANNOTATION"):
        children[annotation.get("ANNOTATION_REF", "")].append(annotation)
    return children


def _chained(children: Sequence[Element]) -> list[Element]:
    """The children of one annotation, each after its PREVIOUS_ANNOTATION; those in a circle are left out."""
    ids = {child.get("ANNOTATION_ID") for child in children}
    after = defaultdict(list)
    for child in reversed(children):
        previous = child.get("PREVIOUS_ANNOTATION")
        after[previous if previous in ids else None].append(child)
    chain, waiting = [], after.pop(None, [])
    while waiting:
        chain.append(waiting.pop())
        waiting += after.pop(chain[-1].get("ANNOTATION_ID"), [])
    return chain


def _untimed(path: Path, name: str, annotation: Element, times: Mapping[str, float | None]) -> str:
    """Why an annotation cannot be read."""
    if annotation.tag == "REF_ANNOTATION":
        why = f"{annotation.get('ANNOTATION_REF')!r}, which it refers to, leads to no aligned annotation"
    else:
        timed = {slot for slot, time in times.items() if time is not None and math.isfinite(time)}
        slot = next((slot for slot in map(annotation.get, _SLOTS) if slot not in timed), None)
        why = f"time slot {slot!r} has no value"
    where = f"{path}:{annotation.sourceline}: annotation {annotation.get('ANNOTATION_ID')!r} of tier {name!r}"
    return f"{where} has no time ({why}): align it in ELAN, or read other tiers"


# Writing


def _fresh(path: Path, media: Sequence[Path]) -> bytes:
    """An empty document that links to media."""
    xsi = "http://www.w3.org/2001/XMLSchema-instance"
    root = etree.Element("ANNOTATION_DOCUMENT", nsmap={"xsi": xsi})
    root.attrib.update({"AUTHOR": "", "DATE": datetime.now().astimezone().isoformat(timespec="seconds")})
    root.attrib.update({"FORMAT": "3.0", "VERSION": "3.0"})
    root.set(f"{{{xsi}}}noNamespaceSchemaLocation", "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    header = etree.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    for medium in media:
        descriptor = {
            "MEDIA_URL": "file:///" + medium.resolve().as_posix().lstrip("/"),  # as ELAN writes it: no %20
            "MIME_TYPE": MimeTypes().guess_type(medium.name)[0] or "unknown",  # the built-in table: same everywhere
        }
        with suppress(ValueError):  # from one Windows drive to another there is no relative path
            relative = Path(os.path.relpath(medium, path.parent)).as_posix()
            descriptor["RELATIVE_MEDIA_URL"] = relative if relative.startswith("../") else f"./{relative}"
        etree.SubElement(header, "MEDIA_DESCRIPTOR", descriptor)
    etree.SubElement(header, "PROPERTY", {"NAME": "lastUsedAnnotationId"}).text = "0"
    etree.SubElement(root, "TIME_ORDER")
    etree.indent(root, "    ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, encoding="utf-8") + b"\n"


def _fit(spans: Sequence[Span]) -> tuple[list[Row], Counter[str]]:
    """Rows as ELAN allows them, and how many spans were changed for which oddity."""
    rows: list[Row] = []
    oddities: Counter[str] = Counter()
    for span in sorted(spans, key=lambda span: span.start):
        start, end = whole_milliseconds(span.start), whole_milliseconds(span.end)
        oddities["had a negative time, which is now 0"] += min(start, end) < 0
        oddities["ended before or where they start and are now 1 ms long"] += end <= start
        start = max(start, 0)
        if rows and start < rows[-1][1]:
            oddities["overlapped the one before, which now ends where they start"] += 1
            first, _, value = rows[-1]
            start = max(start, first + 1)
            rows[-1] = (first, start, value)
        value = span.text if isinstance(span, Cue) else span.gloss if isinstance(span, Sign) else None
        rows.append((start, max(end, start + 1), value))
    return rows, +oddities


def _edit(source: Path, data: bytes, tiers: Mapping[str, Sequence[Row]]) -> bytes:
    """The document with these tiers replaced or added."""
    text = _Text(source, data)
    root = text.root
    header, time_order = (_required(source, root, tag) for tag in ("HEADER", "TIME_ORDER"))
    named, times = _by_name(root), _times(root)
    old = {name: _single(source, named, name) for name in tiers if name in named}
    _refuse_dependents(source, root, old)

    counter, last_id = _last_used(root)
    last_slot = max((int(slot[2:]) for slot in times if re.fullmatch("ts[0-9]{1,18}", slot)), default=0)
    used, added = last_id, ""
    moments: list[int] = []
    for name, rows in tiers.items():
        tier = _tier(source, name, rows, used + 1, last_slot + len(moments) + 1)
        moments += [time for row in rows for time in row[:2]]
        used += len(rows)
        if name in old:
            kept = {key: value for key, value in old[name].items() if key != "PARENT_REF"}
            tier.attrib.update({**kept, **tier.attrib})
            text.replace(old[name], text.markup(tier))
        else:
            added += text.line(1) + text.markup(tier)

    types = list(root.iterfind("LINGUISTIC_TYPE"))
    if tiers and LINGUISTIC_TYPE not in [kind.get("LINGUISTIC_TYPE_ID") for kind in types]:
        kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": LINGUISTIC_TYPE, "TIME_ALIGNABLE": "true"}
        markup = text.line(1) + text.markup(etree.Element("LINGUISTIC_TYPE", kind))
        if types:
            text.insert(types[-1], markup)
        else:
            added += markup
    upper = takewhile(lambda child: child.tag in ORDER[: ORDER.index("LINGUISTIC_TYPE")], root.iterchildren("*"))
    text.insert([time_order, *upper][-1], added)

    gone = {annotation for tier in old.values() for annotation in _annotations(tier)}
    stay = {annotation for annotation in root.iter("ALIGNABLE_ANNOTATION") if annotation not in gone}
    slots = [(time, f"ts{number}") for number, time in enumerate(moments, last_slot + 1)]
    text.reorder(time_order, times, slots, _slots(gone) - _slots(stay))
    if used > last_id:
        name = "lastUsedAnnotationId" if counter is None else counter.get("NAME", "")
        latest = etree.Element("PROPERTY", {"NAME": name})
        latest.text = str(used)
        if counter is None:
            text.append(header, text.line(2) + text.markup(latest))
        else:
            text.replace(counter, text.markup(latest))
    return text.encoded()


def _tier(source: Path, name: str, rows: Sequence[Row], first_id: int, first_slot: int) -> Element:
    """A tier of ours."""
    value: str | None = name
    try:
        tier = etree.Element("TIER", {"LINGUISTIC_TYPE_REF": LINGUISTIC_TYPE, "TIER_ID": name})
        for i, (_, _, value) in enumerate(rows):
            slots = {slot: f"ts{first_slot + 2 * i + end}" for end, slot in enumerate(_SLOTS)}
            attributes = {"ANNOTATION_ID": f"a{first_id + i}", **slots}
            annotation = etree.SubElement(etree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", attributes)
            etree.SubElement(annotation, "ANNOTATION_VALUE").text = value or None
    except ValueError:
        raise InputError(f"{source}: tier {name!r}: {value!r} holds a character that XML cannot: remove it") from None
    return tier


def _required(source: Path, root: Element, tag: str) -> Element:
    """The element below the root that every document has."""
    element = root.find(tag)
    if element is None:
        raise InputError(f"{source}:{root.sourceline}: no {tag} in this ELAN document: save it again in ELAN")
    return element


def _refuse_dependents(source: Path, root: Element, old: Mapping[str, Element]) -> None:
    """Raise when something that stays depends on a tier to replace."""
    others = [tier for tier in root.iterfind("TIER") if tier.get("TIER_ID") not in old]
    for name, tier in old.items():
        if dependents := [repr(other.get("TIER_ID")) for other in others if other.get("PARENT_REF") == name]:
            what = f"tier {name!r} cannot be replaced: it is the parent of {', '.join(dependents)}"
            raise InputError(f"{source}:{tier.sourceline}: {what}: write to a tier of another name")
    ids = {annotation.get("ANNOTATION_ID") for tier in old.values() for annotation in _annotations(tier)}
    for link in root.iter("CROSS_REF_LINK", "GROUP_REF_LINK"):
        if linked := ids.intersection(" ".join(link.get(key, "") for key in ("REF1", "REF2", "REFS")).split()):
            what = f"a link refers to annotation {min(filter(None, linked))!r} of a tier to replace"
            raise InputError(f"{source}:{link.sourceline}: {what}: write to a tier of another name")


def _last_used(root: Element) -> tuple[Element | None, int]:
    """The property that counts annotation ids, and the highest number in it or in an id."""
    properties = root.iterfind("HEADER/PROPERTY")
    named = (element for element in properties if element.get("NAME", "").lower() == "lastusedannotationid")
    counter = next(named, None)  # some tools write ...ID
    ids = [annotation.get("ANNOTATION_ID", "") for annotation in root.iterfind("TIER/ANNOTATION/*")]
    if counter is not None:
        ids.append(f"a{(counter.text or '').strip()}")
    return counter, max((int(name[1:]) for name in ids if re.fullmatch("a[0-9]{1,18}", name)), default=0)


def _slots(annotations: Iterable[Element]) -> set[str]:
    """The time slots that annotations refer to."""
    return {annotation.get(slot, "") for annotation in annotations for slot in _SLOTS}


class _Text:
    """The text of a document, where its elements stand in it, and the changes to make there."""

    def __init__(self, source: Path, data: bytes) -> None:
        self.root = _parse(source, data)
        marked = (codec for mark, codec in _BOMS.items() if data.startswith(mark))
        self.encoding = next(marked, self.root.getroottree().docinfo.encoding or "utf-8")
        try:
            self.text = data.decode(self.encoding)
        except (LookupError, UnicodeDecodeError):
            raise InputError(f"{source}: cannot decode {self.encoding}: save it as UTF-8") from None
        self.places: dict[Element, tuple[int, int, int]] = {}  # its start, the end of its start tag, its end
        self.edits: list[tuple[int, int, str]] = []  # from, to, what to put there
        self._locate()
        _, opened, _ = self.places[self.root]
        lead = re.compile(r"(?:\s*?(\r?\n))?([ \t]*)(?=<)").match(self.text, opened)
        self.newline, self.unit = (lead[1], lead[2]) if lead and lead[1] else ("", "")

    def _locate(self) -> None:
        """Match every tag of the text with its element: both come in the same order."""
        elements = self.root.iter("*")
        opened: list[tuple[Element, int, int]] = []
        for tag in _TAG.finditer(self.text):
            if tag[1] is None:  # a comment and the like
                continue
            if tag[1].startswith("/"):
                element, start, begun = opened.pop()
                self.places[element] = (start, begun, tag.end())
            elif tag[1].endswith("/"):
                self.places[next(elements)] = (tag.start(), tag.end(), tag.end())
            else:
                opened.append((next(elements), tag.start(), tag.end()))

    def line(self, level: int) -> str:
        """A new line, indented as the document is."""
        return self.newline + self.unit * level

    def markup(self, element: Element) -> str:
        """A new element in the manner of the document, as if it stood below the root."""
        if self.newline:
            etree.indent(element, self.unit, level=1)
        return etree.tostring(element, encoding="unicode", with_tail=False).replace("\n", self.newline or "\n")

    def replace(self, element: Element, markup: str) -> None:
        """Put `markup` in the place of an element."""
        start, _, end = self.places[element]
        self.edits.append((start, end, markup))

    def insert(self, element: Element, markup: str) -> None:
        """Put `markup` after an element."""
        _, _, end = self.places[element]
        self.edits.append((end, end, markup))

    def append(self, element: Element, markup: str, at: int | None = None) -> None:
        """Put `markup` at the end of an element's content, or in place of its content up to `at`."""
        _, opened, end = self.places[element]
        if opened == end:  # <X/>
            if markup:
                self.edits.append((end - 2, end, f">{markup}{self.line(1)}</{element.tag}>"))
        elif at is None:
            at = opened + len(self.text[opened : self.text.rindex("</", opened, end)].rstrip())
            self.edits.append((at, at, markup))
        else:
            self.edits.append((opened, at, markup))

    def reorder(
        self,
        time_order: Element,
        times: Mapping[str, float | None],
        new: Sequence[tuple[int, str]],
        orphans: set[str],
    ) -> None:
        """Sort old and new time slots by value; those without one stay behind the one they follow."""
        _, at, _ = self.places[time_order]
        key, pieces = -math.inf, list[tuple[float, str]]()
        for slot in time_order.iterfind("TIME_SLOT"):
            start, _, end = self.places[slot]
            name = slot.get("TIME_SLOT_ID", "")
            time = times[name]
            key = key if time is None or math.isnan(time) else time
            piece = self.text[at:start] if name in orphans else self.text[at:end]
            pieces.append((key, piece if piece.strip() else ""))
            at = end
        for time, name in new:
            markup = self.markup(etree.Element("TIME_SLOT", {"TIME_SLOT_ID": name, "TIME_VALUE": str(time)}))
            pieces.append((time, self.line(2) + markup))
        self.append(time_order, "".join(piece for _, piece in sorted(pieces, key=itemgetter(0))), at)

    def encoded(self) -> bytes:
        """The document with the changes made."""
        pieces: list[str] = []
        at = 0
        for start, end, markup in sorted(self.edits, key=itemgetter(0)):
            pieces += self.text[at:start], markup
            at = end
        return "".join([*pieces, self.text[at:]]).encode(self.encoding, "xmlcharrefreplace")


# Checking


def _order_faults(root: Element) -> Iterator[Fault]:
    """Elements below the root that are unknown, out of order, or not there once."""
    reached = 0
    for child in root.iterchildren("*"):
        if child.tag not in ORDER:
            yield child, f"<{child.tag}> does not belong below ANNOTATION_DOCUMENT"
        elif ORDER.index(child.tag) < reached:
            yield child, f"<{child.tag}> stands after <{ORDER[reached]}>"
        else:
            reached = ORDER.index(child.tag)
    for tag in ("HEADER", "TIME_ORDER"):
        if (count := len(root.findall(tag))) != 1:
            yield root, f"{count} elements <{tag}> instead of one"


def _id_faults(root: Element) -> Iterator[Fault]:
    """Ids that are missing or given twice, and a counter of ids that lags behind."""
    for things in (
        {"TIME_SLOT": "TIME_SLOT_ID", "ALIGNABLE_ANNOTATION": "ANNOTATION_ID", "REF_ANNOTATION": "ANNOTATION_ID"},
        {"TIER": "TIER_ID"},
        {"LINGUISTIC_TYPE": "LINGUISTIC_TYPE_ID"},
        {"CONTROLLED_VOCABULARY": "CV_ID"},
    ):
        seen = set()
        for element in root.iter(*things):
            name = element.get(things[element.tag])
            if not name:
                yield element, f"<{element.tag}> has no {things[element.tag]}"
            elif name in seen:
                yield element, f"{things[element.tag]} {name!r} is given twice"
            seen.add(name)
    counter, last = _last_used(root)
    if counter is not None and (counter.text or "").strip() != str(last):
        yield counter, f"lastUsedAnnotationId is {counter.text!r}, but there is an annotation 'a{last}'"


def _slot_faults(root: Element) -> Iterator[Fault]:
    """Time slots whose value is no time or less than the one before."""
    latest = -1
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        value = slot.get("TIME_VALUE")
        if value is None:
            continue
        if not re.fullmatch(r"\s*[0-9]{1,18}\s*", value):
            yield slot, f"time slot {slot.get('TIME_SLOT_ID')!r}: {value!r} is not a whole number of milliseconds"
        elif int(value) < latest:
            yield slot, f"time slot {slot.get('TIME_SLOT_ID')!r} at {int(value)} ms stands after one at {latest} ms"
        else:
            latest = int(value)


def _tier_faults(root: Element) -> Iterator[Fault]:
    """Tiers that contradict their linguistic type or their parent, and what is wrong inside each tier."""
    named, times = _by_name(root), _times(root)
    done: dict[Element, Spans] = {}
    vocabularies = {
        vocabulary.get("CV_ID", ""): {entry.get("CVE_ID") for entry in vocabulary}
        if not vocabulary.get("EXT_REF")
        else None
        for vocabulary in root.iterfind("CONTROLLED_VOCABULARY")
    }
    types = {element.get("LINGUISTIC_TYPE_ID"): element for element in root.iterfind("LINGUISTIC_TYPE")}
    for name, element in types.items():
        if (reference := element.get("CONTROLLED_VOCABULARY_REF", "")) and reference not in vocabularies:
            yield element, f"linguistic type {name!r}: there is no controlled vocabulary {reference!r}"

    def stereotype_of(tier: Element) -> str | None:
        element = types.get(tier.get("LINGUISTIC_TYPE_REF"))
        return None if element is None else element.get("CONSTRAINTS") or None

    for tier in root.iterfind("TIER"):
        where, kind, above = f"tier {tier.get('TIER_ID')!r}", tier.get("LINGUISTIC_TYPE_REF"), tier.get("PARENT_REF")
        parent, stereotype = named[above][0] if above in named else None, stereotype_of(tier)
        if kind not in types:
            yield tier, f"{where}: there is no linguistic type {kind!r}"
        elif stereotype not in (None, *ALIGNABLE, *SYMBOLIC):
            yield tier, f"{where}: unknown stereotype {stereotype!r} of linguistic type {kind!r}"
        elif stereotype and above is None:
            yield tier, f"{where}: {stereotype} needs a parent tier"
        elif above is not None and not stereotype:
            yield tier, f"{where}: has the parent tier {above!r}, but its linguistic type {kind!r} has no stereotype"
        elif parent is not None and stereotype in ALIGNABLE and stereotype_of(parent) in SYMBOLIC:
            yield tier, f"{where}: {stereotype} needs a parent tier with times of its own; {above!r} has none"
        if above is not None and parent is None:
            yield tier, f"{where}: there is no parent tier {above!r}"
        if tier in _ancestors(tier, named):
            yield tier, f"{where}: is its own ancestor"

        spans = _spans(tier, named, times, done)
        wanted = None if kind not in types else "REF_ANNOTATION" if stereotype in SYMBOLIC else "ALIGNABLE_ANNOTATION"
        entries = vocabularies.get(types[kind].get("CONTROLLED_VOCABULARY_REF", "")) if kind in types else None
        for annotation, fault in (
            *_annotation_faults(tier, parent, wanted, entries, times),
            *_time_faults(tier, spans, times),
            *_stereotype_faults(tier, spans, {} if parent is None else done[parent], stereotype),
        ):
            yield annotation, f"{where}: annotation {annotation.get('ANNOTATION_ID')!r} {fault}"


def _ancestors(tier: Element, named: Mapping[str, Sequence[Element]]) -> list[Element]:
    """The tiers above a tier, each once."""
    above: list[Element] = []
    while (parents := named.get(tier.get("PARENT_REF", ""))) and parents[0] not in above:
        tier = parents[0]
        above.append(tier)
    return above


def _annotation_faults(
    tier: Element,
    parent: Element | None,
    wanted: str | None,
    entries: Collection[str | None] | None,
    times: Mapping[str, float | None],
) -> Iterator[Fault]:
    """Annotations of the wrong kind, and references that lead nowhere."""
    ids = {annotation.get("ANNOTATION_ID"): annotation for annotation in _annotations(tier)}
    parents = set() if parent is None else {annotation.get("ANNOTATION_ID") for annotation in _annotations(parent)}
    followed = set()
    for annotation in _annotations(tier):
        if wanted is not None and annotation.tag != wanted:
            yield annotation, f"is of the kind {annotation.tag}; the tier's linguistic type takes {wanted}"
        if entries is not None and (entry := annotation.get("CVE_REF")) and entry not in entries:
            yield annotation, f"refers to {entry!r}, which is not in the tier's controlled vocabulary"
        if annotation.tag == "ALIGNABLE_ANNOTATION":
            for slot in map(annotation.get, _SLOTS):
                if slot not in times:
                    yield annotation, f"refers to time slot {slot!r}, which does not exist"
            continue
        if (reference := annotation.get("ANNOTATION_REF")) not in parents:
            yield annotation, f"refers to {reference!r}, which is not in the parent tier"
        if (previous := annotation.get("PREVIOUS_ANNOTATION")) is not None:
            if previous not in ids:
                yield annotation, f"follows {previous!r}, which is not in its tier"
            elif ids[previous].get("ANNOTATION_REF") != reference:
                yield annotation, f"follows {previous!r}, which has another parent annotation"
            elif previous in followed:
                yield annotation, f"follows {previous!r} as another one does"
            followed.add(previous)
    for children in _children(tier).values():
        for annotation in set(children).difference(_chained(children)):
            yield annotation, "follows itself in a circle"


def _time_faults(tier: Element, spans: Spans, times: Mapping[str, float | None]) -> Iterator[Fault]:
    """Alignable annotations without time, without length, reversed, or overlapping."""
    aligned = list(tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION"))
    for annotation in aligned:
        if annotation not in spans and all(annotation.get(slot) in times for slot in _SLOTS):
            yield annotation, "has no time: a time slot without a value cannot be interpolated"
        elif annotation in spans and spans[annotation][1] <= spans[annotation][0]:
            yield annotation, f"ends before or where it starts ({_shown(spans[annotation])})"
    latest = None
    for annotation in sorted((a for a in aligned if a in spans), key=lambda a: spans[a]):
        if latest is not None and spans[annotation][0] < spans[latest][1]:
            overlapped = f"{latest.get('ANNOTATION_ID')!r} ({_shown(spans[latest])})"
            yield annotation, f"({_shown(spans[annotation])}) overlaps {overlapped}"
        if latest is None or spans[annotation][1] > spans[latest][1]:
            latest = annotation


def _stereotype_faults(tier: Element, spans: Spans, above: Spans, stereotype: str | None) -> Iterator[Fault]:
    """Annotations outside their parent, gaps in a time subdivision, and associations of more than one."""
    if stereotype == "Symbolic_Association":
        for reference, children in _children(tier).items():
            for annotation in children[1:]:
                yield annotation, f"is another one associated with {reference!r}"
    if stereotype not in ALIGNABLE:
        return
    parents = sorted(above.values())
    inside = defaultdict(list)
    for annotation, (start, end) in sorted(spans.items(), key=itemgetter(1)):
        at = bisect_right(parents, (start, math.inf)) - 1
        if at < 0 or end > parents[at][1]:
            yield annotation, f"({_shown((start, end))}) is not inside an annotation of the parent tier"
        else:
            inside[at].append(annotation)
    if stereotype == "Time_Subdivision":
        for at, children in inside.items():
            starts = [spans[child][0] for child in children] + [parents[at][1]]
            ends = [parents[at][0]] + [spans[child][1] for child in children]
            for annotation, start, end in zip([*children, children[-1]], starts, ends, strict=True):
                if start > end:
                    yield annotation, f"leaves a gap ({_shown((end, start))}) in its parent, which it subdivides"


def _shown(span: tuple[float, float]) -> str:
    """A span for people, in seconds."""
    return f"{span[0] / 1000:.3f} to {span[1] / 1000:.3f} s"
