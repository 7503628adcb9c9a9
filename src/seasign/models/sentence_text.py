"""Signs that carry glosses, compared with cues by what they mean: any sentence encoder that lies in a local folder.

Nothing is ever fetched. What a cue says and what a gloss names have to be in languages that the encoder knows alike.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from seasign.formats.disk import sha256
from seasign.models.batches import in_batches
from seasign.models.gloss_text import NOTE
from seasign.types import Embeddings, InputError, InputWarning, Poses, Sign

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
POOLING = Path("1_Pooling") / "config.json"  # where sentence-transformers keeps how it pools


@dataclass(frozen=True)
class SentenceText:
    """An embedder of texts and glosses: the mean of an encoder's last states, of length 1. Poses are not looked at.

    Of what also decodes, as T5, the encoder is taken.
    """

    tokenizer: Any  # of transformers
    encoder: Any
    weights: str  # their SHA-256
    most: int = 512  # tokens of a text
    unit: bool = True  # False: vectors as long as they come, as CSLR2 takes them

    @classmethod
    def read(cls, folder: Path) -> "SentenceText":
        """The encoder in a folder, as transformers and sentence-transformers save it.

        Raises:
            InputError: No such folder, or no encoder in it that transformers can read.
            ModuleNotFoundError: There is no transformers.
        Warns:
            InputWarning: The encoder was trained to be pooled in another way.
        """
        try:
            from safetensors import SafetensorError
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging
        except ModuleNotFoundError:
            raise ModuleNotFoundError('reading encoders needs transformers: pip install "seasign[neural]"') from None
        file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        if file is None or not (folder / "config.json").is_file():
            raise InputError(f"{folder}: no sentence encoder; expected a folder with config.json and {WEIGHTS[0]}")
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            encoder = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise InputError(f"{folder}: transformers cannot read it ({str(error).splitlines()[0]})") from error
        finally:
            if bars:
                logging.enable_progress_bar()  # type: ignore[no-untyped-call]
        if encoder.config.is_encoder_decoder:
            encoder = encoder.get_encoder()
        known, there = len(tokenizer), encoder.config.vocab_size
        if not there / 2 < known <= there:  # transformers makes an empty tokenizer where files are missing
            raise InputError(f"{folder}: its tokenizer has {known} tokens, and the encoder {there}: copy all its files")
        if (folder / POOLING).is_file():
            pooling = json.loads((folder / POOLING).read_text(encoding="utf-8"))
            if not pooling.get("pooling_mode_mean_tokens", True):
                message = f"{folder}: was trained to be pooled otherwise; the mean of its states may say less"
                warnings.warn(message, InputWarning, stacklevel=2)
        most = min(512, tokenizer.model_max_length, getattr(encoder.config, "max_position_embeddings", 512))
        return cls(tokenizer, encoder, sha256(file), most)

    @property
    def space(self) -> str:
        """The name of the space: vectors of other weights do not compare."""
        return f"sentence-text:{self.weights[:12]}{'' if self.unit else ':raw'}"

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text."""
        each = list(dict.fromkeys(texts))
        rows = [np.array(self.tokenizer(text, truncation=True, max_length=self.most)["input_ids"]) for text in each]
        vectors = in_batches(self._encode, rows)
        row = {text: number for number, text in enumerate(each)}
        return Embeddings(vectors[[row[text] for text in texts]], self.space)

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign, by its gloss in small letters; a sign without one is the mean of the others.

        Raises:
            InputError: There are signs, and none of them has a gloss.
        """
        if not signs:
            return Embeddings(np.empty((0, 0), np.float32), self.space)
        named = [number for number, sign in enumerate(signs) if sign.gloss]
        if not named:
            raise InputError(f"none of {len(signs)} signs has a gloss: give signs that have, or another embedder")
        glosses = [NOTE.sub(" ", signs[number].gloss or "").replace("-", " ").strip().lower() for number in named]
        some = self.text(glosses).vectors
        vectors = np.tile(some.mean(axis=0), (len(signs), 1))
        vectors[named] = some
        return Embeddings(vectors, self.space)

    def _encode(
        self, tokens: Int[np.ndarray, "texts tokens"], there: np.ndarray
    ) -> Float32[np.ndarray, "texts dimensions"]:
        import torch

        with torch.inference_mode():
            mask = torch.as_tensor(there)
            states = self.encoder(input_ids=torch.as_tensor(tokens), attention_mask=mask.long()).last_hidden_state
            weight = mask[..., None].to(states.dtype)
            pooled = (states * weight).sum(dim=1) / weight.sum(dim=1)
            found: Float32[np.ndarray, "texts dimensions"] = (
                (torch.nn.functional.normalize(pooled) if self.unit else pooled).float().numpy()
            )
            return found
