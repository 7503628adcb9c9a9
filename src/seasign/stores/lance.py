"""Windows in a table of LanceDB: many more than fit into memory, several writers, object stores.

Small tables are compared whole, since without its own index Lance is slow; large ones through partitions of vectors in
eight bits, of which the nearest are compared again as they are. How many partitions are looked at is found when they
are made: as many as let 200 of the vectors find 99 % of what comparing every one finds.
"""

import errno
import math
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64
from lancedb.index import BTree, IvfSq

from seasign import retrieval
from seasign.embedding import compare
from seasign.indexing import EVERYTHING, Filters, Match, Video, Window
from seasign.stores.exact import another_space, check_rows, read_video, write_about
from seasign.types import Embeddings, InputError, InputWarning

LARGE = 50_000  # vectors up to which every one is compared
FEW = 20_000  # windows that pass filters, up to which every one of those is
REFINE = 5  # times as many as are wanted are compared again
RECALL, ASKED = 0.99, 200  # how well so many vectors find their neighbours, at least
ROUNDS = 20  # of moving the middles of partitions
STALE = 0.2  # by what share a table grows until partitions are made anew
OLD = timedelta(minutes=10)  # versions older than that go: nobody reads them any more
COLUMNS = ["start", "end", "kind", "gloss", "confidence", "text"]
IN_ORDER = [(name, "ascending") for name in ("video", "start", "end")] + [
    ("kind", "descending"),
    ("number", "ascending"),
]
TABLE = "windows"
KEY = ["video", "number"]
PRIMARY = {"lance-schema:unenforced-primary-key": "true"}  # without it two who insert at once both do


@dataclass(frozen=True)
class Lance:
    """A store in a folder, or at an address of an object store."""

    where: str
    held: dict[int, tuple[Int64[np.ndarray, " rows"], Float32[np.ndarray, "rows dimensions"]]] = field(
        default_factory=dict, repr=False, compare=False
    )  # the vectors of a small table, by its version

    @property
    def space(self) -> str | None:
        """Of the vectors."""
        with self._said():
            table = self._table()
            return None if table is None else _facts(table)["space"]

    def __len__(self) -> int:
        with self._said():
            table = self._table()
            return 0 if table is None else table.count_rows()

    def videos(self, names: Collection[str] | None = None) -> Mapping[str, Video]:
        """Those that are there, or of them those asked for."""
        some = "" if names is None else f" AND video IN ({', '.join(map(_quoted, sorted(names))) or 'NULL'})"
        rows = self._rows("number = 0" + some, ["signer", "date", "about"])
        return {row["video"]: read_video(row["video"], row["signer"], row["date"], row["about"]) for row in rows}

    def windows(self, video: str, start: float = -np.inf, end: float = np.inf) -> tuple[Window, ...]:
        """Those of a video, in order of time."""
        asked = [f"video = {_quoted(video)}"]
        asked += [
            f"{column} {value!r}" for column, value in (('"end" >', start), ("start <", end)) if np.isfinite(value)
        ]
        return tuple(_window(row) for row in self._rows(" AND ".join(asked)))

    def vectors(self, video: str) -> Float32[np.ndarray, "windows dimensions"]:
        """Those of a video, in order of time."""
        rows = self._rows(f"video = {_quoted(video)}", ["vector"])
        return np.array([row["vector"] for row in rows], np.float32).reshape(len(rows), -1 if rows else 0)

    def put(self, video: Video, windows: Sequence[Window], embeddings: Embeddings) -> None:
        """Keep the windows of a video in place of those that it had.

        Of two who put in a new video at once, one finds the rows of the other by their primary key and updates them;
        only `when_not_matched_by_source_delete` reads the whole table, so a new video does without.
        """
        if not windows:
            check_rows(video, windows, embeddings.vectors)
            self.delete(video.name)
            return
        with self._said():
            table, data = self._ready(video, windows, embeddings)
            own = f"video = {_quoted(video.name)}"
            merge = table.merge_insert(KEY).when_matched_update_all().when_not_matched_insert_all()
            if not table.count_rows(own):
                merge.execute(data)
                if self._table().count_rows(own) == len(windows):
                    return  # else the other one has put in more
            merge.when_not_matched_by_source_delete(own).execute(data)

    def add(self, video: Video, windows: Sequence[Window], embeddings: Embeddings) -> None:
        """Keep the windows of a video that is not there, while nobody else writes: it is not looked for."""
        with self._said():
            table, data = self._ready(video, windows, embeddings)
            table.add(data)

    def delete(self, video: str) -> bool:
        """Forget a video."""
        with self._said():
            table, own = self._table(), f"video = {_quoted(video)}"
            if table is None or not table.count_rows(own):
                return False
            table.delete(own)
            return True

    def search(self, query: Embeddings | None, filters: Filters = EVERYTHING, best: int = 10) -> tuple[Match, ...]:
        """The windows nearest to a query, or all that pass; exact in small tables and behind narrow filters."""
        asked = _condition(filters)
        if query is None:
            return tuple(Match(row["video"], _window(row), np.nan) for row in self._rows(asked, best=best))
        with self._said():
            table = self._table()
            if table is None or not (count := table.count_rows()):
                return ()
            facts, dimensions = _facts(table), table.schema.field("vector").type.list_size
            compare(query, Embeddings(np.zeros((1, dimensions), np.float32), facts["space"]))
            passing = table.count_rows(asked) if asked else count
            if not passing:
                return ()
            partitions = int(facts.get("partitions", 0))
            if passing > (FEW if partitions else 4 * LARGE):
                probes = partitions and min(partitions, math.ceil(int(facts["probes"]) * count / passing))
                rows = _probe(table, query.vectors[0], probes, best, asked)
                found = [(row, 1 - row["_distance"]) for row in rows]
            else:
                found = self._compare(table, query, asked if passing < count else None, best)
        return tuple(Match(row["video"], _window(row), float(score)) for row, score in found)

    def tidy(self) -> None:
        """Join small files, and put vectors into partitions, once there are many.

        Warns:
            InputWarning: Even all partitions do not find what comparing every vector finds.
        """
        with self._said():
            table = self._table()
            if table is None:
                return
            table.optimize(cleanup_older_than=OLD)
            count, facts = table.count_rows(), _facts(table)
            if count <= LARGE:
                return
            if count <= (1 + STALE) * int(facts.get("rows", 0)):
                return
            partitions = max(16, round(math.sqrt(count) / 2))
            table.create_index("video", config=BTree(), replace=True)
            table.create_index("vector", config=IvfSq("dot", partitions, ROUNDS), replace=True)
            probes, recall = _probes(table, partitions)
            known = facts | {"partitions": str(partitions), "probes": str(probes), "rows": str(count)}
            table.update_field_metadata({"path": "vector", "metadata": known})
            if recall < RECALL:
                message = f"{self.where}: a search finds {100 * recall:.1f} % of the {10} nearest windows"
                warnings.warn(message, InputWarning, stacklevel=2)

    def _compare(
        self, table: Any, query: Embeddings, asked: str | None, best: int
    ) -> list[tuple[dict[str, Any], float]]:
        """The nearest of those that pass, each compared."""
        count = table.count_rows()
        if count <= LARGE or (asked is None and count <= 4 * LARGE):
            if table.version not in self.held:
                self.held.clear()
                self.held[table.version] = _vectors(table, None, count)
            numbers, vectors = self.held[table.version]
            rows = None
            if asked is not None:
                passing = (
                    table.search().where(asked).with_row_id(True).select(["number"]).to_arrow()["_rowid"].to_numpy()
                )
                rows = np.flatnonzero(np.isin(numbers, passing))
        else:
            numbers, vectors = _vectors(table, asked, table.count_rows(asked))
            rows = None
        (hits,) = retrieval.search(query, Embeddings(vectors, query.space), best=best, rows=rows)
        chosen = [int(numbers[hit.row]) for hit in hits]
        known = table.take_row_ids(chosen).with_row_id().select(["video", "number", *COLUMNS]).to_arrow().to_pylist()
        by_id = {row["_rowid"]: row for row in known}
        return [(by_id[number], hit.score) for number, hit in zip(chosen, hits, strict=True)]

    def _ready(self, video: Video, windows: Sequence[Window], embeddings: Embeddings) -> tuple[Any, pa.Table]:
        """The table, begun where there is none, and the rows that a video is in it."""
        vectors = np.ascontiguousarray(embeddings.vectors, np.float32)
        check_rows(video, windows, vectors)
        data, table = _tabled(video, windows, embeddings.space, vectors), self._table()
        if table is None:
            table = lancedb.connect(self.where).create_table(TABLE, schema=data.schema, exist_ok=True)
        facts, dimensions = _facts(table), table.schema.field("vector").type.list_size
        if (facts["space"], dimensions) != (embeddings.space, vectors.shape[1]):
            raise another_space(self.where, (facts["space"], dimensions), embeddings)
        return table, data

    def _table(self) -> Any:
        """As it is now; None: nothing has been put in."""
        base = lancedb.connect(self.where)
        return base.open_table(TABLE) if TABLE in base.list_tables().tables else None

    def _rows(self, asked: str | None, also: Collection[str] = (), best: int | None = None) -> list[dict[str, Any]]:
        """Those that pass, by video and time, and how many of them."""
        with self._said():
            table = self._table()
            if table is None:
                return []
            scan = table.search().select(["video", "number", *COLUMNS, *also])
            found = (scan.where(asked) if asked else scan).to_arrow().sort_by(IN_ORDER)
            rows: list[dict[str, Any]] = found.slice(0, best).to_pylist()
            return rows

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Errors of the library, which come as several kinds, in one line."""
        try:
            yield
        except (InputError, OSError) as error:
            if isinstance(error, InputError) or error.filename:
                raise
            raise _plain(error, self.where) from error
        except (RuntimeError, ValueError, pa.ArrowException) as error:
            raise _plain(error, self.where) from error


def _plain(error: Exception, where: str) -> Exception:
    """What Lance found, in one line."""
    words = " ".join(str(error).split())
    for number in errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES:
        if os.strerror(number) in words:
            return OSError(number, os.strerror(number), where)
    return InputError(f"{where}: LanceDB cannot do it ({words[:200]})")


def _facts(table: Any) -> dict[str, str]:
    """What the table says of its vectors."""
    return {key.decode(): value.decode() for key, value in (table.schema.field("vector").metadata or {}).items()}


def _tabled(
    video: Video, windows: Sequence[Window], space: str, vectors: Float32[np.ndarray, "rows dimensions"]
) -> pa.Table:
    """A video as rows; the first one says what the video is made of."""
    count, dimensions = vectors.shape
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions)
    columns: dict[str, tuple[pa.DataType, Any]] = {
        "video": (pa.string(), [video.name] * count),
        "number": (pa.int32(), list(range(count))),
        "start": (pa.float64(), [one.start for one in windows]),
        "end": (pa.float64(), [one.end for one in windows]),
        "kind": (pa.string(), [one.kind for one in windows]),
        "gloss": (pa.string(), [one.gloss for one in windows]),
        "confidence": (pa.float64(), [one.confidence for one in windows]),
        "text": (pa.string(), [one.text for one in windows]),
        "signer": (pa.string(), [video.signer] * count),
        "date": (pa.string(), [video.date] * count),
        "about": (pa.string(), [write_about(video), *[""] * (count - 1)]),
    }
    fields = [
        pa.field(name, kind, nullable=name not in KEY, metadata=PRIMARY if name in KEY else None)
        for name, (kind, _) in columns.items()
    ]
    fields.append(pa.field("vector", flat.type, metadata={"space": space}))
    arrays = [pa.array(values, kind) for kind, values in columns.values()]
    return pa.Table.from_arrays([*arrays, flat], schema=pa.schema(fields))


def _condition(filters: Filters) -> str | None:
    """What windows must be, as SQL."""
    gloss = None if filters.gloss is None else f"^(?:{filters.gloss_expression})$"
    asked = [
        ("kind = {}", filters.kind),
        ("regexp_like(lower(gloss), {})", gloss),
        ("signer = {}", filters.signer),
        ("date >= {}", filters.since),
        ("date <= {}", filters.until),
    ]
    clauses = [clause.format(_quoted(value)) for clause, value in asked if value is not None]
    if filters.least is not None:
        clauses.append(f"confidence >= {float(filters.least)!r}")
    return " AND ".join(clauses) or None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _window(row: Mapping[str, Any]) -> Window:
    return Window(*(row[column] for column in COLUMNS))


def _vectors(
    table: Any, asked: str | None, count: int
) -> tuple[Int64[np.ndarray, " rows"], Float32[np.ndarray, "rows dimensions"]]:
    """Row ids and vectors of those that pass, in memory once."""
    scan = table.search().with_row_id(True).select(["vector"])
    numbers = np.zeros(count, np.int64)
    vectors = np.zeros((count, table.schema.field("vector").type.list_size), np.float32)
    first = 0
    for batch in (scan.where(asked) if asked else scan).to_batches():
        stop = first + batch.num_rows
        numbers[first:stop] = batch["_rowid"].to_numpy()
        vectors[first:stop] = batch["vector"].flatten().to_numpy().reshape(batch.num_rows, -1)
        first = stop
    return numbers[:first], vectors[:first]


def _probe(
    table: Any, vector: Float32[np.ndarray, " dimensions"], probes: int, best: int, asked: str | None
) -> list[dict[str, Any]]:
    """The nearest in so many partitions; 0: of all, compared as they are read, so that memory does not grow."""
    scan = table.search(vector, vector_column_name="vector").distance_type("dot")
    scan = scan.nprobes(probes).refine_factor(REFINE) if probes else scan.bypass_vector_index()
    scan = scan.select(["video", "number", *COLUMNS, "_distance"]).limit(best)
    found: list[dict[str, Any]] = (scan.where(asked, prefilter=True) if asked else scan).to_list()
    return found


def _probes(table: Any, partitions: int) -> tuple[int, float]:
    """In how many partitions vectors find their ten nearest, themselves apart, as well as is asked; and how well."""
    count = table.count_rows()
    chosen = np.random.default_rng(0).choice(count, ASKED, replace=False)
    asked = np.array([row["vector"] for row in table.take_offsets(sorted(chosen.tolist())).to_list()], np.float32)
    nearest = np.full((ASKED, 11), -np.inf, np.float32)
    for batch in table.search().select(["vector"]).to_batches():
        scores = asked @ batch["vector"].flatten().to_numpy().reshape(batch.num_rows, -1).T
        nearest = -np.partition(-np.hstack([nearest, scores]), 10, axis=1)[:, :11]
    worst = nearest.min(axis=1) - 1e-4 * np.abs(nearest.min(axis=1))
    probes, recall = max(1, partitions // 32), 0.0
    while True:
        scores = [[1 - row["_distance"] for row in _probe(table, one, probes, 11, None)] for one in asked]
        found = [sum(score >= least for score in own) - 1 for own, least in zip(scores, worst, strict=True)]
        recall = sum(min(10, number) for number in found) / (10 * ASKED)
        if recall >= RECALL or probes >= partitions:
            return probes, recall
        probes = min(partitions, math.ceil(1.5 * probes))
