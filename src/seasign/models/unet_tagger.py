"""The taggers of 2026: a convolutional network over every joint, one over time, and attention by seconds.

Source: sign-language-processing/segmentation @ 22ca3a6 ("CNN-medium-attn + RoPE", E169; no paper). The names of the
tensors are those of that code. Differs: `tag` runs in stretches of time, so that memory does not grow with the video,
and does long convolutions by Fourier transforms; both change nothing but rounding. Time has 64 bits there: the
published 32 err by up to .01 rad of the fastest rotation after an hour. On a CPU, bfloat16 gains nothing (measured).
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seasign.decoding import Argmax, Decoder
from seasign.models import features
from seasign.models.tensors import fit
from seasign.segmentation import Purpose
from seasign.types import InputError, Poses, Tags

CHANNELS = 6  # of a point: its place and its velocity
CLASSES = ("UNK", "O", "B", "I")  # the order in which the heads say them
BIO = [CLASSES.index(name) for name in ("B", "I", "O", "UNK")]
JOINTS = ((16, 5, 1), (32, 11, 1), (64, 21, 2))  # of the block over joints: channels, kernel, stride, layer by layer
TIME = ((16, 5, 1), (32, 11, 2), (64, 21, 2), (128, 21, 2))  # of the block over time
GRID = 8  # frames: the product of the strides, of either block
REACH = 168  # frames to either side that the blocks see together: 34 and 134
STRETCH = 2048  # frames that the blocks run on at once, about
LANES = 2  # stretches that run at once, on two threads or more; each takes up to 200 MB
SIDE_BY_SIDE = 64  # joints, or hidden channels, that a block runs on at once
PER_SECOND = 50.0  # positions that attention counts in a second
LONG = 21  # frames of a kernel that is faster by Fourier transforms
WINDOW = 32  # frames of a short Fourier transform


@dataclass(frozen=True)
class Settings:
    """What such a network takes, and how large it is: with the names and defaults of the published config."""

    points: tuple[str, ...]
    mean: tuple[tuple[float, float, float], ...]  # of every point's place, measured in shoulder widths
    std: tuple[tuple[float, float, float], ...]  # 0 counts as 1
    hidden_dim: int = 384
    encoder_depth: int = 4  # layers of attention
    attn_nhead: int = 8
    attn_ff_mult: int = 2
    attn_dropout: float = 0.1
    num_frames: int = 1024  # frames that attend to each other


class LogProbabilities(NamedTuple):
    """What a network says: ln P of B, I, O and UNK in that order, of signs and of phrases."""

    signs: Float[Tensor, "batch frames 4"]
    phrases: Float[Tensor, "batch frames 4"]


class Convolution(nn.Conv1d):
    """A convolution over time of maps of channels x frames x points, whatever the number of points."""

    def forward(self, x: Float[Tensor, "batch channels frames points"]) -> Float[Tensor, "batch out times points"]:
        """As many frames, divided by the stride and rounded up."""
        stride, padding = (self.stride[0], 1), (int(self.padding[0]), 0)
        return functional.conv2d(x, self.weight[..., None], self.bias, stride, padding)


class Transposed(nn.ConvTranspose1d):
    """The same upwards."""

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "batch channels frames points"]
    ) -> Float[Tensor, "batch out times points"]:
        """With a stride of 2, one frame less than twice as many."""
        stride, padding = (self.stride[0], 1), (int(self.padding[0]), 0)
        return functional.conv_transpose2d(x, self.weight[..., None], self.bias, stride, padding)


class UnetBlock(nn.Module):
    """Every point a sequence of its own: down and up in time by convolutions, then a linear map over all points."""

    def __init__(self, points: int, channels: int, hidden: int, shape: Sequence[tuple[int, int, int]]):
        super().__init__()
        self.encoder_layers, self.decoder_layers = nn.ModuleList(), nn.ModuleList()
        for more, kernel, stride in shape:
            down = Convolution(channels, more, kernel, stride, kernel // 2)
            up = Transposed(more, channels, kernel, stride, kernel // 2)
            self.encoder_layers.append(nn.Sequential(down, nn.BatchNorm2d(more), nn.SiLU()))
            self.decoder_layers.insert(0, nn.Sequential(up, nn.BatchNorm2d(channels), nn.SiLU()))
            channels = more
        self.fc = nn.Linear(points, hidden)

    def forward(self, x: Float[Tensor, "batch frames points channels"]) -> Float[Tensor, "batch frames hidden"]:
        """One vector per frame. The memory of x is that of channels-last maps, which convolutions like best."""
        x = x.permute(0, 3, 1, 2)
        # batch norms learn from all points at once
        parts = [x] if self.training else torch.split(x, SIDE_BY_SIDE, dim=3)
        return self.fc(torch.cat([self.mean(part) for part in parts], dim=2))  # type: ignore[no-any-return]

    def mean(self, x: Float[Tensor, "batch channels frames points"]) -> Float[Tensor, "batch frames points"]:
        """Down, up, and the mean over the channels."""
        passed = []
        for layer in self.encoder_layers:
            x = layer(x)
            passed.append(x)
        for layer in self.decoder_layers:
            skip = passed.pop()
            lacking = skip.shape[2] - x.shape[2]  # 0, or 1 where a stride of 2 had an even number of frames
            x = layer(functional.pad(x, (0, 0, lacking // 2, lacking - lacking // 2)) + skip)
        return x.mean(dim=1)

    def folded(self, fourier: bool) -> "UnetBlock":
        """The same function for inference: batch norms folded into convolutions, and long ones perhaps transformed."""
        block = copy.deepcopy(self).eval()
        for layers in block.encoder_layers, block.decoder_layers:
            for number, layer in enumerate(layers):
                layers[number] = _folded(layer, fourier)
        return block


def _folded(layer: nn.Module, fourier: bool) -> nn.Module:
    convolution, norm, _ = layer.children()
    assert isinstance(convolution, Convolution | Transposed)
    assert isinstance(norm, nn.BatchNorm2d)
    one = fuse_conv_bn_eval(convolution, norm, transpose=isinstance(convolution, Transposed))
    long = one.kernel_size == (LONG,) and one.stride == (2,)
    return nn.Sequential(Fourier(one) if fourier and long else one, nn.SiLU(inplace=True))


class Fourier(nn.Module):
    """A convolution over an odd number of frames with a stride of 2, up or down, in less than half the operations.

    Frames of even and odd number are sequences of their own, so that both kinds are convolutions without a stride over
    11 frames. 22 of their values come out of 32 frames: y = E ((D x) * (G w)), where D and G are real Fourier
    transforms and * is the product of matrices (channels x channels) at each of 47 points: one each for the two real
    frequencies, three for each complex one (Gauss). All of it is products of matrices that lie in memory as they are.

    Source: Winograd 1980 for bilinear forms of convolutions; here of Fourier transforms, which round as little as the
        direct way does.
    """

    def __init__(self, direct: Convolution | Transposed):
        super().__init__()
        up = isinstance(direct, Transposed)
        weight = functional.pad(direct.weight.detach().double(), (0, 1))
        weight = weight.view(*weight.shape[:2], -1, 2)
        taps = weight.permute(3, 2, 0, 1).flip(1) if up else weight.permute(3, 2, 1, 0)  # phase, tap, in, out
        self.phases = (1, 2) if up else (2, 1)  # of what goes in and of what comes out
        self.before = int(direct.padding[0]) // (2 if up else 1)
        d, g, e = bilinear(WINDOW)
        self.step = WINDOW - taps.shape[1] + 1
        self.d, self.e = d.float(), e[: self.step].float().contiguous()
        self.g = torch.einsum("rt,ptio->prio", g[:, : taps.shape[1]], taps).float()
        assert direct.bias is not None
        self.bias = direct.bias.detach()

    def forward(self, x: Float[Tensor, "1 channels frames points"]) -> Float[Tensor, "1 out times points"]:
        """What the direct convolution gives, up to rounding."""
        channels, frames, points = x.shape[1:]
        ins, outs = self.phases
        windows = math.ceil(frames / ins / self.step)
        rows = x.new_zeros(ins * ((windows - 1) * self.step + WINDOW), points * channels)
        rows[self.before : self.before + frames] = x[0].permute(1, 2, 0).reshape(frames, -1)
        y = x.new_empty(windows, self.step, outs, points * len(self.bias))
        bias = self.bias.repeat(points)
        for number in range(windows):
            window = rows[ins * self.step * number :][: ins * WINDOW].view(WINDOW, ins, -1)
            spectra = [(self.d @ window[:, phase]).view(-1, points, channels) for phase in range(ins)]
            for phase in range(outs):
                product = torch.bmm(spectra[0], self.g[phase])
                if ins == 2:
                    product.baddbmm_(spectra[1], self.g[1])
                y[number, :, phase] = torch.addmm(bias, self.e, product.view(len(self.d), -1))
        times = math.ceil(frames / 2) if ins == 2 else 2 * frames - 1
        return y.view(1, -1, points, len(self.bias))[:, :times].permute(0, 3, 1, 2)


def bilinear(
    window: int,
) -> tuple[Float[Tensor, "products window"], Float[Tensor, "products window"], Float[Tensor, "window products"]]:
    """D, G and E of an even length, so that E ((D x) * (G w)) is sum over i of w[i] x[(t + i) modulo the length]."""
    t = torch.arange(window, dtype=torch.float64)
    angle = 2 * math.pi / window * t[1 : window // 2, None] * t
    cos, sin = angle.cos(), angle.sin()
    real = torch.stack([torch.ones_like(t), (math.pi * t).cos()])
    d = torch.cat([real, cos - sin, cos, -sin])
    g = torch.cat([real, cos, sin - cos, cos + sin])
    e = torch.cat([real, 2 * (cos - sin), -2 * sin, -2 * cos]).T / window
    return d, g, e


class Attention(nn.Module):
    """A transformer layer, normed first, whose positions are seconds: it attends by differences in time."""

    inv_freq: Tensor

    def __init__(self, hidden: int, heads: int, inner: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.RMSNorm(hidden), nn.RMSNorm(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden, bias=False)
        self.out_proj = nn.Linear(hidden, hidden, bias=False)
        self.ffn = nn.Sequential(
            nn.Linear(hidden, inner), nn.GELU(), nn.Dropout(dropout), nn.Linear(inner, hidden), nn.Dropout(dropout)
        )
        size = hidden // heads
        self.register_buffer("inv_freq", 1e4 ** -(torch.arange(0, size, 2) / size))  # rounded in published weights

    def forward(
        self, x: Float[Tensor, "batch frames hidden"], timestamps: Float[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames hidden"]:
        """Every frame sees every other."""
        angle = (timestamps * PER_SECOND)[:, None, :, None] * self.inv_freq
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        q, k, v = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(
            _turned(q, cos, sin), _turned(k, cos, sin), v, dropout_p=self.dropout if self.training else 0.0
        )
        x = x + self.out_proj(seen.transpose(1, 2).flatten(2))
        return x + self.ffn(self.norm2(x))  # type: ignore[no-any-return]


def _turned(
    x: Float[Tensor, "batch heads frames size"], cos: Float[Tensor, "..."], sin: Float[Tensor, "..."]
) -> Float[Tensor, "batch heads frames size"]:
    """Pairs of numbers, one from each half, turned by the angle of the frame."""
    first, second = x.chunk(2, dim=3)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=3)


class Head(nn.Module):
    """Log-probabilities of the classes."""

    def __init__(self, hidden: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, len(CLASSES)))

    def forward(self, x: Float[Tensor, "batch frames hidden"]) -> Float[Tensor, "batch frames 4"]:
        """B, I, O, UNK."""
        return functional.log_softmax(self.net(x), dim=2)[..., BIO]


class UnetTagger(nn.Module):
    """Unet over joints -> unet over time -> attention -> one head for signs and one for phrases. It is a `Segmenter`.

    Tags have the rate of the poses. The published decoder takes the likeliest class and ignores starts, so two signs
    that touch are one; `Argmax(split=True, shortest=3)` parts them.
    """

    decoders: Mapping[Purpose, Decoder] = MappingProxyType(
        dict.fromkeys(get_args(Purpose), Argmax(split=False, shortest=3))
    )

    def __init__(self, settings: Settings):
        super().__init__()
        self.settings = settings
        hidden = settings.hidden_dim
        self.frame_cnn = nn.Sequential(
            UnetBlock(len(settings.points), CHANNELS, hidden, JOINTS),
            nn.Unflatten(2, (hidden, 1)),
            UnetBlock(hidden, 1, hidden, TIME),
        )
        self.input_norm = nn.RMSNorm(hidden)
        self.encoder_attn = nn.ModuleList(
            Attention(hidden, settings.attn_nhead, hidden * settings.attn_ff_mult, settings.attn_dropout)
            for _ in range(settings.encoder_depth)
        )
        self.sign_bio_head, self.sentence_bio_head = Head(hidden), Head(hidden)

    def forward(
        self, frames: Float[Tensor, "batch frames points 6"], timestamps: Float[Tensor, "batch frames"]
    ) -> LogProbabilities:
        """Tag a batch of what `prepare` gives, with its times in seconds.

        Attention runs on chunks of `num_frames`. If there are several, zeros at 0 s fill up the last one, and take part
        in it as published.
        """
        return self.attend(self.frame_cnn(frames), timestamps, frames.shape[1] > self.settings.num_frames)

    def attend(
        self, x: Float[Tensor, "batch frames hidden"], timestamps: Float[Tensor, "batch frames"], chunks: bool
    ) -> LogProbabilities:
        """What comes after the convolutions, in full chunks or in one that is as long as it is."""
        batch, frames, hidden = x.shape
        x = self.input_norm(x.float())
        if chunks:
            size = self.settings.num_frames
            x = functional.pad(x, (0, 0, 0, -frames % size)).reshape(-1, size, hidden)
            timestamps = functional.pad(timestamps, (0, -frames % size)).reshape(-1, size)
        for layer in self.encoder_attn:
            x = layer(x, timestamps)
        x = x.reshape(batch, -1, hidden)[:, :frames]
        return LogProbabilities(self.sign_bio_head(x), self.sentence_bio_head(x))

    def prepare(self, poses: Poses) -> Float32[np.ndarray, "frames points 6"]:
        """What the network sees: places in standard deviations from the mean, and velocities; 0 where missing.

        Hips are always 0, and so are the wrists of the hand model, from which each hand is measured. A landmark that
        comes or goes has a velocity, as published. Differs: velocities are divided by exact time, the published ones by
        differences of 32-bit seconds, which are off by a hundredth after an hour.

        Raises:
            InputError: There are no frames, a landmark is not there, or no frame shows both shoulders or any hand.
        """
        poses = features.hide(features.select(poses, self.settings.points), features.HIPS)
        poses = features.from_wrists(features.normalize_shoulders(poses))
        mean, std = (np.array(table, np.float32) for table in (self.settings.mean, self.settings.std))
        frames = np.empty((*poses.xyz.shape[:2], CHANNELS), np.float32)
        np.divide(poses.xyz - mean, np.where(std == 0, 1, std), out=frames[..., :3])
        np.nan_to_num(frames[..., :3], copy=False)
        frames[..., 3:] = features.velocity(frames[..., :3], poses.fps)
        return frames

    def infer(self, frames: Float32[np.ndarray, "frames points 6"], fps: Fraction) -> Float32[np.ndarray, "2 frames 4"]:
        """The same of one video and without dropout, signs and phrases, in memory that hardly grows with its length.

        Stretches of a long video share the threads: each step of one is too small for that. On a GPU most of it is
        done in bfloat16.
        """
        training, threads = self.training, torch.get_num_threads()
        self.eval()
        device = self.input_norm.weight.device
        cuda = device.type == "cuda"
        with torch.inference_mode():
            blocks = (one.folded(not cuda) if isinstance(one, UnetBlock) else one for one in self.frame_cnn)
            cnn = nn.Sequential(*blocks)
        size, total = self.settings.num_frames, len(frames)
        stretch = max(1, STRETCH // size) * size
        found = np.empty((2, total, len(CLASSES)), np.float32)

        @torch.inference_mode()
        def run(first: int) -> None:
            stop = min(first + stretch, total)
            low = max(0, first - REACH) // GRID * GRID
            seconds = torch.arange(first, stop, dtype=torch.float64, device=device)[None] / float(fps)
            with torch.autocast(device.type, torch.bfloat16, enabled=cuda):
                seen = cnn(torch.from_numpy(frames[low : stop + REACH]).to(device)[None])[:, first - low : stop - low]
                said = self.attend(seen, seconds, total > size)
            found[:, first:stop] = torch.cat(said).float().cpu()

        starts = range(0, total, stretch)
        lanes = 1 if cuda else min(LANES, threads, len(starts))
        try:
            with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(threads // lanes,)) as pool:
                list(pool.map(run, starts))
        finally:
            torch.set_num_threads(threads)
            self.train(training)
        return found

    def tag(self, poses: Poses) -> Tags:
        """Tag every frame.

        O is the likelier of O and UNK (which training leaves out, so it is next to nothing): so the likeliest of three
        is a sign exactly where the likeliest of four is. Then rows are divided by their sums.

        Raises:
            InputError: As `prepare`.
        """
        signs, phrases = three(self.infer(self.prepare(poses), poses.fps))
        return Tags(signs, phrases, poses.fps)

    @property
    def config(self) -> dict[str, Any]:
        """The settings as a checkpoint keeps them, beside the tensors of `state_dict`."""
        sizes = {"pose_dims": [len(self.settings.points), CHANNELS], "num_classes": len(CLASSES)}
        return {"model": "unet-tagger"} | asdict(self.settings) | sizes

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "UnetTagger":
        """The network that a config and its tensors make, in 32 bits, on a GPU when there is one.

        Raises:
            InputError: A setting is missing or not what it should be, or the tensors are not those that the settings
                ask for.
        """
        asks = "the settings (points, hidden_dim, encoder_depth, attn_nhead, attn_ff_mult) ask for"
        tagger = fit(cls(_settings(config)), tensors, asks)
        return tagger.to("cuda" if torch.cuda.is_available() else "cpu")


def three(logp: Float32[np.ndarray, "*heads frames 4"]) -> Float[np.ndarray, "*heads frames 3"]:
    """ln P of B, I, O and UNK -> P of B, I, and the likelier of O and UNK, which sum to 1."""
    p = np.exp(logp.astype(float))
    p[..., 2] = p[..., 2:].max(axis=-1)
    tags: Float[np.ndarray, "*heads frames 3"] = p[..., :3] / p[..., :3].sum(axis=-1, keepdims=True)
    return tags


def _settings(config: Mapping[str, Any]) -> Settings:
    """Settings as `UnetTagger.config` wrote them; other names are passed over, as published.

    Raises:
        InputError: One is missing, or not what it should be.
    """
    for name, (words, fits) in EXPECTED.items():
        if name not in config:
            raise InputError(f"the config has no {name!r}; it should be {words}")
        if not fits(config[name]):
            raise InputError(f"the config says that {name!r} is {str(config[name])[:60]}; it should be {words}")
    given = {field.name: config[field.name] for field in fields(Settings)}
    points = given["points"] = tuple(given["points"])
    if missing := [name for name in features.SHOULDERS + features.HANDS if name not in points]:
        raise InputError(f"the config names no {missing[0]} among its points, and the network needs it")
    for name in "mean", "std":
        given[name] = tuple(map(tuple, given[name]))
        if len(given[name]) != len(points):
            raise InputError(f"the config has {len(points)} points, and rows of {name!r} for {len(given[name])}")
    if config.get("pose_dims", [len(points), CHANNELS]) != [len(points), CHANNELS]:
        raise InputError(
            f"the config names {len(points)} points and says that pose_dims is {config['pose_dims']}: known is "
            f"[{len(points)}, {CHANNELS}], places and velocities"
        )
    if config.get("num_classes", len(CLASSES)) != len(CLASSES):
        raise InputError(f"the config says that num_classes is {config['num_classes']}: known are {', '.join(CLASSES)}")
    if given["hidden_dim"] % (2 * given["attn_nhead"]):
        raise InputError(
            f"the config asks for {given['attn_nhead']} heads for {given['hidden_dim']} numbers, which do not divide "
            f"into as many heads with an even number each"
        )
    return Settings(**given)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_table(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(row, list | tuple)
        and len(row) == 3
        and all(isinstance(number, int | float) and math.isfinite(number) for number in row)
        for row in value
    )


EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {  # settings in a config: what they should be
    "points": ("a list of landmarks", lambda it: isinstance(it, list | tuple) and all(isinstance(n, str) for n in it)),
    "mean": ("three numbers for every point", _is_table),
    "std": ("three numbers for every point", _is_table),
    "hidden_dim": ("a whole number from 1 on", _is_count),
    "encoder_depth": ("a whole number from 1 on", _is_count),
    "attn_nhead": ("a whole number from 1 on", _is_count),
    "attn_ff_mult": ("a whole number from 1 on", _is_count),
    "attn_dropout": ("a number from 0 to 1", lambda it: type(it) in (int, float) and 0 <= it <= 1),
    "num_frames": ("a whole number from 1 on", _is_count),
}
