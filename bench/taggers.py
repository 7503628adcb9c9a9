"""How fast networks tag, and in what memory: random weights of full size, on the poses of the synthetic signer.

    python bench/taggers.py

The oracle of the 2026 family is the published way, stated plainly: every joint a sequence of its own, the whole video
at once. Both run in one process, in turns.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median

import numpy as np
import torch
from results import record
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

import seasign
from seasign.models import features
from seasign.models.bio_tagger import BioTagger
from seasign.models.unet_tagger import Settings as UnetSettings
from seasign.models.unet_tagger import UnetTagger
from seasign.synthesis import synthesize
from seasign.types import Poses

FPS = Fraction(25)
SEGMENT = r"""
import atexit, re
from seasign.cli import main
atexit.register(lambda: print(re.search(r"VmHWM:\s+([0-9]+)", open("/proc/self/status").read())[1]))
main()
"""


@torch.inference_mode()
def plain(
    tensors: Mapping[str, Tensor], x: Tensor, timestamps: Tensor, heads: int = 8, chunk: int = 1024
) -> tuple[Tensor, Tensor]:
    """The network of 2026 as published: frames x points x 6 and seconds -> log-probabilities, frames x 4 each."""

    def linear(name: str, x: Tensor) -> Tensor:
        return functional.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    def norm(name: str, x: Tensor) -> Tensor:
        return functional.rms_norm(x, x.shape[-1:], tensors[f"{name}.weight"])

    def layer(name: str, x: Tensor, convolve: Callable[..., Tensor], stride: int) -> Tensor:
        weight = tensors[f"{name}.0.weight"]
        x = convolve(x, weight, tensors[f"{name}.0.bias"], stride=stride, padding=weight.shape[2] // 2)
        known = [tensors[f"{name}.1.{one}"] for one in ("running_mean", "running_var", "weight", "bias")]
        return functional.silu(functional.batch_norm(x, *known))

    def unet(name: str, x: Tensor, *strides: int) -> Tensor:
        x = x.permute(1, 2, 0)  # points x channels x frames
        passed = []
        for number, stride in enumerate(strides):
            x = layer(f"{name}.encoder_layers.{number}", x, functional.conv1d, stride)
            passed.append(x)
        for number, stride in enumerate(reversed(strides)):
            skip = passed.pop()
            lacking = skip.shape[2] - x.shape[2]
            x = functional.pad(x, (lacking // 2, lacking - lacking // 2)) + skip
            x = layer(f"{name}.decoder_layers.{number}", x, functional.conv_transpose1d, stride)
        return linear(f"{name}.fc", x.mean(dim=1).T)

    def turned(x: Tensor, angle: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        return x * angle.cos() + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * angle.sin()

    x = norm("input_norm", unet("frame_cnn.2", unet("frame_cnn.0", x, 1, 1, 2)[:, :, None], 1, 2, 2, 2))
    frames, hidden = x.shape
    if frames > chunk:
        x = functional.pad(x, (0, 0, 0, -frames % chunk))
        timestamps = functional.pad(timestamps, (0, -frames % chunk))
    done = []
    names = sorted({name.rpartition(".")[0] for name in tensors if name.endswith("inv_freq")})
    for part, seconds in zip(x.split(chunk), timestamps.split(chunk), strict=True):
        x = part
        for name in names:
            angle = torch.outer(seconds * 50, tensors[f"{name}.inv_freq"]).repeat(1, 2)
            q, k, v = linear(f"{name}.qkv", norm(f"{name}.norm1", x)).view(len(x), 3, heads, -1).permute(1, 2, 0, 3)
            seen = functional.scaled_dot_product_attention(turned(q, angle), turned(k, angle), v)
            x = x + linear(f"{name}.out_proj", seen.transpose(0, 1).reshape(len(x), hidden))
            inner = functional.gelu(linear(f"{name}.ffn.0", norm(f"{name}.norm2", x)))
            x = x + linear(f"{name}.ffn.3", inner)
        done.append(x)
    x = torch.cat(done)[:frames]
    signs, phrases = (
        linear(f"{name}.net.2", functional.gelu(linear(f"{name}.net.0", x))).log_softmax(dim=1)
        for name in ("sign_bio_head", "sentence_bio_head")
    )
    return signs, phrases


def hour(seconds: int = 3600) -> Poses:
    """Poses of the synthetic signer at 25 fps, five minutes of them again and again."""
    poses = synthesize(duration=300.0, fps=FPS).poses
    assert poses is not None
    times, frames = -(-seconds // 300), seconds * 25
    return replace(
        poses, xyz=np.tile(poses.xyz, (times, 1, 1))[:frames], confidence=np.tile(poses.confidence, (times, 1))[:frames]
    )


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def whole(segmenter: Path, poses: Path, target: Path) -> tuple[float, float]:
    """Seconds and peak MB of a command that segments."""
    words = ["segment", poses, "-o", target, "--segmenter", segmenter, "--quiet"]
    began = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", SEGMENT, *words], check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - began, int(run.stdout) / 1000


def compare(tagger: UnetTagger, frames: int, repeats: int) -> None:
    """Frames per second of the published way and of ours, in turns."""
    x = tagger.prepare(hour(-(-frames // 25)))[:frames]
    tensors, timestamps = tagger.state_dict(), torch.arange(frames) / 25
    took: dict[str, list[float]] = {"published way": [], "ours": []}
    for _ in range(repeats):
        took["published way"].append(seconds(lambda: plain(tensors, torch.from_numpy(x), timestamps)))
        took["ours"].append(seconds(lambda: tagger.infer(x, FPS)))
    for name, times in took.items():
        record(f"2026, {frames} frames, {name}, two threads", frames / median(times), "frames/s")
    ratio = median([one / other for one, other in zip(*took.values(), strict=True)])
    record(f"2026, {frames} frames, ours / published way", ratio, "x", ">= 2")


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    unet = UnetTagger(UnetSettings(**features.statistics_2026())).eval()
    compare(unet, 1024, 9)
    compare(unet, 7500, 3)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, model in ("2026", unet), ("e1", BioTagger().eval()):
            (folder / name).mkdir()
            save_file(model.state_dict(), folder / name / "weights.safetensors")
            (folder / name / "config.json").write_text(json.dumps(model.config))
        poses = hour()
        seasign.write(folder / "hour.pose", poses)
        seasign.write(folder / "minutes.pose", hour(300))

        torch.set_num_threads(1)
        e1 = BioTagger().eval()
        frames = e1.prepare(poses)
        took = seconds(lambda: e1.tag(poses)) - seconds(lambda: e1.prepare(poses))
        record("E1, an hour, network alone, one thread", len(frames) / took, "frames/s", ">= 10000")
        took = seconds(lambda: e1.prepare(seasign.read_poses(folder / "hour.pose")))
        record("E1, reading and preparing an hour of .pose", took, "s", "<= 15")
        del poses, frames
        for name, length, limit in ("e1", "hour", "<= 60"), ("2026", "minutes", ""), ("2026", "hour", ""):
            took, peak = whole(folder / name, folder / f"{length}.pose", folder / "signs.eaf")
            what = f"{name}, {'an hour' if length == 'hour' else '5 minutes'}, .pose to .eaf"
            record(what, took, "s", limit)
            record(f"{what}, peak", peak, "MB", "<= 1000")


if __name__ == "__main__":
    main()
