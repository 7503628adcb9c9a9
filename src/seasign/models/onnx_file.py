"""A network as an ONNX file: `write` makes one with torch, `open_file` runs one without."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seasign.types import InputError

if TYPE_CHECKING:
    import onnxruntime
    import torch

REMEDY = 'running exported networks needs onnxruntime: pip install "seasign[onnx]"'
LARGE = 2e8  # parameters from which weights lie beside the file: 2 GB are the most that it holds


def open_file(file: Path, *, threads: int, providers: Sequence[str]) -> "onnxruntime.InferenceSession":
    """The network in a file.

    Raises:
        InputError: There is none, or it is damaged.
        ModuleNotFoundError: There is no onnxruntime; the message is the remedy.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ModuleNotFoundError:
        raise ModuleNotFoundError(REMEDY) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(file, options, providers=list(providers))
    except (
        state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile,
        state.NotImplemented, state.RuntimeException,
    ):  # fmt: skip
        raise InputError(f"{file}: holds no network that can be run; export it again") from None


def write(
    network: "torch.nn.Module", some: "Mapping[str, torch.Tensor]", output: str, file: Path, *, free: int, int8: bool
) -> None:
    """Write a network of one output.

    Args:
        some: Its inputs by name, as an example: no free axis of them is 1 long.
        free: How many of their first axes may be of any length.
        int8: Weights of the matrix products as whole numbers: a quarter of the size, faster, and other vectors.
    Raises:
        ModuleNotFoundError: There is no onnx.
    """
    try:
        import onnxruntime.quantization
        import onnxscript  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError('exporting networks needs onnx: pip install "seasign[onnx]"') from None
    import torch

    axes = dict.fromkeys(range(free), torch.export.Dim.DYNAMIC)
    with _quietly():
        program = torch.onnx.export(
            network.eval(),
            tuple(some.values()),
            input_names=list(some),
            output_names=[output],
            dynamic_shapes=(axes,) * len(some),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(file, external_data=not int8 and sum(one.numel() for one in network.parameters()) > LARGE)
        if int8:
            kind = onnxruntime.quantization.QuantType.QInt8
            onnxruntime.quantization.quantize_dynamic(file, file, weight_type=kind)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what exporters say of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
