"""Indexes: whatever is put in, replaced and taken out, a search finds what comparing everything finds."""

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seasign import stores
from seasign.indexing import EVERYTHING, File, Filters, Match, VectorIndex, Video, Window
from seasign.stores import open_index, settle
from seasign.stores.exact import Exact, Facts
from seasign.types import Embeddings, InputError, InputWarning

SPACE, DIMENSIONS = "planted", 6
NEEDS_LANCE = pytest.mark.skipif(not find_spec("lancedb"), reason="needs lancedb")
KINDS = ["exact", pytest.param("lance", marks=[NEEDS_LANCE, pytest.mark.slow])]  # which takes seconds to import
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lance.*")


def begun(kind, folder):
    """A store of that kind, empty."""
    if kind == "exact":
        Path(folder).mkdir(exist_ok=True)
        return Exact(Path(folder), patience=0.1)
    from seasign.stores.lance import Lance

    return Lance(str(folder))


def drawn(seed, count):
    """Windows and their vectors; no two scores are equal."""
    rng = np.random.default_rng(seed)
    windows = []
    for _ in range(count):
        start = round(float(rng.uniform(0, 60)), 2)
        gloss = str(rng.choice(["HOUSE", "HOUSE-BUILD", "Rain", "it's", "50%", ""])) or None
        known = (gloss, round(float(rng.random()), 2) if rng.random() < 0.8 else None)
        sign = rng.random() < 0.7
        windows.append(
            Window(start, start + 1, "sign" if sign else "sentence", *(known if sign else (None, None)), "Rain.")
        )
    return windows, Embeddings(rng.standard_normal((count, DIMENSIONS)).astype(np.float32), SPACE)


def query(seed=99):
    return Embeddings(np.random.default_rng(seed).standard_normal((1, DIMENSIONS)).astype(np.float32), SPACE)


def passes(video, window, asked):
    """Whether a window is one of those that are asked for, as plainly as it can be said."""
    return (
        asked.kind in (None, window.kind)
        and (
            asked.gloss is None or (window.gloss is not None and fnmatchcase(window.gloss.lower(), asked.gloss.lower()))
        )
        and asked.signer in (None, video.signer)
        and (asked.since is None or (video.date is not None and video.date >= asked.since))
        and (asked.until is None or (video.date is not None and video.date <= asked.until))
        and (asked.least is None or (window.confidence is not None and window.confidence >= asked.least))
    )


def by_force(held, asked, best):
    """Every vector compared, in a dict of what should be there."""
    (own,) = query().vectors
    found = [
        Match(video.name, window, float(vector @ own))
        for video, windows, embeddings in held.values()
        for window, vector in zip(windows, embeddings.vectors, strict=True)
        if passes(video, window, asked)
    ]
    return sorted(found, key=lambda match: -match.score)[:best]


def same(found, expected):
    assert [(match.video, match.window) for match in found] == [(match.video, match.window) for match in expected]
    assert [match.score for match in found] == pytest.approx([match.score for match in expected], abs=1e-5)


NAMES = st.sampled_from(["a.pose", "b'c.pose", "d/e.pose", 'f"%.pose'])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(0, 12), st.integers(0, 999)),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("tidy")),
    ),
    max_size=10,
)
ASKED = st.builds(
    Filters,
    kind=st.sampled_from([None, None, "sign", "sentence"]),
    gloss=st.sampled_from([None, None, None, "", "house*", "RAIN", "?t's", "50%", "*"]),
    signer=st.sampled_from([None, None, None, "Ada", "O'Neil"]),
    since=st.sampled_from([None, None, "2020-06-01"]),
    until=st.sampled_from([None, None, "2020-06-01"]),
    least=st.sampled_from([None, None, 0.5]),
)


def about(name, seed):
    date = [None, "2020-05-31", "2020-06-01", "2021-01-01"][seed % 4]
    return Video(name, [None, "Ada", "O'Neil"][seed % 3], date, (File(f"/data/{name}", 1, 2, "3"),), None, "by hand")


def check_against_force(kind, steps, asked, best):
    with tempfile.TemporaryDirectory() as folder:
        index, held = begun(kind, folder), {}
        assert isinstance(index, VectorIndex)
        for step, *what in steps:
            if step == "put":
                name, count, seed = what
                held.pop(name, None)
                given = about(name, seed), *drawn(1000 * ord(name[0]) + seed, count)
                index.put(*given)
                if count:
                    held[name] = given
            elif step == "delete":
                assert index.delete(what[0]) == (held.pop(what[0], None) is not None)
            else:
                index.tidy()
        assert len(index) == sum(len(windows) for _, windows, _ in held.values())
        assert index.videos() == {name: video for name, (video, _, _) in held.items()}
        assert index.videos(["a.pose", "b'c.pose"]).keys() == {"a.pose", "b'c.pose"} & held.keys()
        assert index.videos([]) == {}
        for one in (asked, EVERYTHING):
            same(index.search(query(), one, best), by_force(held, one, best))
        passing = {(match.video, match.window) for match in by_force(held, asked, None)}
        assert {(match.video, match.window) for match in index.search(None, asked, 99)} == passing
        for name, (_, windows, embeddings) in held.items():
            order = sorted(range(len(windows)), key=lambda i: (windows[i].start, windows[i].end))
            assert [one.start for one in index.windows(name)] == [windows[i].start for i in order]
            assert set(index.windows(name, 10, 20)) == {one for one in windows if one.end > 10 and one.start < 20}
            if len({one.start for one in windows}) == len(windows):
                assert np.array_equal(index.vectors(name), embeddings.vectors[order])


@given(STEPS, ASKED, st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_search_finds_what_comparing_everything_finds(steps, asked, best):
    check_against_force("exact", steps, asked, best)


@NEEDS_LANCE
@pytest.mark.slow
@given(STEPS, ASKED, st.integers(1, 6))
@settings(deadline=None, max_examples=8)
def test_lance_finds_what_comparing_everything_finds(steps, asked, best):
    check_against_force("lance", steps, asked, best)


@NEEDS_LANCE
@pytest.mark.slow
def test_partitions_find_nearly_all_and_filters_stay_exact(tmp_path, monkeypatch):
    from seasign.stores import lance

    monkeypatch.setattr(lance, "LARGE", 2000)
    monkeypatch.setattr(lance, "FEW", 200)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((300, 32))
    index, exact = begun("lance", tmp_path / "lance"), begun("exact", tmp_path / "exact")
    for number in range(10):
        vectors = centres[rng.integers(0, 300, 400)] + 0.8 * rng.standard_normal((400, 32))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        windows = [Window(at, at + 1.0, "sign", f"G{at % 7}", at / 400) for at in range(400)]
        for store in (index, exact):
            store.put(Video(f"{number}.pose", signer=str(number % 2)), windows, Embeddings(vectors, SPACE))
    index.tidy()
    assert index._table().list_indices()
    asked = centres[:50] + 0.8 * rng.standard_normal((50, 32))
    for filters, least in (EVERYTHING, 0.98), (Filters(signer="1"), 0.97), (Filters(gloss="G3", least=0.9), 1.0):
        shared = 0
        for one in asked.astype(np.float32):
            own, true = (store.search(Embeddings(one[None], SPACE), filters) for store in (index, exact))
            shared += len({(m.video, m.window) for m in own} & {(m.video, m.window) for m in true})
            kept = {(m.video, m.window.start): m.score for m in true}
            for match in own:
                assert match.score == pytest.approx(kept.get((match.video, match.window.start), match.score), abs=1e-4)
        assert shared / (10 * len(asked)) >= least, (filters, shared)
    with monkeypatch.context() as patch:
        patch.setattr(lance, "_probes", None)
        index.tidy()  # makes nothing anew
    for name in "abc":  # it grows by more than a fifth
        index.put(Video(name), windows, Embeddings(vectors, SPACE))
    index.tidy()
    assert lance._facts(index._table())["rows"] == "5200"
    index.delete("3.pose")
    assert "3.pose" not in {
        match.video for match in index.search(Embeddings(asked[:1].astype(np.float32), SPACE), best=99)
    }


@NEEDS_LANCE
@pytest.mark.slow
def test_a_large_table_without_partitions_is_exact_and_not_held_in_memory(tmp_path, monkeypatch):
    from seasign.stores import lance

    index, held = begun("lance", tmp_path), {}
    for number in range(3):
        held[number] = about(f"{number}.pose", number), *drawn(number, 40)
        index.put(*held[number])
    monkeypatch.setattr(lance, "LARGE", 5)
    monkeypatch.setattr(lance, "_vectors", None)
    for asked in EVERYTHING, Filters(kind="sign"):
        same(index.search(query(), asked, 30), by_force(held, asked, 30))


@NEEDS_LANCE
@pytest.mark.slow
def test_an_index_that_grows_large_moves_and_holds_the_same(tmp_path, monkeypatch):
    index = open_index(tmp_path / "index", create=True)
    held = {}
    for number in range(3):
        held[f"{number}.pose"] = about(f"{number}.pose", number), *drawn(number, 9)
        index.put(*held[f"{number}.pose"])
    assert isinstance(settle(tmp_path / "index"), Exact)
    monkeypatch.setattr(stores, "LARGE", 20)
    (tmp_path / "index" / "lance").mkdir()  # of a move that was stopped
    (tmp_path / "index" / "lance" / "rest").write_text("")
    moved = settle(tmp_path / "index")
    assert type(moved).__name__ == "Lance"
    assert sorted(file.name for file in (tmp_path / "index").iterdir()) == ["index.json", "lance", "windows.sqlite"]
    with pytest.raises(InputError, match="has moved to another store meanwhile"):
        index.put(about("late.pose", 0), *drawn(7, 9))  # by somebody who had it open all along
    again = settle(tmp_path / "index")
    assert again.videos() == {name: video for name, (video, _, _) in held.items()}
    same(again.search(query(), best=30), by_force(held, EVERYTHING, 30))


@NEEDS_LANCE
@pytest.mark.slow
@pytest.mark.parametrize("declared", [False, True])
def test_a_move_that_is_stopped_at_its_end_loses_nobody_who_waits_to_write(tmp_path, monkeypatch, declared):
    def stopped(folder, store):
        if declared:
            declare(folder, store)
        raise KeyboardInterrupt

    index = open_index(tmp_path / "index", create=True)
    held = {"a.pose": (about("a.pose", 0), *drawn(0, 9))}
    index.put(*held["a.pose"])
    declare = stores._declare
    monkeypatch.setattr(stores, "LARGE", 5)
    monkeypatch.setattr(stores, "_declare", stopped)
    with pytest.raises(KeyboardInterrupt):
        settle(tmp_path / "index")
    with pytest.raises(InputError, match="has moved to another store meanwhile"):
        index.put(about("late.pose", 0), *drawn(7, 9))
    monkeypatch.setattr(stores, "_declare", declare)
    held["late.pose"] = about("late.pose", 0), *drawn(7, 9)
    open_index(tmp_path / "index", create=True).put(*held["late.pose"])
    assert json.loads((tmp_path / "index" / "index.json").read_text())["store"] == "lance"
    same(settle(tmp_path / "index").search(query(), best=30), by_force(held, EVERYTHING, 30))


def test_without_lancedb_a_large_index_stays_and_says_so(tmp_path, monkeypatch):
    index = open_index(tmp_path / "index", create=True)
    index.put(about("a.pose", 0), *drawn(0, 9))
    monkeypatch.setattr(stores, "LARGE", 5)
    monkeypatch.setattr(stores, "find_spec", lambda name: None)
    with pytest.warns(InputWarning, match=r'9 windows are searched slowly; once pip install "seasign\[search\]"'):
        assert isinstance(settle(tmp_path / "index"), Exact)
    with pytest.raises(InputError, match="needs lancedb"):
        open_index("s3://bucket/signs")


def test_who_writes_after_a_move_is_told(tmp_path):
    index = begun("exact", tmp_path)
    index.put(about("a.pose", 0), *drawn(0, 3))
    with index.moving():
        pass
    for _ in range(2):
        with pytest.raises(InputError, match="has moved to another store meanwhile"):
            index.put(about("b.pose", 0), *drawn(0, 3))
        with pytest.raises(InputError, match="has moved to another store meanwhile"):
            index.search(query())
        index.remove()
    assert [file.name for file in tmp_path.iterdir()] == ["windows.sqlite"]
    with pytest.raises(ValueError, match="by itself"), begun("exact", tmp_path / "b").moving():
        raise ValueError("by itself")


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_belong_is_refused_and_nothing_changes(kind, tmp_path):
    index = begun(kind, tmp_path / "index")
    assert (index.space, len(index), dict(index.videos()), index.search(query())) == (None, 0, {}, ())
    index.put(about("a.pose", 0), *drawn(0, 5))
    windows, embeddings = drawn(1, 5)
    for wrong, said in (
        (replace(embeddings, space="other"), "holds 'planted' .6 numbers., not 'other'"),
        (Embeddings(embeddings.vectors[:, :3], SPACE), "not 'planted' .3 numbers."),
        (Embeddings(embeddings.vectors[:3], SPACE), "5 windows have 3 vectors"),
        (Embeddings(embeddings.vectors * np.float32(np.nan), SPACE), "not finite"),
    ):
        with pytest.raises(InputError, match=said):
            index.put(about("a.pose", 1), windows, wrong)
    with pytest.raises(InputError, match="cannot compare 'other' with 'planted'"):
        index.search(replace(query(), space="other"), Filters(signer="nobody"))
    same(index.search(query(), best=9), by_force({0: (about("a.pose", 0), *drawn(0, 5))}, EVERYTHING, 9))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is damaged; it should say 'seasign-index/1'"),
        ("[]", "is damaged"),
        (
            json.dumps({"schema": "seasign-index/9", "store": "exact"}),
            "is 'seasign-index/9' by 'exact', and this seasign",
        ),
        (json.dumps({"schema": "seasign-index/1", "store": "tape"}), "by 'tape'"),
    ],
)
def test_another_version_is_refused(tmp_path, content, said):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(InputError, match=said):
        open_index(tmp_path)


def test_other_folders_are_not_taken(tmp_path):
    with pytest.raises(InputError, match="there is no such index; make one: seasign index FOLDER --out"):
        open_index(tmp_path / "none")
    with pytest.raises(InputError, match=r"there is no folder .*none; make it first"):
        open_index(tmp_path / "none" / "index", create=True)
    (tmp_path / "thesis.txt").write_text("all my work")
    for where, said in (tmp_path, "holds other files"), (tmp_path / "thesis.txt", "is a file"):
        with pytest.raises(InputError, match=said):
            open_index(where, create=True)


def test_damage_is_one_line(tmp_path):
    index = begun("exact", tmp_path)
    index.put(about("a.pose", 0), *drawn(0, 5))
    os.truncate(tmp_path / "vectors.000001.f32", 30)
    with pytest.raises(InputError, match=r"vectors\.000001\.f32: is not there or cut short"):
        index.search(query())
    with sqlite3.connect(tmp_path / "windows.sqlite") as base:
        base.execute("PRAGMA user_version = 7")
    base.close()
    with pytest.raises(InputError, match="is of version 7, not 1"):
        len(index)
    (tmp_path / "windows.sqlite").write_bytes(b"no database at all" * 99)
    with pytest.raises(InputError, match="this index is damaged"):
        len(index)


def test_to_an_index_that_is_not_whole_nothing_is_added(tmp_path, monkeypatch):
    index = open_index(tmp_path / "index", create=True)
    index.put(about("a.pose", 0), *drawn(0, 5))
    file = tmp_path / "index" / "vectors.000001.f32"
    whole = file.read_bytes()
    for rest in None, whole[:-4]:
        file.unlink(missing_ok=True)
        if rest is not None:
            file.write_bytes(rest)
        with pytest.raises(InputError, match="is not there or cut short; index again, into another folder"):
            open_index(tmp_path / "index", create=True)
    file.write_bytes(whole)
    monkeypatch.setattr(Exact, "_mapped", tidied_meanwhile(Exact._mapped))
    assert len(open_index(tmp_path / "index", create=True)) == 1


def tidied_meanwhile(real):
    """As before, but for what another process does between what the first reader reads and when it looks."""
    left = [True]

    def mapped(self, facts):
        if left:
            left.clear()
            other = Exact(self.folder)
            other.put(about("b.pose", 0), *drawn(1, 1))
            other.delete("a.pose")
            other.tidy()
            self._file(facts).unlink(missing_ok=True)
        return real(self, facts)

    return mapped


def test_vectors_that_somebody_is_about_to_count_are_not_tidied_away(tmp_path):
    begun("exact", tmp_path)._append(Facts(SPACE, DIMENSIONS, 1, 0, 0, 0, 0), drawn(0, 3)[1].vectors)
    begun("exact", tmp_path).tidy()
    assert (tmp_path / "vectors.000001.f32").exists()


def test_a_second_writer_waits_and_then_is_told(tmp_path):
    first, second = begun("exact", tmp_path), begun("exact", tmp_path)
    first.put(about("a.pose", 0), *drawn(0, 5))
    with first.moving():
        with pytest.raises(InputError, match="somebody else has been writing to this index for long"):
            second.put(about("b.pose", 0), *drawn(1, 5))
        assert len(second) == 5  # who reads need not wait


@pytest.mark.parametrize("kind", KINDS)
def test_writers_at_once_lose_nothing(kind, tmp_path):
    code = """
import sys
from pathlib import Path
from test_stores import about, begun, drawn
from dataclasses import replace
index = begun(sys.argv[1], sys.argv[2])
index = replace(index, patience=30.0) if sys.argv[1] == "exact" else index
for number in range(6):
    index.put(about(f"{sys.argv[3]}-{number}", number), *drawn(number, 5))
"""
    where = tmp_path / "index"
    begun(kind, where).put(about("first", 0), *drawn(0, 5))
    command = [sys.executable, "-c", code, kind, where]
    writers = [subprocess.Popen([*command, name], env=environment(), stderr=subprocess.PIPE) for name in "ab"]
    assert [(writer.communicate()[1].decode()[-500:], writer.returncode) for writer in writers] == [("", 0)] * 2
    assert len(begun(kind, where)) == 65


@NEEDS_LANCE
@pytest.mark.slow
@pytest.mark.parametrize("counts", [(5, 8), (8, 5), (5, 5)])
def test_of_two_who_put_in_the_same_new_video_at_once_one_stays(tmp_path, monkeypatch, counts):
    from seasign.stores.lance import Lance

    begun("lance", tmp_path).put(about("first", 0), *drawn(0, 5))
    ready, real = threading.Barrier(2, timeout=30), Lance._ready

    def held_up(self, *given):
        table, data = real(self, *given)
        first, counted = [True], table.count_rows

        def count_rows(*asked):
            found = counted(*asked)
            if first:
                first.clear()
                ready.wait()  # until both have seen that it is not there
            return found

        table.count_rows = count_rows
        return table, data

    for number in range(3):
        with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
            patch.setattr(Lance, "_ready", held_up)
            each = [(about(f"{number}.pose", seed), *drawn(seed, count)) for seed, count in enumerate(counts)]
            for one in [pool.submit(begun("lance", tmp_path).put, *own) for own in each]:
                one.result()
        index = begun("lance", tmp_path)
        left = index.videos()[f"{number}.pose"], sorted(index.windows(f"{number}.pose"), key=str)
        assert left in [(video, sorted(windows, key=str)) for video, windows, _ in each]


# Stops in the middle -------------------------------------------------------------------------------------------------


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RUST_LOG": "off"}


def test_a_process_that_is_killed_leaves_what_it_had_committed(tmp_path):
    code = """
import sys
from test_stores import about, begun, drawn
index = begun("exact", sys.argv[1])
for number in range(100_000):
    index.put(about(f"{number % 7}", number), *drawn(number % 50, 1 + number % 9))
    if not number % 10:
        index.tidy()
    print(number, flush=True)
"""
    for wait in (0.05, 0.11, 0.17):
        where = tmp_path / str(wait)
        process = subprocess.Popen(
            [sys.executable, "-c", code, where], env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "0\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        done = 1 + int(("0\n" + process.communicate()[0]).split()[-1])
        index = begun("exact", where)
        outcomes = []
        for count in (done, done + 1):  # the last one may have been committed before it was told
            held = {}
            for number in range(count):
                held[f"{number % 7}"] = about(f"{number % 7}", number), *drawn(number % 50, 1 + number % 9)
            outcomes.append({(match.video, match.window) for match in by_force(held, EVERYTHING, None)})
        assert {(match.video, match.window) for match in index.search(query(), best=1000)} in outcomes
        index.put(about("next", 0), *drawn(0, 5))
        assert len(index.windows("next")) == 5


@pytest.mark.parametrize("step", ["write", "fsync", "tidy", "commit"])
def test_a_disk_that_fills_is_one_line_and_the_index_is_as_it_was(tmp_path, monkeypatch, step):
    index = begun("exact", tmp_path)
    for name in "abc":
        index.put(about(name, 0), *drawn(ord(name), 40))
    for name in "ab":
        index.delete(name)
    before = index.search(query(), best=99)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def change():
        index.tidy() if step == "tidy" else index.put(about("d", 0), *drawn(7, 40))

    with monkeypatch.context() as patch:
        if step == "commit":
            connect = sqlite3.connect

            def small(*given, **more):
                base = connect(*given, **more)
                (pages,) = base.execute("PRAGMA page_count").fetchone()
                base.execute(f"PRAGMA max_page_count = {pages}")
                return base

            patch.setattr("sqlite3.connect", small)
        elif step == "write":
            patch.setattr("os.open", full)
        else:
            patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left on device") as told:
            index.put(about("d", 0), *drawn_large(7)) if step == "commit" else change()
        assert told.value.filename == str(tmp_path)
    assert index.search(query(), best=99) == before
    change()
    index.tidy()
    assert {match for match in index.search(query(), best=999) if match.video == "c"} >= set(before)


def drawn_large(seed):
    """So many windows that the tables grow."""
    windows, _ = drawn(seed, 1)
    vectors = np.random.default_rng(seed).standard_normal((3000, DIMENSIONS)).astype(np.float32)
    return windows * 3000, Embeddings(vectors, SPACE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_on_files_is_met_at_every_write_and_breaks_nothing(kind, tmp_path):
    """A real one: the system refuses bytes beyond a length, wherever they would go."""
    code = """
import resource, sys
from test_stores import about, begun, drawn, drawn_large
index = begun(sys.argv[1], sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    index.put(about("b", 0), *drawn_large(1))
except (OSError, ValueError) as error:
    print(type(error).__name__, str(error).count(chr(10)))
"""
    held = about("a", 0), *drawn(0, 20)
    for limit in (100, 20_000, 80_000) if kind == "exact" else (100, 20_000):
        where = tmp_path / str(limit)
        begun(kind, where).put(*held)
        done = subprocess.run(
            [sys.executable, "-c", code, kind, where, str(limit)],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout in ("OSError 0\n", "InputError 0\n"), done.stderr[-500:]
        index = begun(kind, where)
        same(index.search(query(), best=50), by_force({0: held}, EVERYTHING, 50))
        index.put(about("c", 0), *drawn(2, 5))
        assert len(index) == 25
