"""Bytes on their way in and out: whole files, encodings, digests, and replacement that is atomic or does not happen."""

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path

from seasign.types import InputError, InputWarning

_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_DECLARED = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._:-]+)""")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x19\x1c-\x1f]")  # in no text; \x1a ends old DOS files


def read_text(path: Path) -> tuple[str, str]:
    """The text of a file and the codec that turns it back into the same bytes.

    The codec is what a byte order mark, an XML declaration or the zero bytes of UTF-16 say, else UTF-8. Bytes that are
    not that are read as cp1252, or as latin-1 where cp1252 has no character, with a warning. The mark of UTF-16 stays
    as the first character of the text; line ends stay as they are.

    Raises:
        InputError: The file is empty, is not text, or would not come out of the codec as it went in.
    """
    data = path.read_bytes()
    if not data:
        raise InputError(f"{path}: the file is empty; export it again")
    codec = _announced_codec(data)
    try:
        text = data.decode(codec)
    except LookupError:
        raise InputError(f"{path}: declares the encoding {codec!r}, which is unknown; save it as UTF-8") from None
    except UnicodeError:
        if data.startswith(tuple(_MARKS)):
            raise InputError(f"{path}: begins with the mark of {codec} but is not valid; save it as UTF-8") from None
        text, codec = _legacy_text(path, data)
    if "\0" in text:
        raise InputError(f"{path}: is not text; choose another file")
    try:
        unchanged = text.encode(codec) == data
    except UnicodeError:
        unchanged = False
    if not unchanged:
        raise InputError(f"{path}: {codec} would not write it back unchanged; save it as UTF-8")
    return text, codec


def _announced_codec(data: bytes) -> str:
    """What the first bytes say, else UTF-8."""
    for mark, codec in _MARKS.items():
        if data.startswith(mark):
            return codec
    match [byte != 0 for byte in data[:4]]:
        case [True, False, True, False]:
            return "utf-16-le"
        case [False, True, False, True]:
            return "utf-16-be"
    declared = _DECLARED.match(data)
    codec = declared[1].decode().lower() if declared else "utf-8"
    return "utf-8" if codec.startswith(("utf-16", "utf-32")) else codec  # declared wrongly: it was read byte by byte


def _legacy_text(path: Path, data: bytes) -> tuple[str, str]:
    """Text of unknown 8-bit encoding, and the codec that was taken."""
    try:
        text, codec = data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        text, codec = data.decode("latin-1"), "latin-1"
    if _CONTROLS.search(text):
        raise InputError(f"{path}: is not text; choose another file")
    warnings.warn(f"{path}: is not UTF-8; read as {codec}", InputWarning, stacklevel=4)
    return text, codec


def write_text(path: Path, text: str, codec: str = "utf-8") -> None:
    """Put `text` in place of `path`, line ends as they are.

    Raises:
        OSError: As `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode(codec))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on any error nothing is left.

    A link stays, and what it points to is replaced.

    Raises:
        OSError: The folder is missing or not writable, or the disk is full; `path` is as it was.
    """
    given, path = path, Path(os.path.realpath(path))
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:  # which names the temporary file
        raise OSError(error.errno, error.strerror, str(given)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        temporary.chmod(mode & 0o777)
        temporary.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, name):
            raise  # it is of another file
        raise OSError(error.errno, error.strerror, str(given)) from None
    finally:
        temporary.unlink(missing_ok=True)


def cache(room: str) -> Path:
    """The folder of that name where what took long is kept: in SEASIGN_CACHE, else in ~/.cache/seasign."""
    return Path(os.environ.get("SEASIGN_CACHE") or Path.home() / ".cache" / "seasign") / room


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    """The mask of this process, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
