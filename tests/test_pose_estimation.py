"""Decoding, the worker and its protocol, resuming; and one real run of MediaPipe where it is installed."""

import json
import os
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import film
from seasign import pose_estimation
from seasign.formats import pose, video
from seasign.pose_estimation import HOLISTIC, estimate_poses, find_interpreter
from seasign.types import InputError

SHARED = Path(__file__).parents[2] / "shared" / "data"  # shared data
CLIPS = sorted((SHARED / "how2sign" / "video").glob("*.mp4"))
HERE = Path(sys.executable)

# A stand-in for MediaPipe: where the picture is bright, how bright, and how long it has been following.
FAKE = """
import json, struct, sys
from pathlib import Path
import numpy as np

settings = json.loads(sys.argv[1])
print("noise that must not matter", file=sys.stderr)
hello = {"estimator": "fake", "version": "1", "settings": settings, "landmarks": ["A.BRIGHT", "A.MEAN", "B.AGE"]}
HELLO
sys.stdout.write(json.dumps(hello) + "\\n")
sys.stdout.flush()
age = count = 0
while header := sys.stdin.buffer.read(17):
    restart, width, height, x, y = struct.unpack("<?4I", header)
    age = 1 if restart else age + 1
    picture = np.frombuffer(sys.stdin.buffer.read(width * height * 3), np.uint8).reshape(height, width, 3)
    row, column = divmod(int(picture[..., 0].argmax()), width)
    rows = np.array([[x + column, y + row, 0, 1], [picture.mean(), width, height, 1], [age, 0, 0, age > 1]], "<f4")
    count += 1
    with open(__file__ + ".log", "a") as log:
        log.write(f"{age} ")
    EACH
    sys.stdout.buffer.write(rows.tobytes())
    sys.stdout.buffer.flush()
"""


def fake(folder, hello="", each=""):
    path = folder / "fake.py"
    path.write_text(FAKE.replace("HELLO", hello).replace("EACH", each))
    return path


def steady(rate, count):
    return [number / Fraction(rate) for number in range(count)]


def numbers(pictures):
    """Which frames of `film` these are."""
    return [round((float(picture.mean()) - 10) / 3) for picture in pictures]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(359, 12), Fraction(60000, 1001)]
)
def test_constant_rate_comes_out_one_to_one_at_the_exact_rate(tmp_path, rate, suffix):
    path = film(tmp_path / f"a.{suffix}", steady(rate, 40), rate=rate)
    assert video.probe(path) == video.Video(rate, video.probe(path).duration, 64, 48)
    assert video.probe(path).frames == 40
    assert numbers(video.frames(path)) == list(range(40))


def test_a_video_that_starts_late_counts_from_its_first_frame(tmp_path):
    path = film(tmp_path / "a.mkv", [time + Fraction(3, 2) for time in steady(25, 10)])
    assert numbers(video.frames(path)) == list(range(10))


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    rate=st.sampled_from([Fraction(10), Fraction(30), Fraction(24000, 1001)]),
)
def test_variable_rate_is_resampled_by_its_time_stamps(tmp_path_factory, steps, rate):
    stamps = np.cumsum([0, *steps])
    times = [Fraction(int(stamp), 60) for stamp in stamps]
    path = film(tmp_path_factory.mktemp("vary") / "a.mp4", times)
    found = numbers(video.frames(path, fps=rate))
    last = int(times[-1] * rate + Fraction(1, 2))
    nearest = [min(range(len(times)), key=lambda i: abs(times[i] - n / rate)) for n in range(last + 1)]
    assert found == nearest


def test_a_repeated_picture_is_the_same_object(tmp_path):
    path = film(tmp_path / "a.mp4", steady(5, 4), rate=5)
    pictures = list(video.frames(path, fps=Fraction(10)))
    assert numbers(pictures) == [0, 0, 1, 1, 2, 2, 3]
    assert len({id(picture) for picture in pictures}) == 4


def test_a_part_of_a_video_is_the_same_pictures(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 30))
    assert numbers(video.frames(path, start=0.4, end=0.8)) == list(range(10, 20))
    assert numbers(video.frames(path, start=0.4)) == list(range(10, 30))
    assert numbers(video.frames(path, end=99)) == list(range(30))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"start": 5}, "no frames after 5 s; the video ends at 0.36 s"),
        ({"start": -1, "end": 1}, "no frame lies between start=-1 and end=1"),
        ({"start": 2, "end": 1}, "no frame lies between start=2 and end=1"),
        ({"start": 0.2, "end": 0.21}, "no frame lies between"),
        ({"crop": (0, 0, 65, 48)}, "crop 0,0,65,48 .* leaves the picture, which is 64x48"),
        ({"crop": (-1, 0, 10, 10)}, "leaves the picture"),
        ({"crop": (0, 0, 0, 10)}, "leaves the picture"),
    ],
)
def test_a_part_that_is_not_there_is_refused(tmp_path, part, message):
    path = film(tmp_path / "a.mp4", steady(25, 10))
    with pytest.raises(InputError, match=message) as caught:
        list(video.frames(path, **part))
    assert str(caught.value).startswith(f"{path}: ")


def turned(path, matrix):
    """The same .mp4, to be shown turned."""
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    content = path.read_bytes()
    head, found, rest = content.partition(b"tkhd")
    assert found
    path.write_bytes(head + found + rest.replace(upright, struct.pack(">9i", *matrix), 1))
    return path


ONE = 1 << 16


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30), (48, 64), "top right"),  # a quarter clockwise
        ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), (64, 48), "bottom right"),
        ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), (48, 64), "bottom left"),
    ],
)
def test_a_turned_video_comes_out_upright(tmp_path, matrix, size, corner):
    path = turned(film(tmp_path / "a.mp4", steady(25, 3), spot=(0, 0)), matrix)  # the spot is at the top left
    about, picture = video.probe(path), next(video.frames(path))
    assert (about.width, about.height) == size
    assert picture.shape == (size[1], size[0], 3)
    corners = {"top right": (0, -1), "bottom right": (-1, -1), "bottom left": (-1, 0), "top left": (0, 0)}
    assert max(corners, key=lambda name: picture[corners[name]].sum()) == corner


def noise(path, seconds=4):
    """A video that does not compress, so that its bytes are spread over its time."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for _ in range(25 * seconds):
            picture = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_cut_short_is_refused_and_the_time_named(tmp_path, suffix):
    path = noise(tmp_path / f"a.{suffix}")
    assert len(list(video.frames(path))) == 100
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"(stops at|after) [12]\.\d\d s.*cut short or damaged"):
        list(video.frames(path))


def test_damage_in_the_middle_is_refused_and_the_time_named(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 80))
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 1200
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be decoded after \d\.\d\d s"):
        list(video.frames(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"", "the file is empty"),
        ("a.mp4", b"no video at all", "not a video, or cut short"),
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "no video in this file"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for use in (video.probe, lambda path: list(video.frames(path)), estimate_poses):
        with pytest.raises(InputError, match=message):
            use(tmp_path / name)


def test_sound_alone_and_a_missing_file_are_refused(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="no video in this file"):
        video.probe(tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError):
        video.probe(tmp_path / "none.mp4")


def test_every_frame_is_estimated_and_provenance_says_how(tmp_path):
    path = film(tmp_path / "a.mp4", steady(Fraction(24000, 1001), 30), rate=Fraction(24000, 1001), spot=(20, 10))
    done = []
    poses = estimate_poses(path, python=HERE, worker=fake(tmp_path), progress=lambda *at: done.append(at))
    assert poses.fps == Fraction(24000, 1001)
    assert poses.landmarks == ("A.BRIGHT", "A.MEAN", "B.AGE")
    assert poses.xyz.shape == (30, 3, 3)
    assert ((poses.xyz[:, 0, 0] >= 19) & (poses.xyz[:, 0, 0] < 24)).all()
    np.testing.assert_array_equal(poses.xyz[1:, 2, 0], np.arange(2, 31))
    assert np.isnan(poses.xyz[0, 2]).all()  # confidence 0
    assert done == [(number + 1, 30) for number in range(30)]
    assert json.loads(json.dumps(poses.provenance)) == {
        "estimator": "fake",
        "version": "1",
        "settings": {
            "model_complexity": 1,
            "refine_face_landmarks": True,
            "smooth_landmarks": False,
            "static_image_mode": False,
        },
        "video": {"name": "a.mp4", "bytes": path.stat().st_size, "width": 64, "height": 48},
        "crop": None,
        "start": 0.0,
        "end": None,
        "fps": "24000/1001",
        "chunk": 1439,
        "seasign": pose_estimation.version("seasign"),
    }


def test_a_crop_is_what_the_estimator_sees_and_landmarks_are_where_they_are_in_the_picture(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 10), spot=(40, 32))
    poses = estimate_poses(path, crop=(30, 20, 24, 26), start=0.2, end=0.32, python=HERE, worker=fake(tmp_path))
    assert (abs(poses.xyz[:, 0, :2] - [41.5, 33.5]) < 3).all()
    np.testing.assert_array_equal(poses.xyz[:, 1, 1:], [[24, 26]] * 3)
    assert (poses.provenance["crop"], poses.provenance["start"], poses.provenance["end"]) == (
        [30, 20, 24, 26],
        0.2,
        0.32,
    )


def test_a_repeated_picture_is_estimated_once(tmp_path):
    path = film(tmp_path / "a.mp4", [Fraction(n, 60) for n in (0, 1, 2, 3, 4, 5, 30, 31, 32, 33)])
    worker = fake(tmp_path)
    poses = estimate_poses(path, python=HERE, worker=worker)
    pictures = list(video.frames(path, fps=poses.fps))
    different = len({id(picture) for picture in pictures})
    assert different < len(pictures) == len(poses.xyz)
    assert len(Path(f"{worker}.log").read_text().split()) == different


@pytest.fixture
def chunks_of_ten(monkeypatch):
    monkeypatch.setattr(pose_estimation, "CHUNK", 0.4)


@pytest.mark.usefixtures("chunks_of_ten")
@pytest.mark.parametrize("stop_at", [1, 9, 10, 11, 25, 34])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(tmp_path, stop_at):
    path = film(tmp_path / "a.mp4", steady(25, 34))
    worker, scratch = fake(tmp_path), tmp_path / "a.pose.partial"
    whole = estimate_poses(path, python=HERE, worker=worker, scratch=tmp_path / "whole")
    pose.write(tmp_path / "whole.pose", whole)

    def interrupt(done, total):
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimate_poses(path, python=HERE, worker=worker, scratch=scratch, progress=interrupt)
    assert len(list(scratch.glob("chunk-*.npy"))) == (stop_at - 1) // 10
    Path(f"{worker}.log").unlink()
    done = []
    poses = estimate_poses(path, python=HERE, worker=worker, scratch=scratch, progress=lambda at, _: done.append(at))
    pose.write(tmp_path / "again.pose", poses)
    assert (tmp_path / "again.pose").read_bytes() == (tmp_path / "whole.pose").read_bytes()
    assert (tmp_path / "again.pose.json").read_bytes() == (tmp_path / "whole.pose.json").read_bytes()
    assert done[0] == (stop_at - 1) // 10 * 10 + 1
    ages = [age for first in range(0, 34, 10) for age in range(1, min(10, 34 - first) + 1)]
    assert Path(f"{worker}.log").read_text().split() == [str(age) for age in ages[done[0] - 1 :]]


def test_nothing_is_left_where_nothing_was_begun_and_nothing_of_others_goes(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 5))
    worker, scratch = fake(tmp_path, hello='hello = {"missing": "no numpy"}'), tmp_path / "a.pose.partial"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    for folder in scratch, tmp_path / "mine":
        with pytest.raises(ModuleNotFoundError, match="no numpy"):
            estimate_poses(path, python=HERE, worker=worker, scratch=folder)
    assert not scratch.exists()
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.usefixtures("chunks_of_ten")
def test_a_finished_run_is_not_done_again(tmp_path):
    path, worker = film(tmp_path / "a.mp4", steady(25, 20)), fake(tmp_path)
    first = estimate_poses(path, python=HERE, worker=worker, scratch=tmp_path / "scratch")
    Path(f"{worker}.log").unlink()
    again = estimate_poses(path, python=HERE, worker=worker, scratch=tmp_path / "scratch")
    assert not Path(f"{worker}.log").exists()
    np.testing.assert_array_equal(first.xyz, again.xyz)  # the first still stands on its own file


@pytest.mark.usefixtures("chunks_of_ten")
@pytest.mark.parametrize("change", ["video", "settings", "version"])
def test_another_video_setting_or_version_starts_anew(tmp_path, change):
    path, worker = film(tmp_path / "a.mp4", steady(25, 20)), fake(tmp_path)
    estimate_poses(path, python=HERE, worker=worker, scratch=tmp_path / "scratch")
    if change == "video":
        film(path, steady(25, 20), spot=(4, 4))
    if change == "version":
        fake(tmp_path, hello='hello["version"] = "2"')
    Path(f"{worker}.log").unlink()
    poses = estimate_poses(path, static=change == "settings", python=HERE, worker=worker, scratch=tmp_path / "scratch")
    assert len(Path(f"{worker}.log").read_text().split()) == len(poses.xyz) == 20


def test_a_worker_that_dies_says_why_in_one_line(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 20))
    worker = fake(tmp_path, each="if count == 7: raise MemoryError('the model does not fit')")
    with pytest.raises(ChildProcessError) as caught:
        estimate_poses(path, python=HERE, worker=worker)
    assert str(caught.value) == f"fake.py under {HERE}: stopped with exit code 1: MemoryError: the model does not fit"


def test_a_worker_that_dies_before_its_hello_says_why(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 3))
    with pytest.raises(ChildProcessError, match="stopped with exit code 3: noise that must not matter"):
        estimate_poses(path, python=HERE, worker=fake(tmp_path, hello="sys.exit(3)"))


def test_what_the_worker_misses_or_refuses_is_told_with_the_remedy(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 3))
    with pytest.raises(ModuleNotFoundError, match=r"no libGL; estimating poses needs .*SEASIGN_POSE_PYTHON"):
        estimate_poses(path, python=HERE, worker=fake(tmp_path, hello='hello = {"missing": "no libGL"}'))
    with pytest.raises(ChildProcessError, match="no such model"):
        estimate_poses(path, python=HERE, worker=fake(tmp_path, hello='hello = {"refused": "no such model"}'))


def test_a_video_without_a_person_is_refused(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 12))
    with pytest.raises(InputError, match="no person in any of 12 frames"):
        estimate_poses(path, python=HERE, worker=fake(tmp_path, each="rows[:, 3] = 0"))


def test_the_interpreter_is_the_one_given_or_the_environments_or_this_one(monkeypatch):
    monkeypatch.setenv("SEASIGN_POSE_PYTHON", "/there/python")
    assert find_interpreter(Path("/here/python")) == Path("/here/python")
    assert find_interpreter() == Path("/there/python")
    monkeypatch.delenv("SEASIGN_POSE_PYTHON")
    monkeypatch.setattr(pose_estimation, "find_spec", lambda name: None)
    for version, here in ((3, 12, 1), 'pip install "seasign[pose]"'), ((3, 14, 0), "this Python 3.14 is too new for"):
        monkeypatch.setattr(pose_estimation.sys, "version_info", version)
        with pytest.raises(ModuleNotFoundError) as caught:
            find_interpreter()
        assert "needs mediapipe under Python 3.11 or 3.12" in str(caught.value)
        assert here in str(caught.value)
        assert ("pip install" in str(caught.value)) == (version < (3, 13))
    monkeypatch.undo()
    monkeypatch.delenv("SEASIGN_POSE_PYTHON", raising=False)
    monkeypatch.setattr(pose_estimation, "find_spec", lambda name: name)
    assert find_interpreter() == HERE


def test_a_python_without_mediapipe_gets_the_remedy(tmp_path):
    path = film(tmp_path / "a.mp4", steady(25, 3))
    (tmp_path / "mediapipe.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')\n")
    worker = tmp_path / "holistic.py"
    worker.write_text(HOLISTIC.read_text())
    with pytest.raises(ModuleNotFoundError, match=r"libGL\.so\.1: cannot open .*; estimating poses needs mediapipe"):
        estimate_poses(path, python=HERE, worker=worker)


real = [
    pytest.mark.slow,
    pytest.mark.skipif("SEASIGN_POSE_PYTHON" not in os.environ, reason="SEASIGN_POSE_PYTHON names no Python"),
    pytest.mark.skipif(not CLIPS, reason="no video in shared data"),
]


@pytest.fixture(scope="module")
def estimated():
    path = min(CLIPS, key=lambda clip: clip.stat().st_size)
    return path, estimate_poses(path)


class TestMediaPipe:
    pytestmark = real

    def test_landmarks_are_where_the_published_ones_are(self, estimated):
        path, poses = estimated
        published = pose.read(SHARED / "how2sign" / "poses" / f"{path.stem}.pose")
        index = [poses.landmarks.index(name) for name in published.landmarks]
        away = np.linalg.norm((poses.xyz[:, index] - published.xyz)[..., :2], axis=2)  # of pictures of 1280 x 720
        hands = ["HAND" in name for name in published.landmarks]
        assert np.nanmedian(away[:, hands]) < 1
        assert np.nanmedian(away[:, np.logical_not(hands)]) < 6  # published with smoothing, ours are without
        assert (np.isfinite(away).mean(), len(poses.xyz)) > (0.9, len(published.xyz) - 1)

    def test_the_layout_is_pose_formats_and_provenance_says_what_ran(self, estimated):
        path, poses = estimated
        sample = SHARED / "pose_samples" / "holistic_v0.2_refined586.pose"
        if sample.exists():
            assert poses.landmarks == pose.names(sample)
        assert len(poses.landmarks) == 586
        told = poses.provenance
        assert (told["estimator"], told["version"], told["video"]["name"]) == (
            "mediapipe-holistic",
            "0.10.21",
            path.name,
        )
        assert told["settings"]["refine_face_landmarks"]
        assert poses.fps == 24

    def test_an_interrupted_run_ends_with_the_same_bytes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(pose_estimation, "CHUNK", 0.5)

        def interrupt(done, total):
            if done == 20:
                raise KeyboardInterrupt

        whole = estimate_poses(CLIPS[0], end=1.5)
        with pytest.raises(KeyboardInterrupt):
            estimate_poses(CLIPS[0], end=1.5, scratch=tmp_path / "scratch", progress=interrupt)
        poses = estimate_poses(CLIPS[0], end=1.5, scratch=tmp_path / "scratch")
        assert poses.xyz.tobytes() == whole.xyz.tobytes()
        assert poses.confidence.tobytes() == whole.confidence.tobytes()

    def test_a_crop_moves_no_landmark(self, estimated):
        path, poses = estimated
        cropped = estimate_poses(path, crop=(240, 0, 800, 720))
        body = [poses.landmarks.index(f"POSE_LANDMARKS.{side}_SHOULDER") for side in ("LEFT", "RIGHT")]
        away = np.linalg.norm((poses.xyz - cropped.xyz)[:, body, :2], axis=2)
        assert np.median(away) < 15

    def test_a_model_that_is_not_in_the_wheel_is_refused_with_the_reason(self):
        with pytest.raises(ChildProcessError, match=r"pose_landmark_heavy\.tflite is not part of mediapipe's wheel"):
            estimate_poses(CLIPS[0], complexity=2)

    def test_a_video_without_a_person_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="no person in any of 5 frames"):
            estimate_poses(film(tmp_path / "a.mp4", steady(25, 5)))
