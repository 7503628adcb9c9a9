"""Windows in SQLite, their vectors in a file of float32 beside it: every vector is compared, from the mapped file.

A change is a transaction. Vectors are only ever added behind those that the last one counted, so nothing that is known
is overwritten; when more than half are of windows that have gone, the others move into a new file.
"""

import errno
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from json import dumps, loads
from pathlib import Path
from re import fullmatch
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from seasign import retrieval
from seasign.embedding import compare
from seasign.indexing import EVERYTHING, File, Filters, Match, Video, Window
from seasign.types import Embeddings, InputError

VERSION = 1  # of the tables
PATIENCE = 30.0  # seconds that somebody else may write before it is an error
TABLES = """
    CREATE TABLE IF NOT EXISTS facts (space TEXT, dimensions INT, file INT, stop INT, live INT, changes INT, moved INT);
    CREATE TABLE IF NOT EXISTS videos (name TEXT PRIMARY KEY, signer TEXT, date TEXT, about TEXT);
    CREATE TABLE IF NOT EXISTS windows (
        place INTEGER PRIMARY KEY, video TEXT, start REAL, end REAL, kind TEXT, gloss TEXT, confidence REAL, text TEXT
    );
    CREATE INDEX IF NOT EXISTS by_video ON windows (video, start);
    CREATE INDEX IF NOT EXISTS by_gloss ON windows (gloss);
"""
WINDOW = "start, end, kind, gloss, confidence, text"
IN_ORDER = "video, start, end, kind DESC, place"  # a sign before its sentence


@dataclass(frozen=True)
class Facts:
    """What the index says of itself."""

    space: str
    dimensions: int
    file: int  # the number of the file of vectors
    stop: int  # vectors in it that count
    live: int  # of windows that are there
    changes: int  # that were made so far
    moved: int  # whether another store holds all this


@dataclass(frozen=True)
class Exact:
    """A store in a folder; how much memory it takes does not grow with it."""

    folder: Path
    patience: float = PATIENCE
    places: dict[tuple[int, Filters], Int[np.ndarray, " _"]] = field(default_factory=dict, repr=False, compare=False)
    mapped: dict[Facts, Float32[np.ndarray, "places dimensions"]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def space(self) -> str | None:
        """Of the vectors."""
        with self._reading() as base:
            facts = _facts(base)
            return facts.space if facts else None

    def __len__(self) -> int:
        with self._reading() as base:
            facts = _facts(base)
            return facts.live if facts else 0

    def videos(self, names: Collection[str] | None = None) -> Mapping[str, Video]:
        """Those that are there, or of them those asked for."""
        asked = "SELECT name, signer, date, about FROM videos "
        with self._reading() as base:
            if names is None:
                rows = base.execute(asked + "ORDER BY name").fetchall()
            else:
                rows = [row for name in sorted(names) for row in base.execute(asked + "WHERE name = ?", (name,))]
        return {name: read_video(name, signer, date, about) for name, signer, date, about in rows}

    def windows(self, video: str, start: float = -np.inf, end: float = np.inf) -> tuple[Window, ...]:
        """Those of a video, in order of time."""
        asked = f"SELECT {WINDOW} FROM windows WHERE video = ? AND end > ? AND start < ? ORDER BY {IN_ORDER}"
        with self._reading() as base:
            return tuple(Window(*row) for row in base.execute(asked, (video, start, end)))

    def vectors(self, video: str) -> Float32[np.ndarray, "windows dimensions"]:
        """Those of a video, in order of time."""
        with self._reading() as base:
            facts = _facts(base)
            places = base.execute(f"SELECT place FROM windows WHERE video = ? ORDER BY {IN_ORDER}", (video,)).fetchall()
            if facts is None or not places:
                return np.zeros((0, 0), np.float32)
            return self._mapped(facts)[[place for (place,) in places]]

    def embeddings(self, video: str, space: str) -> Embeddings:
        """The same, with the name of their space."""
        return Embeddings(self.vectors(video), space)

    def search(self, query: Embeddings | None, filters: Filters = EVERYTHING, best: int = 10) -> tuple[Match, ...]:
        """The windows nearest to a query, or all that pass; exact, of equal scores the one that was put in earlier."""
        with self._reading() as base:
            facts = _facts(base)
            if facts is None or not facts.live:
                return ()
            if query is None:
                asked, values = _condition(filters)
                rows = base.execute(
                    f"SELECT video, {WINDOW} FROM windows WHERE {asked} ORDER BY {IN_ORDER} LIMIT ?", (*values, best)
                )
                return tuple(Match(video, Window(*row), np.nan) for video, *row in rows)
            among = Embeddings(self._mapped(facts), facts.space)
            compare(query, Embeddings(among.vectors[:1], among.space))  # refused also where nothing passes
            (hits,) = retrieval.search(query, among, best=best, rows=self._places(base, facts, filters))
            asked = f"SELECT video, {WINDOW} FROM windows WHERE place = ?"
            found = [(base.execute(asked, (hit.row,)).fetchone(), hit.score) for hit in hits]
        return tuple(Match(video, Window(*row), score) for (video, *row), score in found)

    def put(self, video: Video, windows: Sequence[Window], embeddings: Embeddings) -> None:
        """Keep the windows of a video in place of those that it had."""
        vectors = np.ascontiguousarray(embeddings.vectors, np.float32)
        check_rows(video, windows, vectors)
        with self._writing() as base:
            facts = _facts(base)
            if (
                facts is not None
                and windows
                and (facts.space, facts.dimensions)
                != (
                    embeddings.space,
                    vectors.shape[1],
                )
            ):
                raise another_space(str(self.folder), (facts.space, facts.dimensions), embeddings)
            if facts is None:
                if not windows:
                    return
                facts = Facts(embeddings.space, vectors.shape[1], 1, 0, 0, 0, 0)
                base.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(asdict(facts).values()))
            _forget(base, video.name)
            if windows:
                self._append(facts, vectors)
                about = write_about(video)
                base.execute("INSERT INTO videos VALUES (?, ?, ?, ?)", (video.name, video.signer, video.date, about))
                base.executemany(
                    "INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (place, video.name, one.start, one.end, one.kind, one.gloss, one.confidence, one.text)
                        for place, one in enumerate(windows, facts.stop)
                    ),
                )
                base.execute(
                    "UPDATE facts SET stop = stop + ?, live = live + ?, changes = changes + 1",
                    (len(windows), len(windows)),
                )

    def check(self) -> None:
        """Refuse to go on where vectors are not all there."""
        with self._reading() as base:
            facts = _facts(base)
        while facts is not None:
            try:
                self._mapped(facts)
                return
            except InputError:
                before = facts
                with self._reading() as base:
                    facts = _facts(base)
                if facts == before:  # else somebody has moved them into a new file meanwhile
                    raise

    def delete(self, video: str) -> bool:
        """Forget a video."""
        with self._writing() as base:
            return _forget(base, video)

    def tidy(self) -> None:
        """Write the vectors into a new file, when more than half of the old one is of windows that have gone."""
        with self._writing() as base:
            facts = _facts(base)
            if facts is not None and 2 * facts.live < facts.stop:
                places = [place for (place,) in base.execute("SELECT place FROM windows ORDER BY place")]
                moved = Facts(facts.space, facts.dimensions, facts.file + 1, 0, 0, 0, 0)
                self._file(moved).unlink(missing_ok=True)
                for first in range(0, len(places), retrieval.ROWS):
                    some = self._mapped(facts)[places[first : first + retrieval.ROWS]]
                    self._append(Facts(**asdict(moved) | {"stop": first}), some)
                base.executemany("UPDATE windows SET place = ? WHERE place = ?", enumerate(places))
                base.execute("UPDATE facts SET file = ?, stop = ?, changes = changes + 1", (moved.file, len(places)))
        with self._reading() as base:
            facts = _facts(base)
            for file in self.folder.glob("vectors.*.f32"):
                if facts is not None and file.name < self._file(facts).name:
                    file.unlink(missing_ok=True)  # nobody begins to read it any more

    # Moving to another store

    @property
    def moved(self) -> bool:
        """Whether another store holds all that was here."""
        with self._connected() as base:
            facts = _facts(base)
            return facts is not None and bool(facts.moved)

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Let nobody write; when it ends without an error, nobody ever writes here again."""
        with self._writing() as base:
            yield
            base.execute("UPDATE facts SET moved = 1")

    def remove(self) -> None:
        """Take away what it held. That it has moved stays, for those who have it open: else they would begin anew."""
        if (self.folder / "windows.sqlite").exists():
            with self._connected() as base:
                gone = "UPDATE facts SET moved = 1; DELETE FROM windows; DELETE FROM videos"
                base.executescript(f"BEGIN IMMEDIATE; {gone}; COMMIT; VACUUM")
        for file in self.folder.glob("vectors.*.f32"):
            file.unlink(missing_ok=True)

    # Files

    def _file(self, facts: Facts) -> Path:
        return self.folder / f"vectors.{facts.file:06}.f32"

    def _mapped(self, facts: Facts) -> Float32[np.ndarray, "places dimensions"]:
        """All vectors, also of windows that have gone."""
        shape, file = (facts.stop, facts.dimensions), self._file(facts)
        if not facts.stop * facts.dimensions:
            return np.zeros(shape, np.float32)
        try:
            if facts not in self.mapped:  # to map a file anew costs about as much as to read it once more
                self.mapped.clear()
                self.mapped[facts] = np.asarray(np.memmap(file, np.float32, "r", shape=shape))
            return self.mapped[facts]
        except (OSError, ValueError):
            raise InputError(f"{file}: is not there or cut short; index again, into another folder") from None

    def _append(self, facts: Facts, vectors: Float32[np.ndarray, "windows dimensions"]) -> None:
        """Write vectors behind those that count, and wait until the disk has them."""
        file, begin = self._file(facts), 4 * facts.stop * facts.dimensions
        try:
            with open(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as out:
                try:
                    out.seek(begin)
                    out.write(vectors.data.cast("B") if vectors.size else b"")
                    out.flush()
                    os.fsync(out.fileno())
                except OSError:
                    os.ftruncate(out.fileno(), begin)
                    raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.folder)) from None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The tables as they are now, until the end."""
        with self._connected() as base:
            base.execute("BEGIN")
            self._check(base)
            yield base

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The tables for one writer; all changes or, after an error, none."""
        with self._connected() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                self._check(base)
                yield base
                base.execute("COMMIT")
            except BaseException:
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise

    def _check(self, base: sqlite3.Connection) -> None:
        """Refuse what is not here any more."""
        facts = _facts(base)
        if facts is not None and facts.moved:
            raise InputError(f"{self.folder}: has moved to another store meanwhile; run the same command again")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection whose errors are one line."""
        path = self.folder / "windows.sqlite"
        try:
            with closing(sqlite3.connect(path, self.patience, isolation_level=None)) as base:
                base.create_function("fits", 2, lambda gloss, rule: bool(fullmatch(rule, gloss.lower())))
                (version,) = base.execute("PRAGMA user_version").fetchone()
                if not version:
                    base.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT")
                elif version != VERSION:
                    raise InputError(f"{path}: is of version {version}, not {VERSION}: index again")
                yield base
        except sqlite3.Error as error:
            raise _said(error, self.folder) from error

    def _places(self, base: sqlite3.Connection, facts: Facts, filters: Filters) -> Int[np.ndarray, " _"] | None:
        """Where the vectors are of windows that pass; None: all of them."""
        if filters == EVERYTHING and facts.live == facts.stop:
            return None
        key = facts.changes, filters
        if key not in self.places:
            asked, values = _condition(filters)
            rows = base.execute(f"SELECT place FROM windows WHERE {asked} ORDER BY place", values)
            self.places.clear()
            self.places[key] = np.fromiter((place for (place,) in rows), np.int64)
        return self.places[key]


def _facts(base: sqlite3.Connection) -> Facts | None:
    row = base.execute("SELECT * FROM facts").fetchone()
    return Facts(*row) if row else None


def _forget(base: sqlite3.Connection, video: str) -> bool:
    """Take out a video and its windows."""
    gone = base.execute("DELETE FROM windows WHERE video = ?", (video,)).rowcount
    base.execute("DELETE FROM videos WHERE name = ?", (video,))
    base.execute("UPDATE facts SET live = live - ?, changes = changes + 1", (gone,))
    return gone > 0


def _condition(filters: Filters) -> tuple[str, list[Any]]:
    """What windows must be, as SQL, and its values."""
    asked: list[tuple[str, Any]] = [
        ("kind = ?", filters.kind),
        ("gloss IN (SELECT gloss FROM (SELECT DISTINCT gloss FROM windows WHERE gloss IS NOT NULL) WHERE "
         "fits(gloss, ?))", None if filters.gloss is None else filters.gloss_expression),
        ("video IN (SELECT name FROM videos WHERE signer = ?)", filters.signer),
        ("video IN (SELECT name FROM videos WHERE date >= ?)", filters.since),
        ("video IN (SELECT name FROM videos WHERE date <= ?)", filters.until),
        ("confidence >= ?", filters.least),
    ]  # fmt: skip
    given = [(clause, value) for clause, value in asked if value is not None]
    return " AND ".join(clause for clause, _ in given) or "1", [value for _, value in given]


def _said(error: sqlite3.Error, folder: Path) -> Exception:
    """What SQLite found, in one line."""
    words = str(error)
    if "locked" in words:
        return InputError(f"{folder}: somebody else has been writing to this index for long; try again later")
    if "full" in words or "disk I/O" in words:
        number = errno.ENOSPC if "full" in words else errno.EIO
        return OSError(number, os.strerror(number), str(folder))
    if isinstance(error, sqlite3.OperationalError) and ("readonly" in words or "unable to open" in words):
        return OSError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return InputError(f"{folder}: this index is damaged ({words}): index again, into another folder")


# What stores share ---------------------------------------------------------------------------------------------------


def read_video(name: str, signer: str | None, date: str | None, about: str) -> Video:
    """A video as stores write it."""
    said = loads(about)
    return Video(name, signer, date, tuple(File(**file) for file in said["files"]), said["film"], said["made"])


def write_about(video: Video) -> str:
    """All of a video that nobody filters by."""
    return dumps({"files": [asdict(file) for file in video.files], "film": video.film, "made": video.made})


def check_rows(video: Video, windows: Sequence[Window], vectors: Float32[np.ndarray, "rows dimensions"]) -> None:
    """Refuse vectors that are not as many as the windows, or not finite."""
    if len(windows) != len(vectors):
        raise InputError(f"{video.name}: {len(windows)} windows have {len(vectors)} vectors")
    if not np.isfinite(vectors).all():
        raise InputError(f"{video.name}: there are vectors that hold numbers which are not finite: embed again")


def another_space(where: str, own: tuple[str, int], given: Embeddings) -> InputError:
    """What to say of vectors that do not belong into an index."""
    found = f"{given.space!r} ({given.vectors.shape[1]} numbers)"
    return InputError(f"{where}: holds {own[0]!r} ({own[1]} numbers), not {found}: name another folder for the index")
