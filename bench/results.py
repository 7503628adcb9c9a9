"""The book of results: a line of JSON for every number, and the tables in README.md made from the latest ones."""

import datetime
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
BOOK, PAGE = HERE / "results.jsonl", HERE / "README.md"


@cache
def commit() -> str | None:
    """The commit at the first record: later ones find the book itself changed."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or None


def record(
    metric: str,
    value: float,
    unit: str,
    target: str = "",
    corpus: str = "synthetic",
    interval: tuple[float, float] | None = None,
) -> None:
    """Print a number, with what holds 95 % of it, and write it into the book, with when, what and where."""
    between = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else ""
    notes = f"({between})" * bool(between) + f"(target {target})" * bool(target)
    print(f"{metric:70} {value:10.4g} {unit} {notes}", flush=True)
    entry = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "bench": Path(sys.argv[0]).stem,
        "corpus": corpus,
        "metric": metric,
        "value": round(value, 4),
        "unit": unit,
        "target": target or None,
        "interval": between or None,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    with BOOK.open("a", encoding="utf-8") as book:
        book.write(json.dumps(entry) + "\n")


# metrics "row: column" of these become tables of rows and columns
WIDE = {
    "cotraining",
    "cslr2",
    "deletions",
    "embedding",
    "index",
    "perturbation",
    "pseudo_labels",
    "real",
    "retrieval",
    "segmentation",
    "sigma",
    "signclip_tiny",
    "spotting",
    "stitched",
}


def tables() -> None:
    """Write the latest value of every metric into README.md, between the marks of its bench."""
    latest: dict[str, dict[tuple[str, str], dict[str, object]]] = {}
    for line in BOOK.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        latest.setdefault(entry["bench"], {})[entry["corpus"], entry["metric"]] = entry
    page = PAGE.read_text(encoding="utf-8")
    for bench, entries in latest.items():
        table = "\n".join((_wide if bench in WIDE else _long)(entries.values()))
        page = re.sub(
            rf"(<!-- {bench} -->\n).*?(<!-- end -->)",
            lambda mark, table=table: f"{mark[1]}{table}\n{mark[2]}",
            page,
            flags=re.DOTALL,
        )
    PAGE.write_text(page, encoding="utf-8")


def _long(entries: Iterable[dict[str, object]]) -> list[str]:
    rows = ["| corpus | what | value | target | commit |", "|---|---|---|---|---|"]
    return rows + [
        f"| {entry['corpus']} | {entry['metric']} | {entry['value']:.4g} {entry['unit']} "
        f"| {entry['target'] or ''} | {entry['commit']} |"
        for entry in entries
    ]


def _wide(entries: Iterable[dict[str, object]]) -> list[str]:
    """A table for every corpus."""
    lines: list[str] = []
    corpora: dict[object, list[dict[str, object]]] = {}
    for entry in entries:
        corpora.setdefault(entry["corpus"], []).append(entry)
    for corpus, own in corpora.items():
        rows: dict[str, dict[str, str]] = {}
        columns: dict[str, object] = {}
        for entry in own:
            row, column = str(entry["metric"]).rsplit(": ", 1)
            value = f"{entry['value']:.2f}" if entry["unit"] in ("x", "1/s", "s") else f"{entry['value']:.1f}"
            between = f" ({entry['interval']})" if entry.get("interval") else ""
            rows.setdefault(row, {})[column] = value + between
            columns[column] = entry["unit"]
        lines += [
            "",
            f"**{corpus}**",
            "",
            "| | " + " | ".join(f"{name}, {unit}" for name, unit in columns.items()) + " |",
        ]
        lines.append("|---|" + "---|" * len(columns))
        lines += [f"| {row} | {' | '.join(found.get(name, '') for name in columns)} |" for row, found in rows.items()]
        lines += ["", f"Measured at {', '.join(dict.fromkeys(str(entry['commit']) for entry in own))}."]
    return lines[1:]


if __name__ == "__main__":
    tables()
