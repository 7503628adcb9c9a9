"""What holds for every format: what `write` takes, and that damage is refused and never a traceback."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import seasign
from seasign.types import Alignment, Cue, InputError, Sign

CUES = (Cue(0.5, 2.3, "Heavy rain & <i>sun</i>.", "rain"), Cue(5.0, 6.4, "Café", "2"))
SIGNS = (Sign(0.0, 1.5, "RAIN", 0.5), Sign(1.5, 2.0))


@pytest.mark.parametrize("suffix", [".vtt", ".ttml", ".csv", ".json"])
def test_an_iterator_of_cues_is_written_whole(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    seasign.write(path, (cue for cue in CUES))
    assert [cue.start for cue in seasign.read_cues(path).cues] == [0.5, 5.0]


@pytest.mark.parametrize("suffix", [".eaf", ".csv", ".json"])
def test_an_iterator_of_signs_is_written_whole(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    seasign.write(path, iter(SIGNS))
    assert [sign.gloss for sign in seasign.read_signs(path)] == ["RAIN", None]


def test_iterators_of_tiers_are_written_whole(tmp_path):
    seasign.write(tmp_path / "x.eaf", {"A": iter(SIGNS), "B": iter(SIGNS[:1])})
    assert {name: len(tier) for name, tier in seasign.read(tmp_path / "x.eaf").items()} == {"A": 2, "B": 1}


@pytest.mark.parametrize("suffix", [".vtt", ".srt", ".ttml", ".eaf", ".csv", ".json", ".pose", ".npz"])
def test_an_alignment_is_refused_and_its_cues_recommended(tmp_path, suffix):
    with pytest.raises(InputError, match=r"write alignment\.cues"):
        seasign.write(tmp_path / f"x{suffix}", Alignment(CUES, ((), ()), (0, 0, 0), 0.0))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named_and_no_temporary_file(tmp_path):
    path = tmp_path / "nowhere" / "x.csv"
    with pytest.raises(FileNotFoundError) as caught:
        seasign.write(path, SIGNS)
    assert caught.value.filename == str(path)


# --- damage -----------------------------------------------------------------------------------------------------------


def small(path):
    """A small valid file of the kind that `path` is named after."""
    if path.suffix in (".pose", ".npz"):
        poses = seasign.synthesize(duration=5.0).poses
        chosen = [poses.landmarks.index(f"POSE_LANDMARKS.{side}_WRIST") for side in ("LEFT", "RIGHT")]
        xyz, confidence = poses.xyz[:3, chosen], np.ones((3, 2), dtype=np.float32)
        names = tuple(poses.landmarks[index] for index in chosen)
        part = replace(poses, xyz=np.nan_to_num(xyz), confidence=confidence, landmarks=names)
        seasign.write(path, part)
        path.with_name(f"{path.name}.json").unlink(missing_ok=True)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seasign.write(path, {"SIGN": SIGNS, "SUBTITLE": CUES} if path.suffix == ".eaf" else CUES)
    return path.read_bytes()


def damaged(data, rng):
    """The bytes cut off somewhere, or some of them changed, doubled or taken out."""
    data = bytearray(data)
    at = int(rng.integers(len(data)))
    match rng.integers(5):
        case 0:
            return bytes(data[:at])
        case 1:
            return bytes(data[:at] + data[at + int(rng.integers(1, 9)) :])
        case 2:
            return bytes(data[:at] + data[max(0, at - 40) : at] + data[at:])
        case _:
            for _ in range(int(rng.integers(1, 4))):
                data[int(rng.integers(len(data)))] = int(rng.integers(256))
            return bytes(data)


@pytest.mark.parametrize("suffix", [".vtt", ".srt", ".ttml", ".eaf", ".csv", ".json", ".pose", ".npz"])
def test_damage_is_an_input_error_whatever_it_hits(tmp_path, suffix):
    rounds = 250
    path = tmp_path / f"x{suffix}"
    data, rng = small(path), np.random.default_rng(7)
    refusals = []
    for number in range(rounds):
        broken = damaged(data, rng)
        path.write_bytes(broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                seasign.read(path)
            except (InputError, OSError) as error:
                refusals.append(str(error))
            except Exception as error:
                error.add_note(f"round {number}: {broken!r}")
                raise
    assert len(refusals) > rounds / 20
    assert [refusal for refusal in refusals if "\n" in refusal] == []


@pytest.mark.parametrize(
    "provenance", ["no JSON", "[1]", "3", "null", '{"start": '], ids=["prose", "list", "number", "null", "cut"]
)
def test_a_provenance_that_is_no_object_is_refused(tmp_path, provenance):
    path = tmp_path / "x.npz"
    np.savez(path, xyz=np.ones((2, 1, 3)), fps=[25, 1], landmarks=["A.B"], provenance=provenance)
    with pytest.raises(InputError, match="provenance is"):
        seasign.read(path)
