"""`explain`: what a report says of a cue; `pins`: the times that people set."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import seasign
from seasign.cli import jobs
from seasign.cli.options import EXISTING, JSON, OUTPUT, QUIET
from seasign.explanation import confidence, parse_report, rank
from seasign.formats import TIERS
from seasign.formats.disk import read_text
from seasign.formats.tables import write_pins
from seasign.formats.timed_text import format_stamp, whole_milliseconds
from seasign.types import InputError, plain_values

SHOWN = 20  # cues in a table


@click.command()
@click.argument("report", type=EXISTING)
@click.option("--cue", "number", type=int, help="Number of the cue, from 1, as in messages and pins.")
@click.option("--id", "name", help="Identifier of the cue in the subtitle file.")
@JSON
def explain(report: Path, number: int | None, name: str | None, as_json: bool) -> None:
    """Explain where a cue of REPORT went and why, and what to do about it.

    REPORT is the .json or .html that `align --report` wrote. Without a cue, the least certain ones are listed, the
    worst first.
    """
    if number is not None and name is not None:
        raise click.UsageError("give --cue or --id, not both")
    found = parse_report(read_text(report)[0], str(report))
    if name is not None:
        number = _named(report, found["cues"], name) + 1
    if number is None:
        worst = [seasign.explain(found, cue) for cue in rank(found)[:SHOWN]]
        if as_json:
            click.echo(json.dumps([plain_values(said) for said in worst], ensure_ascii=False))
        else:
            _print_worst(report, worst, found)
        return
    if not 1 <= number <= len(found["cues"]):
        raise InputError(f"{report}: there is no cue {number}; they count from 1 to {len(found['cues'])}")
    said = seasign.explain(found, number - 1)
    if as_json:
        click.echo(json.dumps(plain_values(said), ensure_ascii=False))
    else:
        _print_cue(said)


def _named(report: Path, cues: Sequence[Mapping[str, Any]], name: str) -> int:
    """The index of the one cue with that identifier."""
    places = [i for i, cue in enumerate(cues) if cue.get("id") == name]
    if not places:
        raise InputError(f"{report}: no cue has the id {name!r}; `seasign explain {report}` shows their numbers")
    if len(places) > 1:
        numbers = ", ".join(str(place + 1) for place in places[:5])
        raise InputError(f"{report}: {len(places)} cues have the id {name!r} ({numbers}); name one by --cue")
    return places[0]


def _print_cue(said: Mapping[str, Any]) -> None:
    """Everything about one cue, for a person."""
    identifier = "" if said.get("id") is None else f" (id {said['id']})"
    lag, moved, margin, signed = (said.get(name) for name in ("lag", "moved", "margin", "signed"))
    intervals = [(edge, said.get(f"{edge}_interval")) for edge in ("start", "end")]
    others = said.get("alternatives") or ()
    if said.get("pinned"):
        intervals, signed = [], None
    lines = {
        "sure": f"{_sure(said)}; number {said['rank']} of {said['of']}, the least sure first",
        "why": said.get("why"),
        "delivered": _span(said.get("delivered")),
        "lag": lag and f"{lag[0]:+z.2f} s at the start, {lag[1]:+z.2f} s at the end",
        "aligned": _span(said.get("aligned")) + (f", by {moved[0]:+z.2f} and {moved[1]:+z.2f} s" if moved else ""),
        "signs": _signs(said["signs"]),
        "90 %": ", ".join(f"{edge} within {_span(interval)}" for edge, interval in intervals if interval),
        "is signed": None if signed is None else f"with {signed:.0%}",
        "margin": None if margin is None else f"half a second away or more would cost {margin:.2f} on top",
        "cost": None if said["cost"] is None else f"{said['cost']:.2f} = {_sum(said['terms'])}",
        "elsewhere": "\n            ".join(
            f"{_span((other['start'], other['end']))} with {other['probability']:.0%}" for other in others
        ),
        "to do": said["advice"],
    }
    click.echo(f"cue {said['number']}{identifier}: {_line(said)}\n")
    for name, line in lines.items():
        if line:
            click.echo(f"{name:12}{line}")


def _print_worst(report: Path, worst: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> None:
    """A table of the least sure cues."""
    click.echo(f"{'cue':>5}  {'sure':17}{'aligned':31}{'moved':>9}  text")
    for said in worst:
        by = f"{said['moved'][0]:+z.2f} s" if said["moved"] else "-"
        text = _line(said)
        text = text if len(text) <= 40 else f"{text[:39]}…"
        click.echo(f"{said['number']:5}  {_sure(said):17}{_span(said.get('aligned')):31}{by:>9}  {text}")
    verdict = found.get("verdict") or {}
    check = len(verdict.get("check") or ())
    refused = f"do not use: {verdict.get('reason')}\n" * (verdict.get("verdict") == "do not use")
    click.echo(f"\n{refused}{len(found['cues'])} cues, {check} to check. All about one of them:")
    click.echo(f"    seasign explain {report} --cue {worst[0]['number']}")


def _sure(cue: Mapping[str, Any]) -> str:
    """How sure is what was done with a cue."""
    if cue.get("pinned"):
        return "pinned"
    sure = confidence(cue)
    return " ".join(["dropped"] * bool(cue.get("dropped")) + ["unknown" if sure is None else f"{sure:.0%}"])


def _line(cue: Mapping[str, Any]) -> str:
    """The text of a cue on one line."""
    return " ".join((cue.get("text") or "").split())


def _signs(signs: Sequence[Sequence[Any]]) -> str:
    """The signs of a run: how many, from when to when, and their glosses."""
    if not signs:
        return ""
    glosses = " ".join(gloss for _, _, gloss in signs if gloss)
    return f"{len(signs)}, {_span((signs[0][0], signs[-1][1]))}{': ' if glosses else ''}{glosses}"


def _sum(terms: Mapping[str, float]) -> str:
    """Costs that add up, without those that are nothing."""
    return " ".join(f"{'+-'[cost < 0]} {abs(cost):.2f} {name}" for name, cost in terms.items() if cost).lstrip("+ ")


def _span(span: Sequence[float] | None) -> str:
    """From when to when, as in subtitle files."""
    if span is None or None in span:
        return "-"
    return " - ".join(
        f"{'-' * (time < 0)}{format_stamp(whole_milliseconds(abs(time)), '00:00:00.000')}" for time in span
    )


@click.command()
@click.argument("marked", metavar="IN.eaf", type=EXISTING)
@click.argument("subtitles", type=EXISTING)
@OUTPUT
@click.option("--subtitle-tier", help="Where the subtitles are, in an ELAN file. [default: SUBTITLE]")
@QUIET
@JSON
def pins(marked: Path, subtitles: Path, output: Path, subtitle_tier: str | None, quiet: bool, as_json: bool) -> None:
    """Write the times that people marked in ELAN as a CSV of pins.

    Each annotation of the tier PINNED in IN.eaf is the true time of a cue of SUBTITLES. Its value is the number or the
    text of that cue.
    """
    if marked.suffix.lower() not in TIERS:
        raise InputError(f"{marked}: expected an ELAN file, *.eaf")
    jobs.check_outputs({"pins": (output, [".csv"])}, [marked, subtitles])
    tier = subtitle_tier or ("SUBTITLE" if subtitles.suffix.lower() in TIERS else None)
    found = seasign.pins(marked, seasign.read_cues(subtitles, tier).cues)
    write_pins(output, found)
    if as_json:
        listed = [{"cue": cue + 1, "start": start, "end": end} for cue, (start, end) in sorted(found.items())]
        click.echo(json.dumps({"pins": listed, "output": str(output)}))
    elif not quiet:
        click.echo(f"pinned    {len(found)} cues\nwrote     {output}")
