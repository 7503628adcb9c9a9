"""What a report says of one cue, and what to do about it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from seasign.report import UNSURE
from seasign.types import InputError
from seasign.web.report_page import SCHEMA

_PAGE = re.compile(r'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)


def parse_report(text: str, name: str) -> dict[str, Any]:
    """Take a report out of the text of its .json, or of its page.

    Args:
        name: Of the file, for the message.
    Raises:
        InputError: It is no report, or one of another schema.
    """
    page = _PAGE.search(text)
    try:
        report = json.loads(page[1] if page else text)
    except (json.JSONDecodeError, RecursionError):
        raise InputError(f"{name}: is no report; expected what `align --report` writes") from None
    schema = report.get("schema") if isinstance(report, dict) else None
    if not isinstance(schema, str) or not schema.startswith(SCHEMA.partition("/")[0]):
        raise InputError(f"{name}: is no report; expected what `align --report` writes")
    if schema != SCHEMA:
        raise InputError(f"{name}: has the schema {schema}, not {SCHEMA}: write it again with this version")
    if not isinstance(report.get("cues"), list) or not report["cues"]:
        raise InputError(f"{name}: there are no cues in this report")
    return dict(report)


def explain(report: Mapping[str, Any], cue: int) -> dict[str, object]:
    """Say everything that a report holds about a cue, where it stands among all, and what to do about it.

    Beside the cue's own fields (docs/report.md): its number from 1, the signs of its run, the sum of its terms, its
    rank among the least sure (from 1), and `advice` in words.

    Args:
        report: As `build_report` gives it, or as it was read again: what is unknown may be None or absent.
        cue: Its index, from 0.
    Raises:
        InputError: There is no such cue.
    """
    cues: Sequence[Mapping[str, Any]] = report["cues"]
    if not 0 <= cue < len(cues):
        raise InputError(f"there is no cue {cue + 1}; they count from 1 to {len(cues)}")
    own = cues[cue]
    first, stop = own.get("run") or (0, 0)
    terms = own.get("terms")
    return {
        "number": cue + 1,
        **own,
        "moved": _difference(own.get("aligned"), own.get("delivered")),
        "signs": [*(report.get("signs") or ())[first:stop]],
        "cost": sum(terms.values()) if terms else None,
        "rank": rank(report).index(cue) + 1,
        "of": len(cues),
        "advice": _advise(cue + 1, own),
    }


def rank(report: Mapping[str, Any]) -> list[int]:
    """The indices of all cues, the least sure first: as on the page. Those of which nothing is known come last."""

    def doubt(cue: Mapping[str, Any]) -> tuple[int, float]:
        sure = confidence(cue)
        return (0 if cue.get("dropped") else 2, 0.0) if sure is None else (1, sure)

    return sorted(range(len(report["cues"])), key=lambda i: doubt(report["cues"][i]))


def confidence(cue: Mapping[str, Any]) -> float | None:
    """Probability that what was done with a cue of a report is right, dropping it included; None when unknown."""
    probability, signed = cue.get("probability"), cue.get("signed")
    if probability is None and cue.get("dropped") and signed is not None:
        return 1 - float(signed)
    return None if probability is None else float(probability)


def _advise(number: int, cue: Mapping[str, Any]) -> str:
    """What a person should do about a cue."""
    if cue.get("pinned"):
        return "Nothing: it is pinned."
    sure, others = confidence(cue), cue.get("alternatives") or []
    place = others[0] if others else None
    pin = f"a line {number},{{:.2f}},{{:.2f}} in the file of --pins keeps it there"
    if cue.get("dropped"):
        if place is None:
            return f"Look whether it is signed at all. If so, pin it: {pin.format(*due(cue))}."
        where = f"{place['start']:.2f} - {place['end']:.2f} s"
        return f"Look whether it is signed, perhaps at {where}; then {pin.format(place['start'], place['end'])}."
    if sure is not None and sure >= UNSURE:
        return "Nothing, unless you see that it is wrong; then pin it."
    if place is None:
        return f"Look at it; if it is wrong, pin it where it is signed: {pin.format(*due(cue))}."
    where = f"{place['start']:.2f} - {place['end']:.2f} s"
    return f"Look at it; if it is at {where} instead, {pin.format(place['start'], place['end'])}."


def due(cue: Mapping[str, Any]) -> tuple[float, float]:
    """When a cue would be signed by the lag alone, in seconds."""
    (start, end), by = cue["delivered"], cue.get("lag") or (0.0, 0.0)
    return start + by[0], end + by[1]


def _difference(one: Sequence[float] | None, other: Sequence[float] | None) -> list[float] | None:
    return None if one is None or other is None else [a - b for a, b in zip(one, other, strict=True)]
