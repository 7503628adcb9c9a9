"""How fast the encoder of poses is, in core time, against the padded way and against what the processor can multiply.

    python bench/pose_encoder.py

A core's time is that of one thread, the least of several runs, so that other programs hardly count. The padded way
computes every clip of a batch at the length of the longest, as the released code does.
"""

import time
from collections.abc import Callable

import torch
from results import record

from seasign.models.body_parts import PARTS
from seasign.models.pose_encoder import PoseEncoder, Shape

BATCH, LONGEST = 16, 256
SMALL = Shape(joint=16, spatial=(16, 32, 64), features=192)  # a quarter of every width


def core_seconds(run: Callable[[], object], times: int = 5) -> float:
    """The least of several runs."""
    took = []
    for _ in range(times):
        before = time.process_time()
        run()
        took.append(time.process_time() - before)
    return min(took)


def drawn(*frames: int) -> dict[str, torch.Tensor]:
    """Parts of clips of that many frames."""
    return {part: torch.randn(*frames, len(joints), 3) for part, joints in PARTS.items()}


def multiplications(shape: Shape) -> int:
    """Of a frame: maps of joints, then of joints and frames around them."""
    before, total = shape.joint, 0
    for after in shape.spatial:
        total += 2 * before * after + (before * after if before != after else 0)
        before = after
    total += shape.temporal * (2 + shape.kernel) * before**2
    return total * sum(map(len, PARTS.values()))


def frames_per_second(shape: Shape, frames: int = 1024) -> float:
    """Of one clip."""
    model, parts = PoseEncoder(shape).eval(), drawn(1, frames)
    with torch.inference_mode():
        return frames / core_seconds(lambda: model(parts))


def main() -> None:
    """Measure and record."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    a, b = torch.randn(4096, 256), torch.randn(256, 512)
    peak = 2 * a.numel() * b.shape[1] / core_seconds(lambda: a @ b, 20)
    for name, shape, target in (("full width", Shape(), "2500"), ("a quarter of the width", SMALL, "")):
        rate = frames_per_second(shape)
        record(f"{name}: frames per second of a core", rate, "frames/s", target)
        share = 100 * rate * 2 * multiplications(shape) / peak
        record(f"{name}: of the rate at which the core multiplies matrices", share, "%")
        with torch.autocast("cpu", torch.bfloat16):
            record(f"{name}, bfloat16: frames per second of a core", frames_per_second(shape), "frames/s")
    limit = peak / (2 * multiplications(Shape()))
    record("full width: frames per second if a core did nothing but multiply", limit, "frames/s")

    model = PoseEncoder().eval().requires_grad_(False)
    lengths = (100 * torch.randn(BATCH).mul(0.6).exp()).long().clamp(25, LONGEST)  # of sentences, 4 s at the median
    there = torch.arange(int(lengths.max())) < lengths[:, None]
    parts = drawn(*there.shape)
    with torch.inference_mode():
        packed, padded = core_seconds(lambda: model(parts, there), 3), core_seconds(lambda: model(parts), 3)
    record(
        "sentences of 1 to 10 s in a batch of 16: packed, as many times as fast as padded", padded / packed, "x", "1.2"
    )
    record("the same: frames that are padding", 100 * (1 - there.float().mean().item()), "%")


if __name__ == "__main__":
    main()
