"""A task that fits a plane, for the tests of the loop; as a program, it is what they kill and what they run twice."""

import sys
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from seasign.training import loop
from seasign.training.recipe import Loop, build, read_table


class Plane:
    def __init__(self, seed=0, items=20, batch=4, dropout=0.1, contrast=0.0):
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(dropout), torch.nn.Linear(8, 1))
        self.seed, self.batch, self.contrast = seed, batch, contrast
        self.data, self.files = {"plane": "0" * 64}, {}
        self.x = torch.from_numpy(np.random.default_rng(1).normal(size=(items, 3)).astype(np.float32))
        self.y = self.x @ torch.tensor([[1.0], [-2.0], [0.5]])

    def batches(self, epoch, rank, ranks):
        shares = loop.share(len(self.x), self.batch, seed=self.seed, epoch=epoch, rank=rank, ranks=ranks)
        return [(self.x[items], self.y[items]) for items in shares]

    def loss(self, model, batch):
        x, y = batch
        z = model(x)
        terms = {"square": ((z - y) ** 2).mean(), "size": 0.1 * (z - y).abs().mean()}
        if self.contrast:  # of all pairs, those of other processes too
            scores = -((loop.gather(z) - loop.gather(y).T) ** 2)
            terms["contrast"] = -self.contrast * scores.log_softmax(dim=0).diagonal().mean()
        return loop.Loss(terms, len(x))

    def evaluate(self):
        with torch.no_grad():
            return {"error": float(((self.model(self.x) - self.y) ** 2).mean())}

    def checkpoint(self):
        return {"model": "plane"}, self.model.state_dict()


def read_loop(path):
    return build(Loop, read_table(path)["loop"], f"{path} [loop]", path.parent)


def descend(folder, settings, **plane):
    """An epoch of plain gradient descent, in which the scale of gradients shows; the weights go to `folder`."""
    fabric = loop._launch(settings)
    torch.manual_seed(0)
    task = Plane(dropout=0, **plane)
    model, optimizer = fabric.setup(task.model, torch.optim.SGD(task.model.parameters(), lr=0.1))
    loop._train_epoch(fabric, task, model, optimizer, settings, 1, lambda *_: None)
    if fabric.is_global_zero:
        safetensors.torch.save_file(task.model.state_dict(), folder / "weights.safetensors")


if __name__ == "__main__":  # RECIPE FOLDER [EPOCH STEP]: there it says so and waits
    recipe, folder = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    table = read_table(recipe)

    def wait(progress):
        if [str(progress.epoch), str(progress.step)] == sys.argv[3:] and progress.metrics is None:
            print("waiting", flush=True)
            time.sleep(60)

    if "plane" in table:
        descend(folder, read_loop(recipe), **table["plane"])
    else:
        loop.run(Plane, read_loop(recipe), folder, recipe=recipe, progress=wait)
