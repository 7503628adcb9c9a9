"""Texts -> pieces of a tokenizer, and which pieces are one word; no torch.

Source: Sigma (arXiv:2509.21223) aligns frames with clusters of pieces. Differs from the released code @ 91cae80, which
drops the first piece of every entity, knows only entities of two more pieces, shifts the clusters of a batch by one
piece per text, and cuts them to the shortest list of the batch: here a word is all of its pieces.
"""

import json
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from seasign.formats.disk import read_text
from seasign.types import InputError, InputWarning

SPECIAL = ("<pad>", "</s>", "<unk>")  # the first three pieces of every mT5
PAD, END, UNKNOWN = range(3)
SPACE = "\u2581"  # stands for the space before a word, in pieces of mT5
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")  # scripts that part no words
FOREIGN = 0.05  # share of unknown pieces from which a tokenizer does not know the language
FILE, SENTENCEPIECE = "tokenizer.json", "spiece.model"


def find_words(pieces: Sequence[str], lexicon: Collection[str] = ()) -> list[tuple[int, int]]:
    """The runs of pieces that are one word, first .. stop - 1, in order.

    A word begins where the tokenizer put a space, at punctuation and behind it, and with every piece of a script that
    writes no spaces. Of words on end those are one that the lexicon has together, the longest first, in any case; what
    has neither letter nor digit is no word.

    Args:
        pieces: With a space as "\u2581" before what begins a word, or with "##" before what does not.
        lexicon: Words, or several as "good morning".
    """
    wordpiece = any(piece.startswith("##") for piece in pieces)
    spelled = [
        piece.removeprefix("##") if piece.startswith("##") else f"{SPACE}{piece}" if wordpiece else piece
        for piece in pieces
    ]
    begins = [0]
    for number, (before, piece) in enumerate(pairwise(spelled), start=1):
        if piece.startswith(SPACE) or (before != SPACE and _parted(before[-1:], piece[:1])):
            begins.append(number)
    runs = list(pairwise([*begins, len(spelled)])) if spelled else []
    known = {_plain(entry) for entry in lexicon}
    longest = max(map(len, known), default=0)
    found, at = [], 0
    while at < len(runs):
        stop = at + 1
        for end in range(at + 2, len(runs) + 1):
            text = _plain("".join(spelled[runs[at][0] : runs[end - 1][1]]))
            if len(text) > longest:
                break
            if text in known:
                stop = end
        if any(character.isalnum() for piece in spelled[runs[at][0] : runs[stop - 1][1]] for character in piece):
            found.append((runs[at][0], runs[stop - 1][1]))
        at = stop
    return found


def _parted(before: str, after: str) -> bool:
    """Whether two characters on end are not of one word."""
    if any(unicodedata.name(character, "").startswith(UNSPACED) for character in (before, after)):
        return True
    return before not in "'\u2019-" and after not in "'\u2019-" and before.isalnum() != after.isalnum()


def _plain(text: str) -> str:
    return " ".join(text.replace(SPACE, " ").split()).casefold()


@dataclass(frozen=True)
class Pieces:
    """A tokenizer whose texts end with `</s>`."""

    tokenizer: Any  # of tokenizers
    most: int = 50  # pieces of a text, its end with them; the rest is cut off

    @classmethod
    def read(cls, folder: Path, most: int = 50) -> "Pieces":
        """The tokenizer of an mT5 in a folder: tokenizer.json, or what transformers makes of spiece.model.

        Raises:
            InputError: There is none, or it has no `</s>`, `<pad>` and `<unk>`.
            ModuleNotFoundError: There is no transformers, or nothing that reads spiece.model.
        """
        _tokenizers()
        try:
            if (folder / FILE).is_file():
                return cls.parse(read_text(folder / FILE)[0], most)
            if not (folder / SENTENCEPIECE).is_file():
                raise InputError(f"expected {FILE} or {SENTENCEPIECE} in this folder")
            from transformers import AutoTokenizer

            made = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            return cls.parse(made.backend_tokenizer.to_str(), most)
        except (OSError, ValueError, TypeError) as error:  # InputError is a ValueError
            line = str(error).partition("\n")[0]
            raise InputError(f"{folder}: no tokenizer of an mT5 that can be read ({line[:200]})") from None

    @classmethod
    def parse(cls, text: str, most: int = 50) -> "Pieces":
        """The tokenizer that a tokenizer.json describes."""
        try:
            made = cls(_tokenizers().Tokenizer.from_str(text), most)
        except Exception as error:
            if type(error) is not Exception:  # the library raises nothing finer
                raise
            raise InputError(f"no tokenizer.json ({error})") from None
        if (found := [made.tokenizer.id_to_token(number) for number in range(3)]) != list(SPECIAL):
            raise InputError(f"the tokenizer begins with {found}, where that of an mT5 has {', '.join(SPECIAL)}")
        made.tokenizer.no_padding()
        made.tokenizer.no_truncation()
        return made

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, most: int = 50) -> "Pieces":
        """A small tokenizer, made of texts: the pieces that stand together most often, and every character."""
        tokenizers = _tokenizers()
        made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=SPECIAL[UNKNOWN]))
        made.normalizer = tokenizers.normalizers.NFKC()
        made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
        made.decoder = tokenizers.decoders.Metaspace()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
        made.train_from_iterator(texts, trainer)
        return cls(made, most)

    @property
    def text(self) -> str:
        """As tokenizer.json, on one line."""
        return json.dumps(json.loads(self.tokenizer.to_str()), ensure_ascii=False) + "\n"

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def ids(self, text: str, *, end: bool = True) -> list[int]:
        """The pieces of a text, and its end.

        Raises:
            InputError: The text is empty.
        """
        own = list(self.tokenizer.encode(text, add_special_tokens=False).ids)
        if not own or not text.strip():
            raise InputError(f"the text {text!r} is empty: there is nothing to say")
        return [*own[: self.most - end], *([END] * end)]

    def words(self, ids: Sequence[int], lexicon: Collection[str] = ()) -> Int[np.ndarray, " pieces"]:
        """The number of the word that every piece is of, from 0; -1 for the end, padding and what is no word.

        Where nothing is a word, as in "?!", all of it is one.
        """
        numbers = np.full(len(ids), -1)
        own = [number for number, token in enumerate(ids) if token not in (PAD, END)]
        for word, (first, stop) in enumerate(
            find_words([self.tokenizer.id_to_token(ids[number]) for number in own], lexicon)
        ):
            numbers[own[first:stop]] = word
        if own and (numbers < 0).all():
            numbers[own] = 0
        return numbers

    def say(self, ids: Sequence[int]) -> str:
        """The text of pieces, without what is none of it."""
        return str(self.tokenizer.decode([token for token in ids if token not in (PAD, END)])).strip()

    def trim(self, texts: Iterable[str]) -> tuple["Pieces", list[int]]:
        """The tokenizer with no more pieces than texts need, and their numbers before.

        Those are the pieces of the texts, and every one of their characters, and of ASCII, by itself: another text
        comes in smaller pieces.

        Raises:
            InputError: It is not of the kind Unigram, as that of mT5.
        """
        table = json.loads(self.tokenizer.to_str())
        if (kind := table["model"]["type"]) != "Unigram":
            raise InputError(f"only tokenizers of the kind Unigram can be trimmed, as that of mT5; this one is {kind}")
        used, letters = set(range(len(SPECIAL))), set(map(chr, range(128)))
        for text in texts:
            used |= set(self.tokenizer.encode(text, add_special_tokens=False).ids)
            letters |= set(text)
        entries = table["model"]["vocab"]
        kept = [n for n, (piece, _) in enumerate(entries) if n in used or piece in letters | {SPACE}]
        table["model"]["vocab"] = [entries[n] for n in kept]
        table["added_tokens"] = [token for token in table["added_tokens"] if token["id"] < len(SPECIAL)]
        return Pieces.parse(json.dumps(table), self.most), kept

    def check(self, texts: Iterable[str], language: str) -> None:
        """Refuse a tokenizer that does not know what it is to write.

        Raises:
            InputError: A text is empty, or more than a twentieth of all pieces are unknown.
        Warns:
            InputWarning: Some are.
        """
        pieces, lacking = 0, Counter[str]()
        for text in texts:
            encoding = self.tokenizer.encode(text, add_special_tokens=False)
            if not encoding.ids or not text.strip():
                raise InputError(f"the text {text!r} is empty: there is nothing to say")
            pieces += len(encoding.ids)
            for token, (first, stop) in zip(encoding.ids, encoding.offsets, strict=True):
                if token == UNKNOWN:
                    lacking[text[first:stop].strip() or text[first:stop]] += 1
        if not lacking:
            return
        shown = ", ".join(repr(piece[:20]) for piece, _ in lacking.most_common(3))
        message = f"the tokenizer does not know {lacking.total()} of {pieces} pieces of the {language} texts ({shown})"
        if lacking.total() > FOREIGN * pieces:
            raise InputError(f"{message}: take one that was made for this language")
        warnings.warn(f"{message}: they cannot be written", InputWarning, stacklevel=2)


def pad(rows: Sequence[Sequence[int]], filling: int) -> Int[np.ndarray, "rows longest"]:
    """Rows of one length."""
    found = np.full((len(rows), max(map(len, rows))), filling)
    for row, own in zip(found, rows, strict=True):
        row[: len(own)] = own
    return found


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ModuleNotFoundError:
        raise ModuleNotFoundError('reading texts needs tokenizers: pip install "seasign[neural]"') from None
    return tokenizers
