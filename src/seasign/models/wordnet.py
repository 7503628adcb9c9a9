"""Forms of English words -> lemmas, by WordNet."""

from functools import cache

from seasign.types import InputError


@cache
def wordnet(word: str) -> str:
    """The lemma of a word: its own as a verb, and of that the one as a noun; what WordNet does not know stays.

    WordNet's data are NLTK's, and have to be there: nothing is fetched.

    Raises:
        ModuleNotFoundError: There is no nltk; the message is the remedy.
        InputError: There are no data.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69.
    """
    try:
        from nltk.stem import WordNetLemmatizer
    except ModuleNotFoundError:
        raise ModuleNotFoundError("lemmas need nltk: pip install nltk") from None
    lemmatizer = WordNetLemmatizer()
    try:
        lemma: str = lemmatizer.lemmatize(lemmatizer.lemmatize(word, "v"), "n")
    except LookupError:
        raise InputError(
            "WordNet's data are not here, and are not fetched; run once: python -m nltk.downloader wordnet"
        ) from None
    return lemma
