"""What glosses say: words, synonyms, and runs of steps that say the same.

A sign is said in words, whose case does not matter: "city/eat" stands for either, and words of "thank you" or
"left-hand" stand for it each. Two signs say the same when they share a word, synonyms included.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

from seasign.types import InputError, InputWarning, Sign, Span

Words = frozenset[str]
Synonyms = Mapping[str, Words]  # a word as `close` spells it -> all that mean the same, itself included
Lemmatizer = Callable[[str], str]  # what makes one word of its forms; a function, known by its name


def identity(word: str) -> str:
    """Every form is a word of its own."""
    return word


def name_of(lemmatize: Lemmatizer) -> str:
    """What to write beside numbers that depend on it."""
    return str(getattr(lemmatize, "__name__", repr(lemmatize)))


def close(synonyms: Mapping[str, Sequence[str]], vocabulary: Sequence[str] | None = None) -> Synonyms:
    """Every word means itself, and what means it. Not transitive: "big" may mean "large" without meaning "vast".

    Raises:
        InputError: A synonym is no word that has synonyms of its own.
    Warns:
        InputWarning: Words are not in the vocabulary, and cannot be guessed.
    """
    known = set(map(spell, synonyms if vocabulary is None else vocabulary))
    if unknown := [word for word in synonyms if spell(word) not in known]:
        message = f"{len(unknown)} of {len(synonyms)} words that have synonyms are not in the vocabulary"
        warnings.warn(f"{message}, such as {unknown[0]!r}: they are passed over", InputWarning, stacklevel=2)
    closed = {spell(word): {spell(word)} for word in synonyms}
    for word, others in synonyms.items():
        for other in others:
            if spell(other) not in closed:
                raise InputError(
                    f"{other!r} is given as a synonym of {word!r}, and is no word itself: add it, or take it out"
                )
            closed[spell(word)].add(spell(other))
            closed[spell(other)].add(spell(word))
    return {word: frozenset(others) for word, others in closed.items()}


def spell(word: str) -> str:
    """As synonyms are compared: in lower case, parted by spaces alone."""
    return " ".join(word.lower().replace("-", " ").split())


def words_of(gloss: str | None, lemmatize: Lemmatizer = identity) -> Words:
    """The words of a gloss: alternatives, the parts of each, and a phrase as a whole, which may have synonyms."""
    phrases = [[lemmatize(part) for part in spell(phrase).split()] for phrase in (gloss or "").split("/")]
    return frozenset(word for parts in phrases for word in (*parts, " ".join(parts)) if word)


def walk(said: Sequence[Words | None], synonyms: Synonyms, *, shortest: int = 1) -> list[tuple[int, int, Words]]:
    """Runs of steps that say the same: first, stop, words.

    Another run starts where no word of a step is among those of the open run, or means one of them; the run keeps the
    words it began with.

    Args:
        said: The words of every step; None: nothing is said.
        shortest: Steps; a shorter run is left out.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69. Differs: that code takes a rest at the start for a
        run of one step, which only counts where `shortest` is 1.
    """
    runs: list[tuple[int, int, Words]] = []
    for step, words in enumerate([*said, None]):
        if runs and runs[-1][1] == step and words is not None and words & mean_the_same(runs[-1][2], synonyms):
            runs[-1] = (runs[-1][0], step + 1, runs[-1][2])
        elif words is not None:
            runs.append((step, step + 1, words))
    return [run for run in runs if run[1] - run[0] >= shortest]


def mean_the_same(words: Words, synonyms: Synonyms) -> Words:
    """The words, and their synonyms."""
    return words.union(*(synonyms.get(word, frozenset()) for word in words))


def paint(
    signs: Sequence[Sign], sentence: Span, *, fps: int = 25, lemmatize: Lemmatizer = identity
) -> tuple[Words | None, ...]:
    """What is signed in every frame of a sentence; None: nothing.

    Times are cut to frames; a sign of less than one frame is left out, and a later one covers an earlier one.

    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69.
    """
    cells: list[Words | None] = [None] * int((sentence.end - sentence.start) * fps)
    for sign in signs:
        first, stop = (int((edge - sentence.start) * fps) for edge in (sign.start, sign.end))
        for cell in range(max(0, first), min(len(cells), stop)):
            cells[cell] = words_of(sign.gloss, lemmatize)
    return tuple(cells)


def to_frames(
    signs: Sequence[Sign], sentence: Span, synonyms: Synonyms, *, fps: int = 25, lemmatize: Lemmatizer = identity
) -> tuple[Sign, ...]:
    """The signs of a sentence as the published evaluation sees them, in seconds from its start.

    As `paint`; neighbours that mean the same are one.

    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69.
    """
    runs = walk(paint(signs, sentence, fps=fps, lemmatize=lemmatize), synonyms)
    return tuple(Sign(first / fps, stop / fps, "/".join(sorted(words))) for first, stop, words in runs)


def group(
    words: Sequence[str], probabilities: Sequence[float], synonyms: Synonyms
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Give each guess of a step the probabilities of all guesses that mean the same; likeliest first.

    They no longer sum to 1, and may be above it: what is shared is counted for each.

    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69. Differs: that code does it twice, when it recognizes
        and when it evaluates.
    """
    spelled = [spell(word) for word in words]
    summed = [
        sum(p for other, p in zip(spelled, probabilities, strict=True) if other in synonyms[word])
        if word in synonyms
        else probability
        for word, probability in zip(spelled, probabilities, strict=True)
    ]
    order = sorted(range(len(words)), key=lambda guess: -summed[guess])
    return tuple(words[guess] for guess in order), tuple(summed[guess] for guess in order)
