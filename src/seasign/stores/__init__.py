"""Where windows and their vectors are kept: `exact`, on a disk and compared one by one; `lance`, for many more.

An index is a folder. Its `index.json` says which version and which store it is; an address such as s3://bucket/signs is
a `lance` store without that file.
"""

import json
import shutil
import warnings
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from seasign.formats.disk import write_text
from seasign.indexing import VectorIndex
from seasign.stores.exact import Exact
from seasign.types import InputError, InputWarning

if TYPE_CHECKING:
    from seasign.stores.lance import Lance

SCHEMA = "seasign-index/1"
LARGE = 200_000  # windows from which on comparing every one takes too long


def open_index(where: Path | str, *, create: bool = False) -> VectorIndex:
    """The index in a folder or at an address.

    Args:
        create: Begin one where there is none. One that is there has to be whole: it will be added to.
    Raises:
        InputError: There is none, it is of another version, or it is damaged; something else is in the folder, or the
            folder around it is not there; or what it is kept by is not installed.
    """
    if "://" in str(where):
        return _lance(str(where))
    folder = Path(where)
    manifest = folder / "index.json"
    if not manifest.exists():
        if not create:
            if folder.is_dir() and any(folder.iterdir()):
                made = f"seasign index {folder} --out {folder.resolve().name}.index"
                raise InputError(f"{folder}: is a folder and no index; make one of it: {made}")
            raise InputError(f"{folder}: there is no such index; make one: seasign index FOLDER --out {folder}")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; an index is a folder: name another")
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder}: holds other files; name a folder that is empty or not there")
        if not folder.absolute().parent.is_dir():
            raise InputError(f"{folder}: there is no folder {folder.parent}; make it first")
        folder.mkdir(exist_ok=True)
        _declare(folder, "exact")
    try:
        said = json.loads(manifest.read_text(encoding="utf-8"))
        schema, store = said["schema"], said["store"]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{manifest}: is damaged; it should say {SCHEMA!r}: index again, into another folder"
        ) from None
    if schema != SCHEMA or store not in ("exact", "lance"):
        raise InputError(f"{folder}: is {schema!r} by {store!r}, and this seasign reads {SCHEMA!r}: index again")
    if store == "lance":
        return _lance(str(folder / "lance"))
    exact = Exact(folder)
    if exact.moved:
        with suppress(OSError):  # who cannot write here finds it all the same
            _declare(folder, "lance")  # as a move that was stopped at its end would have
        return _lance(str(folder / "lance"))
    if create:
        exact.check()
    return exact


def settle(where: Path | str) -> VectorIndex:
    """Leave an index as it is searched best: tidy, and in a `lance` store when it has become large.

    Warns:
        InputWarning: It is large, and what large ones are kept by is not installed.
    """
    store = open_index(where)
    if isinstance(store, Exact) and len(store) > LARGE:
        if find_spec("lancedb"):
            store = _move(Path(where), store)
        else:
            message = (
                f'{where}: {len(store)} windows are searched slowly; once pip install "seasign[search]", index again'
            )
            warnings.warn(message, InputWarning, stacklevel=2)
    if not isinstance(store, Exact) and "://" not in str(where):
        Exact(Path(where)).remove()  # what a move that was stopped at its end left
    store.tidy()
    return store


def _move(folder: Path, exact: Exact) -> VectorIndex:
    """Take all that an exact store holds into a `lance` store. Until that is whole, the exact one holds.

    Who waits to write is refused before the folder says another store: else it would write into the old one.
    """
    with exact.moving():
        shutil.rmtree(folder / "lance", ignore_errors=True)  # of a move that broke off
        large = _lance(str(folder / "lance"))
        space = exact.space or ""
        for name, video in exact.videos().items():
            large.add(video, exact.windows(name), exact.embeddings(name, space))
    _declare(folder, "lance")
    return large


def _declare(folder: Path, store: str) -> None:
    """Write which store the index in a folder is."""
    write_text(folder / "index.json", json.dumps({"schema": SCHEMA, "store": store}) + "\n")


def _lance(where: str) -> "Lance":
    """The store in a folder or at an address."""
    if not find_spec("lancedb"):
        raise InputError(f'{where}: a large index needs lancedb: pip install "seasign[search]"')
    from seasign.stores.lance import Lance  # which takes seconds to import

    return Lance(where)
