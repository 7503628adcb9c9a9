"""The network of a recipe of Sigma: new, from an mT5, with another encoder of frames, or as a checkpoint has it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seasign import checkpoints
from seasign.models import pose_encoder
from seasign.models.cslr2_embedder import Cslr2Embedder
from seasign.models.frame_tokens import Cslr2Tokens, FrameTokens, Looked, PartTokens, SignClipTokens
from seasign.models.mt5 import narrow, read_mt5
from seasign.models.sigma import Shape, Sigma
from seasign.models.sigma_translator import (
    PREFIX,
    SAID,
    SQUEEZED,
    Inputs,
    SigmaTranslator,
    Unit,
    look,
)
from seasign.models.sigma_words import Pieces
from seasign.models.signclip_embedder import SignClipEmbedder
from seasign.training.recipe import Count, Share, folder_or_name
from seasign.training.sigma_corpus import Example
from seasign.types import InputError, InputWarning

FILE = "tokenizer.json"


@dataclass(frozen=True)
class Network:
    """A new network: the table [network]. The defaults are the published ones, as far as weights are not read."""

    mt5: Path | None = None  # a folder with an mT5, as Hugging Face writes it, and its sizes, up to `dropout`
    trim: bool = False  # of its pieces only those that the texts need: two thirds of its numbers are of pieces
    vocabulary: Count = 1000  # pieces, that are learned of the texts
    width: Count = 768
    key: Count = 64
    heads: Count = 12
    inner: Count = 2048
    layers: Count = 12
    decoder_layers: Count = 12
    dropout: Share = 0.1
    fused: Count = 3  # layers in which clips and texts meet, the last ones
    language: str = "English"  # of the texts, as it is named before every clip
    frames: Count = 256  # of a clip at most: drawn in training, evenly over it otherwise
    pieces: Count = 50  # of a text at most
    encoder: Path | None = None  # a SignCLIP or CSLR2 that looks at the frames; None: a new graph network, as follows
    joint: Count = 64
    spatial: tuple[Count, ...] = (64, 128, 256)
    temporal: Count = 3
    recompute: bool = False  # activations are computed twice: less memory, a third more time


def make_network(
    network: Network | None, start: Path | None, texts: Sequence[str], units: Sequence[Unit] = ("pixels",)
) -> tuple[Sigma, Pieces]:
    """The network of a recipe, new or as its checkpoint has it, and its tokenizer.

    Args:
        units: Of the poses that it is to learn from, their own first; what is started from keeps its own among them.

    Raises:
        InputError: Both are given, or neither; the tokenizer does not know the language of the texts; a file cannot be
            used.
    Warns:
        InputWarning: The checkpoint learned from poses in none of these units; from here on it learns from the first.
    """
    if (network is None) == (start is None):
        raise InputError("expected one of network and start")
    if start is not None:
        found = checkpoints.load(folder_or_name(start))
        if not isinstance(found, SigmaTranslator) or not isinstance(found.network, Sigma):
            raise InputError(f"{start}: is no Sigma to go on from; name another encoder of frames in [network] encoder")
        found.pieces.check(texts, found.language)
        unit = found.network.inputs.unit or units[0]
        if unit not in units:
            message = f"{start}: learned from {SAID[unit]}, where these poses are in {SAID[units[0]]}"
            warnings.warn(f"{message}: {SQUEEZED}", InputWarning, stacklevel=2)
            unit = units[0]
        found.network.inputs = replace(found.network.inputs, unit=unit)
        return found.network, found.pieces
    assert network is not None
    prefix = PREFIX.format(language=network.language)
    mt5 = None
    if network.mt5 is not None:
        pieces = Pieces.read(network.mt5, network.pieces)
        mt5 = read_mt5(network.mt5)
        try:
            shape = replace(Shape.of(mt5.config), fused=network.fused)
        except InputError as error:
            raise InputError(f"{network.mt5}: {error}") from None
        if network.trim:
            pieces, kept = pieces.trim([*texts, prefix])
            mt5, shape = narrow(mt5, kept), replace(shape, vocabulary=len(kept))
        if len(pieces) > shape.vocabulary:
            raise InputError(f"{network.mt5}: its tokenizer has {len(pieces)} pieces, the network {shape.vocabulary}")
    else:
        pieces = Pieces.learn([*texts, prefix], network.vocabulary, network.pieces)
        names = ("width", "key", "heads", "inner", "layers", "decoder_layers", "dropout", "fused")
        shape = Shape(vocabulary=len(pieces), **{name: getattr(network, name) for name in names})
    pieces.check([*texts, prefix], network.language)
    inputs = Inputs(network.language, tuple(pieces.ids(prefix, end=False)), network.frames, network.pieces, units[0])
    made = Sigma(shape, _make_frames(network, shape), inputs, mt5)
    if network.recompute:
        made.recompute_activations()
    return made, pieces


def _make_frames(network: Network, shape: Shape) -> FrameTokens:
    if network.encoder is None:
        sizes = pose_encoder.Shape(network.joint, tuple(network.spatial), network.temporal, features=shape.width)
        return PartTokens(sizes, recompute=network.recompute)
    found = checkpoints.load(folder_or_name(network.encoder))
    if isinstance(found, SignClipEmbedder):
        return SignClipTokens(found.towers)  # type: ignore[arg-type]
    if isinstance(found, Cslr2Embedder):
        return Cslr2Tokens(found.network)  # type: ignore[arg-type]
    raise InputError(f"{network.encoder}: gives frames no vectors: name a SignCLIP or a CSLR2")


def see(network: Sigma, example: Example, rng: np.random.Generator | None = None, *, again: bool = False) -> Looked:
    """As `sigma_translator.look`; that clips show one hand, or no face, is nothing to warn of.

    Args:
        again: What there is to warn of was said: processes that prepare batches begin every epoch without a memory.
    """
    with warnings.catch_warnings():
        nothing = "the poses have no|none of .* hand|hardly any of the body|z varies"
        warnings.filterwarnings("ignore", "" if again else nothing, InputWarning)
        return look(network, example.poses(), example.name, rng)
