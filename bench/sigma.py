"""A Sigma of ten words: pre-training with every objective removed in turn, then a few examples of single signs, against
a start from nothing.

    python bench/sigma.py DATA RUNS [SEEDS]
    python bench/sigma.py  # speed and memory of a step of pre-training, at the published sizes

DATA is the folder of traduttore_asl (shared data), RUNS where checkpoints go; what is there already is not trained
again. Pre-trained is recipes/sigma-tiny.toml, on sentences joined of the signs of four sessions; then 1, 5 or 10
examples of every word, of the same sessions, are learned from in 80 steps, and the signs of three other sessions are
named: 320 clips of 9 words. Beside stand chance (one word in ten), and the nearest example by the untrained pose
descriptor, with the same examples. The brackets hold the least and the greatest of the seeds.
"""

import json
import re
import resource
import sys
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch
from results import record

from seasign import checkpoints
from seasign.corpora import traduttore
from seasign.corpora.clips import divide_named
from seasign.metrics.translation import evaluate_isolated
from seasign.models import pose_encoder
from seasign.models.body_parts import parts_of
from seasign.models.frame_tokens import Looked, PartTokens
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.models.sigma import Shape, Sigma
from seasign.models.sigma_translator import Inputs, SigmaTranslator
from seasign.recognition import classify, shots
from seasign.segmentation import find_sign
from seasign.training import sigma, train
from seasign.types import Embeddings, InputWarning, Sign

RECIPE = Path(__file__).parents[1] / "recipes" / "sigma-tiny.toml"
WAYS = {  # how it was pre-trained -> the table [loss]
    "all objectives": "",
    "without global": 'without = ["global"]',
    "without local": 'without = ["local"]',
    "without matching": 'without = ["matching"]',
    "without language": 'without = ["language"]',
    "aligned after meeting, as published": "fused = true",
}
SCRATCH, NEAREST = "from scratch", "nearest example, untrained"
TESTED = ("block 1", "block 4", "block 7")
EXAMPLES = (1, 5, 10)
STEPS, BATCH = 80, 10
PIECES = 20_000  # that mT5's 250,112 were trimmed to
FINETUNING = """
task = "sigma-finetune"
work = "islr"
beams = 1
most = 8
{start}
[data]
traduttore = "{data}"
test_signers = ["block 1", "block 2", "block 4", "block 6", "block 7"]  # of which 2 and 6 chose before
valid_signers = ["block 8"]  # nothing is chosen
examples = {examples}
repeat = {repeat}
batch = {batch}
{network}
[loop]
metric = "per_instance"
epochs = 1
learning_rate = 1e-3
schedule = "cosine"
warmup = 0.05
clip = 1.0
seed = {seed}
"""


def named(way: str, seed: int) -> str:
    return f"{re.sub('[, ]+', '-', way)}-{seed}"


def pretrained(data: Path, folder: Path, way: str, seed: int) -> Path:
    """The folder of a checkpoint."""
    text = re.sub(r"^traduttore = .*$", f'traduttore = "{data.resolve()}"', RECIPE.read_text(), flags=re.MULTILINE)
    text = text.replace("[loop]\n", f"[loss]\n{WAYS[way]}\n\n[loop]\nseed = {seed}\n")
    file = folder / f"{named(way, seed)}.toml"
    file.write_text(text)
    train(file, output=folder / file.stem)
    return folder / file.stem


def finetuned(data: Path, folder: Path, way: str, examples: int, seed: int) -> float:
    """Signs of other sessions that are named right after the last step, percent."""
    network = re.search(r"^\[network\]\n.*?\n\n", RECIPE.read_text(), re.MULTILINE | re.DOTALL)
    assert network is not None
    text = FINETUNING.format(
        start=f'start = "{(folder / named(way, seed)).resolve()}"' if way in WAYS else "",
        network="" if way in WAYS else network[0],
        data=data.resolve(),
        examples=examples,
        repeat=STEPS * BATCH // (10 * examples),
        batch=BATCH,
        seed=seed,
    )
    file = folder / f"{named(way, seed)}-islr-{examples}.toml"
    file.write_text(text)
    trained = train(file, output=folder / file.stem)
    found = checkpoints.load(trained.checkpoint)
    assert isinstance(found, SigmaTranslator)
    seen, true = tested(data)
    said = []
    for first in range(0, len(seen), 64):
        said += [found.pieces.say(ids) for ids, _ in found.network.say(seen[first : first + 64], beams=1, most=8)]
    return evaluate_isolated(true, said).per_instance


@cache
def tested(data: Path) -> tuple[list[Looked], list[str]]:
    """What every network looks at in the clips that are tested, and what they say."""
    clips = [clip for clip in traduttore.read(data) if clip.signer in TESTED]
    return [parts_of(clip.read()) for clip in clips], [clip.text for clip in clips]


def nearest(data: Path, examples: int, seed: int) -> float:
    """The same by the nearest example in an untrained space."""
    clips = divide_named(traduttore.read(data), ["block 8"], [*TESTED, "block 2", "block 6"])
    chosen = [clips["train"][number] for number in shots([clip.text for clip in clips["train"]], examples, seed)]
    descriptor = PoseDescriptor()

    def described(some: list) -> Embeddings:
        rows = []
        for clip in some:
            span = find_sign(clip.read())
            rows.append(descriptor.signs(clip.read(), [Sign(span.start, span.end)]).vectors)
        return Embeddings(np.concatenate(rows), descriptor.space)

    signs = [clip for clip in clips["test"] if clip.signer in TESTED]
    guesses = classify(described(signs), described(chosen), [clip.text for clip in chosen], method="nearest")
    return 100 * float(np.mean([a == clip.text for a, clip in zip(guesses.best, signs, strict=True)]))


def study(data: Path, folder: Path, seeds: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    book = folder / "results.json"
    known = json.loads(book.read_text()) if book.exists() else {}
    first, *others = WAYS
    rounds = [(way, seed) for seed in range(seeds) for way in (NEAREST, SCRATCH, first)]
    for way, seed in rounds + [(way, seed) for seed in range(seeds) for way in others]:
        for examples in EXAMPLES:
            name = f"{named(way, seed)}-{examples}"
            if name in known:
                continue
            began = time.monotonic()
            if way in WAYS:
                pretrained(data, folder, way, seed)
            known[name] = (
                nearest(data, examples, seed) if way == NEAREST else finetuned(data, folder, way, examples, seed)
            )
            print(f"{name:60} {known[name]:5.1f} {time.monotonic() - began:5.0f} s", flush=True)
            book.write_text(json.dumps(known))
    tell(known, seeds)


def tell(known: dict[str, float], seeds: int) -> None:
    """Record every way that all seeds have gone."""
    corpus = "traduttore_asl, 320 signs of sessions 1, 4, 7"
    for way in (*WAYS, SCRATCH, NEAREST):
        for examples in EXAMPLES:
            found = [known.get(f"{named(way, seed)}-{examples}") for seed in range(seeds)]
            if None not in found:
                own = [value for value in found if value is not None]
                interval = min(own), max(own)
                record(f"{way}: {examples} examples", float(np.mean(own)), "%", corpus=corpus, interval=interval)


def speed() -> None:
    """A step at the sizes of mT5-base, with a trimmed vocabulary: 16 clips of 256 frames, texts of 50 pieces."""
    torch.set_num_threads(2)
    frames = PartTokens(pose_encoder.Shape(), recompute=True)
    made = Sigma(Shape(vocabulary=PIECES, dropout=0.0), frames, Inputs(prefix=tuple(range(3, 13))))
    made.recompute_activations()
    model = sigma.Pretraining(made, sigma.Objective()).train()
    rng = np.random.default_rng(0)
    looked = {
        part: torch.from_numpy(rng.uniform(-1, 1, (16, 256, joints, 3)).astype(np.float32))
        for part, joints in (("body", 9), ("left", 21), ("right", 21), ("face", 18))
    }
    ids = torch.from_numpy(rng.integers(3, PIECES, (16, 50)))
    batch = sigma.Batch(
        looked,
        torch.ones(16, 256, dtype=torch.bool),
        ids,
        torch.arange(50).expand(16, -1),
        torch.arange(16),
    )
    optimizer = torch.optim.AdamW([own for own in model.parameters() if own.requires_grad], lr=1e-4)
    for group in optimizer.param_groups:  # a step before, so that what AdamW keeps is there
        for own in group["params"]:
            own.grad = torch.zeros_like(own)
    optimizer.step()
    optimizer.zero_grad()
    began = time.monotonic()
    with torch.autocast("cpu", torch.bfloat16):  # as in the recipe; weights, gradients and AdamW's state have 32 bits
        met = model(batch)
    loss = sum(sigma.losses(met, batch.said, sigma.Objective()).values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    optimizer.step()
    taken = time.monotonic() - began
    step = "a step of pre-training, 16 clips of 256 frames"
    size = sum(own.numel() for own in model.parameters())
    record(f"{step}: time", taken, "s")
    record(f"{step}: parameters", size / 1e6, "million")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    record(f"{step}: greatest memory", most, "GB", target="<= 8")


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)
    if len(sys.argv) > 2:
        study(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3)
    else:
        speed()
