"""The book of results: a line of JSON for every number, and the tables in README.md made from the latest ones."""

import datetime
import json
import platform
import re
import subprocess
import sys
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


def record(metric: str, value: float, unit: str, target: str = "", corpus: str = "synthetic") -> None:
    """Print a number and write it into the book, with when, what and where."""
    print(f"{metric:70} {value:10.4g} {unit} {'(target ' + target + ')' if target else ''}", flush=True)
    entry = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "bench": Path(sys.argv[0]).stem,
        "corpus": corpus,
        "metric": metric,
        "value": round(value, 4),
        "unit": unit,
        "target": target or None,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    with BOOK.open("a", encoding="utf-8") as book:
        book.write(json.dumps(entry) + "\n")


def tables() -> None:
    """Write the latest value of every metric into README.md, between the marks of its bench."""
    latest: dict[str, dict[tuple[str, str], dict[str, object]]] = {}
    for line in BOOK.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        latest.setdefault(entry["bench"], {})[entry["corpus"], entry["metric"]] = entry
    page = PAGE.read_text(encoding="utf-8")
    for bench, entries in latest.items():
        rows = ["| corpus | what | value | target | commit |", "|---|---|---|---|---|"]
        rows += [
            f"| {entry['corpus']} | {entry['metric']} | {entry['value']:.4g} {entry['unit']} "
            f"| {entry['target'] or ''} | {entry['commit']} |"
            for entry in entries.values()
        ]
        table = "\n".join(rows)
        page = re.sub(
            rf"(<!-- {bench} -->\n).*?(<!-- end -->)",
            lambda mark, table=table: f"{mark[1]}{table}\n{mark[2]}",
            page,
            flags=re.DOTALL,
        )
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    tables()
