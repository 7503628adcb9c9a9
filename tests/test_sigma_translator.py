"""`translate` with a network from end to end: a small random Sigma in a checkpoint, a signer, and what is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seasign
from commands import run
from seasign import checkpoints
from seasign.formats import eaf
from seasign.types import InputError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from safetensors.torch import save_file  # noqa: E402

from seasign.models import pose_encoder  # noqa: E402
from seasign.models.frame_tokens import PartTokens  # noqa: E402
from seasign.models.sigma import Shape, Sigma  # noqa: E402
from seasign.models.sigma_translator import Inputs  # noqa: E402
from seasign.models.sigma_words import END, Pieces  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:the poses have n:seasign.InputWarning")  # no face
REAL = Path(__file__).parents[2] / "shared" / "data" / "pose_samples" / "segmentation_example_130f_30fps.pose"
TEXTS = ("heavy rain tonight", "then sun for all of us", "the wind comes from the north")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a network that has learned nothing, and writes what its pieces make up."""
    folder = tmp_path_factory.mktemp("sigma")
    torch.manual_seed(0)
    pieces = Pieces.learn(TEXTS, 60)
    shape = Shape(width=16, key=8, heads=2, inner=24, layers=2, decoder_layers=2, vocabulary=60, fused=0)
    frames = PartTokens(pose_encoder.Shape(joint=4, spatial=(6, 8), temporal=1, kernel=3, features=16))
    network = Sigma(shape, frames, Inputs(prefix=tuple(pieces.ids("Translate: "))[:-1], work="slt")).eval()
    with torch.no_grad():  # so that some texts end before others
        network.mt5.lm_head.weight[END] *= 8
    save_file({name: tensor.contiguous() for name, tensor in network.tensors.items()}, folder / "weights.safetensors")
    (folder / "config.json").write_text(json.dumps(network.config))
    (folder / "tokenizer.json").write_text(pieces.text, "utf-8")
    return folder


@pytest.fixture
def signer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    poses = seasign.synthesize(2).poses
    seasign.write("news.npz", poses)
    return poses


def test_subtitles_are_written_with_their_confidence_and_marked(model, signer):
    result = run("translate", "news.npz", "--model", model, "-o", "mt.vtt")
    assert result.exit_code == 0, result.stderr
    assert "wrote     mt.vtt: a machine translation, and marked as one" in result.stdout
    expected = seasign.translate(signer, checkpoints.load_translator(model))
    cues = seasign.read_cues("mt.vtt").cues
    assert [cue.text for cue in cues] == [cue.text for cue in expected.cues]
    assert len(cues) > 2
    blocks = Path("mt.vtt").read_text("utf-8").split("\n\n")
    assert blocks[1].startswith(f"NOTE Machine translation by {model.name}, seasign {seasign.__version__}")
    notes = [block for block in blocks[2:] if block.startswith("NOTE")]
    assert notes == [f"NOTE confidence {p:.2f}" for p in expected.probabilities]
    again = run("translate", "news.npz", "--model", model, "-o", "again.vtt", "--batch", 1, "--quiet")
    assert (again.stdout, Path("again.vtt").read_text("utf-8")) == ("", Path("mt.vtt").read_text("utf-8"))


def test_poses_that_begin_later_have_the_times_of_their_video(model, signer):
    run("translate", "news.npz", "--model", model, "-o", "mt.csv")
    seasign.write("later.npz", replace(signer, provenance={"start": 60.0}))
    run("translate", "later.npz", "--model", model, "-o", "later.csv")
    first, later = (seasign.read_cues(name).cues for name in ("mt.csv", "later.csv"))
    np.testing.assert_allclose([cue.start for cue in later], [cue.start + 60 for cue in first])


def test_other_files_are_marked_too(model, signer):
    said = json.loads(run("translate", "news.npz", "--model", model, "-o", "mt.eaf", "--json").stdout)
    tiers = eaf.read(Path("mt.eaf"), said["tiers"])
    assert said["cues"] == len(tiers["MT"]) == len(tiers["MT_CONFIDENCE"])
    assert [float(it.gloss) for it in tiers["MT_CONFIDENCE"]] == pytest.approx(said["probabilities"], abs=0.005)
    run("translate", "news.npz", "--model", model, "-o", "mt.json")
    rows = json.loads(Path("mt.json").read_text("utf-8"))["cues"]
    assert all(row["source"].startswith("Machine translation by ") for row in rows)
    assert [row["probability"] for row in rows] == pytest.approx(said["probabilities"], abs=1e-4)


def test_what_translates_nothing_is_refused(model, signer, tmp_path):
    with pytest.raises(InputError, match="finds no signs"):
        checkpoints.load_segmenter(model)
    seasign.write("empty.npz", replace(signer, xyz=signer.xyz[:, :3], confidence=signer.confidence[:, :3],
                                       landmarks=signer.landmarks[:3]))  # fmt: skip
    result = run("translate", "empty.npz", "--model", model, "-o", "mt.vtt")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: empty.npz: the poses (3 landmarks")
    assert not Path("mt.vtt").exists()


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared data")
def test_of_the_face_in_a_file_what_is_looked_at_is_read(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    translate, read = seasign.translate, []
    monkeypatch.setattr(
        seasign, "translate", lambda poses, *more, **named: translate(read.append(poses) or poses, *more, **named)
    )
    result = run("translate", REAL, "--model", model, "-o", "mt.vtt")
    assert result.exit_code == 0, result.stderr
    assert "face" not in result.stderr
    assert seasign.read_cues("mt.vtt").cues
    assert sum(name.startswith("FACE") for name in read[0].landmarks) == 18


def test_clips_are_translated_as_many_at_once_as_are_given(model, signer, monkeypatch):
    translator = checkpoints.load_translator(model)
    say, counts = type(translator.network).say, []
    monkeypatch.setattr(
        type(translator.network),
        "say",
        lambda self, looked, **more: counts.append(len(looked)) or say(self, looked, **more),
    )
    clips = [
        replace(signer, xyz=signer.xyz[at : at + 9], confidence=signer.confidence[at : at + 9]) for at in range(10)
    ]
    assert len(translator.translate(clips)) == 10
    assert counts == [10]
    assert translator.translate([]) == []
