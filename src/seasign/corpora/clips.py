"""Clips of one sign, or of one phrase, each with what it says, as a CSV lists them; their division is `recordings`'."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seasign.corpora.recordings import Part, find_file, read_part
from seasign.formats import POSES, read_poses
from seasign.formats.disk import sha256
from seasign.formats.tables import read_rows
from seasign.types import InputError, Poses

COLUMNS = ("poses", "text", "signer", "written", "signed", "split")


@dataclass(frozen=True)
class Clip:
    """Poses, and what they say."""

    name: str
    poses: Poses | Path  # a file is read when it is needed
    text: str
    signer: str | None = None  # or the session: what is never in two parts
    tags: tuple[str, str] | None = None  # the languages, written and signed; None: the recipe says
    part: Part | None = None  # of the corpus' own division

    def read(self) -> Poses:
        """The poses."""
        return read_poses(self.poses) if isinstance(self.poses, Path) else self.poses


def read_manifest(path: Path) -> tuple[Clip, ...]:
    """Clips as a table lists them: `poses,text[,signer,written,signed,split]`, files relative to its folder.

    Cells are parted by `,`, `;` or tabs; other columns are passed over. `written` and `signed` are languages, both or
    neither; a `split` is train, valid or test. One file may be there with several texts.

    Raises:
        InputError: It is no such table, or names a file that is not there or of another kind; the message has the line.
    """
    clips = []
    for where, cells in read_rows(path, COLUMNS, ("poses", "text")):
        poses, text = str(cells["poses"]), str(cells["text"])
        if bool(cells["written"]) != bool(cells["signed"]):
            raise InputError(f"{where}: names the language that is written or signed, but not both")
        tags = (cells["written"], cells["signed"]) if cells["written"] and cells["signed"] else None
        file, part = find_file(where, path.parent / poses, POSES), read_part(where, cells["split"])
        clips.append(Clip(f"{poses}: {text}", file, text, cells["signer"], tags, part))
    if not clips:
        raise InputError(f"{path}: lists no clips")
    return tuple(clips)


def digest(clips: Iterable[Clip]) -> str:
    """SHA-256 of all files of clips: of a line with the SHA-256 of each, in the order of their paths."""
    files = sorted({clip.poses for clip in clips if isinstance(clip.poses, Path)})
    return hashlib.sha256("".join(f"{sha256(path)}\n" for path in files).encode()).hexdigest()
