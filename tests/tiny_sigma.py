"""A small Sigma, for the tests of its training; as a program, a step of it that several processes take together."""

import sys
from pathlib import Path

import safetensors.torch
import torch

from seasign.training import loop, sigma
from seasign.training.recipe import Loop
from seasign.training.sigma import Objective, Recipe
from seasign.training.sigma_corpus import Data, Joined
from seasign.training.sigma_network import Network

SMALL = Network(
    vocabulary=60, width=16, key=8, heads=2, inner=24, layers=2, decoder_layers=1, dropout=0.0, fused=1,
    frames=24, pieces=12, joint=4, spatial=(6, 8), temporal=1,
)  # fmt: skip


def descend(corpus: Path, folder: Path, devices: int, *objectives: Objective) -> None:
    """A step of plain gradient descent, in which the scale of gradients shows, on six sentences that the processes
    share, and the weights of each network in `folder`. Norms take no statistics: those are of each process."""
    settings = Loop("valid_loss", device="cpu", devices=devices, epochs=1)
    data = Data(traduttore=corpus, valid_signers=("block 1",), test_signers=("block 2",), batch=6 // devices)
    joined = Joined(sentences=6, signs=(1, 3), valid=2)
    fabric = loop._launch(settings)
    for number, loss in enumerate(objectives):
        torch.manual_seed(0)
        task = sigma.prepare(Recipe(data, settings, SMALL, joined=joined, loss=loss))
        learned = [own for own in task.model.parameters() if own.requires_grad]
        model, optimizer = fabric.setup(task.model, torch.optim.SGD(learned, lr=0.1))
        task.model.eval()
        loop._train_epoch(fabric, task, model, optimizer, settings, 1, lambda *_: None)
        if fabric.is_global_zero:
            safetensors.torch.save_file(task.network.tensors, folder / f"{number}.safetensors")


ALIGNED = Objective(without=("matching", "language"))
if __name__ == "__main__":  # CORPUS FOLDER: by two processes
    torch.set_num_threads(1)
    descend(Path(sys.argv[1]), Path(sys.argv[2]), 2, ALIGNED, Objective())
