"""Presets as JSON: settings that belong together, with where they come from."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from math import isfinite
from pathlib import Path
from typing import Any

from seasign.formats.disk import read_text, write_text
from seasign.types import Calibration, Costs, InputError, Preset

SCHEMA = "seasign-preset/1"  # a change that breaks a reader changes the number
NONE = "window", "drop", "skip", "hole"  # costs that null turns off
NUMBERS = re.compile(r"\[[-+.,\dea-z\s]*\]")  # a list of them, in a line of its own each
KEYS = {"schema", *(field.name for field in fields(Preset))}


def read(path: Path) -> Preset:
    """The preset of a file; what it does not say of costs, lag and padding is as it comes.

    Raises:
        InputError: Not a preset, one of another schema, or with a value that cannot be; the message names it.
    """
    try:
        found = json.loads(read_text(path)[0], parse_constant=lambda constant: constant)
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}); give a preset that `seasign tune` wrote") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise InputError(f"{path}: expected a preset with the schema {SCHEMA!r}, found {schema!r}")
    _known(path, found, KEYS, "preset")
    lag = found.get("lag", "auto")
    return Preset(
        _costs(path, found.get("costs", {})),
        "auto" if lag == "auto" else _pair(path, "lag", lag),
        _pair(path, "padding", found.get("padding", (0, 0))),
        _calibration(path, found.get("calibration")),
        _provenance(path, "provenance", found.get("provenance")),
    )


def write(path: Path, preset: Preset) -> None:
    """Write a preset, whole or not at all.

    Raises:
        OSError: The file cannot be written; what was there is as it was.
    """
    text = json.dumps({"schema": SCHEMA} | asdict(preset), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(
        path, NUMBERS.sub(lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"), text) + "\n"
    )


def _costs(path: Path, given: object) -> Costs:
    """Costs, each of its kind."""
    if not isinstance(given, dict):
        raise InputError(f'{path}: costs are {given!r}: expected an object such as {{"w_gap": 5}}')
    _known(path, given, {field.name for field in fields(Costs)}, "costs")
    if given.get("compat") not in (None, "sea"):
        raise InputError(f'{path}: compat is {given["compat"]!r}: expected null or "sea"')
    costs: dict[str, Any] = {"compat": given.get("compat")}
    for name in given.keys() - {"compat"}:
        value = given[name]
        whole = not isinstance(value, float) or name != "window"
        if not (value is None and name in NONE) and not (_is_number(value) and value >= (name == "window") and whole):
            kind = "a whole number from 1 on" if name == "window" else "a number from 0 on"
            raise InputError(f"{path}: {name} is {value!r}: expected {kind}{' or null' * (name in NONE)}")
        costs[name] = value
    return Costs(**costs)


def _calibration(path: Path, given: object) -> Calibration | None:
    """A calibration, if there is one."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise InputError(f"{path}: the calibration is {given!r}: expected an object or null")
    _known(path, given, {field.name for field in fields(Calibration)}, "calibration")
    weights = given.get("weights")
    if not isinstance(weights, list) or not weights or not all(map(_is_number, weights)):
        raise InputError(f"{path}: the weights of the calibration are {weights!r}: expected a list of numbers")
    return Calibration(
        tuple(map(float, weights)),
        _pair(path, "the margin of the calibration", given.get("margin")),
        _provenance(path, "the provenance of the calibration", given.get("provenance")),
    )


def _pair(path: Path, name: str, given: object) -> tuple[float, float]:
    """Two numbers of seconds."""
    if not isinstance(given, list | tuple) or len(given) != 2 or not all(map(_is_number, given)):
        auto = ' or "auto"' * (name == "lag")
        raise InputError(
            f"{path}: {name} is {given!r}: expected seconds for starts and for ends, such as [2.6, 2.1]{auto}"
        )
    return float(given[0]), float(given[1])


def _provenance(path: Path, name: str, given: object) -> Mapping[str, object] | None:
    """Anything, by name."""
    if given is not None and not isinstance(given, dict):
        raise InputError(f"{path}: {name} is {given!r}: expected an object or null")
    return given


def _known(path: Path, given: Mapping[str, object], names: set[str], what: str) -> None:
    """Refuse names that nobody would read."""
    if unknown := sorted(given.keys() - names):
        raise InputError(f"{path}: {what} with {unknown[0]!r}, which is unknown: expected {', '.join(sorted(names))}")


def _is_number(value: object) -> bool:
    """Whether it is a finite number, which true is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
