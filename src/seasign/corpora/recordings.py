"""Poses and the signs in them, as a CSV or a folder lists them, and their division into parts that share nobody."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, get_args, runtime_checkable

import numpy as np

from seasign.formats import POSES, TABLES, TIERS
from seasign.formats.tables import read_rows
from seasign.types import InputError

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
COLUMNS = ("poses", "signs", "signer", "split", "gloss")


@dataclass(frozen=True)
class Recording:
    """One file of poses, and what is known of it."""

    name: str  # the file of poses, as it is listed
    poses: Path
    signs: Path | None = None  # an .eaf, .csv or .json; None: a clip of one isolated sign
    signer: str | None = None
    part: Part | None = None  # of the corpus' own division
    gloss: str | None = None  # of an isolated sign


def read_manifest(path: Path) -> tuple[Recording, ...]:
    """Recordings as a table lists them: `poses[,signs,signer,split,gloss]`, files relative to its folder.

    Cells are parted by `,`, `;` or tabs; other columns are passed over. A `split` is train, valid or test.

    Raises:
        InputError: It is no such table, names a file that is not there or of another kind, or one twice; the message
            has the line.
    """
    recordings: list[Recording] = []
    for where, cells in read_rows(path, COLUMNS, ("poses",)):
        poses = find_file(where, path.parent / str(cells["poses"]), POSES)
        signs = cells["signs"] and find_file(where, path.parent / cells["signs"], TIERS | TABLES)
        part = read_part(where, cells["split"])
        recordings.append(Recording(str(cells["poses"]), poses, signs or None, cells["signer"], part, cells["gloss"]))
    return _distinct(path, recordings)


def read_folder(path: Path) -> tuple[Recording, ...]:
    """Recordings as a folder holds them: poses, and signs under the same name with another suffix.

    The name of the folder in `path` in which a file lies is its signer; right in `path` none is known. Poses without
    signs are isolated signs, whose gloss is the name.

    Raises:
        InputError: There are no poses, or two files of signs or of poses of one name.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; it should hold poses ({' '.join(POSES)}) and their signs")
    recordings = []
    for poses in sorted(file for file in path.rglob("*") if file.suffix.lower() in POSES):
        partners = [poses.with_suffix(suffix) for suffix in TIERS | TABLES if poses.with_suffix(suffix).is_file()]
        if len(partners) > 1:
            raise InputError(f"{poses}: has two files of signs, {partners[0].name} and {partners[1].name}; keep one")
        inner = poses.relative_to(path)
        signer = inner.parts[0] if len(inner.parts) > 1 else None
        signs = partners[0] if partners else None
        recordings.append(
            Recording(inner.as_posix(), poses, signs, signer, gloss=None if partners else poses.stem.upper())
        )
    return _distinct(path, recordings)


@runtime_checkable
class Member(Protocol):
    """What can be divided."""

    @property
    def name(self) -> str:
        """Which no other has."""

    @property
    def signer(self) -> str | None:
        """Who signs, or in which session."""

    @property
    def part(self) -> Part | None:
        """Of the corpus' own division."""


Listed = TypeVar("Listed", bound=Member)


def divide(
    recordings: Sequence[Listed],
    by: Literal["signer", "file"] | None = None,
    *,
    valid: float = 0.1,
    test: float = 0.0,
    seed: int = 0,
) -> dict[Part, tuple[Listed, ...]]:
    """Divide recordings into parts, so that no signer, or no file, is in two of them.

    Where the recordings name their parts, those hold. Otherwise signers (or files) are drawn one by one, into the
    test and the valid part until these have their shares of the recordings, and train gets the rest.

    Args:
        by: What the recipe says; None: by signer, where it has no key for that.
    Raises:
        InputError: Somebody is in two parts, a signer is not known, some recordings name a part and others do not, or
            there are too few signers for the parts.
    """
    named = [recording for recording in recordings if recording.part is not None]
    if named and len(named) < len(recordings):
        lacking = next(recording for recording in recordings if recording.part is None)
        raise InputError(f"{lacking.name}: names no split where others do; name one for all recordings or for none")
    for part, share in ("train", 1.0), ("valid", valid):
        if named and share and not any(recording.part == part for recording in named):
            raise InputError(f"no recording is in the part {part}: name it in the column `split`")
    by, or_file = by or "signer", ', or divide by "file"' if by == "signer" else ""
    groups: dict[str, list[Listed]] = {}
    for recording in recordings:
        if by == "signer" and recording.signer is None:
            raise InputError(f"{recording.name}: its signer is not known; add a column `signer`{or_file}")
        groups.setdefault(str(recording.signer if by == "signer" else recording.name), []).append(recording)
    parts: dict[Part, list[Listed]] = {part: [] for part in PARTS}
    if named:
        for group, members in groups.items():
            if len({member.part for member in members}) > 1:
                one, other = members[0], next(member for member in members if member.part != members[0].part)
                raise InputError(
                    f"{by} {group} is in two parts: {one.name} in {one.part}, {other.name} in {other.part}; what is "
                    "measured on someone who was learned from says nothing: change the column `split`"
                )
            for member in members:
                parts[member.part or "train"].append(member)
    else:
        wanted: list[tuple[Part, float]] = [("test", test), ("valid", valid)]
        wanted = [(part, share) for part, share in wanted if share]
        if len(groups) <= len(wanted):
            raise InputError(
                f"{len(groups)} {by}s for the parts train, {', '.join(part for part, _ in wanted)}; "
                + ("add recordings" if by == "file" else f"add signers{or_file}")
            )
        drawn = _drawn(groups, seed)
        for number, (part, share) in enumerate(wanted, start=1):
            enough, left = max(1, round(share * len(recordings))), len(wanted) - number + 1
            while len(parts[part]) < enough and len(groups) > left:  # somebody for every part that comes, and for train
                parts[part] += groups.pop(next(drawn))
        parts["train"] = [recording for members in groups.values() for recording in members]
    return {part: tuple(members) for part, members in parts.items()}


def _drawn(groups: dict[str, list[Listed]], seed: int) -> Iterator[str]:
    """The groups in an order that the seed decides."""
    names = sorted(groups)
    return iter([names[number] for number in np.random.default_rng(seed).permutation(len(names))])


def read_part(where: str, name: str | None) -> Part | None:
    """The part of that name, if there is a name."""
    if name not in (None, *PARTS):
        raise InputError(f"{where}: split: expected {', '.join(PARTS)} or nothing, found {name!r}")
    return next((part for part in PARTS if part == name), None)


def find_file(where: str, path: Path, kinds: dict[str, str]) -> Path:
    """The path, if it is a file of one of the kinds."""
    if path.suffix.lower() not in kinds:
        raise InputError(f"{where}: {path.name}: expected a file named {' '.join(f'*{kind}' for kind in kinds)}")
    if not path.is_file():
        raise InputError(f"{where}: there is no file {path}")
    return path


def _distinct(path: Path, recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """The recordings, if there are any and none is there twice."""
    if not recordings:
        raise InputError(f"{path}: lists no poses ({' '.join(POSES)})")
    seen: dict[Path, str] = {}
    for recording in recordings:
        before = seen.setdefault(recording.poses.resolve(), recording.name)
        if before is not recording.name:
            raise InputError(f"{path}: {recording.name}: is there twice; keep one")
    return tuple(recordings)
