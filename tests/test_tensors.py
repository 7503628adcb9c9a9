import pytest
import torch
from torch import nn

from seasign.models.tensors import fit, size
from seasign.types import InputError


class Small(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
        self.register_buffer("scale", torch.ones(()))


def small() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2), "scale": torch.tensor(2.0)}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_a_network_gets_its_tensors_in_32_bits_and_stops_training(device, kind):
    with torch.device(device):
        network = Small()
    tensors = {name: tensor.to(kind) for name, tensor in small().items()}
    assert fit(network, tensors) is network
    assert not network.training
    assert {name: tensor.dtype for name, tensor in network.state_dict().items()} == dict.fromkeys(
        small(), torch.float32
    )
    torch.testing.assert_close(network(torch.ones(1, 3)), torch.tensor([[4.0, 13.0]]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bias": None}, "^the tensor bias is missing, where these settings ask for 2: it belongs to another network$"),
        ({"more": torch.ones(4, 5)}, "^the tensor more is 4 x 5, where these settings ask for missing: "),
        ({"weight": torch.ones(3, 2)}, "^the tensor weight is 3 x 2, where these settings ask for 2 x 3: "),
        ({"scale": torch.ones(1)}, "^the tensor scale is 1, where these settings ask for one number: "),
        ({"bias": torch.tensor([1.0, torch.inf])}, "^the tensor bias has values that are not finite: the file is"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    tensors = {name: tensor for name, tensor in (small() | change).items() if tensor is not None}
    with pytest.raises(InputError, match=words):
        fit(Small(), tensors, "these settings ask for")


def test_sizes_are_words():
    assert [size(it) for it in (None, torch.ones(()), torch.ones(2, 3))] == ["missing", "one number", "2 x 3"]
