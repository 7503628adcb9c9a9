"""Word Presence Prediction of WSLP 2025, of the ISL corpus iSign: clips of a word, and of sentences that show it.

The corpus is CC BY-NC-SA, and gated: nothing of it is here. `word-presence-dataset_v1.1.csv` lists pairs that belong
together, and no others: `word_id,word,sentence_id,sentence`, whose ids are `<uid>_w` and `<uid>_e1`, `<uid>_e2` ...;
poses are `<id>.pose` in one folder.

Source: descriptions of the shared task (arXiv:2512.08738 and its summaries); no copy of the files was seen.
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from seasign.corpora.recordings import Part
from seasign.formats.tables import read_rows
from seasign.types import InputError, InputWarning

COLUMNS = ("word_id", "word", "sentence_id", "sentence")
WORD, SENTENCE = re.compile(r"(.+)_w"), re.compile(r"(.+)_e\d+")


@dataclass(frozen=True)
class Pair:
    """A clip of a word, and one of a sentence that shows it."""

    name: str  # the id of the sentence
    word: str
    text: str  # of the sentence
    query: Path
    sentence: Path
    signer: str  # not known: the uid, which is what is never in two parts
    part: Part | None = None


def read(table: Path, folder: Path) -> tuple[Pair, ...]:
    """The pairs whose poses are there, in the order of the table.

    Cells are parted by `,`, `;` or tabs; other columns are passed over.

    Raises:
        InputError: It is no such table, an id is of another form, a pair is there twice, or no pair has its poses.
    Warns:
        InputWarning: Some pairs lack poses; they are left out.
    """
    pairs: list[Pair] = []
    seen: dict[tuple[str, str], str] = {}
    lacking: list[Path] = []
    for where, cells in read_rows(table, COLUMNS, COLUMNS):
        word_id, word, sentence_id, text = (str(cells[column]) for column in COLUMNS)
        own = WORD.fullmatch(word_id)
        if not own:
            raise InputError(f"{where}: word_id: expected <uid>_w, found {word_id!r}")
        if not SENTENCE.fullmatch(sentence_id):
            raise InputError(f"{where}: sentence_id: expected <uid>_e1 or another number, found {sentence_id!r}")
        if before := seen.get((word_id, sentence_id)):
            raise InputError(f"{where}: {word_id} and {sentence_id} are paired in {before} already; keep one")
        seen[word_id, sentence_id] = where
        query, sentence = (folder / f"{name}.pose" for name in (word_id, sentence_id))
        if missing := [file for file in (query, sentence) if not file.is_file()]:
            lacking += missing
        else:
            pairs.append(Pair(sentence_id, word, text, query, sentence, own[1]))
    if not seen:
        raise InputError(f"{table}: lists no pairs")
    if not pairs:
        raise InputError(f"{table}: none of {len(seen)} pairs has its poses, the first would be {lacking[0]}")
    if lacking:
        count = f"{len(seen) - len(pairs)} of {len(seen)} pairs"
        warnings.warn(f"{table}: {count} lack poses, the first {lacking[0].name}; left out", InputWarning, stacklevel=2)
    return tuple(pairs)


def says(text: str, word: str) -> bool:
    """Whether a sentence says a word, or all words of it on end, whatever their case."""
    there, asked = (re.findall(r"\w+", one.casefold()) for one in (text, word))
    return bool(asked) and any(there[at : at + len(asked)] == asked for at in range(len(there) - len(asked) + 1))
