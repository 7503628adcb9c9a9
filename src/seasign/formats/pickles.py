"""Pickles of plain values, gzipped or not.

A pickle is a program; here it may build plain containers, strings, numbers and arrays of them, and is refused as soon
as it names anything else. Weights of networks are read by `checkpoints.pickles`.
"""

import gzip
import pickle
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from seasign.types import InputError

GZIP = b"\x1f\x8b"
CORE = re.compile(r"numpy\._?core(?=\.)")  # whose name changed with numpy 2
HERE = "numpy.core" if np.__version__.startswith("1.") else "numpy._core"
NUMPY = {  # what pickles of arrays name
    (f"{HERE}.multiarray", "_reconstruct"),
    (f"{HERE}.multiarray", "scalar"),
    (f"{HERE}.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
# What reading bytes that are not what they should be raises
DAMAGE = (
    pickle.UnpicklingError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, TypeError, LookupError, AttributeError,
    ImportError, MemoryError, OverflowError, RecursionError,
)  # fmt: skip


def read(path: Path) -> Any:
    """What a pickle holds, of plain containers, strings, numbers and arrays.

    Raises:
        InputError: It names anything else, or is damaged.
    """

    class Plain(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            here = CORE.sub(HERE, module)
            if (here, name) not in NUMPY:
                raise InputError(f"{path}: its pickle names {module}.{name}, which is no plain data: it is not run")
            return super().find_class(here, name)

    try:
        with path.open("rb") as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            return Plain(gzip.open(file) if packed else file).load()
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{path}: no pickle, or cut short ({str(error).partition(chr(10))[0] or error!r})") from None
