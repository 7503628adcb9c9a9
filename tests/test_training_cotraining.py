"""Cotraining: what is sure is cut out, learned from and aligned again; what is done is not done again."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

import seasign
from commands import run
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


def test_the_command_tells_every_epoch_and_round(episodes, tmp_path):
    result = run("cotrain", write_recipe(episodes, rounds=1), "-o", tmp_path / "run")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["round", "1"], ["best", "round"], ["wrote", str(tmp_path / "run" / "round-1" / "model")],
    ]  # fmt: skip


def test_what_is_done_is_not_done_again(done, episodes, monkeypatch):
    found, folder = done
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("weights.safetensors")}
    monkeypatch.setattr(cotraining, "align", None)
    assert cotrain(write_recipe(episodes), output=folder) == found
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("weights.safetensors")} == before


def test_pairs_of_other_settings_or_files_are_not_taken(done, episodes, tmp_path):
    _, folder = done
    with pytest.raises(InputError, match=r"round-1: holds pairs of other episodes or settings \(confidence\)"):
        cotrain(write_recipe(episodes, confidence=0.4), output=folder)
    shutil.copytree(episodes, tmp_path / "again")
    (tmp_path / "again" / "1.vtt").write_text((episodes / "1.vtt").read_text() + "\n")
    with pytest.raises(InputError, match=r"other episodes or settings \(train: 1.npz: 1.vtt\)"):
        cotrain(write_recipe(tmp_path / "again"), output=folder)


def cut(folder, tmp_path, name, **files):
    """The names and texts of the clips of an episode, and their poses."""
    episode = cotraining.Episode(name, **{kind: folder / file for kind, file in files.items()})
    settings = cotraining.Settings(folder / "episodes.csv", confidence=0.3, lag=2.0)
    lines = cotraining._cut(episode, None, tmp_path / name, "clips/0", "train", settings)
    return [(line[0], line[1]) for line in lines], [seasign.read_poses(tmp_path / name / line[0]).xyz for line in lines]


def test_cues_and_signs_are_seconds_of_the_video_where_poses_begin_later(episodes, tmp_path):
    poses = seasign.read_poses(episodes / "0.npz")
    seasign.write(tmp_path / "0.npz", replace(poses, provenance={"start": 100.0}))
    cues, signs = seasign.read_cues(episodes / "0.vtt").cues, seasign.read_signs(episodes / "0.signs.csv")
    for name, spans in ("0.vtt", cues), ("0.signs.csv", signs):
        seasign.write(tmp_path / name, [replace(one, start=one.start + 100, end=one.end + 100) for one in spans])
    files = {"poses": "0.npz", "subtitles": "0.vtt", "signs": "0.signs.csv"}
    (lines, clips), (later, shown) = (cut(at, tmp_path, at.name, **files) for at in (episodes, tmp_path))
    assert lines == later != []
    for one, other in zip(clips, shown, strict=True):
        np.testing.assert_array_equal(one, other)


def test_subtitles_are_taken_as_delivered_and_without_their_markup(episodes, tmp_path):
    cues, signs = seasign.read_cues(episodes / "0.vtt").cues, seasign.read_signs(episodes / "0.signs.csv")
    shutil.copy(episodes / "0.npz", tmp_path)
    marked = [replace(cue, text=f"<i>{cue.text}</i>") for cue in cues]
    tiers = {"SIGN": signs, "SUBTITLE": marked, "SUBTITLE_ALIGNED": [replace(cue, text="moved") for cue in cues]}
    seasign.write(tmp_path / "0.eaf", tiers)
    lines, _ = cut(tmp_path, tmp_path, "0", poses="0.npz", subtitles="0.eaf", signs="0.eaf")
    plain, _ = cut(episodes, tmp_path, "1", poses="0.npz", subtitles="0.vtt", signs="0.signs.csv")
    assert [text for _, text in lines] == [text for _, text in plain] != []


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_what_training_lacks_is_said_with_the_remedy(episodes, monkeypatch, missing):
    def lack(name):
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr(seasign.training, "import_module", lack)
    for follow in seasign.train, cotrain:
        with pytest.raises(ModuleNotFoundError, match=rf'training needs {missing}: pip install "seasign\[train\]"'):
            follow(write_recipe(episodes))


def test_markup_is_not_embedded(episodes):
    class Listens:
        space = "listens"

        def text(self, texts):
            self.heard = list(texts)
            return seasign.Embeddings(np.ones((len(texts), 1), np.float32), self.space)

        def signs(self, poses, signs):
            return seasign.Embeddings(np.ones((len(signs), 1), np.float32), self.space)

    poses, signs = seasign.read_poses(episodes / "0.npz"), seasign.read_signs(episodes / "0.signs.csv")
    cotraining.align_with(poses, [seasign.Cue(1.0, 3.0, "<b>rain</b>")], signs, listens := Listens(), 2.0)
    assert listens.heard == ["rain"]


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
        ({"rest": REST + "devices = 2\n"}, "devices: rounds are made by one process"),
        ({"confidence": 1.0}, "no cue of the episodes is sure to be on its signing"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(episodes, tmp_path, changes, message):
    output = changes.pop("output", tmp_path / "out")
    with pytest.raises(InputError, match=message):
        cotrain(write_recipe(episodes, **changes), output=output)
    assert not list(tmp_path.rglob("*.csv"))
