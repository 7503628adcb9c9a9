"""How fast networks tag, and in what memory: random weights of full size, on the poses of the synthetic signer.

    python bench/taggers.py

The oracle of the 2026 family is the published way, stated plainly: every joint a sequence of its own, the whole video
at once. Both run in one process, in turns.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional


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
