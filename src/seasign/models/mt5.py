"""mT5 as Sigma needs it of transformers: with a last map of its own, and of no more pieces than there is a use for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import MT5ForConditionalGeneration

from seasign.types import InputError

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def read_mt5(folder: Path) -> Any:
    """The network of an mT5 in a folder, as Hugging Face writes it, in 32 bits.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    try:
        file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        if file is None:
            raise InputError(f"expected its weights in one file, {' or '.join(WEIGHTS)}")
        mt5: Any = MT5ForConditionalGeneration.from_pretrained(str(folder), local_files_only=True)
        return untie(mt5.float(), _read_head(file, mt5.shared.weight))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        line = str(error).partition("\n")[0]
        raise InputError(f"{folder}: no mT5 that can be read ({line[:200]})") from None


def _read_head(file: Path, table: Float[Tensor, "pieces width"]) -> Float[Tensor, "pieces width"]:
    """The last map of an mT5 in a file; where it brings none, the table of pieces is it."""
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as tensors:
            names = tensors.keys()
            head = tensors.get_tensor("lm_head.weight") if "lm_head.weight" in names else table
    else:
        head = torch.load(file, map_location="cpu", weights_only=True, mmap=True).get("lm_head.weight", table)
    return head.detach().clone()


def untie(mt5: Any, head: Float[Tensor, "pieces width"] | None = None) -> Any:
    """An mT5 whose last map is its own, not the table of its pieces, as the published ones have it.

    transformers 5 ties both whatever a config says, and passes over the map that published files bring.

    Args:
        head: That map; None: a new one.
    """
    pieces, width = mt5.shared.weight.shape
    mt5.config.tie_word_embeddings = False
    mt5.lm_head = nn.Linear(width, pieces, bias=False)
    if head is None:
        nn.init.normal_(mt5.lm_head.weight, std=width**-0.5)
    else:
        mt5.lm_head.weight = nn.Parameter(head.float())
    return mt5


def narrow(mt5: Any, kept: Sequence[int]) -> Any:
    """An mT5 of these pieces alone, in this order; of mT5-base's numbers, two thirds are of pieces."""
    rows = torch.tensor(kept)
    table = nn.Embedding(len(kept), mt5.shared.embedding_dim, _weight=mt5.shared.weight.detach()[rows])
    mt5.shared = mt5.encoder.embed_tokens = mt5.decoder.embed_tokens = table
    mt5.config.vocab_size = len(kept)
    return untie(mt5, mt5.lm_head.weight.detach()[rows])
