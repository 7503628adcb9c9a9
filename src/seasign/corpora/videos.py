"""Videos and what lies beside them, as a CSV or a folder lists them: poses, embeddings, signs, subtitles."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from seasign.corpora.recordings import find_file
from seasign.formats import EMBEDDINGS, POSES, SUBTITLES, TABLES, TIERS, VIDEOS
from seasign.formats.npz import holds_embeddings
from seasign.formats.tables import read_rows
from seasign.types import InputError

COLUMNS = ("video", "poses", "embeddings", "signs", "subtitles", "signer", "date", "gloss")
BETTER = ("", ".signs", ".aligned")  # before a suffix; what was aligned goes before what was delivered
KINDS = {
    "video": dict.fromkeys(VIDEOS, ""),
    "poses": POSES,
    "embeddings": EMBEDDINGS,
    "signs": TIERS | TABLES,
    "subtitles": SUBTITLES | TIERS,
}


@dataclass(frozen=True)
class Listed:
    """One video, by what there is of it."""

    name: str  # which no other has: the file that says most of the signer, as it is listed
    video: Path | None = None
    poses: Path | None = None
    embeddings: Path | None = None  # of its signs
    signs: Path | None = None  # .eaf, .csv or .json
    subtitles: Path | None = None
    signer: str | None = None
    date: str | None = None  # YYYY-MM-DD
    gloss: str | None = None  # of an isolated sign


def read_manifest(path: Path) -> tuple[Listed, ...]:
    """Videos as a table lists them: `video,poses,embeddings,signs,subtitles,signer,date,gloss`.

    Files are relative to its folder; of the first four one is enough. Cells are parted by `,`, `;` or tabs; other
    columns are passed over.

    Raises:
        InputError: It is no such table, names a file that is not there or of another kind, a date that is none, or a
            video twice; the message has the line.
    """
    listed: dict[str, Listed] = {}
    for where, cells in read_rows(path, COLUMNS, ()):
        files = {kind: _file(where, path.parent, cells[kind], KINDS[kind]) for kind in KINDS}
        name = next((str(cells[kind]) for kind in ("poses", "embeddings", "video", "signs") if cells[kind]), None)
        if name is None:
            raise InputError(f"{where}: names no video, poses, embeddings or signs; take the line out or add one")
        if name in listed:
            raise InputError(f"{where}: {name} is there twice; keep one")
        listed[name] = Listed(
            name, **files, signer=cells["signer"], date=check_date(where, cells["date"]), gloss=cells["gloss"]
        )
    if not listed:
        raise InputError(f"{path}: lists no videos")
    return tuple(listed.values())


def read_folder(path: Path) -> tuple[Listed, ...]:
    """Videos as a folder holds them: files of one name, but for their suffix, are of one video.

    `news.signs.eaf` and `news.aligned.vtt` are of `news`, and go before `news.eaf` and `news.vtt`. The name of the
    folder in `path` in which a file lies is its signer; right in `path` none is known.

    Raises:
        InputError: There are none, or two files of one kind for one video.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; it should hold videos, poses, or embeddings of signs")
    visible = (
        file
        for file in sorted(path.rglob("*"))
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    listed = _gather(path, visible)
    if not listed:
        raise InputError(f"{path}: holds no videos, poses ({' '.join(POSES)}) or annotations ({' '.join(TIERS)})")
    return listed


def read_one(path: Path) -> Listed:
    """The video that a file is of, with what lies beside it under the same name; no other file is looked at.

    Raises:
        InputError: There are two files of one kind for it.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    own = _stem(path)[0]
    (one,) = _gather(path.parent, (file for file in sorted(path.parent.iterdir()) if _stem(file)[0] == own))
    return one


def _stem(path: Path) -> tuple[Path, int]:
    """What the files of one video have in common, and how good a file is among those of its kind."""
    rank = next((rank for rank, inner in enumerate(BETTER) if inner and path.stem.endswith(inner)), 0)
    return path.with_name(path.stem.removesuffix(BETTER[rank])), rank


def _gather(folder: Path, files: Iterable[Path]) -> tuple[Listed, ...]:
    """Videos, of files that are in a folder."""
    groups: dict[Path, dict[str, dict[int, Path]]] = defaultdict(lambda: defaultdict(dict))
    for file in files:
        suffix = file.suffix.lower()
        kind = next((kind for kind, suffixes in KINDS.items() if suffix in suffixes), None)
        if kind is None or not file.is_file():
            continue
        if suffix in EMBEDDINGS and holds_embeddings(file):
            kind = "embeddings"
        stem, rank = _stem(file)
        there = groups[stem][kind]
        if rank in there and kind != "video":
            raise InputError(f"{file}: is of the same video as {there[rank].name}; keep one of them")
        there.setdefault(rank, file)
    listed = []
    for kinds in groups.values():
        best = {kind: ranked[max(ranked)] for kind, ranked in kinds.items()}
        leading = next((best[kind] for kind in ("poses", "embeddings", "video") if kind in best), None)
        if leading is None and best.get("signs", folder).suffix.lower() in TIERS:
            leading = best["signs"]
        if leading is not None:
            inner = leading.relative_to(folder)
            signer = inner.parts[0] if len(inner.parts) > 1 else None
            video, poses, embeddings, signs, subtitles = map(best.get, KINDS)
            listed.append(Listed(inner.as_posix(), video, poses, embeddings, signs, subtitles, signer))
    return tuple(listed)


def check_date(where: str, text: str | None) -> str | None:
    """A day, if one is given.

    Raises:
        InputError: It is none.
    """
    try:
        return text and date.fromisoformat(text).isoformat()
    except ValueError:
        raise InputError(f"{where}: {text!r} is no day; write 2026-11-21") from None


def _file(where: str, folder: Path, name: str | None, kinds: dict[str, str]) -> Path | None:
    if name is None:
        return None
    if not Path(name).suffix:
        raise InputError(
            f"{where}: {name!r} names no file; write it with its suffix, such as {name}{next(iter(kinds))}"
        )
    return find_file(where, folder / name, kinds)
