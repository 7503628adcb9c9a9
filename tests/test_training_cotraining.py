"""Cotraining: what is sure is cut out, learned from and aligned again; what is done is not done again."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

import seasign
from seasign.cli import cli
from seasign.synthesis import synthesize
from seasign.training import cotraining
from seasign.training.cotraining import Cotrained, cotrain
from seasign.types import InputError

TOP = 'task = "signclip"\noutput = "out"\nprojection = "l2"\n'
COTRAIN = '[cotrain]\nepisodes = "episodes.csv"\nrounds = {rounds}\nconfidence = {confidence}\nlag = 2.0\n'
REST = """[data]
batch = 8
[network]
layout = "hands"
hidden = 16
heads = 2
intermediate = 16
video_layers = 1
text_layers = 1
max_tokens = 128
[loss]
temperature = 0.1
[recognition]
methods = []
[loop]
metric = "{metric}"
epochs = 2
learning_rate = 1e-3
"""


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """Three made-up episodes of different signers, whose signs are known."""
    folder = tmp_path_factory.mktemp("episodes")
    lines = [["poses", "subtitles", "signs", "signer", "split"]]
    for seed, signer in enumerate(("Ann", "Ben", "Cleo")):
        episode = synthesize(seed, duration=60.0)
        poses = replace(episode.poses, xyz=episode.poses.xyz + np.array([0, 0, 0.1], np.float32))  # some depth
        seasign.write(folder / f"{seed}.npz", poses)
        seasign.write(folder / f"{seed}.vtt", episode.cues)
        seasign.write(folder / f"{seed}.signs.csv", episode.signs)
        lines.append([f"{seed}.npz", f"{seed}.vtt", f"{seed}.signs.csv", signer, "valid" if seed == 2 else "train"])
    with (folder / "episodes.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder


def write_recipe(folder, *, rounds=2, confidence=0.3, metric="sign_to_text_r@5", rest=REST, top=TOP):
    path = folder / f"recipe-{rounds}-{confidence}.toml"
    text = top + COTRAIN.format(rounds=rounds, confidence=confidence) + rest
    path.write_text(text.replace("{metric}", metric))
    return path


@pytest.fixture(scope="module")
def done(episodes, tmp_path_factory):
    """Two rounds, and where they lie."""
    folder = tmp_path_factory.mktemp("rounds")
    return cotrain(write_recipe(episodes), output=folder), folder


def test_every_round_learns_from_its_own_pairs_and_is_measured_on_the_same(done):
    found, folder = done
    assert isinstance(found, Cotrained)
    assert len(found.rounds) == 2
    tables = []
    for number, turn in enumerate(found.rounds, start=1):
        assert turn.checkpoint == folder / f"round-{number}" / "model"
        rows = list(csv.DictReader((folder / f"round-{number}" / "clips.csv").read_text().splitlines()))
        assert sum(row["split"] == "train" for row in rows) == turn.pairs > 0
        assert {row["signer"] for row in rows if row["split"] == "train"} <= {"Ann", "Ben"}
        tables.append({(Path(row["poses"]).name, row["text"]) for row in rows if row["split"] == "valid"})
    assert tables[0] == tables[1] != set()
    assert json.loads((folder / "rounds.json").read_text())["best"] == found.best


def test_a_clip_is_the_poses_of_the_run_of_its_cue(done, episodes):
    _, folder = done
    poses, cues = seasign.read_poses(episodes / "0.npz"), seasign.read_cues(episodes / "0.vtt").cues
    signs = seasign.read_signs(episodes / "0.signs.csv")
    alignment = seasign.align(signs, cues, lag=(2.0, 2.0))
    rows = csv.DictReader((folder / "round-1" / "clips.csv").read_text().splitlines())
    own = {row["poses"]: row["text"] for row in rows if row["poses"].startswith("clips/00000-")}
    sure = [
        number for number, one in enumerate(alignment.confidence) if one.probability >= 0.3 and alignment.runs[number]
    ]
    assert list(own) == [f"clips/00000-{number:05d}.npz" for number in sure]
    for name, number in zip(own, sure, strict=True):
        run = alignment.runs[number]
        clip = seasign.read_poses(folder / "round-1" / name)
        first = round(run[0].start * 25)
        np.testing.assert_array_equal(clip.xyz, poses.xyz[first : first + len(clip.xyz)])
        assert len(clip.xyz) == round(run[-1].end * 25) - first
        assert own[name] == " ".join(cues[number].text.split())


def test_what_is_done_is_not_done_again(done, episodes, monkeypatch):
    found, folder = done
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("weights.safetensors")}
    monkeypatch.setattr(cotraining, "align", None)
    assert cotrain(write_recipe(episodes), output=folder) == found
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("weights.safetensors")} == before


def test_it_ends_when_agreement_falls(done, episodes, monkeypatch, tmp_path):
    from seasign.training import loop

    values = iter([0.5, 0.7, 0.6, 0.9])
    real = loop.run

    def run(*given, **named):
        trained = real(*given, **named)
        return type(trained)(**{**vars(trained), "metrics": {**trained.metrics, "sign_to_text_r@5": next(values)}})

    monkeypatch.setattr(loop, "run", run)
    found = cotrain(write_recipe(episodes, rounds=4), output=tmp_path / "out")
    assert ([turn.agreement for turn in found.rounds], found.best, found.stopped) == ([0.5, 0.7, 0.6], 2, "agreement")
    assert found.checkpoint == tmp_path / "out" / "round-2" / "model"


def test_the_command_says_what_every_round_came_to(done, episodes):
    found, folder = done
    result = CliRunner().invoke(cli, ["cotrain", str(write_recipe(episodes)), "-o", str(folder)])
    assert result.exit_code == 0, result.output
    assert f"round 1   {found.rounds[0].pairs} pairs, agreement" in result.output
    assert f"best      round {found.best}" in result.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top": TOP.replace("signclip", "segmenter")}, "only embedders learn from alignments"),
        ({"top": TOP.replace('output = "out"\n', ""), "output": None}, "output: expected the folder"),
        ({"rest": REST.replace("[data]\n", '[data]\nmanifest = "x.csv"\n')}, "manifest: the clips come from"),
        ({"confidence": 1.0}, "no cue of the episodes is sure to be on its signing"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(episodes, tmp_path, changes, message):
    output = changes.pop("output", tmp_path / "out")
    with pytest.raises(InputError, match=message):
        cotrain(write_recipe(episodes, **changes), output=output)
    assert not list(tmp_path.rglob("*.csv"))
