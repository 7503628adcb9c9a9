"""What the files of a video were when it was indexed, and whether they still are."""

from pathlib import Path

from seasign.formats.disk import sha256
from seasign.indexing import File, Video


def stamp(path: Path, known: File | None = None) -> File:
    """A file as it is; it is hashed, unless size and time are those that are known."""
    status = path.stat()
    if known and (known.size, known.modified) == (status.st_size, status.st_mtime_ns):
        return known
    return File(str(path), status.st_size, status.st_mtime_ns, sha256(path))


def has_changed(video: Video) -> bool:
    """Whether a file that a video was made of is not there any more, or says something else.

    One of another time is hashed, and its new time is not kept: who searches writes nothing, `index` keeps it.
    """
    try:
        return any(stamp(Path(file.path), file).sha256 != file.sha256 for file in video.files)
    except OSError:
        return True


def has_gone(video: Video) -> bool:
    """Whether a file that a video was made of is not there any more."""
    return not all(Path(file.path).exists() for file in video.files)
