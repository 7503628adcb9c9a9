"""Poses and words -> what SignCLIP's towers take, and their vectors; no torch, so that any runtime can run the towers.

Source: Jiang et al. 2024 (arXiv:2407.01264) and the authors' code, examples/MMPT of their fairseq fork @ a8199440.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int

from seasign.models.batches import in_batches
from seasign.models.features import BODY, FACE, HANDS, LEGS, SHOULDERS, frame_ranges, hide, in_widths, select
from seasign.types import Embeddings, InputError, InputWarning, Poses, Sign

UPPER = tuple(name for name in BODY if name.endswith(("SHOULDER", "ELBOW", "WRIST", "HIP")))
LAYOUTS = {  # landmarks in the order of the features; x, y and z of each
    "reduced-face": (*BODY, *FACE, *HANDS),  # 609 features: all released models
    "arms-and-face": (*UPPER, *FACE, *HANDS),  # 534
    "body-and-hands": (*BODY, *HANDS),  # 225
    "hands": HANDS,  # 126
    "right-hand": HANDS[21:],  # 63
}

SIGNED = frozenset(  # the languages of the released models, ISO 639-3; all text they have seen first was English
    "ase aed asf asq bfi bqn bzs cse csf csg csl csq dsl eso fse fsl gsg gss gss-cy icl ils ins ise jos jsl lls lsl "
    "mfs nzs pks psr pso rms rsl rsl-by sgg ssp svk swl tsm ukl ysl".split()
)
ALIASES = {"asl": "ase", "bsl": "bfi", "dgs": "gsg", "dsgs": "sgg", "lis": "ise", "lsf": "fsl", "lse": "ssp"}


@runtime_checkable
class Towers(Protocol):
    """What turns features and tokens into vectors: the network, or an exported one."""

    def clip_vectors(
        self, frames: Float32[np.ndarray, "clips frames features"], there: Bool[np.ndarray, "clips frames"]
    ) -> Float32[np.ndarray, "clips hidden"]:
        """One vector per clip; what is not `there` is padding at its end."""

    def text_vectors(
        self, tokens: Int[np.ndarray, "texts tokens"], there: Bool[np.ndarray, "texts tokens"]
    ) -> Float32[np.ndarray, "texts hidden"]:
        """One vector per text, which is [CLS], tokens, [SEP], and padding."""


@dataclass(frozen=True)
class Inputs:
    """What a model looks at, and how far. The defaults are those of the released models."""

    landmarks: tuple[str, ...] = LAYOUTS["reduced-face"]  # what a frame's features are made of, in this order
    max_frames: int = 256  # also where the [SEP] of every clip stands, whatever its length
    max_tokens: int = 64  # of a text, with [CLS], [SEP] and the [SEP] of the video before it
    separators: tuple[int, int] = (101, 102)  # [CLS] and [SEP] in the vocabulary
    lowercase: bool = False  # words, before they are looked up
    tags: tuple[str, str] | None = ("en", "ase")  # the languages, written and signed; None: texts bring their own
    zero_pad_as_frames: int | None = None  # shorter clips get frames of zeros up to here, as in published vectors


RELEASED = Inputs()


@dataclass(frozen=True)
class SignClipEmbedder:
    """Both towers, and all that stands before them."""

    towers: Towers
    words: "Words"
    weights: str  # their SHA-256, or whatever only vectors of the same weights share
    inputs: Inputs = RELEASED

    @property
    def space(self) -> str:
        """The name of the space: the weights, and what else changes the vectors of signs."""
        others = {name: getattr(self.inputs, name) for name in ("max_frames", "zero_pad_as_frames")}
        changed = [f",{name}={value}" for name, value in others.items() if value != getattr(RELEASED, name)]
        return f"signclip:{self.weights[:12]}{''.join(changed)}"

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that it looks at."""
        return tuple(dict.fromkeys((*self.inputs.landmarks, *SHOULDERS)))

    @property
    def provenance(self) -> dict[str, object]:
        """What vectors are made by."""
        return {"model": "signclip", "weights_sha256": self.weights, "tags": self.inputs.tags and [*self.inputs.tags]}

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text; a text that comes again is embedded once.

        Warns:
            InputWarning: A text has more tokens than the model reads; its beginning is embedded.
        """
        each = list(dict.fromkeys(texts))
        (cls, sep), most = self.inputs.separators, self.inputs.max_tokens - 3
        tokens = [self.words.tokens(prompt(text, self.inputs.tags)) for text in each]
        if long := sum(len(one) > most for one in tokens):
            message = f"{long} of {len(each)} texts have more than the {most} tokens that the model reads"
            warnings.warn(f"{message}: their beginnings are embedded", InputWarning, stacklevel=2)
        vectors = in_batches(self.towers.text_vectors, [np.array([cls, *one[:most], sep]) for one in tokens])
        row = {text: number for number, text in enumerate(each)}
        return Embeddings(vectors[[row[text] for text in texts]], self.space, self.provenance)

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign, of the frames within its span, at least one.

        Every clip is normalized by its own shoulders, as published; where it never shows both, by those of all poses. A
        missing landmark is 0 after that.

        Raises:
            InputError: There are no poses, a landmark is missing, no frame shows both shoulders, or the points are no
                pixels.
        Warns:
            InputWarning: A sign is longer than the context, and its beginning is embedded; or z is not that of
                MediaPipe.
        """
        if poses is None:
            raise InputError("SignCLIP looks at the signer, and there are only signs: give poses or a video")
        chosen = hide(select(poses, self.landmarks), LEGS)
        columns = [chosen.landmarks.index(name) for name in self.inputs.landmarks]
        most, least, clips, long = self.inputs.max_frames, self.inputs.zero_pad_as_frames or 0, [], 0
        for xyz in in_widths(chosen.xyz, chosen.landmarks, frame_ranges(signs, poses)):
            clip = np.nan_to_num(xyz[:, columns]).reshape(len(xyz), -1)
            long += len(clip) > most
            clips.append(np.pad(clip[:most], ((0, max(0, least - len(clip))), (0, 0))))
        if long:
            warnings.warn(
                f"{long} of {len(clips)} signs are longer than the {most} frames that the model looks at: "
                "their beginnings are embedded",
                InputWarning,
                stacklevel=2,
            )
        return Embeddings(in_batches(self.towers.clip_vectors, clips), self.space, self.provenance)


# Words -> tokens ------------------------------------------------------------------------------------------------------


def prompt(text: str, tags: tuple[str, str] | None) -> str:
    """What a text looks like to the model: tags are words to it, and nothing special."""
    return f"<{tags[0]}> <{tags[1]}> {text}" if tags else text


def check_tags(written: str, signed: str) -> tuple[str, str]:
    """The tags by the names that the released models know.

    Raises:
        InputError: They are no codes of languages.
    Warns:
        InputWarning: The signed language is none that a released model has seen; its vectors mean little.
    """
    written, signed = written.strip().lower(), signed.strip().lower()
    if not all(re.fullmatch("[a-z]{2,3}(-[a-z]{2,4})?", tag) for tag in (written, signed)):
        raise InputError(f"{written!r} and {signed!r} are not codes of languages, such as en and bfi")
    signed = ALIASES.get(signed, signed)
    if signed not in SIGNED:
        warnings.warn(
            f"no released model has seen the language tag {signed!r}; known are {' '.join(sorted(SIGNED))}",
            InputWarning,
            stacklevel=2,
        )
    return written, signed


class Words:
    """WordPiece over a vocabulary, one token a line, as BERT has it."""

    def __init__(self, vocabulary: Sequence[str], *, lowercase: bool = False):
        from tokenizers import Tokenizer, normalizers, pre_tokenizers
        from tokenizers.models import WordPiece

        numbers = {token: number for number, token in enumerate(vocabulary)}
        self.tokenizer = Tokenizer(WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=100))
        self.tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        self.tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    @classmethod
    def read(cls, path: Path, expected: int, inputs: Inputs) -> "Words":
        """The vocabulary in a file, which is that of the model."""
        vocabulary = read_vocabulary(path, expected)
        for token, number in zip(("[CLS]", "[SEP]"), inputs.separators, strict=True):
            if vocabulary[number] != token:
                raise InputError(f"{path}: token {number} is {vocabulary[number]!r}, where the model has {token}")
        return cls(vocabulary, lowercase=inputs.lowercase)

    def tokens(self, text: str) -> list[int]:
        """Numbers of tokens, without [CLS] and [SEP]."""
        numbers: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return numbers


def read_vocabulary(path: Path, expected: int | None = None) -> list[str]:
    """The tokens in a file, one a line, as BERT has it.

    Raises:
        InputError: It is no text, no vocabulary of that kind, or has not as many tokens as expected.
    """
    try:
        with path.open(encoding="utf-8") as file:  # whose lines end where BERT's do; str.splitlines knows others
            vocabulary = [line.rstrip("\n") for line in file]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text ({error}); expected a vocab.txt") from None
    if lacking := [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in vocabulary]:
        raise InputError(f"{path}: there is no {lacking[0]} in its {len(vocabulary)} lines: not a vocab.txt of BERT")
    if expected not in (None, len(vocabulary)):
        raise InputError(f"{path}: {len(vocabulary)} tokens, but the model has {expected}: give the model's own")
    return vocabulary
