"""The whole way, by commands: from a video to subtitles, with a stand-in for MediaPipe and with MediaPipe itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seasign
from commands import run
from planted import film
from seasign.types import InputWarning

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"  # shared data
CLIPS = SHARED / "how2sign" / "video"

# Speaks the protocol of `seasign.workers.holistic`, whatever script it is told to run, and returns planted landmarks.
STAND_IN = """#!{python}
import json, struct, sys
from pathlib import Path
import numpy as np

planted = np.load({planted!r})
hello = dict(estimator="planted", version="1", settings=json.loads(sys.argv[2]), landmarks=planted["names"].tolist())
print(json.dumps(hello))
sys.stdout.flush()
calls = Path({planted!r} + ".calls")
done = int(calls.read_text()) if calls.exists() else 0
stop = Path({planted!r} + ".stop")
while header := sys.stdin.buffer.read(17):
    _, width, height, _, _ = struct.unpack("<?4I", header)
    sys.stdin.buffer.read(width * height * 3)
    if stop.exists() and done == int(stop.read_text()):
        sys.exit("planted to fail here")
    sys.stdout.buffer.write(planted["rows"][done].astype("<f4").tobytes())
    sys.stdout.buffer.flush()
    done += 1
    calls.write_text(str(done // 1500 * 1500))
"""


@pytest.fixture(scope="session")
def filmed(tmp_path_factory):
    """An episode, and a folder with its news.mp4 (black: nobody looks), news.vtt and planted.npz."""
    folder = tmp_path_factory.mktemp("filmed")
    episode = seasign.synthesize(seed=3, duration=75.0)
    film(folder / "news.mp4", [number / 25 for number in range(len(episode.poses.xyz))], size=(32, 32))
    seasign.write(folder / "news.vtt", episode.cues)
    rows = np.concatenate([np.nan_to_num(episode.poses.xyz), episode.poses.confidence[..., None]], axis=2)
    np.savez(folder / "planted.npz", rows=rows, names=np.array(episode.poses.landmarks))
    return episode, folder


@pytest.fixture
def episode(filmed, tmp_path, monkeypatch):
    """The episode; its files are in the working directory, and a stand-in that knows the signer estimates poses."""
    episode, folder = filmed
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable, planted=str(tmp_path / "planted.npz")))
    stand_in.chmod(0o755)
    monkeypatch.setenv("SEASIGN_POSE_PYTHON", str(stand_in))
    return episode


def test_from_a_video_to_aligned_subtitles(episode):
    result = run("align", "news.mp4", "news.vtt", "-o", "news.aligned.vtt", "--lag", 2, "--poses", "news.pose")
    assert result.exit_code == 0, result.output
    aligned = seasign.read("news.aligned.vtt").cues
    before, after = (seasign.evaluate(episode.reference, cues).pooled for cues in (episode.cues, aligned))
    assert after.f1[0.5] > before.f1[0.5] + 30
    assert [cue.text for cue in aligned] == [cue.text for cue in episode.cues]
    assert not Path("news.pose.partial").exists()
    provenance = seasign.read("news.pose").provenance
    assert provenance["estimator"] == "planted"
    assert provenance["video"]["name"] == "news.mp4"
    Path("planted.npz").unlink()  # the poses are kept: nothing is estimated again
    again = run("align", "news.mp4", "news.vtt", "-o", "again.vtt", "--lag", 2, "--poses", "news.pose")
    assert again.exit_code == 0, again.output
    assert Path("again.vtt").read_bytes() == Path("news.aligned.vtt").read_bytes()


@pytest.mark.parametrize(
    ("kept", "asked", "difference"),
    [
        ({}, [], None),
        ({"video": {"name": "other.mp4", "bytes": 7}}, [], "name other.mp4, not news.mp4; bytes 7, not "),
        ({"crop": [0, 0, 16, 16]}, ["--crop", "0,0,16,16"], None),
        ({"crop": [0, 0, 16, 16]}, [], "crop [0, 0, 16, 16], not None)"),
        ({}, ["--crop", "0,0,16,16"], "crop None, not [0, 0, 16, 16])"),
        ({}, ["--static"], "static_image_mode False, not True)"),
        ({"settings": {"static_image_mode": True}}, ["--static"], None),
        ({"start": 10.0}, [], "start 10.0, not 0.0)"),
        ({"end": 60.0}, [], "end 60.0, not None)"),
    ],
    ids=["same", "other video", "same crop", "cropped", "whole", "followed", "static", "start", "end"],
)
def test_kept_poses_are_used_if_they_are_of_the_same_video_in_the_same_way(episode, kept, asked, difference):
    video = {"name": "news.mp4", "bytes": Path("news.mp4").stat().st_size}
    provenance = {"video": video, "settings": {"static_image_mode": False}, "crop": None, "start": 0.0, "end": None}
    seasign.write("news.pose", replace(episode.poses, provenance=provenance | kept))
    Path("planted.npz").unlink()  # nothing can be estimated
    result = run("align", "news.mp4", "news.vtt", "-o", "out.vtt", "--poses", "news.pose", "--lag", 2, *asked)
    assert result.exit_code == (difference is not None), result.output
    if difference:
        assert f"news.pose: holds the poses of something else ({difference}" in result.stderr


def test_kept_poses_that_do_not_say_what_they_are_of_are_used(episode):
    for provenance in None, {"video": None}, {"estimator": "mine", "video": {"name": "news.mp4"}, "settings": 3}:
        seasign.write("news.pose", replace(episode.poses, provenance=provenance))
        result = run("align", "news.mp4", "news.vtt", "-o", "out.vtt", "--poses", "news.pose", "--lag", 2)
        assert result.exit_code == 0, result.output


def test_poses_that_begin_later_give_signs_in_the_time_of_the_video(episode):
    whole = seasign.segment(episode.poses)
    start = 20
    part = replace(
        episode.poses,
        xyz=episode.poses.xyz[25 * start :],
        confidence=episode.poses.confidence[25 * start :],
        provenance={"start": float(start)},
    )
    seasign.write("part.pose", part)
    assert run("segment", "part.pose", "-o", "part.eaf").exit_code == 0
    signs = seasign.read_signs("part.eaf")
    late = [sign for sign in whole if sign.start > start + 10]
    assert [(sign.start, sign.end) for sign in signs[-len(late) :]] == [(sign.start, sign.end) for sign in late]
    assert seasign.read("part.eaf")["PHRASE"][-1].end == late[-1].end
    seasign.write("late.vtt", [cue for cue in episode.cues if cue.start > start])
    for source in "part.pose", "part.eaf":
        assert run("align", source, "late.vtt", "-o", f"{source}.vtt", "--lag", 2).exit_code == 0
    assert Path("part.pose.vtt").read_text() == Path("part.eaf.vtt").read_text()


# --- hours of estimation are not lost ---------------------------------------------------------------------------------


def calls():
    """How many pictures the stand-in has looked at, in whole minutes of video."""
    return Path("planted.npz.calls")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--similarity", "missing.npy"],
        ["--similarity", "broken.npy"],
        ["--similarity", "short.npy"],
        ["--similarity", "infinite.npy"],
        ["--cue-embeddings", "short.npy", "--sign-embeddings", "infinite.npy"],
        ["--merge", "missing.csv"],
        ["--poses", "kept.zip"],
        ["--poses", "nowhere/kept.pose"],
        ["--poses", "news.mp4"],
        ["--timeline", "out.png"],
        ["--timeline", "nowhere/out.svg"],
        ["-o", "nowhere/out.vtt"],
        ["-o", "out.docx"],
        ["-o", "folder.vtt"],
    ],
    ids=" ".join,
)
def test_what_is_wrong_with_other_files_is_said_before_poses_are_estimated(episode, wrong):
    Path("broken.npy").write_bytes(b"rubbish")
    Path("folder.vtt").mkdir()
    np.save("short.npy", np.zeros((2, 3)))
    np.save("infinite.npy", np.full((len(episode.cues), 3), np.inf))
    files = set(Path().rglob("*"))
    result = run("align", "news.mp4", "news.vtt", "-o", "out.vtt", *wrong)
    assert result.exit_code == 1, result.output
    assert not calls().exists()
    assert set(Path().rglob("*")) == files


def test_an_error_after_the_estimation_keeps_what_was_estimated(episode):
    np.save("wide.npy", np.zeros((len(episode.cues), 1)))
    failed = run("align", "news.mp4", "news.vtt", "-o", "out.vtt", "--lag", 2, "--similarity", "wide.npy")
    assert failed.exit_code == 1
    assert "there are" in failed.stderr
    assert Path("out.vtt.partial").is_dir()
    Path("planted.npz.stop").write_text("0")  # whoever asks the stand-in again is told no
    calls().unlink()
    again = run("align", "news.mp4", "news.vtt", "-o", "out.vtt", "--lag", 2)
    assert again.exit_code == 0, again.output
    assert not Path("out.vtt.partial").exists()


@pytest.mark.parametrize("wrong", [["--crop", "30,0,16,16"], ["--python", "nobody"]], ids=" ".join)
def test_a_mistake_in_the_next_run_does_not_undo_the_one_before(episode, wrong):
    Path("planted.npz.stop").write_text("1700")
    assert run("estimate-poses", "news.mp4", "-o", "news.pose").exit_code == 1
    kept = {path.name for path in Path("news.pose.partial").glob("*.npy")}
    assert kept
    assert run("estimate-poses", "news.mp4", "-o", "news.pose", *wrong).exit_code == 1
    assert {path.name for path in Path("news.pose.partial").glob("*.npy")} == kept


def test_an_alignment_of_signs_leaves_an_interrupted_estimation_alone(episode):
    Path("planted.npz.stop").write_text("1700")
    assert run("align", "news.mp4", "news.vtt", "-o", "out.vtt").exit_code == 1
    seasign.write("signs.csv", episode.signs)
    assert run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2).exit_code == 0
    assert Path("out.vtt.partial").is_dir()


def test_a_folder_that_cannot_be_removed_is_named_in_a_warning(episode, monkeypatch):
    monkeypatch.setattr("seasign.cli.jobs.shutil.rmtree", lambda folder, ignore_errors: None)
    result = run("estimate-poses", "news.mp4", "-o", "news.pose")
    assert result.exit_code == 0
    assert "warning: news.pose.partial: could not be removed; remove it by hand" in result.stderr
    assert Path("news.pose").exists()


def test_an_interrupted_estimation_goes_on_and_gives_the_same_bytes(episode):
    Path("planted.npz.stop").write_text("1700")
    failed = run("estimate-poses", "news.mp4", "-o", "news.pose")
    assert failed.exit_code == 1
    assert "planted to fail here" in failed.stderr
    assert not Path("news.pose").exists()
    assert Path("news.pose.partial").is_dir()
    Path("planted.npz.stop").unlink()
    assert run("estimate-poses", "news.mp4", "-o", "news.pose").exit_code == 0
    Path("planted.npz.calls").unlink()
    assert run("estimate-poses", "news.mp4", "-o", "whole.pose").exit_code == 0
    assert Path("news.pose").read_bytes() == Path("whole.pose").read_bytes()
    assert not Path("news.pose.partial").exists()


def test_a_video_without_a_person_is_refused_and_leaves_nothing(episode):
    planted = dict(np.load("planted.npz"))
    np.savez("planted.npz", rows=0 * planted["rows"], names=planted["names"])
    before = set(Path().iterdir())
    result = run("align", "news.mp4", "news.vtt", "-o", "out.vtt")
    assert result.exit_code == 1
    assert "no person" in result.stderr
    assert {path for path in Path().iterdir() if path.suffix != ".calls"} == before


# --- the README, as a stranger would follow it ------------------------------------------------------------------------


def blocks(language):
    """The fenced blocks of a language in the README."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_commands_of_the_readme_run(episode):
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("seasign ")]
    assert len(commands) >= 5
    seasign.write("news.reference.vtt", episode.reference)
    for line in commands:
        Path("planted.npz.calls").unlink(missing_ok=True)
        words = line.split("#")[0].split()[1:]
        result = run(*words)
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_the_python_of_the_readme_writes_what_the_command_writes(episode):
    seasign.write("news.pose", episode.poses)
    far = seasign.Cue(400.0, 402.0, "Good night.")  # from all signing
    seasign.write("news.vtt", [*episode.cues, far])
    (code,) = blocks("python")
    with pytest.warns(InputWarning, match="is a guess"):  # the episode is short
        exec(compile(code, "README.md", "exec"), {})
    assert run("align", "news.pose", "news.vtt", "-o", "command.vtt").exit_code == 0
    assert Path("news.aligned.vtt").read_bytes() == Path("command.vtt").read_bytes()


# --- with MediaPipe ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(
    "SEASIGN_POSE_PYTHON" not in os.environ, reason="SEASIGN_POSE_PYTHON names no Python with MediaPipe"
)
@pytest.mark.skipif(not CLIPS.exists(), reason="no shared data")
def test_a_real_video_becomes_aligned_subtitles(tmp_path):
    clip = CLIPS / "_0fO5ETSwyg_3-5-rgb_front.mp4"
    (tmp_path / "in.srt").write_text("1\n00:00:00,000 --> 00:00:03,000\nthe whole clip is one sentence\n")
    command = [sys.executable, "-m", "seasign", "align", str(clip), "in.srt", "-o", "out.srt", "--lag", "0", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["signs"] >= 5
    (cue,) = seasign.read(tmp_path / "out.srt").cues
    assert 0 <= cue.start < 1.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.srt", "out.srt"]
