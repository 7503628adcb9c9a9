"""A network and what lies beside its weights -> what the stages take: one function per kind of network.

`path` is the folder of a checkpoint, or a bare file of weights.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from seasign.embedding import Embedder
from seasign.formats.disk import sha256
from seasign.spotting import Spotter
from seasign.translation import Translator
from seasign.types import InputError

WEIGHTS, VOCABULARY = "weights.safetensors", "vocab.txt"
PIECES = "tokenizer.json"  # of what Sigma writes
TEXT = "text"  # the folder, in that of a CSLR2, of the encoder that reads its texts


def alone(network: Any, path: Path) -> Any:
    """The network as it is."""
    return network


def with_words(network: Any, path: Path) -> Embedder:
    """SignCLIP, and the vocabulary of its text tower.

    Raises:
        InputError: There is no vocabulary, or it is another network's.
    """
    from seasign.models.signclip_embedder import SignClipEmbedder, Words

    if not path.is_dir():
        raise InputError(f"{path}: a bare file lacks the vocabulary; run: seasign checkpoints convert {path} -o FOLDER")
    if not (path / VOCABULARY).exists():
        raise InputError(f"{path / VOCABULARY}: missing; put the vocabulary of the network's text tower there")
    words = Words.read(path / VOCABULARY, network.shape.vocabulary, network.inputs)
    return SignClipEmbedder(network, words, sha256(path / WEIGHTS), network.inputs)


def with_encoder(network: Any, path: Path) -> Embedder:
    """CSLR2, and the encoder of its texts, if that is at hand."""
    from seasign.models.cslr2_embedder import PUBLISHED, Cslr2Embedder, read_encoder

    inputs, folder = network.inputs, path.is_dir()
    encoder = read_encoder(inputs.text, path / TEXT if folder else None)
    if encoder and inputs.text == PUBLISHED.text:  # whose weights are known by that name alone
        inputs = replace(inputs, text=encoder.space)
    return Cslr2Embedder(network, inputs, sha256(path / WEIGHTS if folder else path), encoder)


def with_pieces(network: Any, path: Path) -> Translator:
    """Sigma, and its tokenizer.

    Raises:
        InputError: There is no tokenizer, or none that can be read.
    """
    from seasign.models.sigma_translator import SigmaTranslator
    from seasign.models.sigma_words import Pieces

    if not (path / PIECES).is_file():
        raise InputError(f"{path / PIECES}: missing; put the tokenizer of the network there")
    try:
        pieces = Pieces.parse((path / PIECES).read_text(encoding="utf-8"), network.inputs.pieces)
    except InputError as error:
        raise InputError(f"{path / PIECES}: {error}") from None
    return SigmaTranslator(network, pieces, sha256(path / WEIGHTS))


def with_calibration(network: Any, path: Path) -> Spotter:
    """A spotter, with what its scores were found to mean."""
    from seasign.models.spotter_inputs import PoseSpotter

    return PoseSpotter(network, network.inputs, network.inputs.calibration)
