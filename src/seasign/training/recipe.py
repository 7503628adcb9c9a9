"""A recipe, one TOML file -> frozen dataclasses, whose fields say what every key is. Nothing unknown is passed over."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from seasign.formats.disk import read_text
from seasign.types import InputError

Kind = TypeVar("Kind")

# What a number may be: the words of the message, and the rule
Count = Annotated[int, "a whole number from 1 on", lambda number: number >= 1]
Whole = Annotated[int, "a whole number from 0 on", lambda number: number >= 0]
Positive = Annotated[float, "a number above 0", lambda number: number > 0]
Amount = Annotated[float, "a number from 0 on", lambda number: number >= 0]
Range = Annotated[
    tuple[float, float], "two numbers from 0 on, the lesser first", lambda numbers: 0 <= numbers[0] <= numbers[1]
]
Factors = Annotated[
    tuple[float, float], "two numbers above 0, the lesser first", lambda numbers: 0 < numbers[0] <= numbers[1]
]
Counts = Annotated[
    tuple[int, int], "two whole numbers from 1 on, the lesser first", lambda numbers: 1 <= numbers[0] <= numbers[1]
]
Share = Annotated[float, "a number from 0 to 1", lambda number: 0 <= number <= 1]

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


@dataclass(frozen=True)
class Loop:
    """How to train, whatever is trained: the table [loop] of every recipe."""

    metric: str  # of those that the task measures after every epoch; the weights of its best epoch are kept
    direction: Literal["max", "min"] = "max"  # which way the metric is better
    epochs: Count = 100
    patience: Count = 20  # stop after so many epochs that were no better
    learning_rate: Positive = 1e-3
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # from the warm-up on; the last two end at 0
    warmup: Share = 0.0  # of all steps: the learning rate rises linearly
    weight_decay: Amount = 0.0  # of matrices; biases, norms and temperatures are left alone
    betas: tuple[Share, Share] = (0.9, 0.999)  # of AdamW, which is Adam where nothing decays
    epsilon: Positive = 1e-8  # of the same
    accumulate: Count = 1  # batches per step
    clip: Positive | None = None  # greatest norm of the gradient
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "gpu"] = "auto"  # auto: a GPU where there is one
    devices: Count = 1  # processes on this machine, one per GPU; each takes batches of its own
    seed: Whole = 0
    tensorboard: bool = False  # beside log.csv, which is always written


@dataclass(frozen=True, kw_only=True)
class Release:
    """What every recipe may say of the weights, beside its tables: the loop writes it into the checkpoint."""

    licence: str | None = None
    trained_on: str | None = None
    citation: str | None = None


def read_table(path: Path) -> dict[str, Any]:
    """The keys and values of a recipe.

    Raises:
        InputError: It is no TOML; the message says where.
    """
    try:
        return tomllib.loads(read_text(path)[0].removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a recipe in TOML ({error})") from None


def build(kind: type[Kind], table: Mapping[str, Any], where: str, folder: Path) -> Kind:
    """A dataclass out of a table, and out of the tables in it.

    Args:
        where: The file, and the table in it: the start of every message.
        folder: What relative paths are relative to.
    Raises:
        InputError: A key is unknown or missing, or a value of another type or out of range; the message names the key.
    """
    hints = get_type_hints(kind, include_extras=True)
    needed = {field.name: field.default is MISSING and field.default_factory is MISSING for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in needed:
            raise InputError(f"{where}: {key}: there is no such key; there are {', '.join(needed)}")
    if missing := [key for key in needed if needed[key] and key not in table]:
        raise InputError(f"{where}: {missing[0]}: is missing; add it ({_describe(hints[missing[0]])})")
    return kind(**{key: _value(hints[key], value, where, key, folder) for key, value in table.items()})


def folder_or_name(path: Path) -> Path | str:
    """What `checkpoints` loads of a path in a recipe: the folder, or where there is none what is published so."""
    return path if path.exists() else path.name


def _value(hint: Any, value: Any, where: str, key: str, folder: Path) -> Any:
    """What the hint says, made of a TOML value."""
    if get_origin(hint) in (Union, UnionType):  # absence is None: TOML has no word for it
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, f"{where} [{key}]", folder)  # type: ignore[arg-type]
    try:
        return _plain(hint, value, folder)
    except ValueError:
        raise InputError(f"{where}: {key}: expected {_describe(hint)}, found {value!r}") from None


def _plain(hint: Any, value: Any, folder: Path) -> Any:
    """As `_value`, for everything but tables; ValueError where the value does not fit."""
    origin, parts = get_origin(hint), get_args(hint)
    fits = False
    if origin is Annotated:
        value = _plain(parts[0], value, folder)
        fits = parts[2](value)
    elif origin is Literal:
        fits = value in parts
    elif origin is tuple and isinstance(value, list):
        parts = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_plain(part, item, folder) for part, item in zip(parts, value, strict=True))
    elif hint is Path and isinstance(value, str):
        return folder / value
    elif hint is float and type(value) in (int, float):
        value = float(value)
        fits = math.isfinite(value)
    else:
        fits = type(value) is hint  # true is no number
    if not fits:
        raise ValueError
    return value


def _describe(hint: Any) -> str:
    """The hint in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _describe(next(part for part in parts if part is not NoneType))
    if origin is Annotated:
        return str(parts[1])
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    if origin is tuple and parts[-1] is Ellipsis:
        return f"a list, each {_describe(parts[0])}"
    if origin is tuple:
        return f"a list of {len(parts)}: {', '.join(_describe(part) for part in parts)}"
    return "a table" if is_dataclass(hint) else _NAMES[hint]
