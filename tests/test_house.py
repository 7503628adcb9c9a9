"""The rules of the house: what imports what, and that names, words and versions agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import seasign
from commands import COMMANDS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "seasign"
COMMANDS_WITHOUT_FUNCTION = {"checkpoints", "demo", "doctor"}
STAGES = {
    "alignment",
    "calibration",
    "confidence",
    "decoding",
    "embedding",
    "explanation",
    "glosses",
    "indexing",
    "lag",
    "legality",
    "metrics",
    "pose_estimation",
    "posterior",
    "recognition",
    "report",
    "retrieval",
    "segmentation",
    "solver",
    "spans",
    "spotting",
    "synthesis",
    "translation",
    "tuning",
    "uncertainty",
    "web",
}


def imports_of(path: Path) -> set[str]:
    """The modules of seasign, by their first name, that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("seasign.")}
    return found


def imports_of_all(stage: str) -> set[str]:
    """The same of a stage, be it a file or a folder."""
    rooms = [SOURCE / f"{stage}.py"] if (SOURCE / f"{stage}.py").exists() else (SOURCE / stage).glob("*.py")
    return set().union(*map(imports_of, rooms))


def test_importing_seasign_loads_nothing_heavy():
    heavy = ("torch", "mediapipe", "av", "pose_format", "lxml", "rich", "click", "scipy")
    code = f"import sys, seasign; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_types_know_nobody_and_spans_and_formats_know_only_types():
    assert imports_of(SOURCE / "types.py") == set()
    assert imports_of(SOURCE / "spans.py") == {"types"}
    for path in (SOURCE / "formats").glob("*.py"):
        assert imports_of(path) <= {"types", "formats"}, path.name


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_imports_no_command_and_no_model(stage):
    files = {"formats", "workers"} if stage == "pose_estimation" else set()
    assert imports_of_all(stage) <= STAGES | {"types"} | files


def test_metrics_know_no_aligner():
    known, new = set(), {"metrics"}
    while new:
        known |= new
        new = set().union(*map(imports_of_all, new)) - known
    assert {"spans", "types"} <= known
    assert not known & {"alignment", "lag", "calibration"}


@pytest.mark.parametrize("path", sorted((SOURCE / "models").glob("*.py")), ids=lambda path: path.stem)
def test_models_know_types_formats_and_how_tags_are_read(path):
    assert imports_of(path) <= {"types", "formats", "models", "segmentation", "decoding", "spotting", "translation"}


def test_training_knows_everything_but_commands_and_the_loop_no_model():
    for path in (SOURCE / "training").glob("*.py"):
        assert imports_of(path) <= STAGES | {"types", "formats", "models", "corpora", "checkpoints", "training"}, (
            path.name
        )
    assert imports_of(SOURCE / "training" / "loop.py") == {"types", "formats", "training"}


def test_corpora_know_only_types_and_formats():
    for path in (SOURCE / "corpora").glob("*.py"):
        assert imports_of(path) <= {"types", "formats", "corpora"}, path.name


def test_stores_know_the_stage_that_they_serve_and_files():
    for path in (SOURCE / "stores").glob("*.py"):
        assert imports_of(path) <= {"types", "formats", "stores", "indexing", "retrieval", "embedding"}, path.name


def test_every_module_has_its_place():
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__", "__main__"}
    assert modules | {"metrics", "web"} == STAGES | {"types"}


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_command_mirrors_a_library_function(name, command):
    assert command.name == name
    assert command.help, "a command says what it does"
    assert command.name in (ROOT / "docs" / "guide.md").read_text(), "the guide shows every command"
    if command.name not in COMMANDS_WITHOUT_FUNCTION:
        function = getattr(seasign, command.name.replace("-", "_"))
        assert function.__doc__.splitlines()[0]


def test_the_guide_names_what_may_become_of_dropped_cues():
    (option,) = (it for it in COMMANDS["align"].params if it.name == "dropped")
    assert f"`--dropped {'|'.join(option.type.choices)}`" in (ROOT / "docs" / "guide.md").read_text()


@pytest.mark.parametrize("name", seasign.__all__)
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(seasign, name)
    assert thing.__doc__, name


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert seasign.__version__ == version == released[0]


def test_what_the_source_distribution_includes_is_named_from_the_root():
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    included = hatch["sdist"]["include"]
    assert all(name.startswith("/") and (ROOT / name[1:]).exists() for name in included)
    assert {"/README.md", "/CONTRIBUTING.md", "/Makefile", "/docs", "/recipes", "/src", "/tests"} <= set(included)


def test_files_in_the_repository_are_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert [path.name for path in files if path.exists() and path.stat().st_size > 1.2e6] == []
