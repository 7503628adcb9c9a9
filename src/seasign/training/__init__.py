"""Training: `loop` is the only loop, and one module per kind of model feeds it. torch is imported where one runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal

from seasign.training.recipe import build, read_table
from seasign.types import InputError

TASKS = {
    "segmenter": "segmentation",
    "signclip": "signclip",
    "gloss-text": "gloss_text",
    "cslr2": "cslr2",
    "spotter": "spotting",
    "sigma": "sigma",
    "sigma-finetune": "sigma_finetune",
}  # what a recipe calls `task` -> the module here that feeds the loop


@dataclass(frozen=True)
class Progress:
    """Where a run is: after every step, and once more when an epoch was measured."""

    epoch: int  # 1 .. epochs
    epochs: int
    step: int  # of the epoch: 1 .. steps
    steps: int
    loss: Mapping[str, float]  # its terms, and their sum as `loss`: the mean over the epoch so far
    metric: str  # the name of the one that decides
    metrics: Mapping[str, float] | None = None  # of the epoch, at its end


@dataclass(frozen=True)
class Trained:
    """What a run came to."""

    checkpoint: Path  # the folder
    epoch: int  # the best one, whose weights are kept
    metric: str  # the name of the one that decided
    metrics: Mapping[str, float]  # of that epoch
    epochs: int  # that were trained
    stopped: Literal["epochs", "patience"]  # what ended it


def train(
    recipe: Path | str, *, output: Path | str | None = None, progress: Callable[[Progress], None] | None = None
) -> Trained:
    """Train what a recipe describes, or go on where an earlier run of it was interrupted.

    The folder of the run holds the checkpoint of the best epoch (`weights.safetensors`, `config.json`), `recipe.toml`
    as it was, and in `training/` what it takes to go on, `log.csv` and what TensorBoard reads. A run that was killed
    goes on after its last whole epoch; on a CPU it ends with the same bytes as one that was not.

    Args:
        recipe: A TOML file; paths in it are relative to its folder.
        output: The folder of the run, in place of the recipe's `output`.
        progress: Called after every step, in the first process only.

    Raises:
        InputError: The recipe or the data cannot be used; the folder holds another run; the loss is no number.
        OSError: A file cannot be opened, or the folder cannot be written.
        ModuleNotFoundError: torch or lightning-fabric is missing; the message is the remedy.
    """
    recipe = Path(recipe)
    table = read_table(recipe)
    named, folder = table.pop("task", None), table.pop("output", None)
    if named not in TASKS:
        raise InputError(f"{recipe}: task: expected {' or '.join(map(repr, TASKS))}, found {named!r}")
    if output is None and not isinstance(folder, str):
        raise InputError(f"{recipe}: output: expected the folder of the run, found {folder!r}")
    loop, task = import_task(named)
    settings = build(task.Recipe, table, str(recipe), recipe.parent)
    trained: Trained = loop.run(
        lambda: task.prepare(settings),
        settings.loop,
        Path(output) if output is not None else recipe.parent / str(folder),
        recipe=recipe,
        progress=progress,
    )
    return trained


def import_task(named: str) -> tuple[ModuleType, ModuleType]:
    """The loop, and the module that feeds it what a recipe calls `task`.

    Raises:
        ModuleNotFoundError: What training needs is missing; the message is the remedy.
    """
    try:
        return import_module("seasign.training.loop"), import_module(f"seasign.training.{TASKS[named]}")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "lightning_fabric", "safetensors", "tokenizers", "transformers"):
            raise
        raise ModuleNotFoundError(f'training needs {error.name}: pip install "seasign[train]"') from None
