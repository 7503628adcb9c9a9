"""The files of BOBSL that CSLR2 was trained and tested on: subtitles, vocabulary, annotations, features and labels.

Pickles are read by `formats.pickles`, which runs nothing. Every reader refuses what it does not understand.

Source: the authors' code of CSLR2 (arXiv:2405.10266) @ 5f3bd69, for what the files hold.
"""

import csv
import io
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from seasign.formats import disk, features, pickles, read_cues, words
from seasign.types import Cue, InputError, InputWarning, Sign, WindowFeatures

FPS = Fraction(25)
BEST = 5  # labels of a window
WIDTH = 768  # numbers of a feature
WINDOW = 16  # frames that it is of
CLOCK = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)")
BRACKETS, PUNCTUATION = re.compile(r"[()\[\]]"), re.compile(r"[.,?!()\"']")
GLOSS = re.compile(r"([^\[\]]+)\[(\d+(?:\.\d+)?)--(\d+(?:\.\d+)?)\]")
ANNOTATED = ("start_sub", "end_sub", "english sentence", "approx gloss sequence")
PAD = 10.0  # seconds around the annotated part of an episode in which its subtitles lie
NEAR = 1.0  # seconds between subtitles up to which the boundary between them may move

Sentences = tuple[tuple[Cue, tuple[Sign, ...]], ...]  # and the signs in them


@dataclass(frozen=True)
class Episode:
    """Signing, its subtitles, and what is guessed of its windows."""

    name: str
    features: WindowFeatures
    cues: tuple[Cue, ...]
    labels: Int[np.ndarray, "windows best"] | None = None  # in the vocabulary, likeliest first
    probabilities: Float[np.ndarray, "windows best"] | None = None


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """The words by their numbers: a pickle of {word: number}, perhaps under `words_to_id`; or a .txt, one word a line.

    Raises:
        InputError: It is neither, or the numbers are not 0, 1, 2 ...
    """
    if path.suffix == ".txt":
        return words.read_vocabulary(path)
    table = pickles.read(path)
    numbers = table.get("words_to_id", table) if isinstance(table, dict) else None
    if not isinstance(numbers, dict) or not numbers or not all(isinstance(word, str) and word for word in numbers):
        raise InputError(f"{path}: holds no vocabulary: expected words and their numbers, perhaps under words_to_id")
    of = {str(number): word for word, number in numbers.items()}
    if of.keys() != set(map(str, range(len(numbers)))):
        raise InputError(f"{path}: {len(numbers)} words are not numbered 0 to {len(numbers) - 1}, each once")
    return tuple(of[str(number)] for number in range(len(of)))


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """What means the same, as `words.read_synonyms`; also a pickle of that.

    Raises:
        InputError: It is no mapping from words to lists of words.
    """
    if path.suffix == ".json":
        return words.read_synonyms(path)
    table = pickles.read(path)
    if not isinstance(table, dict) or not all(
        isinstance(word, str) and isinstance(others, list | tuple) and all(isinstance(other, str) for other in others)
        for word, others in table.items()
    ):
        raise InputError(f"{path}: holds no synonyms: expected a word, and a list of others")
    return {word: list(others) for word, others in table.items()}


def read_vectors(path: Path, vocabulary: Sequence[str]) -> Float[np.ndarray, "words dimensions"]:
    """The vector of every word: an .npy of a row a word, or a pickle of arrays in their order, by number or by word.

    Pickles of torch's tensors, as they are published, are refused like all that are not plain data.

    Raises:
        InputError: It is no such file; a word has no vector, or one of another length; one is not finite.
    """
    if path.suffix == ".npy":
        found = np.asarray(features.read(path, source="words").vectors, np.float32)
        if len(found) != len(vocabulary):
            raise InputError(f"{path}: {len(found)} vectors for {len(vocabulary)} words: give one to each")
        return found
    try:
        table = pickles.read(path)
    except InputError as error:
        raise InputError(f"{error}; write the vectors with numpy.save, a row a word") from None
    table = dict(enumerate(table)) if isinstance(table, list) else table
    if not isinstance(table, dict):
        raise InputError(f"{path}: holds a {type(table).__name__}; expected the vectors of words by their numbers")
    rows = [table.get(number, table.get(word)) for number, word in enumerate(vocabulary)]
    if lacking := [word for word, row in zip(vocabulary, rows, strict=True) if row is None]:
        raise InputError(f"{path}: {len(lacking)} of {len(vocabulary)} words have no vector, such as {lacking[0]!r}")
    try:
        vectors = np.stack([np.asarray(row, np.float32).ravel() for row in rows])
    except (ValueError, TypeError):
        raise InputError(f"{path}: the vectors are not all of as many numbers") from None
    if not np.isfinite(vectors).all():
        raise InputError(f"{path}: a vector holds numbers that are not finite")
    return vectors


def read_subtitles(path: Path) -> dict[str, tuple[Cue, ...]]:
    """The cues of every episode, from a pickle of parallel lists: episode_name, subtitle, start, end.

    Times are seconds or HH:MM:SS.mmm. A file that subtitles come in (.vtt, .srt ...) is one episode, named as it.

    Raises:
        InputError: A list is missing or of another length, a time is none, an end is not after its start, or a sentence
            is empty; the message has its number.
    """
    if path.suffix != ".pkl":
        return {path.stem: read_cues(path).cues}
    table = pickles.read(path)
    names = ("episode_name", "subtitle", "start", "end")
    if not isinstance(table, dict) or not all(isinstance(table.get(name), list) for name in names):
        raise InputError(f"{path}: holds no subtitles: expected lists {', '.join(names)}")
    counts = {name: len(table[name]) for name in names}
    if len(set(counts.values())) > 1:
        raise InputError(f"{path}: its lists are not as long as each other: {counts}")
    found: dict[str, list[Cue]] = {}
    for number, (episode, text, *edges) in enumerate(zip(*(table[name] for name in names), strict=True)):
        where = f"{path}: subtitle {number} of {episode}"
        start, end = (_seconds(edge, where) for edge in edges)
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where} at {start:.2f} s is empty: leave it out")
        if end <= start:
            raise InputError(f"{where} ends at {end:.2f} s, where it starts or before")
        found.setdefault(str(episode).removesuffix(".mp4"), []).append(Cue(start, end, text))
    return {episode: tuple(cues) for episode, cues in found.items()}


def read_lengths(path: Path) -> dict[str, int]:
    """How many frames every episode has, from the pickle of information on the videos."""
    table = pickles.read(path)
    try:
        names, counts = table["videos"]["name"], table["videos"]["videos"]["T"]
        return {str(name).removesuffix(".mp4"): int(count) for name, count in zip(names, counts, strict=True)}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: holds no names and lengths of videos ({error!r})") from None


def read_split(path: Path) -> dict[str, tuple[str, ...]]:
    """The episodes of every part: a .json of lists by name. No episode is in two.

    Raises:
        InputError: It is no such file, or an episode is in two parts.
    """
    try:
        table = json.loads(disk.read_text(path)[0])
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(table, dict) or not all(isinstance(episodes, list) for episodes in table.values()):
        raise InputError(f"{path}: names no parts: expected an object: a part, and a list of its episodes")
    parts = {part: tuple(map(str, episodes)) for part, episodes in table.items()}
    of: dict[str, str] = {}
    for part, episodes in parts.items():
        for episode in episodes:
            if of.setdefault(episode, part) != part:
                raise InputError(
                    f"{path}: {episode} is in {of[episode]} and in {part}: nobody learns from what is tested"
                )
    return parts


def read_annotations(path: Path) -> Sentences:
    """The sentences of an episode and the signs in them, from a .csv: "house/home[1.2--1.5]tree[1.6--2.0]".

    Raises:
        InputError: A column is missing, a time is none, a sentence is empty, or a gloss is not followed by its times.
    Warns:
        InputWarning: Signs lie outside of their sentences, as published files have them; they are left out.
    """
    reader = csv.DictReader(io.StringIO(disk.read_text(path)[0].removeprefix("\ufeff"), newline=""))
    if lacking := [name for name in ANNOTATED if name not in (reader.fieldnames or ())]:
        raise InputError(f"{path}:1: no column {lacking[0]!r}; expected {', '.join(ANNOTATED)}")
    found: list[tuple[Cue, tuple[Sign, ...]]] = []
    outside: list[str] = []
    for row in reader:
        where = f"{path}:{reader.line_num}"
        start, end = (_seconds(row[name], where) for name in ANNOTATED[:2])
        text, glosses = ((row[name] or "").strip() for name in ANNOTATED[2:])
        if not text:
            raise InputError(f"{where}: the sentence at {start:.2f} s is empty: leave it out")
        if end <= start:
            raise InputError(f"{where}: the sentence ends at {end:.2f} s, where it starts or before")
        if rest := GLOSS.sub("", glosses).strip():
            raise InputError(f"{where}: {rest[:40]!r} is no gloss with its times, as in house[1.2--1.5]")
        signs = [Sign(float(a), float(b), gloss.strip()) for gloss, a, b in GLOSS.findall(glosses)]
        if back := [sign for sign in signs if sign.end <= sign.start]:
            raise InputError(f"{where}: {back[0].gloss!r} ends at {back[0].end:.2f} s, where it starts or before")
        outside += [
            f"{where}: {sign.gloss!r} at {sign.start:.2f} - {sign.end:.2f} s is outside of its sentence, "
            f"{start:.2f} - {end:.2f} s"
            for sign in signs
            if sign.end <= start or sign.start >= end
        ]
        found.append((Cue(start, end, text), tuple(one for one in signs if one.end > start and one.start < end)))
    if outside:
        more = f", and {len(outside) - 1} more" * (len(outside) > 1)
        warnings.warn(f"{outside[0]}{more}: left out", InputWarning, stacklevel=2)
    return tuple(found)


def write_annotations(path: Path, sentences: Sentences) -> None:
    """Write sentences and their signs as `read_annotations` reads them."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(ANNOTATED)
    for cue, signs in sentences:
        glosses = "".join(f"{sign.gloss}[{sign.start}--{sign.end}]" for sign in signs)
        table.writerow((cue.start, cue.end, cue.text, glosses))
    disk.write_text(path, text.getvalue())


def read_raw_annotations(
    path: Path, cues: Sequence[Cue], *, lemmatize: Callable[[str], str] = str
) -> tuple[str, Sentences]:
    """The episode that an annotator's .json is of, and its sentences with the signs in them.

    A sign belongs to the subtitle that most of it overlaps, else to that with the nearest boundary. Subtitles are
    widened to cover their signs; where two are near each other and what is signed at their boundary is said in the
    other one alone, the boundary moves, and signs are given out anew. What is not signed (*NS) is left out first; of
    the others, all with a star at last, such as pointing (*P1) and fingerspelling (*F), unless a word stands beside it.

    Args:
        cues: All subtitles of the episode; those around what is annotated are taken.
        lemmatize: What makes one word of its forms; there it is WordNet's, see `models.wordnet`.
    Raises:
        InputError: The file is another one, an annotation has no times, or no subtitle is near.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69, misc/process_cslr_json. Differs: subtitles of the
        same text stay apart; when signs are given out anew, a subtitle that goes on beyond what is annotated keeps
        its own, which there go to its neighbour, outside of it.
    """
    try:
        table = json.loads(disk.read_text(path)[0])
        (file,) = table["file"].values()
        episode = str(file["fname"]).removesuffix(".mp4")
        entries = dict(table["metadata"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: holds no annotations of one file ({error!r})") from None
    signs = []
    for name, entry in entries.items():
        try:
            (start, end), said = map(float, entry["z"]), str(entry["av"].get("1", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: annotation {name} has no two times z and no gloss av ({error!r})") from None
        if not 0 <= start < end:
            raise InputError(
                f"{path}: annotation {name} is at {start:.2f} - {end:.2f} s: it has to end after its start"
            )
        if said.strip() and "*NS" not in said.upper():
            signs.append(Sign(start, end, "/".join(_alternatives(said))))
    signs.sort(key=lambda sign: sign.start)
    if not signs:
        return episode, ()
    first, last = signs[0].start - PAD, max(sign.end for sign in signs) + PAD
    near = sorted((cue for cue in cues if cue.start >= first and cue.end <= last), key=lambda cue: cue.start)
    if not near:
        raise InputError(
            f"{path}: no subtitle of {episode} is between {first:.2f} and {last:.2f} s, where it is annotated"
        )
    wide = [
        (replace(cue, start=min(cue.start, own[0].start), end=max(cue.end, *(sign.end for sign in own))), own)
        for cue, own in give_out(signs, near)
        if own
    ]
    sentences = []
    for cue, own in give_out(signs, move_boundaries(wide, lemmatize)):
        words = [(sign, [word for word in str(sign.gloss).split("/") if "*" not in word]) for sign in own]
        lexical = tuple(replace(sign, gloss="/".join(some)) for sign, some in words if some)
        if lexical:
            sentences.append((cue, lexical))
    return episode, tuple(sentences)


def give_out(signs: Sequence[Sign], cues: Sequence[Cue]) -> Sentences:
    """Each sign to the cue that most of it overlaps; else to that with the boundary nearest to its middle, of equally
    near ones to that which ends there."""
    own: list[list[Sign]] = [[] for _ in cues]
    for sign in signs:
        shared = [min(sign.end, cue.end) - max(sign.start, cue.start) for cue in cues]
        if max(shared) > 0:
            own[shared.index(max(shared))].append(sign)
            continue
        to_start, to_end = ([abs(sign.middle - edge) for edge in edges] for edges in
                            ([cue.start for cue in cues], [cue.end for cue in cues]))  # fmt: skip
        nearest = to_start if min(to_start) < min(to_end) else to_end
        own[nearest.index(min(nearest))].append(sign)
    return tuple((cue, tuple(some)) for cue, some in zip(cues, own, strict=True))


def move_boundaries(sentences: Sequence[tuple[Cue, Sequence[Sign]]], lemmatize: Callable[[str], str]) -> list[Cue]:
    """The cues, the boundary of two neighbours less than `NEAR` apart behind or before a sign that is said in the other
    one alone.

    Where both are to give a sign away, nothing moves; a cue that would end before it starts is as it was.
    """
    starts, ends = [cue.start for cue, _ in sentences], [cue.end for cue, _ in sentences]
    for number, ((one, before), (other, after)) in enumerate(pairwise(sentences), start=1):
        if abs(other.start - one.end) >= NEAR:
            continue
        said = [{lemmatize(word) for word in PUNCTUATION.sub("", cue.text.lower()).split()} for cue in (one, other)]
        late, early = ({lemmatize(word) for word in str(sign.gloss).split("/")} for sign in (before[-1], after[0]))
        is_late, is_early = bool(late & said[1]) and not late & said[0], bool(early & said[0]) and not early & said[1]
        if is_late != is_early:
            starts[number] = ends[number - 1] = before[-1].start if is_late else after[0].end
    return [
        replace(cue, start=start, end=end) if start < end else cue
        for (cue, _), start, end in zip(sentences, starts, ends, strict=True)
    ]


def _alternatives(said: str) -> list[str]:
    """The words of a gloss as annotated, in lower case, each once, those with a star last and in capitals.

    "SHIP*D" is a word and how it is signed.
    """
    words = [part for word in said.split() if word != "OR" for part in re.split("[/-]", BRACKETS.sub("", word)) if part]
    kept: dict[str, None] = {}
    for word in words:
        lexical, star, tag = word.partition("*")
        if star and not (len(lexical) > 1 and tag):
            kept[word.upper()] = None
        else:
            kept |= dict.fromkeys([lexical.lower(), f"*{tag.upper()}"] if star else [word.lower()])
    return sorted(kept, key=lambda word: "*" in word)


def read_lmdb_features(path: Path, episode: str, windows: int) -> WindowFeatures:
    """The features of an episode in an LMDB; a window that is not there is 0, as published.

    Raises:
        InputError: None is there, or one is of another length or not finite.
        ModuleNotFoundError: There is no lmdb; the message is the remedy.
    Warns:
        InputWarning: Windows are not there, and later ones are.
    """
    rows = _lmdb(path, episode, windows, "float16", WIDTH)
    return WindowFeatures(rows, FPS, "video-swin")


def read_lmdb_labels(
    path: Path, episode: str, windows: int
) -> tuple[Int[np.ndarray, "windows best"], Float[np.ndarray, "windows best"]]:
    """The labels of the windows of an episode in an LMDB, and their probabilities; 0 where they are not there.

    Raises:
        InputError, ModuleNotFoundError: As `read_lmdb_features`.
    """
    labels = _lmdb(path, f"{episode}_label", windows, "int64", BEST)
    return labels, _lmdb(path, f"{episode}_prob", windows, "float16", BEST)


def write_labels(
    path: Path, labels: Int[np.ndarray, "windows best"], probabilities: Float[np.ndarray, "windows best"]
) -> None:
    """Write the labels of an episode as `read_folder` finds them, LABELS/EPISODE.npz."""
    with disk.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, labels=labels.astype(np.int64), probabilities=probabilities.astype(np.float16))


def write_lmdb_labels(
    path: Path, episode: str, labels: Int[np.ndarray, "windows 5"], probabilities: Float[np.ndarray, "windows 5"]
) -> None:
    """Write the labels of an episode into an LMDB, beside those of others, as the authors' code reads them.

    Raises:
        ModuleNotFoundError: There is no lmdb; the message is the remedy.
    """
    try:
        import lmdb
    except ModuleNotFoundError:
        raise ModuleNotFoundError('writing an LMDB needs lmdb: pip install "seasign[bobsl]"') from None
    with lmdb.open(str(path), map_size=2**40) as environment, environment.begin(write=True) as transaction:
        for kind, rows in ("label", labels.astype(np.int64)), ("prob", probabilities.astype(np.float16)):
            for number, row in enumerate(rows, 1):
                transaction.put(f"{episode}_{kind}/{number:07d}.np".encode(), row.tobytes())


def _lmdb(path: Path, folder: str, windows: int, kind: str, width: int) -> np.ndarray:
    """Rows under the keys FOLDER/0000001.np and so on."""
    try:
        import lmdb
    except ModuleNotFoundError:
        raise ModuleNotFoundError('reading an LMDB needs lmdb: pip install "seasign[bobsl]"') from None
    rows, there, last = np.zeros((windows, width), kind), 0, 0
    try:
        environment = lmdb.open(str(path), readonly=True, lock=False, create=False, subdir=path.is_dir())
    except lmdb.Error as error:
        raise InputError(f"{path}: no LMDB that can be read ({error})") from None
    with environment, environment.begin() as transaction:
        for number in range(windows):
            raw = transaction.get(f"{folder}/{number + 1:07d}.np".encode())
            if raw is None:
                continue
            row = np.frombuffer(raw, kind) if len(raw) % rows.itemsize == 0 else np.empty(0)
            if len(row) != width:
                raise InputError(f"{path}: {folder}/{number + 1:07d}.np has {len(raw)} bytes, not {width} of {kind}")
            if not np.isfinite(row).all():
                raise InputError(f"{path}: {folder}/{number + 1:07d}.np holds numbers that are not finite")
            rows[number], there, last = row, there + 1, number + 1
    if not there:
        raise InputError(f"{path}: holds nothing of {folder}")
    if there < last:
        message = f"{path}: {last - there} of the first {last} windows of {folder} are not there, and count as 0"
        warnings.warn(message, InputWarning, stacklevel=3)
    return rows


def read_folder(folder: Path, part: str) -> tuple[Episode, ...]:
    """The episodes of a part, as they lie in a folder.

    `split.json`: see `read_split`; `subtitles.pkl`, or `subtitles/EPISODE.vtt`; `features.lmdb` with `info.pkl`, which
    says how long videos are, or `features/EPISODE.npy`; and where there are labels, `labels.lmdb`, or
    `labels/EPISODE.npz` of the arrays `labels` and `probabilities`, a row a window.

    Raises:
        InputError: A file is missing or cannot be used, a part is not there, or labels are not as many as windows.
        ModuleNotFoundError: There is an LMDB, and no lmdb; the message is the remedy.
    """
    parts = read_split(folder / "split.json")
    if part not in parts:
        raise InputError(f"{folder / 'split.json'}: there is no part {part!r}; there are {', '.join(parts)}")
    whole = folder / "subtitles.pkl"
    spoken: Mapping[str, tuple[Cue, ...]] = read_subtitles(whole) if whole.exists() else {}
    seen, guessed = folder / "features.lmdb", folder / "labels.lmdb"
    lengths = read_lengths(folder / "info.pkl") if seen.exists() else {}
    episodes = []
    for name in parts[part]:
        cues = spoken.get(name) if whole.exists() else read_cues(folder / "subtitles" / f"{name}.vtt").cues
        if not cues:
            raise InputError(f"{folder}: {name} has no subtitles")
        if not seen.exists():
            windows = features.read(folder / "features" / f"{name}.npy", source="video-swin")
        elif lengths.get(name, 0) < WINDOW:
            raise InputError(
                f"{folder / 'info.pkl'}: {name} has {lengths.get(name, 0)} frames, not one window of {WINDOW}"
            )
        else:
            windows = read_lmdb_features(seen, name, (lengths[name] - WINDOW) // 2 + 1)
        file, labels, sure = folder / "labels" / f"{name}.npz", None, None
        if guessed.exists():
            labels, sure = read_lmdb_labels(guessed, name, len(windows.vectors))
        elif file.exists():
            with np.load(file, allow_pickle=False) as arrays:
                if not {"labels", "probabilities"} <= set(arrays.files):
                    raise InputError(f"{file}: holds {', '.join(arrays.files)}; expected labels and probabilities")
                labels, sure = arrays["labels"], arrays["probabilities"]
            if labels.shape != sure.shape or labels.ndim != 2 or len(labels) != len(windows.vectors):
                shapes = f"{labels.shape} labels and {sure.shape} probabilities"
                raise InputError(f"{file}: {shapes} are not a row for each of {len(windows.vectors)} windows")
        episodes.append(Episode(name, windows, tuple(cues), labels, sure))
    return tuple(episodes)


def _seconds(value: object, where: str) -> float:
    """Seconds, given as a number or on the clock."""
    if isinstance(value, str) and (clock := CLOCK.fullmatch(value.strip())):
        hours, minutes, rest = clock.groups()
        return round(3600 * int(hours) + 60 * int(minutes) + float(rest.replace(",", ".")), 6)
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise InputError(f"{where}: {value!r} is no time; write seconds, or HH:MM:SS.mmm")
    return seconds
