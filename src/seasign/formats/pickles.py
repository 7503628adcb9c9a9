"""Pickles of plain values, gzipped or not.

A pickle is a program; here it may build plain containers, strings, numbers and arrays of them, and is refused as soon
as it names anything else. Not even numpy's own functions are called: what they make of crafted settings points outside
of its memory. Weights of networks are read by `checkpoints.pickles`, with the same `Unpickler`.
"""

import gzip
import io
import pickle
import re
import zlib
from collections.abc import Callable
from itertools import chain, islice
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from seasign.types import InputError

GZIP = b"\x1f\x8b"
MOST = 2**30  # bytes that a gzipped pickle may hold; the largest of published labels have some 10 million
EMPTY = 2**10  # rows that an array without a number may have
DEPTH = 32  # lists within lists
CORE = re.compile(r"numpy\._?core(?=\.)")  # whose name changed with numpy 2
KINDS = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|[SU][1-9][0-9]{0,5})")  # numbers and texts, as numpy names them
NEVER = {code[0] for code in (pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.EMPTY_SET, pickle.FROZENSET)}
# What reading bytes that are not what they should be raises
DAMAGE = (
    pickle.UnpicklingError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, TypeError, LookupError, AttributeError,
    ImportError, MemoryError, OverflowError, RecursionError,
)  # fmt: skip


def _plain_keys(code: bytes) -> Callable[[Any], None]:
    """What an opcode does that fills a dictionary, unless a key is anything but a name or a number.

    To hash tuples of tuples of tuples takes forever, or the whole stack.
    """
    load = pickle._Unpickler.dispatch[code[0]]

    def checked(unpickler: Any) -> None:
        items = unpickler.stack[-2:] if code == pickle.SETITEM else unpickler.stack
        if not all(isinstance(key, str | bytes | int | float | np.generic | None) for key in items[::2]):
            raise TypeError("a dictionary whose keys are no names")
        load(unpickler)

    return checked


class Unpickler(pickle._Unpickler):
    """Python's own, the one in Python: the other takes as much memory as a few bytes of a pickle tell it to.

    Sets and extensions are refused. Give it what is in memory, so that a length that is made up finds no more.
    """

    dispatch: ClassVar = {
        **{code: load for code, load in pickle._Unpickler.dispatch.items() if code not in NEVER},
        **{code[0]: _plain_keys(code) for code in (pickle.SETITEM, pickle.SETITEMS, pickle.DICT)},
        pickle.BYTEARRAY8[0]: pickle._Unpickler.dispatch[pickle.BINBYTES8[0]],  # that makes room before it looks
    }


class _Kind:
    """Stands for a dtype, which could be made to look outside of its array."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not (isinstance(name, str) and KINDS.fullmatch(name)):
            raise TypeError(f"an array of {name!r:.20}, where numbers or texts are expected")
        self.name = name


def _array(raw: Any, kind: Any, shape: Any, order: Any, *_: Any) -> np.ndarray:
    """The numbers that stand in bytes, as many as the shape says, and not one more."""
    if not (isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)):
        raise TypeError("an array without a shape")
    dtype = np.dtype((kind if isinstance(kind, _Kind) else _Kind(kind)).name)
    if (
        not isinstance(raw, bytes)
        or prod(shape) * dtype.itemsize != len(raw)
        or max(shape, default=0) > max(len(raw), EMPTY)
    ):
        raise ValueError(f"an array of shape {list(shape)}, and not as many bytes")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if order == "F" else "C").copy(order="A")


def _build(unpickler: Any) -> None:
    """Give an array its numbers, or a kind the order of its bytes: nothing else has a state."""
    state, built = unpickler.stack.pop(), unpickler.stack[-1]
    if isinstance(built, _Kind):
        built.name = _Kind(f"{state[1]}{built.name.lstrip('<>|=')}").name
    elif isinstance(built, np.ndarray):
        _version, shape, kind, fortran, raw = state
        made = _array(raw, kind, shape, "F" if fortran else "C")
        built.__setstate__((1, shape, made.dtype, bool(fortran), raw))  # type: ignore[arg-type]
    else:
        raise TypeError(f"a state for a {type(built).__name__}")


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as protocol 2 has them."""
    if encoding != "latin1":
        raise TypeError("bytes in an encoding of their own")
    return text.encode(encoding)


KNOWN: dict[str, object] = {  # what pickles of arrays name, by its name before numpy 2
    "numpy.core.multiarray._reconstruct": lambda *_: np.empty(0),
    "numpy.core.multiarray.scalar": lambda kind, raw: _array(raw, kind, (), "C")[()],
    "numpy.core.numeric._frombuffer": _array,
    "numpy.ndarray": "numpy.ndarray",
    "numpy.dtype": _Kind,
    "_codecs.encode": _encode,
    "__builtin__.bytes": lambda: b"",
}


def read(path: Path) -> Any:
    """What a pickle holds, of plain containers, strings, numbers and arrays.

    Raises:
        InputError: It names anything else, is damaged, or would become far more than it is.
    """

    class Plain(Unpickler):
        dispatch: ClassVar = {**Unpickler.dispatch, pickle.BUILD[0]: _build}

        def find_class(self, module: str, name: str) -> Any:
            dotted = f"{CORE.sub('numpy.core', module)}.{name}"
            if dotted not in KNOWN:
                found = f"{module}.{name}"
                shown = found if found.isprintable() else repr(found)
                raise InputError(f"{path}: its pickle names {shown:.80}, which is no plain data: it is not run")
            return KNOWN[dotted]

    data = path.read_bytes()
    try:
        if data[: len(GZIP)] == GZIP:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(MOST + 1)
            if len(data) > MOST:
                raise InputError(
                    f"{path}: unpacks to more than {MOST / 2**30:.0f} GiB: if you trust it, unpack it first"
                )
        found = Plain(io.BytesIO(data)).load()
        if not _is_plain(found, len(data)):
            raise InputError(f"{path}: its pickle holds itself, or lists in lists without end: it is no plain data")
    except InputError:
        raise
    except DAMAGE as error:
        line = str(error).partition("\n")[0][:120]
        raise InputError(f"{path}: no pickle, or cut short ({line or error!r})") from None
    return found


def _is_plain(value: Any, most: int) -> bool:
    """Whether it ends: what is there twice counts twice, and a few bytes of a pickle can be more than anyone counts."""
    level = [value]
    for _ in range(DEPTH):
        lists = (it.values() if isinstance(it, dict) else it for it in level if isinstance(it, dict | list | tuple))
        level = list(islice(chain.from_iterable(lists), most + 1))
        most -= len(level)
        if not level or most < 0:
            break
    return not level and most >= 0
