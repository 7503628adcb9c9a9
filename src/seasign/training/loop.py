"""The only training loop: a task -> a checkpoint. What is trained, on what, and what is good is the task's business.

Devices, processes and precision are lightning-fabric's: it wraps a model and an optimizer and leaves the loop to us, so
that this file is the whole of it. Trainers own the loop; accelerate does the same but rests on global state.

A step takes `accumulate` batches of every process. Its gradient is that of the mean over all their items, whatever the
sizes of the batches and however many processes share them: gradients are summed by items and divided once.

Every epoch draws from (seed, epoch, process) alone, and what it starts from was written when the one before ended. So a
run that was killed repeats one epoch at most, and comes to the same bytes as one that was not, as far as the device is
deterministic: a CPU is, many kernels of GPUs are not.
"""

import atexit
import csv
import gc
import io
import json
import logging
import math
import pickle
import platform
import random
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Int, Shaped
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch.utils.data import DataLoader

from seasign.formats.disk import read_text, replacing, sha256, write_text
from seasign.training import Progress, Trained
from seasign.training.recipe import Loop, Release, read_table
from seasign.types import InputError, plain_values


class Loss(NamedTuple):
    """What goes down, in parts."""

    terms: Mapping[str, torch.Tensor]  # scalars with their weights in; their sum is minimized
    items: float = 1.0  # of how many items (frames, pairs) the terms are the mean


@runtime_checkable
class Task(Protocol):
    """What is trained, on what, and what is good. Every process has one, made alike."""

    model: torch.nn.Module  # parameters that no loss reaches need `requires_grad_(False)`
    data: Mapping[str, str]  # names of the files it learns from -> SHA-256
    files: Mapping[str, str]  # texts that belong to its checkpoint, by the names of their files

    def batches(self, epoch: int, rank: int, ranks: int) -> Collection[Any]:
        """The share of process `rank` out of `ranks` in an epoch: sized, as many for every process, and the same again.

        A list or a DataLoader of nested tensors, which are moved to the device; see `share` and `load`.
        """

    def loss(self, model: torch.nn.Module, batch: Any) -> Loss:
        """The loss of a batch; `model` is the task's, wrapped for processes and precision: call it, nothing else of it.

        A loss that looks at the batches of all processes takes them from `gather`.
        """

    def evaluate(self) -> Mapping[str, float]:
        """What is measured after every epoch, by the task's own model, in evaluation mode and without gradients."""

    def checkpoint(self) -> tuple[Mapping[str, Any], Mapping[str, torch.Tensor]]:
        """What makes the model again: the `config.json`, to which the loop adds what it knows, and the weights."""


def run(
    prepare: Callable[[], Task],
    settings: Loop,
    folder: Path,
    *,
    recipe: Path,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train what `prepare` makes; see `seasign.train`.

    Args:
        folder: Of the run.
        recipe: The file; what the run is known by, together with the data.
    Raises:
        InputError: The folder holds another run; no such device; no batches; a metric that is not measured; the loss is
            no number. The state of the last whole epoch is kept in all cases.
    """
    fabric = _launch(settings)
    _seed(settings.seed, 0, 0)
    with warnings.catch_warnings():
        if not fabric.is_global_zero:
            warnings.simplefilter("ignore")  # the first process warns for all
        task = prepare()
    adam = _make_optimizer(task.model, settings)
    model, optimizer = fabric.setup(task.model, adam)
    about = {
        "recipe": {key: value for key, value in read_table(recipe).items() if key != "output"},
        "data": dict(task.data),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("seasign", "torch", "numpy")},
    }
    rows = _resume(folder, about, task.model, adam)
    task.model.eval()
    with torch.no_grad():
        names = list(task.evaluate()) if not rows else [settings.metric]  # now, and not after an epoch of hours
    if settings.metric not in names:
        raise InputError(f"{recipe}: [loop] metric: there is no {settings.metric!r}; there are {', '.join(names)}")
    if fabric.is_global_zero:
        (folder / "training").mkdir(parents=True, exist_ok=True)
        write_text(folder / "recipe.toml", read_text(recipe)[0])
        if rows and rows[-1] is _best(rows, settings) and not _is_whole(folder, rows[-1]["epoch"]):
            _write_checkpoint(folder, task, about | rows[-1])
    board = _open_board(folder, len(rows)) if settings.tensorboard and fabric.is_global_zero else None
    while not (stopped := _why_over(rows, settings)):
        epoch, began = len(rows) + 1, monotonic()

        def tell(step: int, steps: int, loss: Mapping[str, float], metrics: Mapping[str, float] | None = None) -> None:
            if progress is not None and fabric.is_global_zero:
                progress(Progress(epoch, settings.epochs, step, steps, loss, settings.metric, metrics))  # noqa: B023 - called at once

        _seed(settings.seed, epoch, fabric.global_rank)
        task.model.train()
        loss, steps = _train_epoch(fabric, task, model, optimizer, settings, epoch, tell)
        task.model.eval()
        with torch.no_grad():
            metrics = fabric.broadcast(dict(task.evaluate()))  # all measure, since those that wait would do no more
        rate = adam.param_groups[0]["lr"]
        rows.append(
            {"epoch": epoch, "seconds": monotonic() - began, "learning_rate": rate, "loss": loss, "metrics": metrics}
        )
        if fabric.is_global_zero:
            _write_log(folder, rows)
            if board is not None:
                for name, value in _flat(rows[-1]).items():
                    board.add_scalar(name, value, epoch)
            state = {
                "about": json.dumps(about),
                "rows": rows,
                "model": task.model.state_dict(),
                "adam": adam.state_dict(),
            }
            with replacing(folder / "training" / "state.pt") as temporary:
                torch.save(state, temporary)
            if rows[-1] is _best(rows, settings):  # last: what is cut short here is made again of the state
                _write_checkpoint(folder, task, about | rows[-1])
        fabric.barrier()
        tell(steps, steps, loss, metrics)
    if board is not None:
        board.close()
    best = _best(rows, settings)
    return Trained(folder, best["epoch"], settings.metric, best["metrics"], len(rows), stopped)


def gather(rows: Shaped[torch.Tensor, "rows ..."]) -> Shaped[torch.Tensor, "all_rows ..."]:
    """The rows of all processes, in order of process, as many of each; gradients find their way back.

    Every process then computes the same loss, of all rows; its gradient is that of one process with all of them.
    """
    return _Gather.apply(rows) if torch.distributed.is_initialized() else rows  # type: ignore[no-untyped-call]


class _Gather(torch.autograd.Function):
    """`gather`; a gradient is the sum of what all processes say of the rows that came from here."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        """The rows of all."""
        parts = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient of the own."""
        total = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total.chunk(torch.distributed.get_world_size())[torch.distributed.get_rank()]


def share(
    items: int, batch: int, *, seed: int, epoch: int, rank: int = 0, ranks: int = 1
) -> list[Int[np.ndarray, "_"]]:
    """The items of every batch of a process in an epoch, in an order that the seed and the epoch decide.

    Batch k of all processes together is batch k of one process with batches that many times as large. Where the items
    do not go round, the first ones are used again.
    """
    order = np.random.default_rng([seed, epoch]).permutation(items)
    order = np.resize(order, math.ceil(items / ranks) * ranks)[rank::ranks]
    return np.split(order, range(batch, len(order), batch))


def load(
    items: int, make: Callable[[int, list[int]], Any], recipe: Any, epoch: int, rank: int, ranks: int
) -> DataLoader[Any]:
    """The batches of a process in an epoch, as `share` has them, each made when it is asked for.

    Args:
        make: What an epoch makes of items.
        recipe: Of the task: its [data] batch and workers, the processes that make them if there are any; [loop] seed.
    """
    shares = share(items, recipe.data.batch, seed=recipe.loop.seed, epoch=epoch, rank=rank, ranks=ranks)
    listed: Any = [rows.tolist() for rows in shares]  # a list is all that it takes of a data set
    return DataLoader(listed, batch_size=None, collate_fn=partial(make, epoch), num_workers=recipe.data.workers)


def _launch(settings: Loop) -> Fabric:
    """The processes, which run this same command."""
    there = max(torch.cuda.device_count(), int(torch.backends.mps.is_available()))
    if settings.device == "gpu" and settings.devices > there:
        raise InputError(f"[loop] devices: {settings.devices} of device 'gpu' are asked for, {there} are here")
    if settings.device == "auto" and 0 < there < settings.devices:
        found = f"{settings.devices} are asked for, GPUs that are here: {there}"
        raise InputError(f'[loop] devices: {found}; set devices = {there}, or device = "cpu"')
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets
    fabric = Fabric(
        accelerator=settings.device if there else "cpu",
        devices=settings.devices,
        strategy="ddp" if settings.devices > 1 else "auto",
        precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
    )
    fabric.launch()
    atexit.register(_part)
    return fabric


def _part() -> None:
    """End what the processes share, after all that uses it and before Python.

    Wrapped models hold the process group too. One that was the last to hold it would wait, with the GIL held, for a
    thread of gloo's that may wait for the GIL: for ever. And such a thread that outlives Python aborts the process.
    """
    if torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.destroy_process_group()


def _seed(seed: int, epoch: int, rank: int) -> None:
    """Start every source of chance anew."""
    (word,) = np.random.SeedSequence([seed, epoch, rank]).generate_state(1).tolist()
    random.seed(word)
    np.random.seed(word)
    torch.manual_seed(word)


def _make_optimizer(model: torch.nn.Module, settings: Loop) -> torch.optim.AdamW:
    """AdamW, that lets nothing decay but matrices."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= 2],
            "weight_decay": settings.weight_decay,
        },
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=0.0, betas=settings.betas, eps=settings.epsilon
    )


def _train_epoch(
    fabric: Fabric,
    task: Task,
    model: _FabricModule,
    optimizer: torch.optim.Optimizer,
    settings: Loop,
    epoch: int,
    tell: Callable[[int, int, Mapping[str, float]], None],
) -> tuple[dict[str, float], int]:
    """Take the steps of an epoch: the mean loss, in parts, and how many steps."""
    batches = task.batches(epoch, fabric.global_rank, fabric.world_size)
    if not len(batches):
        raise InputError("there is nothing to train on: the task gives no batches")
    steps = math.ceil(len(batches) / settings.accumulate)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names: list[str] = []
    totals = np.zeros(1)  # of the epoch: the items, then the sum of every term over them
    sums = torch.zeros(1)  # the same of a step
    for number, batch in enumerate(batches, start=1):
        step, left = divmod(number, settings.accumulate)
        ends = left == 0 or number == len(batches)
        with fabric.no_backward_sync(model, enabled=not ends):
            terms, items = task.loss(model, fabric.to_device(batch))
            fabric.backward(sum(terms.values()) * items)  # type: ignore[arg-type]
        values = torch.stack([torch.ones_like(next(iter(terms.values()))), *terms.values()]).detach() * items
        sums, names = values + sums.to(values.device), list(terms)
        if not ends:
            continue
        step += left > 0
        of_all = np.array(fabric.all_reduce(sums, reduce_op="sum").tolist())  # type: ignore[union-attr]
        sums = torch.zeros(1)
        if not np.isfinite(of_all).all():
            found = ", ".join(f"{name} {value:g}" for name, value in zip(names, of_all[1:] / of_all[0], strict=True))
            raise InputError(
                f"epoch {epoch}, step {step}: the loss is no finite number ({found}): lower the learning rate, or set "
                f"`clip`; the {epoch - 1} epochs before are kept"
            )
        for parameter in parameters:
            if parameter.grad is not None:  # summed over items and batches, and the mean over processes
                parameter.grad *= fabric.world_size / of_all[0]
        if settings.clip is not None:
            fabric.clip_gradients(model, optimizer, max_norm=settings.clip, error_if_nonfinite=False)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _pace(
                (epoch - 1) * steps + step - 1, settings.epochs * steps, settings
            )
        optimizer.step()
        optimizer.zero_grad()
        totals = totals + of_all
        means = (totals[1:] / totals[0]).tolist()
        mean = {"loss": math.fsum(means), **dict(zip(names, means, strict=True))}
        tell(step, steps, mean)
    return mean, steps


def _pace(step: int, steps: int, settings: Loop) -> float:
    """The learning rate of a step, 0 .. steps - 1, as a share of the greatest."""
    rising = settings.warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / (steps - rising)
    return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[settings.schedule]


def _goodness(row: Mapping[str, Any], settings: Loop) -> float:
    """How good an epoch was; no number is worst."""
    value = row["metrics"][settings.metric] * (1 if settings.direction == "max" else -1)
    return -math.inf if math.isnan(value) else float(value)


def _best(rows: Sequence[Mapping[str, Any]], settings: Loop) -> Mapping[str, Any]:
    """The best epoch; of equals, the first."""
    return max(rows, key=lambda row: _goodness(row, settings))


def _why_over(rows: Sequence[Mapping[str, Any]], settings: Loop) -> Literal["epochs", "patience"] | None:
    """What ends the training after these epochs, if it ends."""
    if len(rows) >= settings.epochs:
        return "epochs"
    return "patience" if rows and len(rows) - _best(rows, settings)["epoch"] >= settings.patience else None


def _resume(
    folder: Path, about: Mapping[str, Any], model: torch.nn.Module, adam: torch.optim.Optimizer
) -> list[dict[str, Any]]:
    """The epochs of an earlier run of the same recipe on the same data; what it left goes into model and optimizer."""
    path = folder / "training" / "state.pt"
    if not path.exists():
        if any((folder / name).exists() for name in ("weights.safetensors", "config.json")):
            raise InputError(f"{folder}: holds a checkpoint that was not trained here; name another folder")
        return []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        line = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read ({line}); remove {folder} to begin again") from None
    before = json.loads(state["about"])
    for what, words in ("recipe", "another recipe"), ("data", "other data"):
        keys = [key for key in {**before[what], **about[what]} if before[what].get(key) != about[what].get(key)]
        if keys:
            raise InputError(
                f"{folder}: holds a run of {words} ({', '.join(keys[:3])}); name another folder, or remove this one"
            )
    model.load_state_dict(state["model"])
    adam.load_state_dict(state["adam"])
    rows: list[dict[str, Any]] = state["rows"]
    return rows


def _write_checkpoint(folder: Path, task: Task, about: Mapping[str, Any]) -> None:
    """The weights and what they are, each replaced whole."""
    config, weights = task.checkpoint()
    with replacing(folder / "weights.safetensors") as temporary:
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary)
        digest = sha256(temporary)
    for name, text in task.files.items():
        write_text(folder / name, text)
    config = {
        **config,
        **{field.name: about["recipe"].get(field.name) for field in fields(Release)},
        "provenance": {"files": {"weights.safetensors": digest}},
        "training": plain_values(about),
    }
    write_text(folder / "config.json", json.dumps(config, ensure_ascii=False, indent=1) + "\n")


def _is_whole(folder: Path, epoch: int) -> bool:
    """Whether weights and config are there, and both are of that epoch."""
    try:
        config = json.loads(read_text(folder / "config.json")[0])
        digest = config["provenance"]["files"]["weights.safetensors"]
        return bool(config["training"]["epoch"] == epoch and digest == sha256(folder / "weights.safetensors"))
    except (OSError, ValueError, KeyError):
        return False


def _open_board(folder: Path, epochs: int) -> Any:
    """TensorBoard's writer; what was written after those epochs is taken back."""
    from torch.utils.tensorboard import SummaryWriter  # here, since it takes a second

    return SummaryWriter(folder / "training" / "tensorboard", purge_step=epochs + 1)


def _write_log(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for every epoch."""
    lines = [_flat(row) for row in rows]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(dict.fromkeys(key for line in lines for key in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_text(folder / "training" / "log.csv", table.getvalue())


def _flat(row: Mapping[str, Any]) -> dict[str, float]:
    """An epoch as a line: the parts of the loss are loss/NAME, and metrics stand under their own names."""
    parts = {name if name == "loss" else f"loss/{name}": value for name, value in row["loss"].items()}
    return {**{key: row[key] for key in ("epoch", "seconds", "learning_rate")}, **parts, **row["metrics"]}
