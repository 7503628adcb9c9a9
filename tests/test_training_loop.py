"""The training loop, on a plane that is fitted in no time."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import tiny_task
from commands import run_together
from seasign.formats.disk import sha256
from seasign.training import Progress, loop
from seasign.training.recipe import Loop
from seasign.types import InputError
from tiny_task import Plane

RECIPE = """
licence = "MIT"

[loop]
metric = "error"
direction = "min"
epochs = 4
learning_rate = 0.05
schedule = "cosine"
warmup = 0.1
weight_decay = 0.01
clip = 5.0
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "plane.toml"
    path.write_text(RECIPE)
    return path


def fit(recipe, folder, task=Plane, progress=None, **changed):
    settings = tiny_task.read_loop(recipe)
    settings = Loop(**{**vars(settings), "device": "cpu", **changed})
    return loop.run(task, settings, folder, recipe=recipe, progress=progress)


def weights(folder):
    return safetensors.torch.load_file(folder / "weights.safetensors")


def state(folder):
    return torch.load(folder / "training" / "state.pt", weights_only=True)


def command(recipe, folder, *until):
    return [sys.executable, Path(tiny_task.__file__), recipe, folder, *map(str, until)]


def start(recipe, folder, *until):
    code = command(recipe, folder, *until)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_the_plane_is_found_and_the_best_epoch_kept(recipe, tmp_path):
    trained = fit(recipe, tmp_path / "run", epochs=30)
    assert (trained.stopped, trained.epochs) == ("epochs", 30)
    assert trained.metrics["error"] < 0.1
    rows = list(csv.DictReader((tmp_path / "run" / "training" / "log.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 31))
    errors = [float(row["error"]) for row in rows]
    assert trained.epoch == np.argmin(errors) + 1
    assert trained.metrics["error"] == pytest.approx(min(errors))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"] == "plane"
    assert config["training"]["recipe"]["loop"]["metric"] == "error"
    assert (config["licence"], config["trained_on"], config["citation"]) == ("MIT", None, None)
    assert config["training"]["data"] == {"plane": "0" * 64}
    assert config["training"]["metrics"] == pytest.approx(trained.metrics)
    assert config["training"]["versions"]["torch"] == torch.__version__
    assert (tmp_path / "run" / "recipe.toml").read_text() == RECIPE
    task = Plane()
    task.model.load_state_dict(weights(tmp_path / "run"))
    task.model.eval()
    assert task.evaluate()["error"] == pytest.approx(trained.metrics["error"], rel=1e-5)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_run_killed_amid_an_epoch_comes_to_the_same_bytes(recipe, tmp_path, epoch):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(recipe, killed, epoch, 3)
    assert process.stdout.readline() == "waiting\n"
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert (killed / "training" / "state.pt").exists() == (epoch > 1)
    for folder in (killed, whole):
        fit(recipe, folder)
    for name in "weights.safetensors", "recipe.toml":
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    one, other = state(killed), state(whole)
    assert [row | {"seconds": 0} for row in one["rows"]] == [row | {"seconds": 0} for row in other["rows"]]
    for name, tensor in one["model"].items():
        assert torch.equal(tensor, other["model"][name])
    for key, moments in one["adam"]["state"].items():
        assert all(torch.equal(value, other["adam"]["state"][key][name]) for name, value in moments.items())


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_run_killed_while_it_writes_a_checkpoint_is_made_whole(recipe, tmp_path, monkeypatch, epoch):
    write = loop.write_text

    def killed(path, text):
        if path.name == "config.json" and f'"epoch": {epoch}' in text:
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(loop, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, tmp_path / "run")
    monkeypatch.undo()
    trained = fit(recipe, tmp_path / "run", epochs=max(1, epoch - 1))
    assert trained.epoch == epoch
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["epoch"] == epoch
    assert config["provenance"]["files"]["weights.safetensors"] == sha256(tmp_path / "run" / "weights.safetensors")
    task = Plane()
    task.model.load_state_dict(weights(tmp_path / "run"))
    task.model.eval()
    assert task.evaluate()["error"] == pytest.approx(config["training"]["metrics"]["error"])


def test_a_metric_that_is_no_number_is_null_in_the_checkpoint(recipe, tmp_path):
    class Odd(Plane):
        def evaluate(self):
            return super().evaluate() | {"odd": math.nan}

    fit(recipe, tmp_path / "run", task=Odd, epochs=1)
    assert '"odd": null' in (tmp_path / "run" / "config.json").read_text()


def test_an_interrupt_leaves_the_state_of_the_last_whole_epoch(recipe, tmp_path):
    process = start(recipe, tmp_path / "run", 3, 2)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode
    assert len(state(tmp_path / "run")["rows"]) == 2
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]


def test_a_finished_run_is_not_run_again(recipe, tmp_path):
    first = fit(recipe, tmp_path / "run")
    before = (tmp_path / "run" / "weights.safetensors").stat().st_mtime_ns
    steps = []
    assert fit(recipe, tmp_path / "run", progress=steps.append) == first
    assert steps == []
    assert (tmp_path / "run" / "weights.safetensors").stat().st_mtime_ns == before


def test_another_recipe_other_data_or_a_foreign_checkpoint_is_not_continued(recipe, tmp_path):
    fit(recipe, tmp_path / "run", epochs=1)

    class Other(Plane):
        def __init__(self):
            super().__init__()
            self.data = {"plane": "1" * 64}

    with pytest.raises(InputError, match=r"other data \(plane\); name another folder"):
        fit(recipe, tmp_path / "run", task=Other)
    recipe.write_text(RECIPE.replace("0.05", "0.06"))
    with pytest.raises(InputError, match=r"run of another recipe \(loop\)"):
        fit(recipe, tmp_path / "run")
    (tmp_path / "run" / "training" / "state.pt").unlink()
    with pytest.raises(InputError, match="a checkpoint that was not trained here"):
        fit(recipe, tmp_path / "run")


def test_a_damaged_state_is_refused(recipe, tmp_path):
    fit(recipe, tmp_path / "run", epochs=1)
    path = tmp_path / "run" / "training" / "state.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"state\.pt: cannot be read .* to begin again"):
        fit(recipe, tmp_path / "run")


class Measured(Plane):
    """Its metric is planted, epoch by epoch."""

    values = ()

    def evaluate(self):
        self.calls = getattr(self, "calls", 0) + 1
        return {"error": self.values[max(self.calls - 2, 0)]}  # the first time it only says what it measures


@pytest.mark.parametrize(
    ("direction", "values", "best", "epochs", "stopped"),
    [
        ("min", (3, 2, 4, 5, 1), 2, 4, "patience"),
        ("max", (3, 2, 4, 1, 1, 5), 3, 5, "patience"),
        ("min", (2, 2, 2), 1, 3, "patience"),  # of equals, the first
        ("max", (math.nan, 1, math.nan, 0), 2, 4, "patience"),
        ("min", (9, 8, 7, 6, 5, 4), 6, 6, "epochs"),
    ],
)
def test_training_stops_when_the_metric_has_not_improved(
    recipe, tmp_path, monkeypatch, direction, values, best, epochs, stopped
):
    monkeypatch.setattr(Measured, "values", tuple(map(float, values)))
    trained = fit(recipe, tmp_path / "run", task=Measured, direction=direction, epochs=6, patience=2)
    assert (trained.epoch, trained.epochs, trained.stopped) == (best, epochs, stopped)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["training"]["epoch"] == best


def test_a_loss_that_is_no_number_names_epoch_and_step_and_keeps_what_was(recipe, tmp_path):
    class Breaks(Plane):
        def loss(self, model, batch):
            terms, items = super().loss(model, batch)
            self.calls = getattr(self, "calls", 0) + 1
            return loop.Loss({**terms, "size": terms["size"] * (math.nan if self.calls == 8 else 1)}, items)

    with pytest.raises(InputError) as raised:
        fit(recipe, tmp_path / "run", task=Breaks)
    assert "epoch 2, step 3: the loss is no finite number (square " in str(raised.value)
    assert "size nan" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(state(tmp_path / "run")["rows"]) == 1
    assert fit(recipe, tmp_path / "run").epochs == 4


def test_a_metric_that_is_not_measured_is_refused_by_name(recipe, tmp_path):
    told = []
    with pytest.raises(InputError, match="there is no 'mF1S'; there are error"):
        fit(recipe, tmp_path / "run", metric="mF1S", progress=told.append)
    assert not told, "before anything is trained"
    assert not (tmp_path / "run").exists()


def test_a_task_without_batches_is_refused(recipe, tmp_path):
    class Empty(Plane):
        def batches(self, epoch, rank, ranks):
            return []

    with pytest.raises(InputError, match="nothing to train on"):
        fit(recipe, tmp_path / "run", task=Empty)


@pytest.mark.parametrize(("batch", "accumulate"), [(6, 2), (4, 3), (5, 4)])  # 5, 5, 2: batches of two sizes
def test_accumulated_batches_are_one_large_batch(tmp_path, batch, accumulate):
    one, many = tmp_path / "one", tmp_path / "many"
    for folder, size, number in (one, 12, 1), (many, batch, accumulate):
        folder.mkdir()
        tiny_task.descend(folder, Loop("error", device="cpu", accumulate=number, epochs=1), items=12, batch=size)
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(many)[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "batch", "accumulate"), [(2, 3, 1), (2, 2, 2), (3, 2, 1)])
def test_gradients_of_several_processes_are_those_of_one(tmp_path, processes, batch, accumulate):
    contrast = 0.5 * (accumulate == 1)  # which sees one batch of all processes, not those that are accumulated
    one, many = tmp_path / "one", tmp_path / "many"
    one.mkdir(), many.mkdir()
    whole = {"items": 18, "batch": processes * batch * accumulate, "contrast": contrast}
    tiny_task.descend(one, Loop("error", device="cpu", epochs=1), **whole)
    recipe = tmp_path / "plane.toml"
    recipe.write_text(
        f"[loop]\nmetric = 'error'\ndevice = 'cpu'\ndevices = {processes}\naccumulate = {accumulate}\nepochs = 1\n"
        f"[plane]\nitems = 18\nbatch = {batch}\ncontrast = {contrast}\n"
    )
    assert run_together(command(recipe, many)) == (0, "", "")  # all of them ended, and no warning
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(many)[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_several_processes_train_and_one_writes(recipe, tmp_path):
    recipe.write_text(RECIPE + "device = 'cpu'\ndevices = 2\n")
    assert run_together(command(recipe, tmp_path / "run")) == (0, "", "")
    assert len(state(tmp_path / "run")["rows"]) == 4


def test_progress_counts_steps_and_ends_an_epoch_with_its_metrics(recipe, tmp_path):
    told: list[Progress] = []
    fit(recipe, tmp_path / "run", epochs=2, accumulate=2, progress=told.append)
    assert [(one.epoch, one.step, one.steps, one.metrics is not None) for one in told] == [
        (epoch, step, 3, ends) for epoch in (1, 2) for step, ends in ((1, False), (2, False), (3, False), (3, True))
    ]
    assert told[0].loss["loss"] == pytest.approx(told[0].loss["square"] + told[0].loss["size"])
    assert list(told[0].loss) == ["loss", "square", "size"]


@pytest.mark.parametrize(
    ("schedule", "paces"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("cosine", [1 / 3, 2 / 3, *((1 + np.cos(np.pi * np.arange(8) / 8)) / 2)]),
    ],
)
def test_the_learning_rate_rises_and_falls_as_scheduled(schedule, paces):
    settings = Loop("error", schedule=schedule, warmup=0.2)
    assert [loop._pace(step, 10, settings) for step in range(10)] == pytest.approx(paces)


def test_nothing_decays_but_matrices():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    model[0].bias.requires_grad_(False)
    matrices, others = loop._make_optimizer(model, Loop("error", weight_decay=0.1)).param_groups
    assert ([parameter.shape for parameter in matrices["params"]], matrices["weight_decay"]) == ([(4, 3)], 0.1)
    assert (len(others["params"]), others["weight_decay"]) == (2, 0)  # without the frozen bias


def test_bf16_trains_and_keeps_full_weights(recipe, tmp_path):
    fit(recipe, tmp_path / "run", precision="bf16", epochs=2)
    assert {tensor.dtype for tensor in weights(tmp_path / "run").values()} == {torch.float32}
    fit(recipe, tmp_path / "full", epochs=2)
    assert any(
        not torch.equal(tensor, weights(tmp_path / "full")[name]) for name, tensor in weights(tmp_path / "run").items()
    )


def test_the_seed_decides_weights_order_and_dropout(recipe, tmp_path):
    for name, seed in ("a", 0), ("b", 0), ("c", 1):
        fit(recipe, tmp_path / name, epochs=1, seed=seed)
    assert (tmp_path / "a/weights.safetensors").read_bytes() == (tmp_path / "b/weights.safetensors").read_bytes()
    assert (tmp_path / "a/weights.safetensors").read_bytes() != (tmp_path / "c/weights.safetensors").read_bytes()


def test_tensorboard_gets_what_the_log_gets(recipe, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained = fit(recipe, tmp_path / "run", epochs=3, tensorboard=True)
    board = EventAccumulator(str(tmp_path / "run" / "training" / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("error")] == [1, 2, 3]
    assert board.Scalars("error")[trained.epoch - 1].value == pytest.approx(trained.metrics["error"])
    assert "loss/square" in board.Tags()["scalars"]


def test_a_gpu_that_is_not_there_is_refused(recipe, tmp_path):
    count = torch.cuda.device_count() + 1
    if torch.backends.mps.is_available():
        pytest.skip("a GPU of another kind is here")
    with pytest.raises(InputError, match=f"{count} of device 'gpu' are asked for, {count - 1} are here"):
        fit(recipe, tmp_path / "run", device="gpu", devices=count)


def test_more_devices_than_gpus_are_not_taken_for_processors_unasked(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match='4 are asked for, GPUs that are here: 2; set devices = 2, or device = "cpu"'):
        fit(recipe, tmp_path / "run", device="auto", devices=4)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_processes_share_an_epoch_evenly(ranks):
    shares = [loop.share(11, 2, seed=3, epoch=5, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert len({len(batches) for batches in shares}) == 1
    assert [len({len(batch) for batch in step}) for step in zip(*shares, strict=True)] == [1] * len(shares[0])
    assert set(np.concatenate([batch for batches in shares for batch in batches]).tolist()) == set(range(11))
    whole = loop.share(11, 2 * ranks, seed=3, epoch=5)
    assert set(whole[0].tolist()) == {item for batches in shares for item in batches[0].tolist()}
    assert not np.array_equal(whole[0], loop.share(11, 2 * ranks, seed=3, epoch=6)[0])
