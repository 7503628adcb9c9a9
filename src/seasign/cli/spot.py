"""`spot`: a sign or a word -> where it is signed."""

import json
import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import seasign
from seasign import checkpoints
from seasign.cli import jobs
from seasign.cli.clips import CLIPS, clip_parts, is_poses, read_clip
from seasign.cli.embed import TAGS, choose_embedder, without_markup
from seasign.cli.options import ESTIMATION, EXISTING, JSON, QUIET, Number, options, print_table, some, wrote
from seasign.cli.signing import is_video, poses_in
from seasign.embedding import landmarks_of
from seasign.formats import POSES, TABLES, TIERS, VIDEOS
from seasign.formats.words import read_vocabulary
from seasign.models.dictionary import clips_in
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.models.subsequence_dtw import SubsequenceDtw
from seasign.segmentation import in_poses, in_video
from seasign.spotting import EmbeddingWindows, Query, Spotter, check_example, shortest, spot_words, tokens
from seasign.types import Cue, InputError, InputWarning, Poses, Sign, plain_values

WHOLE = PoseDescriptor(raised=1.0)  # windows hold no raising and lowering of hands
WINDOWS = (-35.2, 36.7)  # the calibration of windows of these, on the data of that of `SubsequenceDtw`
LEAST = 0.1  # probability of what is shown, unless told
SHOWN = 5  # files that a warning names
Row = tuple[Path, Sign, float]  # a file, a spot with its probability, and the score of the spotter


# `ParamType` takes a type in brackets from click 8.4 on, and only for the type checker
class Weights(click.ParamType):  # type: ignore[type-arg]
    """The two numbers of a calibration."""

    name = "A,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Two finite numbers; the second is above 0, since higher scores are better."""
        if isinstance(value, tuple):
            return value
        try:
            first, second = (float(number) for number in value.split(","))
            if not (math.isfinite(first) and 0 < second < math.inf):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is not two numbers, the second above 0, such as -35.2,36.7", param, ctx)
        return first, second


@click.command()
@click.argument("arguments", metavar="[QUERY] INPUT...", nargs=-1, required=True)
@click.option(
    "--example", "examples", multiple=True, metavar="FILE or FILE#PART",
    help="In place of QUERY: an example of the sign. Give it again for more of the same sign.",
)  # fmt: skip
@click.option(
    "--words-of", type=EXISTING, metavar="SUBTITLES",
    help="In place of QUERY: look for the words of aligned subtitles, each near its cue.",
)  # fmt: skip
@click.option("--tier", default="SIGN", show_default=True, help="Where the glosses are, if QUERY is an ELAN file.")
@click.option(
    "--spotter", metavar="dtw|windows|FOLDER",
    help="What finds the sign: warping, windows of an embedder, or a network. [default: dtw, or what --embedder needs]",
)  # fmt: skip
@click.option(
    "--embedder", metavar="dictionary:FOLDER|FOLDER",
    help="What knows words. A dictionary:FOLDER gives its clips of a word as examples; SignCLIP and CSLR2 put words "
         "and windows into one space.",
)  # fmt: skip
@TAGS
@click.option(
    "--calibration", type=Weights(), metavar="A,B",
    help="Probabilities are 1 / (1 + exp(-A - B similarity)). Embedders have no calibration of their own: "
         "without one, spots are only ranked.",
)  # fmt: skip
@click.option("-n", "--best", type=click.IntRange(1), help="Most spots to show, of all INPUTs. [default: 10]")
@click.option(
    "--least", type=Number(min=0, max=1), help="Least probability of a spot. [default: 0.1; with --words-of 0.5]"
)
@click.option("--margin", type=Number(min=0), help="With --words-of: seconds around a cue. [default: 1]")
@click.option("--vocabulary", type=EXISTING, help="With --words-of: what to look for, one word a line.")
@click.option("-o", "--output", type=EXISTING, help="Also write the spots: .csv, .json, or tiers of an .eaf.")
@options(ESTIMATION)
@QUIET
@JSON
@click.pass_obj
def spot(
    warned: list[str], /, arguments: Sequence[str], output: Path | None, quiet: bool, as_json: bool, **given: Any
) -> None:
    """Find where QUERY is signed in every INPUT.

    QUERY is a clip of one sign (poses or a video) or a part of it in seconds (clip.pose#1.2-1.9); a gloss in an ELAN
    file that has poses or a video of its name beside it (story.eaf#HOUSE); or a word, which needs --embedder. INPUT is
    a video, poses, or a folder of poses, with its subfolders. Spots of all INPUTs are ranked together, the likeliest
    first. An .eaf gets the tiers SPOT and SPOT_CONFIDENCE; tiers of your own stay.
    """
    queries, inputs = _divide(arguments, given)
    own = [Path(clip_parts(query)[0]) for query in queries]
    is_word = not given["examples"] and all(path.suffix.lower() not in CLIPS for path in own)
    if output:
        beside = [path for path in (*(own if not is_word else ()), given["words_of"], given["vocabulary"]) if path]
        jobs.check_outputs({"spots": (output, TIERS | TABLES)}, [*inputs, *beside])
        if len(inputs) > 1 and output.suffix.lower() in TIERS:
            raise InputError(f"{output}: an ELAN file is of one video, and there are {len(inputs)}; name a .csv")
    silent, failed = quiet or as_json, list[str]()
    with ExitStack() as done:

        def poses_of(path: Path) -> Poses:
            return poses_in(path, given, output or path, silent, done, looked_at)

        def example_of(path: Path) -> Poses:
            with warnings.catch_warnings():  # a sign of one hand never shows the other
                warnings.simplefilter("ignore", InputWarning)
                return poses_of(path)

        spotter, words = _choose(given, queries[0] if is_word and queries else None)
        if (given["words_of"] or given["least"]) and math.isnan(spotter.calibration[0]):
            what = "--words-of keeps" if given["words_of"] else "--least shows"
            raise InputError(f"{what} what is probable, and this spotter is not calibrated: give --calibration A,B")
        if math.isnan(spotter.calibration[0]):
            message = "is not calibrated, so spots are ranked and none has a probability; --calibration A,B states one"
            warnings.warn(f"{given['embedder'] or given['spotter']}: {message}", InputWarning, stacklevel=2)
        looked_at = landmarks_of(spotter)
        cues = without_markup(seasign.read_cues(given["words_of"]).cues) if given["words_of"] else ()
        label, query = (" ".join(queries),) * 2 if is_word else _query(queries, given, example_of)
        if any(clip_parts(one)[1] for one in queries) and isinstance(spotter, SubsequenceDtw | EmbeddingWindows):
            spotter = replace(spotter, trims=False)  # whoever names a part means all of it
        if isinstance(query, str) and query and words is not None:
            query = _shown(query, words, example_of)
        wanted = _wanted(cues, given, words, example_of) if given["words_of"] else {}
        seconds = 0.0 if isinstance(query, str) or not query else shortest(query, spotter)
        found: list[Row] = []
        short: list[str] = []
        for path in inputs:
            try:
                poses = poses_of(path)
                if len(inputs) > 1 and seconds > poses.duration:
                    short.append(str(path))
                elif given["words_of"]:
                    signs = _near_cues(cues, poses, wanted, spotter, given)
                    found += [(path, sign, math.nan) for sign in in_video(signs, poses)]
                else:
                    found += _ranked(path, label, query, poses, spotter, given)
            except InputError as error:
                line = str(error)
                failed.append(line if line.startswith(str(path)) else f"{path}: {line}")
                if len(inputs) == 1:
                    raise InputError(failed[0]) from None
        if short:
            are = "is" if len(short) == 1 else "are"
            message = f"{len(short)} of {len(inputs)} videos {are} shorter than the query ({seconds:.2f} s)"
            warnings.warn(f"{message}, and {are} passed over: {some(short, SHOWN)}", InputWarning, stacklevel=2)
        if not given["words_of"]:
            found = sorted(found, key=lambda row: -row[2])[: given["best"] or 10]
        tiers = _write(output, found, inputs) if output else []
    if as_json:
        rows = [
            {"file": str(path), "start": sign.start, "end": sign.end, "gloss": sign.gloss, "score": sign.score}
            | ({} if given["words_of"] else {"similarity": score})
            for path, sign, score in found
        ]
        values = {"query": label or None, "signs": rows, "output": output and str(output), "tiers": tiers}
        values |= {"passed_over": short, "warnings": warned, "failed": failed}
        click.echo(json.dumps(plain_values(values)))
    elif not quiet:
        if len(failed) < len(inputs):
            _print(found, len(inputs) > 1, bool(given["words_of"]))
        if output:
            click.echo(wrote(output, tiers))
    for line in failed:
        click.echo(f"error: {line}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


def _divide(arguments: Sequence[str], given: dict[str, Any]) -> tuple[Sequence[str], list[Path]]:
    """The query, or several examples; and the files that are looked at."""
    instead = [name for name in ("examples", "words_of") if given[name]]
    if len(instead) == 2:
        raise click.UsageError("give --example or --words-of")
    if given["words_of"] is None and (given["margin"] is not None or given["vocabulary"]):
        raise click.UsageError("--margin and --vocabulary go with --words-of")
    if given["words_of"] and given["best"]:
        raise click.UsageError("--best goes with a query: of words, --least says which are kept")
    if given["tags"] and not given["embedder"]:
        raise click.UsageError("--tags go with --embedder")
    queries, sources = (given["examples"], arguments) if instead else (arguments[:1], arguments[1:])
    if not sources:
        raise click.UsageError("give QUERY, what to look for, and INPUT, where: poses, a video, or a folder of poses")
    if len(queries) == 1 and not queries[0].strip():
        raise InputError("the query is empty: give a word, or a clip of a sign")
    inputs: dict[Path, Path] = {}
    for path in (one for source in map(Path, sources) for one in (_within(source) if source.is_dir() else [source])):
        is_video(path, "video or poses", POSES)
        inputs.setdefault(path.resolve(), path)  # what is named twice is looked at once
    return queries, list(inputs.values())


def _within(folder: Path) -> list[Path]:
    """The poses in a folder and those below it, but for hidden ones."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in POSES and is_poses(path)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise InputError(f"{folder}: there are no poses in this folder (*{' *'.join(POSES)})")
    return found


def _choose(given: dict[str, Any], word: str | None) -> tuple[Spotter, dict[str, list[Path]] | None]:
    """What looks; and what a dictionary shows of every word, if words are looked up in one."""
    name, embedder = given["spotter"], given["embedder"]
    words: dict[str, list[Path]] | None = None
    spotter: Spotter
    if embedder and embedder.startswith("dictionary:"):
        words, embedder = {}, None
        for word, path in sorted(clips_in(Path(given["embedder"].removeprefix("dictionary:")))):
            words.setdefault(word.casefold(), []).append(path)
    if embedder and name not in (None, "windows"):
        raise click.UsageError("--embedder goes with --spotter windows; a dictionary:FOLDER goes with all")
    if embedder and embedder != "pose-descriptor":
        spotter = EmbeddingWindows(choose_embedder(embedder, given["tags"]))
    elif embedder or name == "windows":
        spotter = EmbeddingWindows(WHOLE, WINDOWS)
    elif name in (None, "dtw"):
        spotter = SubsequenceDtw()
    else:
        spotter = checkpoints.load_spotter(name)
    if words is None and not embedder and name in (None, "dtw", "windows") and (word or given["words_of"]):
        what = f"{word!r} is no file of a sign" if word else "--words-of looks for words"
        raise InputError(
            f"{what}, and words need --embedder: dictionary:FOLDER of clips, or the folder of a SignCLIP or CSLR2"
        )
    return (replace(spotter, calibration=given["calibration"]) if given["calibration"] else spotter), words  # type: ignore[type-var]


def _query(
    queries: Sequence[str], given: dict[str, Any], read: Callable[[Path], Poses]
) -> tuple[str, tuple[Poses, ...]]:
    """The examples that are named, and what to call the sign."""
    clips = [read_clip(query, given["tier"], read) for query in queries]
    examples = [example for _, own in clips for example in own]
    with warnings.catch_warnings():  # `spot` warns
        warnings.simplefilter("ignore", InputWarning)
        for number, example in enumerate(examples, 1):
            check_example(example, f"{queries[0]}" if len(queries) == len(examples) == 1 else f"example {number}")
    return next((label for label, _ in clips), ""), tuple(examples)


def _shown(word: str, words: dict[str, list[Path]], read: Callable[[Path], Poses]) -> tuple[Poses, ...]:
    """The clips of a word in a dictionary."""
    if word.casefold() not in words:
        raise InputError(
            f"{word!r} is none of the {len(words)} words of the dictionary ({', '.join(list(words)[:4])} ...)"
        )
    return tuple(read(path) for path in words[word.casefold()])


def _wanted(
    cues: Sequence[Cue], given: dict[str, Any], words: dict[str, list[Path]] | None, read: Callable[[Path], Poses]
) -> dict[str, Query]:
    """What to look for in cues, by word: those of the vocabulary, of the dictionary, or all that they say."""
    run = [word for cue in cues for word in tokens(cue.text)]
    said, text = list(dict.fromkeys(run)), f" {' '.join(run)} "
    named = list(read_vocabulary(given["vocabulary"])) if given["vocabulary"] else list(words or said)
    wanted: dict[str, Query] = {word: word for word in named if f" {' '.join(tokens(word))} " in text}
    if words is not None:
        wanted = {word: _shown(word, words, read) for word in wanted if word.casefold() in words}
    if not wanted:
        among = [f"the {len(named)} of {given['vocabulary']}"] if given["vocabulary"] else []
        among += (
            [f"those of the dictionary ({', '.join(list(words)[:4])}{', ...' * (len(words) > 4)})"]
            if words is not None
            else []
        )
        where = f" is among {' and '.join(among)}" if among else " can be looked for"
        raise InputError(f"{given['words_of']}: none of its {len(said)} words{where}")
    return wanted


def _near_cues(
    cues: Sequence[Cue], poses: Poses, wanted: dict[str, Query], spotter: Spotter, given: dict[str, Any]
) -> tuple[Sign, ...]:
    """The words of cues."""
    margin = 1.0 if given["margin"] is None else given["margin"]
    least = 0.5 if given["least"] is None else given["least"]
    return spot_words(in_poses(cues, poses), poses, wanted, spotter=spotter, margin=margin, least=least)


def _ranked(path: Path, label: str, query: Query, poses: Poses, spotter: Spotter, given: dict[str, Any]) -> list[Row]:
    """The best spots of one file."""
    least = (0.0 if math.isnan(spotter.calibration[0]) else LEAST) if given["least"] is None else given["least"]
    spots = seasign.spot(query, poses, spotter=spotter, best=given["best"] or 10, least=least)
    return [
        (path, Sign(one.start, one.end, label, None if math.isnan(one.probability) else one.probability), one.score)
        for one in in_video(spots, poses)
    ]


def _write(output: Path, found: Sequence[Row], inputs: Sequence[Path]) -> list[str]:
    """Write the spots, and name the tiers: of an .eaf, probabilities are on one of their own."""
    signs = [sign for _, sign, _ in found]
    if output.suffix.lower() in TIERS:
        like = output if output.exists() else None
        sure = [replace(sign, gloss=f"{sign.score:.2f}") for sign in signs if sign.score is not None]
        tiers = jobs.beside({"SPOT": signs, "SPOT_CONFIDENCE": sure}, like)
        media = [path for path in inputs if path.suffix.lower() in VIDEOS]
        seasign.write(output, tiers, like=like, media=media)
        return list(tiers)
    also: dict[str, Sequence[float | str]] = {"similarity": [score for *_, score in found if not math.isnan(score)]}
    also = also if also["similarity"] else {}
    seasign.write(output, signs, also=also | ({"file": [str(path) for path, *_ in found]} if len(inputs) > 1 else {}))
    return []


def _print(found: Sequence[Row], several: bool, by_word: bool) -> None:
    """A line per spot."""
    if not found:
        click.echo("nothing is likely enough" + "; --least 0 shows what comes nearest" * (not by_word))
        return
    lines: list[tuple[str, ...]] = [
        ("rank", "from", "to", "probability", "word" if by_word else "similarity", *["file"] * several)
    ]
    for rank, (path, sign, score) in enumerate(found, 1):
        stated = "-" if sign.score is None else f"{100 * sign.score:.0f} %"
        last = str(sign.gloss) if by_word else f"{score:.3f}"
        times = f"{sign.start:.2f} s", f"{sign.end:.2f} s"
        lines.append((str(rank), *times, stated, last, *[str(path)] * several))
    print_table(lines, left=("word", "file"))
