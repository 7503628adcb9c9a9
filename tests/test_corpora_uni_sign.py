"""Label files and pickles of keypoints in the published layout: read as clips, and refused in a line where broken."""

import gzip
import json
import os
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from seasign.corpora.uni_sign import read_clips, read_labels
from seasign.formats import coco, pickles, read_poses
from seasign.models.body_parts import parts_of
from seasign.types import InputError, InputWarning

GOLDEN = Path(__file__).parent / "golden" / "sigma" / "pose_parts.npz"
ROWS = {
    "a1": {"name": "a1", "gloss": ["RAIN", "NORTH"], "text": "Rain  in the north.", "video_path": "dev/a1.mp4"},
    "b": {"name": "b", "gloss": "", "text": "下雨", "video_path": "b.mp4", "pose": "other.pkl"},
}


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


def packed(path, value, protocol=4):
    path.write_bytes(gzip.compress(pickle.dumps(value, protocol=protocol)))
    return path


def keypoints(frames=6, **others):
    rng = np.random.default_rng(0)
    points, scores = rng.random((frames, 1, 133, 2)), rng.uniform(0.4, 1, (frames, 1, 133))
    return {"keypoints": list(points), "scores": list(scores)} | others


def kept(path, **others):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(pickle.dumps(keypoints() | others))
    return path


def test_labels_are_the_same_from_every_kind_of_file(tmp_path):
    labels = read_labels(packed(tmp_path / "labels.dev.gz", ROWS))
    assert [label.name for label in labels] == ["a1", "b"]
    assert labels[0].text == "Rain in the north."
    assert (labels[0].glosses, labels[1].glosses) == (("RAIN", "NORTH"), ())
    (tmp_path / "labels.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS.values()), "utf-8")
    table = "name,gloss,text,video_path,pose\na1,RAIN NORTH,Rain in the north.,dev/a1.mp4,\nb,,下雨,b.mp4,other.pkl\n"
    (tmp_path / "labels.csv").write_text(table, "utf-8")
    assert read_labels(tmp_path / "labels.jsonl") == read_labels(tmp_path / "labels.csv") == labels
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(ROWS))
    assert read_labels(tmp_path / "plain.pkl") == labels


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"name": "a", "text": "x", "fps": 25}, "'k': has 'fps', which nobody here knows; the keys are name, gloss"),
        ({"name": "a"}, "has no text"),
        ({"name": "a", "text": " "}, "its text is empty: leave the clip out"),
        ({"name": "a", "text": 3}, "text is 3, not a text"),
        ({"name": "a", "text": "x", "gloss": [1]}, r"gloss is \[1\]; expected a list of glosses"),
    ],
)
def test_labels_that_are_broken_are_refused_in_one_line(tmp_path, row, line):
    with pytest.raises(InputError, match=line) as caught:
        read_labels(packed(tmp_path / "labels.gz", {"k": row}))
    assert "\n" not in str(caught.value)


def test_label_files_of_another_kind_are_refused_in_one_line(tmp_path):
    for content, line in (
        ([1], "holds no labels; expected a key"),
        ({"a": 1}, "holds no labels"),
        ({}, "holds no lab"),
    ):
        with pytest.raises(InputError, match=line):
            read_labels(packed(tmp_path / "labels.gz", content))
    with pytest.raises(InputError, match=r"'a' is there already, at .*'0'; keep one"):
        read_labels(packed(tmp_path / "labels.gz", {"0": {"name": "a", "text": "x"}, "1": {"name": "a", "text": "y"}}))
    (tmp_path / "l.csv").write_text("name,text,sex\na,b,c\n")
    with pytest.raises(InputError, match=r"l.csv:1: has 'sex', which nobody here knows"):
        read_labels(tmp_path / "l.csv")
    (tmp_path / "l.jsonl").write_text('{"name": "a", "text": "x"}\nno\n')
    with pytest.raises(InputError, match=r"l.jsonl:2: not an object of JSON"):
        read_labels(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match="expected labels in a file named"):
        read_labels(tmp_path / "labels.txt")
    whole = packed(tmp_path / "labels.gz", ROWS).read_bytes()
    (tmp_path / "labels.gz").write_bytes(whole[:-20])
    with pytest.raises(InputError, match="no pickle, or cut short"):
        read_labels(tmp_path / "labels.gz")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_that_carries_code_is_refused_and_not_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"its pickle names .*system, which is no plain data: it is not run"):
        read_labels(packed(tmp_path / "labels.gz", {"a": Evil()}, protocol))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_come_out_of_pickles_as_they_went_in(tmp_path, protocol):
    square = np.arange(6.0).reshape(2, 3)
    value = [square, square.T, square.astype(">f4"), square > 1, np.zeros((0, 2), np.int8), np.array(["ab", "c"])]
    found = pickles.read(packed(tmp_path / "x.pkl", [*value, np.float32(0.5), b"ab"], protocol))
    assert found[-2:] == [0.5, b"ab"]
    for before, after in zip(value, found, strict=False):
        np.testing.assert_array_equal(after, before)
        assert (type(after), after.dtype.newbyteorder("=")) == (np.ndarray, before.dtype.newbyteorder("="))


class Call:
    """A pickle of what a function returns, and of the state that it is given."""

    def __init__(self, function, *given, state=None):
        self.call = (function, given) if state is None else (function, given, state)

    def __reduce__(self):
        return self.call


def empty(kind, shape, raw):
    return Call(np.empty(0).__reduce__()[0], np.ndarray, (0,), b"b", state=(1, shape, kind, False, raw))


BEYOND = Call(np.dtype, "V8", False, True, state=(3, "|", None, ("a",), {"a": (np.dtype("f8"), 10**9)}, 8, 1, 0))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (empty(BEYOND, (1,), b"x" * 8), "an array of 'V8'"),  # a field a gigabyte behind its array
        (np.array([{}]), "an array of 'O8'"),
        (empty(np.dtype("f8"), (10**12,), b""), "not as many bytes"),
        (empty(np.dtype("f8"), (-1,), b"x" * 8), "without a shape"),
        (Call(np.ndarray, (10**12,)), "not callable"),
        ({1, 2}, "no pickle, or cut short"),
    ],
)
def test_a_pickle_that_is_out_for_memory_is_refused_in_a_line(tmp_path, value, line):
    with pytest.raises(InputError, match=line) as caught:
        pickles.read(packed(tmp_path / "x.pkl", value))
    assert "\n" not in str(caught.value)


def test_a_pickle_takes_no_more_memory_and_time_than_it_has(tmp_path, monkeypatch):
    length = (2**36).to_bytes(8, "little")
    for content in (b"\x80\x05\x96" + length, b"\x80\x05\x8e" + length, b"\x80\x04N\x72\xff\xff\xff\x7f"):
        (tmp_path / "x.pkl").write_bytes(content)
        with pytest.raises(InputError, match="no pickle, or cut short"):
            pickles.read(tmp_path / "x.pkl")
    twice = b"2\x86" * 60  # a tuple of what is there, twice: 2 ** 60 of it
    itself = b"]\x94h\0a"
    for content, line in (
        (b"K\0" + twice, "lists in lists without end"),
        (itself, "holds itself"),
        (b"K\0" + b"\x85" * 10**5, "lists in lists"),
        (b"}K\0" + twice + b"K\1s", "whose keys are no names"),
    ):
        (tmp_path / "x.pkl").write_bytes(b"\x80\4" + content + b".")
        with pytest.raises(InputError, match=line):
            pickles.read(tmp_path / "x.pkl")
    monkeypatch.setattr(pickles, "MOST", 1000)
    with pytest.raises(InputError, match="if you trust it, unpack it first"):
        pickles.read(packed(tmp_path / "x.pkl", "a" * 1000))
    assert pickles.read(packed(tmp_path / "x.pkl", "a" * 900)) == "a" * 900


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
@pytest.mark.parametrize("function", [b"multiarray\n_reconstruct", b"numeric\n_frombuffer"])
def test_arrays_that_another_numpy_wrote_are_read(tmp_path, core, function):
    if function.startswith(b"multi"):
        content = pickle.dumps(np.arange(3.0), protocol=3)
        content = content.replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", core)
        assert function in content
    else:  # as protocol 5 writes it, in the words of protocol 3
        content = b"\x80\x03c" + core + b"." + function + b"\n("
        content += b"C\x18" + np.arange(3.0).tobytes() + b"X\x02\x00\x00\x00f8K\x03\x85X\x01\x00\x00\x00CtR."
    (tmp_path / "x.pkl").write_bytes(content)
    np.testing.assert_array_equal(pickles.read(tmp_path / "x.pkl"), np.arange(3.0))


def test_clips_read_their_poses_when_asked(tmp_path):
    labels = packed(tmp_path / "labels.gz", ROWS)
    kept(tmp_path / "poses" / "dev" / "a1.pkl"), kept(tmp_path / "poses" / "other.pkl", start=1, end=4)
    first, second = read_clips(labels, tmp_path / "poses", part="valid", fps=Fraction(30), picture=(640, 480))
    assert (first.name, first.part, first.glosses) == ("a1", "valid", ("RAIN", "NORTH"))
    poses = first.read()
    assert (len(poses.xyz), poses.fps, poses.landmarks) == (6, 30, coco.COCO_WHOLEBODY)
    np.testing.assert_allclose(poses.xyz[0, :, :2], keypoints()["keypoints"][0][0] * (640, 480), rtol=1e-6)
    np.testing.assert_array_equal(second.read().xyz, poses.xyz[1:4])
    (tmp_path / "poses" / "other.pkl").unlink()
    with pytest.warns(InputWarning, match=r"no poses of 1 of 2 clips .* such as 'b'; left out"):
        assert [clip.name for clip in read_clips(labels, tmp_path / "poses")] == ["a1"]
    with pytest.raises(InputError, match="has poses of none of 2 clips"):
        read_clips(labels, tmp_path / "nowhere")


def test_no_label_leads_out_of_its_folder(tmp_path):
    kept(tmp_path / "secret.pkl")
    (tmp_path / "poses").mkdir()
    for place in ("../secret.pkl", str(tmp_path / "secret.pkl")):
        labels = packed(tmp_path / "l.gz", {"a": {"name": "a", "text": "x", "pose": place}})
        with pytest.raises(InputError, match="has poses of none"):
            read_clips(labels, tmp_path / "poses")


@pytest.mark.parametrize("kind", ["hi", "mixed"])
def test_published_keypoints_are_read_as_they_are(tmp_path, kind):
    with np.load(GOLDEN) as golden:
        points, scores = golden[f"{kind}_keypoints"], golden[f"{kind}_scores"]
    table = {"keypoints": list(points[:, None]), "scores": list(scores[:, None])}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(table))
    poses = read_poses(tmp_path / "a.pkl")
    np.testing.assert_array_equal(poses.xyz[..., :2], points.astype(np.float32))
    np.testing.assert_array_equal(poses.confidence, scores.astype(np.float32))
    some = read_poses(tmp_path / "a.pkl", ["COCO_FACE.30", "COCO_BODY.NOSE"])
    np.testing.assert_array_equal(some.xyz, poses.xyz[:, [53, 0]])


def test_missing_frames_and_numbers_become_gaps_with_their_count(tmp_path):
    table = keypoints()
    table["keypoints"][1], table["scores"][1] = None, None
    table["keypoints"][2] = np.zeros((0, 133, 2))
    table["scores"][4][0, 7] = np.nan
    with pytest.warns(InputWarning) as caught:
        poses = read_poses(kept(tmp_path / "a.pkl", **table))
    lines = [str(it.message).partition(": ")[2] for it in caught]
    assert lines == [
        "2 of 6 frames show nobody; kept as gaps",
        "1 of 6 frames hold numbers that are not finite; kept as gaps",
    ]
    gaps = np.isnan(poses.xyz).all(axis=2)
    assert gaps[1].all()
    assert gaps[2].all()
    assert gaps[4].sum() == 1
    assert gaps.sum() == 2 * 133 + 1
    np.testing.assert_array_equal(poses.confidence > 0, ~gaps)


@pytest.mark.parametrize(
    ("others", "line"),
    [
        ({"keypoints": [np.zeros((2, 133, 2))] * 6}, "frame 0: holds 2 people; keep the keypoints of the signer"),
        ({"keypoints": [np.zeros((1, 17, 2))] * 6}, r"frame 0: keypoints \(1, 17, 2\).* expected \(1, 133, 2\)"),
        ({"keypoints": [], "scores": []}, "the keypoints are no frames"),
        ({"scores": []}, "6 frames of keypoints have 0 of scores"),
        ({"keypoints": [None] * 6}, "nobody is seen in any of 6 frames"),
        ({"keypoints": ["a"] * 6}, "frame 0: the keypoints are no numbers"),
        ({"keypoints": [[10**400]] * 6}, "frame 0: the keypoints are no numbers"),
        ({"keypoints": np.array(1.0)}, "the keypoints are no frames"),
        ({"keypoints": np.zeros((10**9, 0)), "scores": np.zeros((10**9, 0))}, "and not as many bytes"),
        ({"keypoints": [np.full((1, 133, 2), np.nan)] * 6}, "none of the numbers of 6 frames is finite"),
        ({"start": 3, "end": 3}, "start 3 and end 3 are no part of 6 frames"),
        ({"start": "x"}, "start 'x' and end 6 are no numbers"),
        ({"end": Evil()}, "it is not run"),
    ],
)
def test_keypoints_that_are_broken_are_refused_in_one_line(tmp_path, others, line):
    with pytest.raises(InputError, match=line) as caught:
        read_poses(kept(tmp_path / "a.pkl", **others))
    assert "\n" not in str(caught.value)


def test_another_pickle_is_no_keypoints(tmp_path):
    with pytest.raises(InputError, match=r"no keypoints and scores .* found 'a1', 'b'"):
        read_poses(packed(tmp_path / "a.pkl", ROWS))
    with pytest.raises(InputError, match="no landmark 'NOSE'"):
        read_poses(kept(tmp_path / "b.pkl"), ["NOSE"])


@pytest.mark.parametrize("kind", ["hi", "mixed"])
def test_keypoints_from_a_pickle_become_the_published_parts(tmp_path, kind):
    with np.load(GOLDEN) as golden:
        arrays = {name: golden[name] for name in golden.files if name.startswith(f"{kind}_")}
    table = {"keypoints": list(arrays[f"{kind}_keypoints"][:, None]), "scores": list(arrays[f"{kind}_scores"][:, None])}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(table))
    parts = parts_of(read_poses(tmp_path / "a.pkl"))
    for name, mine in parts.items():
        theirs = next(value for key, value in arrays.items() if name in key.removeprefix(f"{kind}_"))
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
