"""Poses in .pose and .npz files, and the frame rates in them."""

import json
import struct
import tracemalloc
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pose_format import Pose

import seasign
from seasign.formats import npz, pose
from seasign.formats.rate import exact_rate
from seasign.types import InputError, InputWarning, Poses

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "pose_samples"  # shared data

BODY = ("POSE_LANDMARKS", tuple(pose.BODY))
HANDS = (("LEFT_HAND_LANDMARKS", tuple(pose.HAND)), ("RIGHT_HAND_LANDMARKS", tuple(pose.HAND)))
WORLD = ("POSE_WORLD_LANDMARKS", tuple(pose.BODY))


def face(points, step=1):
    return ("FACE_LANDMARKS", tuple(str(point) for point in range(0, points * step, step)))


LAYOUTS = {
    75: (BODY, *HANDS),
    178: (("POSE_LANDMARKS", tuple(pose.BODY[11:19])), face(128, step=3), *HANDS),
    543: (BODY, face(468), *HANDS),
    576: (BODY, face(468), *HANDS, WORLD),
    586: (BODY, face(478), *HANDS, WORLD),
    137: tuple(
        (name, tuple(f"{name[:3]}_{point}" for point in range(count)))
        for name, count in (("pose_2d", 25), ("face_2d", 70), ("hand_left_2d", 21), ("hand_right_2d", 21))
    ),
}


def pose_bytes(version, layout, points, confidence, fps):
    """A .pose file by the book: points (frames, people, landmarks, dims), confidence (frames, people, landmarks)."""
    text = lambda word: struct.pack("<H", len(word)) + word.encode()  # noqa: E731
    axes = "XYZC" if points.shape[3] == 3 else "XYC"
    out = [struct.pack("<fHHHH", version, 640, 360, 0, len(layout))]
    for name, names in layout:
        out += [text(name), text(axes), struct.pack("<HHH", len(names), 1, 1), *(text(word) for word in names)]
        out += [struct.pack("<HH", 0, 1), struct.pack("<HHH", 255, 0, 0)]
    frames, people = points.shape[:2]
    if version == 0:
        out.append(struct.pack("<HH", fps, frames))
        for row, trust in zip(points, confidence, strict=True):
            out.append(struct.pack("<H", people))
            for who in range(people):
                out.append(struct.pack("<h", who) + np.column_stack([row[who], trust[who]]).astype("<f4").tobytes())
    else:
        head = struct.pack("<fIH", fps, frames, people)
        out.append(struct.pack("<HHH", fps, frames % 65535, people) if version < 0.15 else head)
        out += [points.astype("<f4").tobytes(), confidence.astype("<f4").tobytes()]
    return b"".join(out)


def made(layout=LAYOUTS[75], frames=7, people=1, dims=3, seed=0):
    """Random points and confidences, a fifth of them 0."""
    random = np.random.default_rng(seed)
    shape = (frames, people, sum(len(names) for _, names in layout))
    confidence = random.uniform(0.1, 1, shape).astype(np.float32) * (random.random(shape) > 0.2)
    return random.uniform(0, 640, (*shape, dims)).astype(np.float32), confidence.astype(np.float32)


def named(layout):
    return tuple(f"{component}.{point}" for component, points in layout for point in points)


def some_poses(frames=5, provenance=None, fps=Fraction(25)):
    points, confidence = made(frames=frames)
    xyz = np.where(confidence[:, 0, :, None] > 0, points[:, 0], np.nan).astype(np.float32)
    return Poses(xyz, confidence[:, 0], fps, named(LAYOUTS[75]), provenance)


def assert_same(one, other):
    np.testing.assert_array_equal(one.xyz, other.xyz)
    np.testing.assert_array_equal(one.confidence, other.confidence)
    assert (one.fps, one.landmarks, one.provenance) == (other.fps, other.landmarks, other.provenance)


@pytest.mark.parametrize("version", [0, 0.1, 0.2])
@pytest.mark.parametrize("count", LAYOUTS)
def test_every_layout_of_every_version_is_read_whole_and_by_name(tmp_path, version, count):
    layout, dims = LAYOUTS[count], 2 if count == 137 else 3
    points, confidence = made(layout, dims=dims)
    path = tmp_path / "a.pose"
    path.write_bytes(pose_bytes(version, layout, points, confidence, 25))
    poses = pose.read(path)
    expected = np.zeros((7, count, 3), dtype=np.float32)
    expected[..., :dims] = points[:, 0]
    expected[confidence[:, 0] == 0] = np.nan
    np.testing.assert_array_equal(poses.xyz, expected)
    np.testing.assert_array_equal(poses.confidence, confidence[:, 0])
    assert (poses.fps, poses.landmarks, poses.provenance) == (25, named(layout), None)
    assert pose.names(path) == named(layout)
    chosen = [named(layout)[index] for index in (count - 1, 3, 40)]
    part = pose.read(path, chosen)
    assert part.landmarks == tuple(chosen)
    np.testing.assert_array_equal(part.xyz, poses.xyz[:, [count - 1, 3, 40]])
    np.testing.assert_array_equal(part.confidence, poses.confidence[:, [count - 1, 3, 40]])


@pytest.mark.filterwarnings("ignore:.* landmarks are missing:seasign.types.InputWarning")
@settings(max_examples=60, deadline=None)
@given(data=st.data(), rate=st.fractions(1, 240, max_denominator=1001))
def test_poses_come_back_as_they_were_written(tmp_path_factory, data, rate):
    frames, landmarks = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    numbers = st.floats(-1e4, 1e4, width=32)
    xyz = data.draw(hnp.arrays(np.float32, (frames, landmarks, 3), elements=numbers))
    confidence = data.draw(hnp.arrays(np.float32, (frames, landmarks), elements=st.floats(0, 1, width=32)))
    confidence[:, 0] = 1
    xyz[confidence == 0] = np.nan
    names = tuple(data.draw(st.permutations(["A.X", "B.X", "A.Y", "alone", "A.B.Z"]))[:landmarks])
    poses = Poses(xyz, confidence, rate, names, {"estimator": "none", "nested": {"a": [1, None]}})
    folder = tmp_path_factory.mktemp("round")
    for module, name in (pose, "a.pose"), (npz, "a.npz"):
        module.write(folder / name, poses)
        assert_same(module.read(folder / name), poses)


def test_what_we_write_is_what_pose_format_reads(tmp_path):
    poses = some_poses(provenance={"video": {"width": 1280, "height": 720}})
    pose.write(tmp_path / "a.pose", poses)
    other = Pose.read((tmp_path / "a.pose").read_bytes())
    np.testing.assert_array_equal(other.body.data[:, 0].filled(np.nan), poses.xyz)
    np.testing.assert_array_equal(other.body.confidence[:, 0], poses.confidence)
    assert (other.header.dimensions.width, other.header.dimensions.height) == (1280, 720)
    assert [len(component.limbs) for component in other.header.components] == [35, 21, 21]
    assert round(other.header.version, 3) == 0.2
    pose.write(tmp_path / "b.pose", some_poses())
    dimensions = Pose.read((tmp_path / "b.pose").read_bytes()).header.dimensions
    assert 600 < dimensions.width <= 640


def test_reading_and_writing_in_ranges_changes_nothing_and_takes_little_memory(tmp_path, monkeypatch):
    path, poses = tmp_path / "a.pose", some_poses(frames=4000)
    pose.write(path, poses)
    whole = path.read_bytes()
    monkeypatch.setattr(pose, "RANGE", 100_000)
    pose.write(path, poses)
    assert path.read_bytes() == whole
    assert_same(pose.read(path), poses)
    tracemalloc.start()
    part = pose.read(path, poses.landmarks[:2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < part.xyz.nbytes + part.confidence.nbytes + 10 * pose.RANGE < len(whole) / 3


def test_a_v01_file_may_have_more_frames_than_it_can_count(tmp_path):
    layout = (("A", ("X",)),)
    points, confidence = np.ones((70_000, 1, 1, 2)), np.ones((70_000, 1, 1))
    path = tmp_path / "a.pose"
    path.write_bytes(pose_bytes(0.1, layout, points, confidence, 25))
    assert pose.read(path).xyz.shape == (70_000, 1, 3)


@pytest.mark.parametrize(
    ("rounded", "exact"),
    [
        *[(rate, Fraction(rate)) for rate in (1, 12, 24, 25, 30, 50, 60, 120)],
        *[(rate, Fraction(n * 1000, 1001)) for rate, n in ((23.976, 24), (29.97, 30), (59.94, 60), (119.88, 120))],
        (29.916666, Fraction(359, 12)),
        (12.5, Fraction(25, 2)),
        (7.3, Fraction(73, 10)),
    ],
)
def test_a_rounded_rate_means_its_exact_fraction(rounded, exact):
    assert exact_rate(rounded) == exact_rate(float(np.float32(rounded))) == exact_rate(float(exact)) == exact


@given(st.fractions(1, 240, max_denominator=300))
def test_a_rate_is_never_further_off_than_an_ntsc_rate_is_rounded(rate):
    assert abs(exact_rate(float(np.float32(rate))) / rate - 1) < 5e-6


@pytest.mark.parametrize("rate", [1e-40, 3e-30, 1e-4, 2e6, 3e38])
def test_a_rate_of_no_camera_is_refused(tmp_path, rate):
    path = tmp_path / "a.pose"
    path.write_bytes(pose_bytes(0.2, LAYOUTS[75], *made(), rate))
    with pytest.raises(InputError, match="a frame rate of"):
        pose.read(path)
    np.savez(tmp_path / "a.npz", xyz=np.ones((2, 1, 3)), fps=rate, landmarks=["A.B"])
    with pytest.raises(InputError, match="expected a number above 0"):
        npz.read(tmp_path / "a.npz")


def test_a_rate_that_no_simple_fraction_means_stays_what_it_is():
    assert exact_rate(0.0012345678) == Fraction(0.0012345678)


def test_the_exact_rate_and_the_provenance_lie_beside_the_file(tmp_path):
    path, beside = tmp_path / "a.pose", tmp_path / "a.pose.json"
    odd = Fraction(1_000_003, 40_001)  # no float32 tells this one from its neighbours
    pose.write(path, some_poses(provenance={"estimator": "hand"}, fps=odd))
    poses = pose.read(path)
    assert (poses.fps, poses.provenance) == (odd, {"estimator": "hand"})
    assert json.loads(beside.read_text())["fps"] == "1000003/40001"


@pytest.mark.parametrize("change", [{"frames": 6}, {"fps": "24"}, {"fps": "1/0"}, {"fps": 0}, None])
def test_a_json_file_that_tells_of_other_poses_is_not_believed(tmp_path, change):
    path, beside = tmp_path / "a.pose", tmp_path / "a.pose.json"
    pose.write(path, some_poses(provenance={"estimator": "hand"}))
    beside.write_text("[1]" if change is None else json.dumps(json.loads(beside.read_text()) | change))
    poses = pose.read(path)
    assert (poses.fps, poses.provenance) == (25, None)


def test_poses_without_provenance_leave_no_old_json_file_behind(tmp_path):
    pose.write(tmp_path / "a.pose", some_poses(provenance={"estimator": "hand"}))
    pose.write(tmp_path / "a.pose", some_poses())
    assert [path.name for path in tmp_path.iterdir()] == ["a.pose"]


@pytest.mark.parametrize(("module", "name"), [(pose, "a.pose"), (npz, "a.npz")])
def test_a_failed_write_leaves_everything_as_it_was(tmp_path, module, name):
    module.write(tmp_path / name, some_poses(provenance={"estimator": "hand"}))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TypeError):
        module.write(tmp_path / name, some_poses(frames=9, provenance={"no json": object()}))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_names_that_pose_format_cannot_write_are_refused(tmp_path):
    poses = Poses(np.ones((1, 1, 3), np.float32), np.ones((1, 1), np.float32), Fraction(25), ("A.Zähler",))
    with pytest.raises(ValueError, match=r"'A\.Zähler'; only ASCII"):
        pose.write(tmp_path / "a.pose", poses)


@pytest.mark.parametrize("version", [0.1, 0.2])
def test_of_several_people_the_one_seen_best_is_read_with_a_warning(tmp_path, version):
    points, confidence = made(people=3)
    confidence[:, 1] = 1
    path = tmp_path / "a.pose"
    path.write_bytes(pose_bytes(version, LAYOUTS[75], points, confidence, 25))
    with pytest.warns(InputWarning, match="3 people; only number 2 is read"):
        poses = pose.read(path)
    np.testing.assert_array_equal(poses.xyz, points[:, 1])


def test_frames_without_anybody_are_counted_in_a_warning(tmp_path):
    points, confidence = made(frames=10)
    confidence[:5] = 0
    path = tmp_path / "a.pose"
    path.write_bytes(pose_bytes(0.2, LAYOUTS[75], points, confidence, 25))
    assert np.isnan(pose.read(path).xyz[:5]).all()  # half of the frames: no word
    confidence[5] = 0
    path.write_bytes(pose_bytes(0.2, LAYOUTS[75], points, confidence, 25))
    with pytest.warns(InputWarning, match="nobody is seen in 6 of 10 frames"):
        poses = pose.read(path)
    assert np.isnan(poses.xyz[:6]).all()


def poses_at_25(lost, frames=250):
    """Two hands and a nose for ten seconds; `lost` maps a landmark to the frames without it."""
    names = ("BODY.NOSE", "LEFT.WRIST", "RIGHT.WRIST")
    confidence = np.ones((frames, 3), dtype=np.float32)
    for name, rows in lost.items():
        confidence[rows, names.index(name)] = 0
    xyz = np.where(confidence[..., None] > 0, np.float32(7), np.float32(np.nan)).repeat(3, axis=2)
    return Poses(xyz.astype(np.float32), confidence, Fraction(25), names)


ALL = ("BODY.NOSE", "LEFT.WRIST", "RIGHT.WRIST")


@pytest.mark.parametrize("suffix", [".pose", ".npz"])
@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (dict.fromkeys(ALL, slice(50, 75)), "nobody is seen in 25 of 250 frames, for up to 1.0 s on end"),
        (dict.fromkeys(ALL, np.r_[30:90, 100:110]), "nobody is seen in 70 of 250 frames, for up to 2.4 s"),
        (dict.fromkeys(ALL, np.flatnonzero(np.arange(250) % 5 > 1)), "nobody is seen in 150 of 250 frames"),
        ({"LEFT.WRIST": slice(None)}, "1 of 3 landmarks are missing in most frames, the first is LEFT.WRIST"),
        ({"LEFT.WRIST": slice(20, None), "RIGHT.WRIST": slice(0, 210)}, "2 of 3 landmarks are missing"),
        (dict.fromkeys(ALL, slice(50, 74)), None),
        ({"LEFT.WRIST": slice(0, 190), "RIGHT.WRIST": slice(100, 200)}, None),
    ],
    ids=["a second", "gaps", "most frames", "a hand", "hands", "less than a second", "hands on and off"],
)
def test_gaps_and_missing_landmarks_are_counted_in_a_warning(tmp_path, suffix, lost, message):
    path = tmp_path / f"a{suffix}"
    poses = poses_at_25(lost)
    seasign.write(path, poses)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_same(seasign.read(path), poses)
    assert [str(warning.message).startswith(f"{path}: {message}") for warning in caught] == [True] * bool(message)
    assert all(issubclass(warning.category, InputWarning) for warning in caught)


@pytest.mark.parametrize("suffix", [".pose", ".npz"])
def test_a_gap_of_the_landmarks_that_are_read_is_none_while_others_are_seen(tmp_path, suffix):
    seasign.write(tmp_path / f"a{suffix}", poses_at_25({"LEFT.WRIST": slice(50, 150)}))
    assert seasign.read_poses(tmp_path / f"a{suffix}", ["LEFT.WRIST"]).landmarks == ("LEFT.WRIST",)


def test_a_rate_that_is_no_fraction_is_written(tmp_path):
    poses = poses_at_25({})
    object.__setattr__(poses, "fps", 25.0)  # as a caller without a type checker may
    for suffix in ".pose", ".npz":
        seasign.write(tmp_path / f"a{suffix}", poses)
        assert seasign.read(tmp_path / f"a{suffix}").fps == 25


def test_an_old_file_whose_rate_lost_its_decimals_gets_a_warning(tmp_path):
    path = tmp_path / "a.pose"
    path.write_bytes(pose_bytes(0.1, LAYOUTS[75], *made(), 29))
    with pytest.warns(InputWarning, match=r"29 frames/s.*perhaps it is 29\.970; taken as 29"):
        assert pose.read(path).fps == 29
    (tmp_path / "a.pose.json").write_text('{"fps": "30000/1001", "frames": 7, "provenance": null}')
    assert pose.read(path).fps == Fraction(30000, 1001)


GOOD = pose_bytes(0.2, LAYOUTS[75], *made(), 25)
POINTS, CONFIDENCE = made()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "not a .pose of v0.0, v0.1 or v0.2"),
        (bytes(5000), "not a .pose: no landmarks"),
        (GOOD[:3], "not a .pose"),
        (GOOD[:200], "header of this .pose is damaged or cut short; copy it again"),
        (GOOD[: len(GOOD) // 2], "cut short; 7 frames need 8400 bytes"),
        (GOOD[:-1], "cut short"),
        (GOOD[: len(GOOD) - 8400 - 5], "cut short after its header"),
        (pose_bytes(0.1, LAYOUTS[75], POINTS, CONFIDENCE, 25)[:-1200], "cut short"),
        (pose_bytes(0, LAYOUTS[75], POINTS, CONFIDENCE, 25)[:-1], "cut short"),
        *[(pose_bytes(v, LAYOUTS[75], POINTS[:0], CONFIDENCE[:0], 25), "no frames") for v in (0, 0.1, 0.2)],
        *[(pose_bytes(v, LAYOUTS[75], POINTS[:, :0], CONFIDENCE[:, :0], 25), "no frames") for v in (0.1, 0.2)],
        *[(pose_bytes(v, LAYOUTS[75], POINTS[:, :0], CONFIDENCE[:, :0], 25), "in any of 7 frames") for v in (0,)],
        *[(pose_bytes(v, LAYOUTS[75], POINTS, CONFIDENCE, 0), "a frame rate of 0") for v in (0, 0.1, 0.2)],
        *[(pose_bytes(v, LAYOUTS[75], POINTS, 0 * CONFIDENCE, 25), "in any of 7 frames") for v in (0, 0.1, 0.2)],
        (pose_bytes(0.2, LAYOUTS[75], np.nan * POINTS, CONFIDENCE, 25), "in any of 7 frames"),
    ],
)
def test_what_is_no_pose_file_is_refused_in_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "a.pose"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        pose.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_landmark_that_is_not_there_is_named_with_what_is(tmp_path):
    pose.write(tmp_path / "a.pose", some_poses())
    npz.write(tmp_path / "a.npz", some_poses())
    with pytest.raises(InputError, match=r"no landmark 'NOSE'; it has 75: POSE_LANDMARKS\.NOSE, .*, \.\.\., "):
        pose.read(tmp_path / "a.pose", ["POSE_LANDMARKS.NOSE", "NOSE"])
    with pytest.raises(InputError, match="no landmark 'NOSE'; it has 75"):
        npz.read(tmp_path / "a.npz", ["NOSE"])


def test_an_archive_is_read_by_name_too(tmp_path):
    poses = some_poses()
    npz.write(tmp_path / "a.npz", poses)
    part = npz.read(tmp_path / "a.npz", poses.landmarks[5:3:-1])
    np.testing.assert_array_equal(part.xyz, poses.xyz[:, [5, 4]])
    assert part.landmarks == poses.landmarks[5:3:-1]


@pytest.mark.parametrize(("fps", "exact"), [(29.97, Fraction(30000, 1001)), ([24000, 1001], Fraction(24000, 1001))])
@pytest.mark.parametrize("columns", [2, 3, 4])
def test_keypoints_of_others_are_poses_once_rate_and_names_are_with_them(tmp_path, columns, fps, exact):
    keypoints = np.random.default_rng(0).random((6, 2, columns)).astype(np.float16) + np.float16(0.01)
    keypoints[2, 1, columns - 1] = 0 if columns == 4 else np.nan
    np.savez(tmp_path / "a.npz", keypoints=keypoints, fps=fps, landmarks=["A.X", "A.Y"])
    poses = npz.read(tmp_path / "a.npz")
    expected = np.zeros((6, 2, 3), dtype=np.float32)
    expected[..., : min(columns, 3)] = keypoints[..., :3]
    expected[2, 1] = np.nan
    np.testing.assert_array_equal(poses.xyz, expected)
    assert (poses.confidence[2, 1], poses.fps, poses.landmarks) == (0, exact, ("A.X", "A.Y"))


def test_visibility_beside_keypoints_is_confidence(tmp_path):
    visibility = np.array([[1, 0], [0.5, 0.25]])
    arrays = {"keypoints": np.ones((2, 2, 2)), "visibility": visibility, "fps": 25, "landmarks": ["X", "Y"]}
    np.savez(tmp_path / "a.npz", **arrays)
    poses = npz.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(poses.confidence, visibility)
    assert np.isnan(poses.xyz[0, 1]).all()


KEYPOINTS = {"keypoints": np.ones((4, 2, 2)), "fps": np.array(25), "landmarks": np.array(["X", "Y"])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": None}, "no array 'fps' .*; add it to the archive: 30000 1001"),
        ({"landmarks": None}, "no array 'landmarks'"),
        ({"keypoints": None}, r"no array 'xyz' \(arrays: fps, landmarks\); add it"),
        ({"keypoints": None, "pose": np.ones((4, 2, 2))}, r"no array 'xyz' \(arrays: fps, landmarks, pose\); add it"),
        ({"keypoints": np.ones((4, 2))}, "expected numbers: frames, landmarks"),
        ({"keypoints": np.ones((4, 3, 2))}, "4 frames of 3 landmarks, and 2 names"),
        ({"keypoints": np.ones((0, 2, 2))}, "has no frames; write it again"),
        ({"keypoints": np.full((4, 2, 2), np.nan)}, "none of 2 landmarks is seen in any of 4 frames"),
        ({"keypoints": np.array([{}])}, "damaged or holds objects"),
        ({"confidence": np.ones(4)}, "one per landmark"),
        ({"fps": np.array(0)}, "fps is 0"),
        ({"fps": np.array([25, 0])}, "fps is .25, 0."),
        ({"fps": np.array("fast")}, "fps is fast"),
    ],
)
def test_an_archive_that_lacks_something_is_refused_and_told_what(tmp_path, change, message):
    arrays = {name: value for name, value in (KEYPOINTS | change).items() if value is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        npz.read(tmp_path / "a.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'a.npz'}: ")


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_an_archive_cut_short_is_refused(tmp_path, keep):
    npz.write(tmp_path / "a.npz", some_poses())
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:keep])
    with pytest.raises(InputError, match=r"not an \.npz, or cut short"):
        npz.read(tmp_path / "a.npz")


@pytest.mark.filterwarnings("ignore:.* landmarks are missing:seasign.types.InputWarning")
@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.pose")), ids=lambda path: path.name)
def test_a_published_file_reads_as_pose_format_reads_it_and_comes_back(tmp_path, path):
    poses, other = pose.read(path), Pose.read(path.read_bytes())
    dims = other.body.data.shape[3]
    np.testing.assert_array_equal(poses.xyz[..., :dims], other.body.data[:, 0].filled(np.nan))
    np.testing.assert_array_equal(poses.confidence, other.body.confidence[:, 0])
    pose.write(tmp_path / "a.pose", poses)
    npz.write(tmp_path / "a.npz", poses)
    assert_same(pose.read(tmp_path / "a.pose"), poses)
    assert_same(npz.read(tmp_path / "a.npz"), poses)
    ours = Pose.read((tmp_path / "a.pose").read_bytes()).header.components
    for component, same in zip(other.header.components, ours, strict=True):
        if "FACE" not in component.name and "keypoints" not in component.name:  # of which we draw no lines
            assert {frozenset(limb) for limb in same.limbs} == {frozenset(limb) for limb in component.limbs}
