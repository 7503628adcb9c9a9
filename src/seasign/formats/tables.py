"""Signs and cues as tables: CSV (.csv) and JSON (.json). Times are seconds."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from seasign.formats import disk
from seasign.types import Cue, InputError, Sign, Span

SIGN_COLUMNS = ("start", "end", "gloss", "score")
CUE_COLUMNS = ("start", "end", "text", "id", "settings")

Row = tuple[str, Mapping[str, Any]]  # where it stands, to be followed by the name of a column; its cells by column


def read(path: Path) -> tuple[Sign, ...] | tuple[Cue, ...]:
    """Cues when there is a column `text`, else signs; in the order of the file, whatever their times.

    CSV is a line of names, then lines of cells parted by `,`, `;` or tabs. JSON is `{"signs": [...]}`,
    `{"cues": [...]}` or the bare list. Other columns and keys are passed over; an empty cell or null is None.

    Raises:
        InputError: The file is empty, cut off, no table or lacks a column, or a time or score is no finite number;
            the message names the line or the item.
    """
    content = _content(path)
    are_cues, rows = (_read_json if path.suffix.lower() == ".json" else _read_csv)(path, content)
    if are_cues:
        return tuple(
            Cue(
                _number(row, "start"),
                _number(row, "end"),
                _text(row, "text") or "",
                _text(row, "id"),
                _text(row, "settings"),
            )
            for row in rows
        )
    return tuple(
        Sign(
            _number(row, "start"),
            _number(row, "end"),
            _text(row, "gloss"),
            None if _cell(row, "score") is None else _number(row, "score"),
        )
        for row in rows
    )


def read_pins(path: Path, cues: int) -> dict[int, tuple[float, float]]:
    """Times that a person set: `cue,start,end`, where cues count from 1. Keys of the result count from 0.

    Raises:
        InputError: As `read`; or a cue that is not there, or is pinned twice.
    """
    content = _content(path)
    pins: dict[int, tuple[float, float]] = {}
    for row in (_read_json if path.suffix.lower() == ".json" else _read_csv)(path, content)[1]:
        number = _number(row, "cue")
        if number != int(number) or not 1 <= number <= cues:
            raise InputError(f"{row[0]}there is no cue {number:g}; they count from 1 to {cues}")
        if int(number) - 1 in pins:
            raise InputError(f"{row[0]}cue {number:g} is pinned twice; keep one of them")
        pins[int(number) - 1] = _number(row, "start"), _number(row, "end")
    return pins


def write_pins(path: Path, pins: Mapping[int, tuple[float, float]]) -> None:
    """Write times that a person set, as `read_pins` reads them; in order of the cues, seconds to the millisecond."""
    lines = [f"{cue + 1},{start:.3f},{end:.3f}\n" for cue, (start, end) in sorted(pins.items())]
    disk.write_text(path, "".join(["cue,start,end\n", *lines]))


def read_rows(path: Path, columns: Sequence[str], needed: Sequence[str]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Where every row of a table is, and its cells in these columns; None: it says nothing there.

    Raises:
        InputError: It is no table, a column is missing that is needed, or a cell in one.
    """
    text = disk.read_text(path)[0].removeprefix("\ufeff")
    names = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=names.count), strict=True)
    try:
        reader.fieldnames = there = [name.strip().lower() for name in reader.fieldnames or ()]
        if lacking := [column for column in needed if column not in there]:
            raise InputError(f"{path}:1: no column {lacking[0]!r} in {there}; name the columns {','.join(columns)}")
        for row in reader:
            where, cells = f"{path}:{reader.line_num}", {key: (row.get(key) or "").strip() or None for key in columns}
            if empty := [column for column in needed if cells[column] is None]:
                raise InputError(f"{where}: names no {empty[0]}; take the line out or add what is missing")
            yield where, cells
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not a whole CSV file ({error}); export it again") from None


def write(
    path: Path,
    spans: Sequence[Span],
    *,
    alternatives: Sequence[Sequence[tuple[str, float]]] | None = None,
    also: Mapping[str, Sequence[float | str]] = MappingProxyType({}),
) -> None:
    """Write cues, or signs (also what has no gloss), as CSV or JSON by the suffix; seconds to the microsecond.

    Args:
        alternatives: What each sign may be besides, and how likely: a column that `read` passes over.
        also: Other such columns, by name; numbers to four decimals.
    Raises:
        ValueError: A time or score is not finite.
    """
    are_cues = bool(spans) and isinstance(spans[0], Cue)
    columns = CUE_COLUMNS if are_cues else SIGN_COLUMNS
    items: list[dict[str, Any]] = [
        {column: _plain(getattr(span, column, None), column) for column in columns} for span in spans
    ]
    if alternatives is not None:
        columns = (*columns, "alternatives")
        for item, others in zip(items, alternatives, strict=True):
            as_json = [[gloss, round(float(p), 4)] for gloss, p in others]
            as_text = "; ".join(f"{gloss} {p:.4f}" for gloss, p in others)
            item["alternatives"] = as_json if path.suffix.lower() == ".json" else as_text
    columns = (*columns, *also)
    for name, values in also.items():
        for item, value in zip(items, values, strict=True):
            item[name] = value if isinstance(value, str) else round(float(value), 4)
    if path.suffix.lower() == ".json":
        content = json.dumps({"cues" if are_cues else "signs": items}, ensure_ascii=False, indent=1) + "\n"
    else:
        lines = [columns, *(map(_quoted, item.values()) for item in items)]
        content = "".join(",".join(line) + "\n" for line in lines)
    disk.write_text(path, content)


def _content(path: Path) -> str:
    """The text of a table, which is not empty."""
    content = disk.read_text(path)[0].removeprefix("\ufeff")
    if not content.strip():
        raise InputError(
            f"{path}: empty file: expected signs ({','.join(SIGN_COLUMNS)}) or cues ({','.join(CUE_COLUMNS)})"
        )
    return content


def _read_csv(path: Path, content: str) -> tuple[bool, list[Row]]:
    """Whether these are cues, and the rows."""
    lines = content.splitlines()
    names = next(line for line in lines if line.strip())
    rows: list[Row] = []
    columns: list[str] = []
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=max(",;\t", key=names.count), strict=True)
    line = 1
    try:
        for cells in reader:
            if not any(map(str.strip, cells)):
                pass
            elif not columns:
                columns = [cell.strip().lower() for cell in cells]
                if missing := [column for column in ("start", "end") if column not in columns]:
                    expected = f"{','.join(SIGN_COLUMNS)} or {','.join(CUE_COLUMNS)}"
                    raise InputError(f"{path}:{line}: no column {missing[0]!r} in {cells}: name the columns {expected}")
            elif len(cells) > len(columns):
                found = f"{len(cells)} cells below {len(columns)} columns"
                raise InputError(f'{path}:{line}: {found}: put a cell with a {reader.dialect.delimiter!r} into "..."')
            else:
                rows.append((f"{path}:{line}: ", dict(zip(columns, cells, strict=False))))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{line}: not a whole CSV file ({error}): export it again") from None
    return "text" in columns, rows


def _read_json(path: Path, content: str) -> tuple[bool, list[Row]]:
    """Whether these are cues, and the items."""
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not a whole JSON file ({error.msg}): export it again") from None
    except RecursionError:
        raise InputError(f"{path}: too many lists within lists: expected a list of signs or cues") from None
    key, items = "", document
    if isinstance(document, dict):
        if len(keys := [key for key in ("signs", "cues") if key in document]) != 1:
            raise InputError(f"{path}: has the keys {list(document)}: expected one of 'signs' and 'cues'")
        key, items = keys[0], document[keys[0]]
    if not isinstance(items, list):
        raise InputError(f"{path}: {key or 'the document'} is not a list: expected a list of signs or cues")
    are_cues = key == "cues" or (not key and any("text" in item for item in items if isinstance(item, dict)))
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise InputError(f"{path}: {key}[{i}]: {item!r} is not an object: expected start, end and so on")
        if missing := [name for name in ("start", "end", *["text"] * are_cues) if name not in item]:
            raise InputError(f"{path}: {key}[{i}]: has no {missing[0]!r} among {list(item)}: add it")
    return are_cues, [(f"{path}: {key}[{i}].", item) for i, item in enumerate(items)]


def _cell(row: Row, column: str) -> Any:
    """What stands in a column; None for nothing."""
    value = row[1].get(column)
    return None if isinstance(value, str) and not value.strip() else value


def _number(row: Row, column: str) -> float:
    """A finite number."""
    value = row[1].get(column)
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        what = "is not a finite number: write it like 12.345"
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]*,[0-9]+\s*", value):
            what = f"has a decimal comma: export with points, like {value.strip().replace(',', '.')}"
        raise InputError(f"{row[0]}{column}: {value!r} {what}")
    return number


def _text(row: Row, column: str) -> str | None:
    """A text; None when there is none."""
    value = row[1].get(column)
    if not isinstance(value, str | None):
        raise InputError(f"{row[0]}{column}: {value!r} is not a text: put it in quotes")
    return value or None


def _plain(value: Any, column: str) -> float | str | None:
    """A field as it goes into a file."""
    if value is None or isinstance(value, str):
        return value
    if not math.isfinite(value):
        raise ValueError(f"cannot write {value} as {column}")
    return float(value) if column == "score" else round(float(value), 6)


def _quoted(value: float | str | None) -> str:
    """A cell; the csv module leaves a lone carriage return bare, which it then refuses to read."""
    if value is None or isinstance(value, float):
        return "" if value is None else repr(value)
    return '"' + value.replace('"', '""') + '"' if re.search(r'[",;\s]', value) else value
