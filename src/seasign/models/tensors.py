"""The tensors of a checkpoint, given to the network that they should fit."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from seasign.types import InputError

Network = TypeVar("Network", bound=nn.Module)


def fit(network: Network, tensors: Mapping[str, Tensor], asks: str = "the network has") -> Network:
    """Give a network its tensors, to the last one, and give it back, in 32 bits and ready to be asked.

    Args:
        network: What the settings make. Made under `torch.device("meta")` it takes the tensors without a copy; then it
            has no buffers but those of its `state_dict`.
        asks: Who wants the tensors to be otherwise, before their size: "the settings (depth, width) ask for".
    Raises:
        InputError: One is missing, too many, or of another size; or one has values that are not finite. The first.
    """
    expected = network.state_dict()
    for name in expected | dict(tensors):
        found, wanted = (size(these.get(name)) for these in (tensors, expected))
        if found != wanted:
            raise InputError(f"the tensor {name} is {found}, where {asks} {wanted}: it belongs to another network")
        if not tensors[name].isfinite().all():
            raise InputError(f"the tensor {name} has values that are not finite: the file is damaged")
    network.load_state_dict(dict(tensors), assign=any(tensor.is_meta for tensor in expected.values()))
    return network.float().eval()


def size(tensor: Tensor | None) -> str:
    """The size of a tensor, in words."""
    return "missing" if tensor is None else " x ".join(map(str, tensor.shape)) or "one number"
