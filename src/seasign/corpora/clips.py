"""Clips of one sign, or of one phrase, each with what it says, as a CSV lists them, and their division."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seasign.corpora.recordings import Part, divide, find_file, read_part
from seasign.formats import POSES, TABLES, TIERS, read_poses, read_signs
from seasign.formats.disk import sha256
from seasign.formats.tables import read_rows
from seasign.types import InputError, Poses, Sign

COLUMNS = ("poses", "text", "signer", "written", "signed", "split", "signs")


@dataclass(frozen=True)
class Clip:
    """Poses, and what they say."""

    name: str
    poses: Poses | Path  # a file is read when it is needed
    text: str
    signer: str | None = None  # or the session: what is never in two parts
    tags: tuple[str, str] | None = None  # the languages, written and signed; None: the recipe says
    part: Part | None = None  # of the corpus' own division
    signs: Path | None = None  # a file of signs in it, with their glosses

    def read(self) -> Poses:
        """The poses."""
        return read_poses(self.poses) if isinstance(self.poses, Path) else self.poses

    def read_signs(self) -> tuple[Sign, ...]:
        """The signs that have a gloss; none where no file says."""
        return tuple(sign for sign in read_signs(self.signs) if sign.gloss) if self.signs else ()


def read_manifest(path: Path) -> tuple[Clip, ...]:
    """Clips as a table lists them: `poses,text[,signer,written,signed,split,signs]`, files relative to its
    folder.

    Cells are parted by `,`, `;` or tabs; other columns are passed over. `written` and `signed` are languages, both or
    neither; a `split` is train, valid or test; `signs` is a file of signs in seconds of the clip, as `seasign spot
    --words-of` writes it (.csv, .json, or the tier SIGN of an .eaf). One file may be there with several texts.

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
        signs = find_file(where, path.parent / cells["signs"], TABLES | TIERS) if cells["signs"] else None
        clips.append(Clip(f"{poses}: {text}", file, text, cells["signer"], tags, part, signs))
    if not clips:
        raise InputError(f"{path}: lists no clips")
    return tuple(clips)


def divide_named(
    clips: Sequence[Clip],
    valid_signers: Collection[str] = (),
    test_signers: Collection[str] = (),
    *,
    valid: float = 0.1,
    test: float = 0.0,
    seed: int = 0,
) -> dict[Part, tuple[Clip, ...]]:
    """The parts, by the signers in them, if any are named, and else as `recordings.divide`; a signer is in one part.

    Raises:
        InputError: A signer is named for two parts, or has no clip; nothing is valid; as `recordings.divide`.
    """
    if valid_signers or test_signers:
        if both := sorted(set(valid_signers) & set(test_signers)):
            raise InputError(f"[data]: {both[0]} is among valid_signers and test_signers; nobody is in two parts")
        if lacking := sorted({*valid_signers, *test_signers} - {str(clip.signer) for clip in clips}):
            raise InputError(f"[data]: no clip is of the signer {lacking[0]!r}")
        named: dict[str | None, Part] = dict.fromkeys(valid_signers, "valid")
        named |= dict.fromkeys(test_signers, "test")
        clips = [replace(clip, part=named.get(clip.signer, "train")) for clip in clips]
    parts = divide(clips, valid=valid, test=test, seed=seed)
    if not parts["valid"]:
        raise InputError("no clip is in the part valid: there is nothing to measure on")
    return parts


def digest(clips: Iterable[Clip]) -> str:
    """SHA-256 of all files of clips: of a line with the SHA-256 of each, in the order of their paths."""
    files = sorted({path for clip in clips for path in (clip.poses, clip.signs) if isinstance(path, Path)})
    return hashlib.sha256("".join(f"{sha256(path)}\n" for path in files).encode()).hexdigest()
