"""Clips of single signs: as a table lists them, and as traduttore's arrays hold them."""

from pathlib import Path

import numpy as np
import pytest

import seasign
from seasign.corpora import traduttore
from seasign.corpora.clips import digest, read_manifest
from seasign.corpora.recordings import divide
from seasign.synthesis import synthesize
from seasign.types import InputError, Sign

TRADUTTORE = Path(__file__).parents[2] / "shared" / "data" / "traduttore_asl"


@pytest.fixture
def table(tmp_path):
    seasign.write(tmp_path / "a.npz", synthesize(1, duration=2.0).poses)

    def write(*lines):
        path = tmp_path / "clips.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_a_table_of_clips_is_read_with_all_it_says(table):
    path = table("poses,text,signer,written,signed,split,more", "a.npz,good morning,Ann,en,ase,train,x", "a.npz,hi,,,,")
    first, second = read_manifest(path)
    assert (first.text, first.signer, first.tags, first.part) == ("good morning", "Ann", ("en", "ase"), "train")
    assert (second.text, second.signer, second.tags, second.part) == ("hi", None, None, None)
    assert first.name != second.name
    np.testing.assert_array_equal(first.read().xyz, synthesize(1, duration=2.0).poses.xyz)


def test_signs_of_a_clip_are_read_from_the_file_that_is_named(table, tmp_path):
    seasign.write(tmp_path / "a.csv", [Sign(0.1, 0.5, "good", 0.9), Sign(0.6, 1.0)])
    first, second = read_manifest(table("poses,text,signs", "a.npz,good morning,a.csv", "a.npz,hi,"))
    assert first.read_signs() == (Sign(0.1, 0.5, "good", 0.9),)
    assert second.read_signs() == ()
    before = digest([first])
    seasign.write(tmp_path / "a.csv", [Sign(0.1, 0.6, "good", 0.9)])
    assert digest([first]) != before


def test_the_digest_of_clips_is_of_all_their_files(table, tmp_path):
    seasign.write(tmp_path / "b.npz", synthesize(2, duration=2.0).poses)
    path = table("poses,text", "a.npz,hi", "b.npz,you", "a.npz,hello")
    before = digest(read_manifest(path))
    assert before == digest(read_manifest(path)[1:])  # a file that is there twice counts once
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    assert digest(read_manifest(path)) != before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["poses,signer", "a.npz,Ann"], "clips.csv:1: no column 'text'"),
        (["poses,text", "a.npz,"], "clips.csv:2: names no text"),
        (["poses,text", ",hello"], "clips.csv:2: names no poses"),
        (["poses,text", "a.npz,a", "b.npz,b"], "clips.csv:3: there is no file"),
        (["poses,text", "a.mp4,a"], "clips.csv:2: a.mp4: expected a file named"),
        (["poses,text,written", "a.npz,a,en"], "clips.csv:2: names the language"),
        (["poses,text,split", "a.npz,a,dev"], "clips.csv:2: split: expected train"),
        (["poses,text,signs", "a.npz,a,b.csv"], "clips.csv:2: there is no file"),
        (["poses,text"], "lists no clips"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_line(table, lines, message):
    with pytest.raises(InputError, match=message):
        read_manifest(table(*lines))


@pytest.fixture
def arrays(tmp_path):
    rng = np.random.default_rng(0)
    pose = rng.uniform(0.1, 0.9, (3, 20, 33, 4)).astype(np.float16)
    hands = rng.uniform(0.1, 0.9, (2, 3, 20, 21, 3)).astype(np.float16)
    hands[0, 1, 4:7] = 0
    table = {"pose": pose, "left_hand": hands[0], "right_hand": hands[1]}
    table |= {"block": np.array([0, 0, 5], np.int16), "seq": np.array([1, 2, 150], np.int16)}
    np.savez(tmp_path / "thank-you.npz", **table)
    return tmp_path, table


def test_arrays_of_shares_become_pixels_and_a_hand_of_zeros_is_missing(arrays):
    folder, table = arrays
    clips = traduttore.read(folder)
    assert [(clip.text, clip.signer, clip.name) for clip in clips] == [
        ("thank you", "block 0", "thank-you/1"),
        ("thank you", "block 0", "thank-you/2"),
        ("thank you", "block 5", "thank-you/150"),
    ]
    poses = clips[1].read()
    assert poses.fps == 20
    nose = poses.xyz[:, poses.landmarks.index("POSE_LANDMARKS.NOSE")]
    np.testing.assert_allclose(nose, table["pose"][1, :, 0, :3].astype(float) * [640, 480, 1], rtol=1e-6)
    left = [name.startswith("LEFT_HAND") for name in poses.landmarks]
    assert np.isnan(poses.xyz[4:7][:, left]).all()
    assert np.isnan(poses.xyz).sum() == 3 * 21 * 3
    np.testing.assert_array_equal(np.isnan(poses.xyz[..., 0]), poses.confidence == 0)


def test_sessions_are_divided_as_signers_are(arrays):
    parts = divide(traduttore.read(arrays[0]), valid=0.3)
    assert {clip.signer for clip in parts["train"]}.isdisjoint(clip.signer for clip in parts["valid"])


def test_other_arrays_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.npz"):
        traduttore.read(tmp_path)
    np.savez(tmp_path / "other.npz", block=np.arange(3), seq=np.arange(3))
    with pytest.raises(InputError, match=r"other\.npz: no clips of traduttore"):
        traduttore.read(tmp_path)


@pytest.mark.skipif(not TRADUTTORE.exists(), reason="no shared data")
def test_the_real_arrays_are_ten_words_in_nine_sessions_of_a_person_before_a_camera():
    clips = traduttore.read(TRADUTTORE)
    assert (len(clips), len({clip.text for clip in clips}), len({clip.signer for clip in clips})) == (820, 10, 9)
    poses = clips[0].read()
    right, left = (
        poses.xyz[:, poses.landmarks.index(f"POSE_LANDMARKS.{side}_SHOULDER"), 0] for side in ("RIGHT", "LEFT")
    )
    assert (left - right > 50).all()
