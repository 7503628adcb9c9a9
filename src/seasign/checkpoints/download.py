"""An address -> a file: it goes on where it stopped, is checked against what is known of it, and lands whole."""

import hashlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from seasign.formats.disk import write_text
from seasign.types import InputError

CHUNK = 1 << 20


def download(address: str, path: Path, progress: Callable[[int, int | None], None] = lambda done, total: None) -> None:
    """Fetch a file. What is there of it, in `PATH.partial`, is not fetched again while the server's copy is the same.

    A server says so by an ETag or a date, which lie in `PATH.partial.json`; one that gives neither, or answers with
    the whole file, begins anew.

    Args:
        progress: Called with the bytes that are there and those that there will be (None: the server does not say).
    Raises:
        InputError: The address is none, the server refuses or cannot be reached, or the body ends too early. What came
            is kept for the next time.
    """
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{address}: not an address that begins with http:// or https://; a file is for convert")
    partial, about = path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.partial.json")
    there, same = _what_is_there(address, partial, about)
    headers = {"User-Agent": "seasign"} | ({"Range": f"bytes={there}-", "If-Range": same} if there else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as response:
            goes_on = response.status == 206 and _begins_at(response.headers.get("Content-Range", "")) == there
            if response.status == 206 and not goes_on:
                raise InputError(f"{address}: the server sent another part than was asked for; remove {partial}")
            there = there if goes_on else 0
            length = response.headers.get("Content-Length")
            total = there + int(length) if length and length.isdecimal() else None
            tag = response.headers.get("ETag", "")
            same = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
            with partial.open("ab" if goes_on else "wb") as file:
                write_text(about, json.dumps({"address": address, "same": same}))
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    there += len(chunk)
                    progress(there, total)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and there:  # there is no more of it than what is there
            partial.unlink()
            return download(address, path, progress)
        raise InputError(f"{address}: the server answers {error.code} {error.reason}; {_REMEDY}") from None
    except (http.client.HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise InputError(f"{address}: cannot be reached or broke off ({reason}); try again, or {_REMEDY}") from None
    if total is not None and there != total:
        raise InputError(f"{address}: broke off after {there} of {total} bytes; the same command goes on from there")
    partial.replace(path)
    about.unlink(missing_ok=True)


_REMEDY = "fetch the file by other means and give it to `seasign checkpoints convert`"


def _what_is_there(address: str, partial: Path, about: Path) -> tuple[int, str]:
    """Bytes of an earlier try that are worth keeping, and what tells whether the server's copy is still the same."""
    try:
        known = json.loads(about.read_text())
        same = str(known["same"]) if known["address"] == address else ""
        there = partial.stat().st_size if same else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    return there, same


def _begins_at(content_range: str) -> int | None:
    """The first byte of `bytes 100-199/200`."""
    first = content_range.removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else None


def git_blob(path: Path) -> str:
    """The name that git gives to the content of a file: SHA-1 over a header with its length, and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
