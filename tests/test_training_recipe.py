"""Recipes: every key is known, of its type and in its range, or named."""

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest

import seasign
from commands import run
from seasign.formats import write
from seasign.synthesis import synthesize
from seasign.training import TASKS
from seasign.training.recipe import Count, Counts, Loop, Positive, Share, build, read_table
from seasign.training.segmentation import Augment, Bio, Concatenate, Data, Recipe, Unet
from seasign.types import InputError

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Oven:
    heat: Positive
    shelf: Literal["top", "bottom"] = "top"
    eggs: Count = 2
    fan: bool = False
    share: Share = 0.5
    names: tuple[str, ...] = ()
    pair: Counts = (1, 2)
    salt: Path | None = None
    timer: Positive | None = None
    inner: "Oven | None" = None


def bake(text):
    return build(Oven, tomllib.loads(text), "cake.toml", Path("kitchen"))


def test_values_become_what_the_fields_say():
    oven = bake(
        'heat = 200\nnames = ["a", "b"]\npair = [3, 3]\nsalt = "salt.csv"\n[inner]\nheat = 1.5\nshelf = "bottom"\n'
    )
    assert oven == Oven(200.0, names=("a", "b"), pair=(3, 3), salt=Path("kitchen/salt.csv"), inner=Oven(1.5, "bottom"))
    assert type(oven.heat) is float
    assert bake('heat = 1\nsalt = "/a/salt.csv"').salt == Path("/a/salt.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cake.toml: heat: is missing; add it (a number above 0)"),
        ("heat = 0", "cake.toml: heat: expected a number above 0, found 0"),
        ("heat = nan", "cake.toml: heat: expected a number above 0, found nan"),
        ("heat = true", "cake.toml: heat: expected a number above 0, found True"),
        ('heat = "1"', "cake.toml: heat: expected a number above 0, found '1'"),
        (
            "heat = 1\nhaet = 2",
            "cake.toml: haet: there is no such key; there are heat, shelf, eggs, fan, share, names, pair",
        ),
        ('heat = 1\nshelf = "middle"', "cake.toml: shelf: expected 'top' or 'bottom', found 'middle'"),
        ("heat = 1\neggs = 2.0", "cake.toml: eggs: expected a whole number from 1 on, found 2.0"),
        ("heat = 1\neggs = 0", "cake.toml: eggs: expected a whole number from 1 on, found 0"),
        ("heat = 1\nfan = 1", "cake.toml: fan: expected true or false, found 1"),
        ("heat = 1\nshare = 1.5", "cake.toml: share: expected a number from 0 to 1, found 1.5"),
        ("heat = 1\nnames = [1]", "cake.toml: names: expected a list, each a text, found [1]"),
        (
            "heat = 1\npair = [2, 1]",
            "cake.toml: pair: expected two whole numbers from 1 on, the lesser first, found [2, 1]",
        ),
        ("heat = 1\npair = [2]", "cake.toml: pair: expected two whole numbers from 1 on, the lesser first, found [2]"),
        ("heat = 1\nsalt = 1", "cake.toml: salt: expected a path, found 1"),
        ("heat = 1\ntimer = -1", "cake.toml: timer: expected a number above 0, found -1"),
        ("heat = 1\ninner = 3", "cake.toml: inner: expected a table, found 3"),
        ("heat = 1\n[inner]\nheat = 0", "cake.toml [inner]: heat: expected a number above 0, found 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(text, message):
    with pytest.raises(InputError) as raised:
        bake(text)
    assert str(raised.value).startswith(message)


def test_a_file_that_is_no_toml_is_refused_with_its_place(tmp_path):
    path = tmp_path / "cake.toml"
    path.write_text("heat = \n")
    with pytest.raises(InputError, match=r"cake.toml: not a recipe in TOML \(.*line 1"):
        read_table(path)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_ours_is_one(path):
    table = read_table(path)
    kind = import_module(f"seasign.training.{TASKS[table.pop('task')]}").Recipe
    assert table.pop("output").startswith("../runs/")
    build(kind, table, str(path), path.parent)


def test_every_key_is_documented():
    text = (ROOT / "docs" / "training.md").read_text()
    for kind in Recipe, Data, Concatenate, Augment, Bio, Unet, Loop:
        for field in fields(kind):
            assert f"`{field.name}`" in text, f"{kind.__name__}.{field.name}"


RECIPE = """
task = "segmenter"
output = "run"
[data]
folder = "corpus"
divide = "file"
[bio_tagger]
width = 8
[loop]
metric = "mf1s"
epochs = 2
device = "cpu"
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "corpus").mkdir()
    for seed in range(2):
        episode = synthesize(seed, duration=12.0)
        write(tmp_path / "corpus" / f"{seed}.npz", episode.poses)
        write(tmp_path / "corpus" / f"{seed}.eaf", episode.signs)
    (tmp_path / "segmenter.toml").write_text(RECIPE)
    return tmp_path / "segmenter.toml"


def test_the_command_trains_says_how_it_goes_and_what_it_came_to(recipe, tmp_path):
    result = run("train", recipe)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all(word in lines[0] for word in ("loss ", "mf1s ", "steps/s", "left"))
    assert result.stdout.splitlines()[0].startswith("best      epoch ")
    assert result.stdout.splitlines()[-1] == f"wrote     {tmp_path / 'run'}"
    segmented = run(
        "segment", tmp_path / "corpus" / "0.npz", "-o", tmp_path / "out.eaf", "--segmenter", tmp_path / "run"
    )
    assert segmented.exit_code == 0, segmented.output


def test_quiet_json_and_another_folder(recipe, tmp_path):
    result = run("train", recipe, "-o", tmp_path / "other", "--json")
    assert '"stopped": "epochs"' in result.stdout
    assert (tmp_path / "other" / "weights.safetensors").exists()
    assert run("train", recipe, "-o", tmp_path / "other", "--quiet").stdout == ""


@pytest.mark.slow
def test_of_several_processes_one_speaks(recipe, tmp_path):
    recipe.write_text(RECIPE + "devices = 2\n")
    command = [sys.executable, "-m", "seasign", "train", recipe]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["warning", "epoch 1/2", "epoch 2/2"]


def test_an_interrupt_says_what_is_kept_and_the_same_command_goes_on(recipe, tmp_path, monkeypatch):
    real = seasign.train

    def interrupted(path, *, output, progress):
        def until(told):
            progress(told)
            if told.epoch == 2:
                raise KeyboardInterrupt

        return real(path, output=output, progress=until)

    monkeypatch.setattr(seasign, "train", interrupted)
    result = run("train", recipe)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "stopped after epoch 1: the same command goes on"
    monkeypatch.undo()
    assert run("train", recipe).exit_code == 0
    assert run("train", recipe, "-o", tmp_path / "whole").exit_code == 0
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole"))
    assert one == other


def test_a_bad_recipe_is_one_line_and_exit_code_1(recipe):
    recipe.write_text(RECIPE.replace("width", "breadth"))
    result = run("train", recipe)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {recipe} [bio_tagger]: breadth: there is no such key")
