"""How fast an index is, how large, and how much of what is nearest it finds.

    python bench/index.py               # 200,000 windows, and an hour
    python bench/index.py 1000000       # so many
    python bench/index.py 200000 FOLDER # leaves the indexes there

Windows are directions of 768 numbers around 5,000 signs, as vectors of SignCLIP lie around theirs: two of one sign have
a cosine of .6 on average. Queries are other windows of the same signs, asked one by one; each store is opened and
measured in a process of its own, so that memory is its own. Recall counts by score against every vector compared.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from results import record

import seasign
from seasign.indexing import EVERYTHING, Filters, VectorIndex, Video, Window
from seasign.stores.exact import Exact
from seasign.types import Embeddings, Sign

SPACE, DIMENSIONS, SIGNS, SPREAD = "bench", 768, 5000, 0.8
HOUR = 7200  # windows: two signs a second
QUERIES = 100
TARGETS = {"exact": "<= 80", "lance": "<= 50"}


def draw(count: int, seed: int) -> Embeddings:
    """Windows of signs, of length 1."""
    signs = np.random.default_rng(0).standard_normal((SIGNS, DIMENSIONS), np.float32)
    rng = np.random.default_rng(seed)
    vectors = signs[rng.integers(0, SIGNS, count)] + SPREAD * rng.standard_normal((count, DIMENSIONS), np.float32)
    return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), SPACE)


def begin(store: str, folder: Path) -> VectorIndex:
    if store == "exact":
        folder.mkdir(exist_ok=True)
        return Exact(folder)
    from seasign.stores.lance import Lance

    return Lance(str(folder))


def build(store: str, folder: Path, count: int) -> None:
    """Put in videos of an hour, then tidy; the seconds of both, without those of drawing the vectors."""
    index, spent = begin(store, folder), 0.0
    for number, first in enumerate(range(0, count, HOUR)):
        own = draw(min(HOUR, count - first), 1 + number)
        windows = [Window(at / 2, at / 2 + 0.4, "sign", f"G{at % 97}", 0.5) for at in range(len(own.vectors))]
        began = time.perf_counter()
        index.put(Video(f"{number}.pose", signer=str(number % 10)), windows, own)
        spent += time.perf_counter() - began
    began = time.perf_counter()
    index.tidy()
    sizes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    report(store, count, {"put, s": spent, "tidy, s": time.perf_counter() - began, "disk, MB": sizes / 1e6})


def ask(store: str, folder: Path, count: int, truth: Path) -> None:
    """Times and recall; the first query, which opens files, is told apart."""
    index, best = begin(store, folder), np.load(truth)
    queries = draw(len(best), 10**6)

    def timed(filters: Filters) -> tuple[list[float], list[float], float]:
        spent, used, found = [], [], 0
        for row, query in enumerate(queries.vectors):
            began, working = time.perf_counter(), time.process_time()
            matches = index.search(Embeddings(query[None], SPACE), filters, 10)
            spent.append(1000 * (time.perf_counter() - began))
            used.append(1000 * (time.process_time() - working))
            found += sum(match.score >= best[row] - 1e-4 for match in matches)
        return spent, used, 100 * found / (10 * len(best))

    spent, used, recall = timed(EVERYTHING)
    narrow, _, _ = timed(Filters(signer="3"))
    report(
        store,
        count,
        {
            "first query, ms": spent[0],
            "p50, ms": float(np.percentile(spent[1:], 50)),
            "p95, ms": float(np.percentile(spent[1:], 95)),
            "p50 of a core, ms": float(np.percentile(used[1:], 50)),
            "recall@10, %": recall,
            "p95 of a tenth by signer, ms": float(np.percentile(narrow[1:], 95)),
            "memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
    )


def report(store: str, count: int, numbers: dict[str, float]) -> None:
    corpus = f"{count:,} windows of {DIMENSIONS} numbers, 2 cores"
    for name, value in numbers.items():
        column, unit = name.rsplit(", ", 1)
        target = {"p95": TARGETS[store], "recall@10": ">= 98", "memory": "<= 2000"}.get(column, "")
        record(f"{store}: {column}", value, unit, target if count == 200_000 else "", corpus)


def find_truth(folder: Path, count: int) -> Path:
    """The tenth best score of every query, by comparing every vector."""
    queries, best = draw(QUERIES, 10**6).vectors, np.full((QUERIES, 10), -np.inf, np.float32)
    for number, first in enumerate(range(0, count, HOUR)):
        scores = queries @ draw(min(HOUR, count - first), 1 + number).vectors.T
        best = -np.partition(-np.hstack([best, scores]), 9, axis=1)[:, :10]
    np.save(folder / "truth.npy", best.min(axis=1))
    return folder / "truth.npy"


def hour(folder: Path) -> None:
    """An hour of embedded windows: from the .npz of `embed-signs` into an index, as the command does it; then asked."""
    signs = [Sign(at / 2, at / 2 + (0.3 if at % 6 == 5 else 0.5), f"G{at % 97}") for at in range(HOUR)]  # bouts of six
    seasign.write(folder / "hour.npz", draw(HOUR, 1), of=signs)

    def measure(what: Callable[[], object], times: int) -> list[float]:
        spent = []
        for _ in range(times):
            began = time.perf_counter()
            what()
            spent.append(time.perf_counter() - began)
        return spent

    command = [sys.executable, "-m", "seasign", "index", folder / "hour.npz", "--out", folder / "hour"]
    (whole,) = measure(lambda: subprocess.run([*command, "--quiet"], check=True), 1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    corpus = f"an hour of embedded windows, {DIMENSIONS} numbers"
    record("the whole command, exact: time", whole, "s", "<= 2", corpus)
    record("the whole command, exact: of a core", used.ru_utime + used.ru_stime, "s", corpus=corpus)
    index, query = seasign.open_index(folder / "hour"), draw(QUERIES, 10**6).vectors
    asked = iter(query)
    spent = measure(lambda: index.search(Embeddings(next(asked)[None], SPACE)), QUERIES)
    record("a query, exact: p95", 1000 * float(np.percentile(spent, 95)), "ms", "<= 50", corpus)


def main(count: int, folder: Path) -> None:
    if count == 200_000:
        hour(folder)
    truth = find_truth(folder, count)
    for store in TARGETS:
        for part in "build", "ask":
            given = json.dumps([part, store, str(folder / store), count, str(truth)])
            subprocess.run([sys.executable, __file__, "--part", given], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        part, store, where, count, truth = json.loads(sys.argv[2])
        if part == "build":
            build(store, Path(where), count)
        else:
            ask(store, Path(where), count, Path(truth))
    else:
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
        if len(sys.argv) > 2:
            main(count, Path(sys.argv[2]))
        else:
            with tempfile.TemporaryDirectory() as folder:
                main(count, Path(folder))
