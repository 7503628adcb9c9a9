"""Word lists: a vocabulary, one word a line (.txt), and what words mean the same (.json: a word -> others)."""

import json
from pathlib import Path

from seasign.formats import disk
from seasign.types import InputError


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """The words in their order; a word may be several, as "thank you". Empty lines are passed over.

    Raises:
        InputError: There are none, or one is there twice.
    """
    lines = disk.read_text(path)[0].removeprefix("\ufeff").splitlines()
    words: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if word := line.strip():
            if word in words:
                raise InputError(f"{path}:{number}: {word!r} is there since line {words[word]}; keep one of them")
            words[word] = number
    if not words:
        raise InputError(f"{path}: holds no words; expected one a line")
    return tuple(words)


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """What means the same, as it was written; `glosses.close` adds what follows from it.

    Raises:
        InputError: It is no JSON, or no object whose values are lists of words.
    """
    try:
        table = json.loads(disk.read_text(path)[0])
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(table, dict):
        raise InputError(f"{path}: holds a {type(table).__name__}; expected an object: a word, and a list of others")
    for word, others in table.items():
        if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
            raise InputError(f"{path}: the synonyms of {word!r} are {others!r:.60}; expected a list of words")
    return table
