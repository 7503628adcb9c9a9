"""Files of torch -> their tensors, and nothing in them is ever run.

Read are TorchScript archives, what `torch.save` writes (today's zip, and the row of pickles of before 2020), and so
Lightning's `.ckpt` and fairseq's `.pt`. A pickle is a program that calls what it names: here it can name what builds
tensors and plain containers, and records that are read as dictionaries. Anything else is refused by its name.
"""

import io
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seasign.formats.pickles import Unpickler
from seasign.types import InputError

if TYPE_CHECKING:
    import torch

_Bytes = io.BufferedReader | io.BytesIO

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file that torch.save wrote before it wrote zips
ITEM = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
# Read as dictionaries, whatever they do where they come from: what training leaves beside tensors, and around them
RECORDS = {
    "collections.OrderedDict",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
    "builtins.set",
    "__builtin__.set",
    "torch.Size",
    "torch.device",
}
# What reading bytes that are not what they should be raises; InputError is a ValueError and comes out first
DAMAGE = (
    pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, EOFError, ArithmeticError, AttributeError, LookupError,
    TypeError, ValueError, MemoryError, RecursionError, RuntimeError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """What a file holds of a network."""

    tensors: "dict[str, torch.Tensor]"  # by their dotted names
    settings: dict[str, Any]  # of Lightning's `hyper_parameters` the strings, numbers and lists of them, by name


class _Storage(NamedTuple):
    """Numbers in the file that a tensor is a view of."""

    key: str
    kind: str  # a key of ITEM
    numbers: int


class _View(NamedTuple):
    """A tensor that is still in the file. A tuple, so that no pickle can change one."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Record(dict[Any, Any]):
    """Stands for an object of any kind: it keeps the attributes or items that the pickle gives it, and does nothing."""

    def __new__(cls, *_: object) -> "_Record":
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):  # a tuple: of __dict__ and of slots
            if isinstance(part, dict):
                self.update(part)


class _Module(_Record):
    """A module of TorchScript, or one of its typed lists."""


def read_state(path: Path) -> State:
    """Read the tensors of the network in a file, into memory; those of an optimizer beside it stay where they are.

    The network is a TorchScript module, or a dictionary of tensors: the whole file, or its `state_dict` (Lightning),
    `model_state_dict` (CSLR2) or `model` (fairseq).

    Raises:
        InputError: Not such a file, or damaged; its pickle names something that is neither tensor nor container; there
            is no tensor in it.
        ModuleNotFoundError: There is no torch.
    """
    with path.open("rb") as file:
        try:
            if zipfile.is_zipfile(file):
                contents, storage = _archive(path, file)
            elif _begins_with(file, b"\x80"):
                contents, storage = _row(path, file)
            else:
                raise InputError(f"{path}: no checkpoint: {_looks_like(file)}; expected a file that torch wrote")
            views, settings = _network(contents)
            if not views:
                raise InputError(f"{path}: there is no network in it: found {_describe(contents)}")
            if sum(ITEM[view.storage.kind][1] * prod(view.shape) for view in views.values()) > 4 * path.stat().st_size:
                raise InputError(f"{path}: its tensors claim more numbers than the file holds; it is damaged")
            read = cache(storage)  # often many views of one
            return State({name: _tensor(view, read) for name, view in views.items()}, settings)
        except InputError:
            raise
        except DAMAGE as error:
            raise InputError(f"{path}: this checkpoint is damaged or cut short ({_first_line(error)})") from error


def _archive(path: Path, file: _Bytes) -> tuple[object, Callable[[_Storage], bytes]]:
    """What `data.pkl` of a zip holds, and how to read a storage of it. Nothing is unpacked to disk."""
    archive = zipfile.ZipFile(file)
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(f"{path}: a zip without data.pkl, so not written by torch; expected a checkpoint")
    root = pickles[0].removesuffix("data.pkl")

    def entry(name: str) -> bytes:
        if archive.getinfo(root + name).compress_type != zipfile.ZIP_STORED:  # torch never does; bombs do
            raise InputError(
                f"{path}: {root + name!r} is compressed, which torch does not do; save the checkpoint again"
            )
        return archive.read(root + name)

    def storage(of: _Storage) -> bytes:
        return entry(f"data/{of.key}")

    if f"{root}byteorder" in archive.namelist() and entry("byteorder") != sys.byteorder.encode():
        raise InputError(f"{path}: written on a machine of the other byte order; save the checkpoint on this kind")
    return _unpickle(path, io.BytesIO(entry("data.pkl"))), storage


def _row(path: Path, file: _Bytes) -> tuple[object, Callable[[_Storage], bytes]]:
    """The same of a file as torch.save wrote it before 1.6: magic number, version, system, object, keys, numbers."""
    if _unpickle(path, file) != MAGIC:
        raise InputError(f"{path}: a pickle, but not one that torch.save wrote; save the state_dict with torch.save")
    _version, system, storages = _unpickle(path, file), _unpickle(path, file), dict[str, _Storage]()
    if not isinstance(system, dict) or system.get("little_endian") != (sys.byteorder == "little"):
        raise InputError(f"{path}: written on a machine of the other byte order; save the checkpoint on this kind")
    contents = _unpickle(path, file, storages)
    keys, places = _unpickle(path, file), dict[str, int]()
    for key in keys if isinstance(keys, list) else ():
        if not isinstance(key, str):
            raise TypeError("a storage without a name")
        count = int.from_bytes(file.read(8), sys.byteorder)
        places[key] = file.tell()
        if count != storages[key].numbers:
            raise ValueError(f"storage {key} has {count} numbers, not {storages[key].numbers}")
        file.seek(count * ITEM[storages[key].kind][1], io.SEEK_CUR)

    def storage(of: _Storage) -> bytes:
        file.seek(places[of.key])
        return file.read(of.numbers * ITEM[of.kind][1])

    return contents, storage


def _unpickle(path: Path, file: _Bytes, storages: dict[str, _Storage] | None = None) -> object:
    """The object of one pickle; `file` is then behind it. `storages` collects what its tensors are views of."""

    # Made anew for every pickle, which can set attributes on functions that it names
    def rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> _View:
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or (len(rest) > 2 and rest[2]):  # negated or conjugated: not the numbers
            raise TypeError("a tensor of another kind")
        if not all(type(number) is int and number >= 0 for number in numbers) or len(shape) != len(strides):
            raise ValueError("a tensor without a shape")
        return _View(storage, offset, tuple(shape), tuple(strides))

    def parameter(view: Any, *_: Any) -> Any:
        return view

    known: dict[str, object] = {
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch._utils._rebuild_parameter": parameter,
    }
    known |= {f"torch.{kind}": kind for kind in ITEM} | dict.fromkeys(RECORDS, _Record)

    class Tensors(Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            dotted = f"{module}.{name}"
            if dotted.startswith(("__torch__.", "torch.jit._pickle.")):  # TorchScript's own, and its typed lists
                return _Module
            if dotted not in known:
                raise InputError(
                    f"{path}: its pickle names {dotted!r:.80}, which is neither tensor nor container: it is not run, "
                    "and the file is refused; if you trust it, save its state_dict alone with torch.save"
                )
            return known[dotted]

        def persistent_load(self, pid: Any) -> _Storage:
            what, kind, key, _place, count, *_ = pid
            if what != "storage" or not (isinstance(kind, str) and isinstance(key, str) and type(count) is int):
                raise TypeError("a storage of another kind")
            storage = _Storage(key, kind, count)
            if storages is not None:
                storages[key] = storage
            return storage

    return Tensors(file).load()


def _network(contents: object) -> tuple[dict[str, _View], dict[str, Any]]:
    """The tensors by their names, and the settings beside them."""
    if isinstance(contents, _Module):
        return dict(_attributes(contents)), {}
    if not isinstance(contents, Mapping):
        return {}, {}
    keys = ("state_dict", "model_state_dict", "model")
    state = next((contents[key] for key in keys if isinstance(contents.get(key), Mapping)), contents)
    views = {name: view for name, view in state.items() if isinstance(name, str) and isinstance(view, _View)}
    settings, given = {}, contents.get("hyper_parameters")
    for name, value in given.items() if isinstance(given, dict) else ():
        value = list(value) if type(value) is tuple else value
        plain = all(isinstance(one, str | int | float | None) for one in (value if type(value) is list else [value]))
        if plain and isinstance(name, str):
            settings[name] = value
    return views, settings


def _attributes(module: _Module) -> Iterator[tuple[str, _View]]:
    """Tensors of a TorchScript module and of its submodules, each module once."""
    waiting, seen = [("", module)], {id(module)}
    while waiting:
        prefix, module = waiting.pop()
        for name, value in module.items():
            if isinstance(value, _View):
                yield f"{prefix}{name}", value
            elif isinstance(value, _Module) and id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{prefix}{name}.", value))


def _tensor(view: _View, read: "Callable[[_Storage], bytes]") -> "torch.Tensor":
    """The numbers, in memory of their own."""
    import torch

    dtype, size = ITEM[view.storage.kind]
    raw = read(view.storage)
    last = view.offset + sum((n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True))
    if len(raw) != view.storage.numbers * size or (0 not in view.shape and last >= view.storage.numbers):
        raise ValueError(f"a tensor of shape {list(view.shape)} in {len(raw)} bytes")
    if 0 in view.shape:
        return torch.empty(view.shape, dtype=getattr(torch, dtype))
    flat = torch.frombuffer(bytearray(raw), dtype=getattr(torch, dtype))
    return flat.as_strided(view.shape, view.strides, view.offset).clone(memory_format=torch.contiguous_format)


def _begins_with(file: _Bytes, mark: bytes) -> bool:
    """Whether these are the first bytes; `file` is at its start again."""
    file.seek(0)
    begins = file.read(len(mark)) == mark
    file.seek(0)
    return begins


def _looks_like(file: _Bytes) -> str:
    """What a file is that is no checkpoint, from its first bytes."""
    file.seek(0)
    head = file.read(64)
    if not head:
        return "the file is empty"
    if head.lstrip()[:1] == b"<":
        return "it is a web page"
    if head.startswith(b"PK"):
        return "it is a zip that is cut short"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file itself"
    return f"it begins with {head[:8]!r}"


def _describe(contents: object) -> str:
    """In a few words, for a message."""
    if isinstance(contents, Mapping):
        names = [repr(key[:40]) for key in contents if isinstance(key, str)]
        return f"a dictionary of {', '.join(names[:4]) or 'nothing that has a name'}"
    return "a tensor without a name" if isinstance(contents, _View) else f"a {type(contents).__name__}"


def _first_line(error: BaseException) -> str:
    """Of the message, or what kind it is."""
    line = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return line if line.isprintable() else repr(line)
