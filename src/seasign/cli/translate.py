"""`translate`: signing -> subtitles that nobody wrote; `evaluate-translation`: how good texts are."""

import json
import re
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import Any

import click

import seasign
from seasign import checkpoints
from seasign.cli import jobs
from seasign.cli.options import (
    ESTIMATION,
    EXISTING,
    JSON,
    OUTPUT,
    QUIET,
    SEGMENTATION,
    Number,
    naming,
    options,
    progress_bar,
    wrote,
)
from seasign.cli.signing import check_estimation, choose_segmenter, is_video, poses_in
from seasign.corpora.uni_sign import LABELS, read_labels
from seasign.formats import KEYPOINTS, POSES, SUBTITLES, TABLES, TIERS, coco, disk, timed_text
from seasign.formats.rate import exact_rate
from seasign.metrics import is_bracketed
from seasign.metrics.translation import (
    ORDERS,
    PREFIX,
    TOKENIZATIONS,
    Counted,
    count_glosses,
    count_isolated,
    count_translation,
    join_cues,
)
from seasign.segmentation import in_video
from seasign.types import InputError, InputWarning, Sign, plain_values
from seasign.uncertainty import bootstrap_texts

WRITTEN = {".vtt": "vtt", **TIERS, **TABLES}  # files that can say of themselves that a machine translated


@click.command()
@click.argument("poses", type=EXISTING)
@click.option("--model", required=True, type=EXISTING, metavar="FOLDER",
              help="The checkpoint of a network that was fine-tuned to translate.")  # fmt: skip
@OUTPUT
@options(SEGMENTATION[:1])
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Phrases per batch.")
@click.option("--fps", type=Number(min=1), help="Frame rate of the video, which a .pkl of keypoints does not hold.")
@options(ESTIMATION)
@QUIET
@JSON
def translate(
    poses: Path,
    model: Path,
    output: Path,
    batch: int,
    fps: float | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Translate the signing in POSES into subtitles, one per phrase.

    POSES is a video, a file of poses (.pose, .npz), or a .pkl of COCO-WholeBody keypoints. The output is marked as a
    machine translation, with the model's confidence in every subtitle: in comments of a .vtt, in the tiers MT and
    MT_CONFIDENCE of an .eaf, in columns of a .csv or .json.
    """
    filmed = is_video(poses, "video or poses", POSES | KEYPOINTS)
    check_estimation(poses, given)
    keypoints = poses.suffix.lower() in KEYPOINTS
    if keypoints != (fps is not None):
        raise click.UsageError("give --fps with a .pkl of keypoints, and with nothing else: others say it themselves")
    if output.suffix.lower() in SUBTITLES and output.suffix.lower() not in WRITTEN:
        raise InputError(f"{output}: has no place that says a machine translated; name it *{' *'.join(WRITTEN)}")
    jobs.check_outputs({"translations": (output, WRITTEN)}, [poses])
    translator = checkpoints.load_translator(model)
    segmenter, _ = choose_segmenter(given | {"decoder": None, "thresholds": None}, "annotation")
    with ExitStack() as done:
        landmarks = getattr(translator, "landmarks", None)  # None: it looks at all that there are
        if fps is not None:
            seen = coco.read(poses, fps=exact_rate(fps))
        elif landmarks is None and not filmed:
            seen = seasign.read_poses(poses)
        else:
            seen = poses_in(poses, given, output, quiet or as_json, done, landmarks or ())
        with progress_bar("translating", "phrases", quiet or as_json) as progress, naming(poses):
            found = seasign.translate(seen, translator, segmenter=segmenter, batch=batch, progress=progress)
        cues = in_video(found.cues, seen)
        del seen
        by = f"Machine translation by {model.resolve().name}, seasign {seasign.__version__}; not checked by anyone"
        tiers = _write(output, cues, found.probabilities, by, poses if filmed else None)
    if as_json:
        counts = {"cues": len(cues), "phrases": found.phrases, "probabilities": found.probabilities}
        by_what = {"model": str(model), "segmenter": given["segmenter"]}
        click.echo(json.dumps(counts | by_what | {"output": str(output), "tiers": tiers}))
    elif not quiet:
        click.echo(f"phrases   {found.phrases} by the {given['segmenter']} segmenter")
        if cues:
            low, high = min(found.probabilities), max(found.probabilities)
            click.echo(f"subtitles {len(cues)}, confidence {low:.2f} to {high:.2f}")
        click.echo(f"{wrote(output, tiers)}{',' if tiers else ':'} a machine translation, and marked as one")


def _write(
    output: Path,
    cues: tuple[seasign.Cue, ...],
    probabilities: tuple[float, ...],
    by: str,
    video: Path | None,
) -> list[str]:
    """Write translations so that the file says what they are, and name the tiers of an .eaf."""
    suffix = output.suffix.lower()
    if suffix in TIERS:
        like = output if output.exists() else None
        sure = tuple(Sign(cue.start, cue.end, f"{p:.2f}") for cue, p in zip(cues, probabilities, strict=True))
        tiers = jobs.beside({"MT": cues, "MT_CONFIDENCE": sure}, like)
        seasign.write(output, tiers, like=like, media=[video] if video else [])
        return list(tiers)
    if suffix in TABLES:
        seasign.write(output, cues, also={"probability": probabilities, "source": [by] * len(cues)})
    else:
        seasign.write(output, cues, head=by, notes=[f"confidence {p:.2f}" for p in probabilities])
    return []


KINDS = {"text": "sentences", "glosses": "sentences", "words": "single signs"}


@click.command("evaluate-translation")
@click.argument("reference", type=EXISTING)
@click.argument("estimate", type=EXISTING)
@click.option("--as", "kind", type=click.Choice(list(KINDS)), default="text", show_default=True,
              help="What is compared: sentences (BLEU, chrF, ROUGE-L), glosses (word error rate), or the words of "
                   "single signs (exact matches).")  # fmt: skip
@click.option("--tokenize", type=click.Choice(TOKENIZATIONS), default="13a", show_default=True,
              help="How sacrebleu splits words; for Chinese char, as published, or zh.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the random draws.")
@QUIET
@JSON
@click.pass_obj
def evaluate_translation(
    warned: list[str], /, reference: Path, estimate: Path, kind: str, tokenize: str, seed: int, quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Score the translations of ESTIMATE against REFERENCE.

    Give two .txt, compared line by line; two files of names and texts (.csv, .jsonl, .gz), by name; or two files of
    subtitles, by cue. The 95 % intervals are for other sentences like these; they are rather too narrow, since
    sentences of one video are alike.
    """
    timed = _has_cues(reference), _has_cues(estimate)
    if timed[0] != timed[1]:
        one, other = (reference, estimate) if timed[0] else (estimate, reference)
        raise InputError(f"{one} has cues, and {other} none: give two files of one kind")
    pairs = _by_cue(reference, estimate) if timed[0] else _by_name(reference, estimate, kind)
    count: dict[str, Callable[..., Counted]] = {"glosses": count_glosses, "words": count_isolated}
    try:
        counted = count[kind](*pairs) if kind in count else count_translation(*pairs, tokenize=tokenize)
    except InputError as error:
        raise InputError(f"{reference} against {estimate}: {error}") from error
    scores = bootstrap_texts(counted, seed=seed)
    settings: dict[str, object] = {"sentences": counted.number}
    if kind == "text":
        settings |= {"tokenization": tokenize, "sacrebleu": version("sacrebleu")}
    if as_json:
        found = {name: it.value for name, it in scores.items()}
        intervals = {name: [it.low, it.high] for name, it in scores.items()}
        click.echo(json.dumps(plain_values({**settings, **found, "intervals": intervals, "warnings": warned})))
    elif not quiet:
        said = {"text": f", words by {tokenize}", "glosses": ", of glosses"}.get(kind, "")
        click.echo(f"{KINDS[kind]:16}{counted.number:7}{said}\n{'':16}{'score':>7}{'95 % from':>12}{'to':>8}")
        for name, it in scores.items():
            low, high = ("-" if isnan(edge) else f"{edge:.2f}" for edge in (it.low, it.high))
            click.echo(f"{NAMES.get(name, name.replace('_', ' ')):16}{it.value:7.2f}{low:>12}{high:>8}")


NAMES = {
    **{f"bleu_{order}": f"BLEU-{order}" for order in ORDERS},
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "rouge_l_plain": "ROUGE-L, plain",
    "wer": "WER",
    "least_wer": "WER, least",
}


def _has_cues(path: Path) -> bool:
    """Whether a file is of cues; of the tables, one that says when they start."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return "start" in re.split(r"[,;\t]", disk.read_text(path)[0].lower().partition("\n")[0])
    return suffix in SUBTITLES | TIERS | TABLES


def _by_cue(reference: Path, estimate: Path) -> tuple[list[str], list[str]]:
    """What is said in every cue of the reference, but those in [brackets], and during it."""
    true = [cue for cue in seasign.read_cues(reference).cues if not is_bracketed(cue)]
    if not true:
        raise InputError(f"{reference}: has no cue that is signed")
    said = join_cues(true, seasign.read_cues(estimate, _tier(estimate)).cues)
    return [timed_text.plain(cue.text) for cue in true], [timed_text.plain(text) for text in said]


def _tier(path: Path) -> str | None:
    """The tier of translations of an .eaf that has one."""
    if path.suffix.lower() not in TIERS:
        return None
    from seasign.formats import eaf

    return "MT" if "MT" in eaf.names(path) else None


def _by_name(reference: Path, estimate: Path, kind: str) -> tuple[list[str], list[str]]:
    """Both sides in the order of the reference: of two plain texts line by line, else by name."""
    true, found = _texts(reference, kind, outputs=False), _texts(estimate, kind, outputs=True)
    named = [name for name, _ in true if name is not None], {name: text for name, text in found if name is not None}
    if bool(named[0]) != bool(named[1]):
        one, other = (reference, estimate) if named[0] else (estimate, reference)
        raise InputError(f"{one} names its sentences and {other} does not: give names to both")
    if not named[0]:
        if len(true) != len(found):
            raise InputError(f"{reference} has {len(true)} lines and {estimate} {len(found)}: give one for each")
        return [text for _, text in true], [text for _, text in found]
    if lacking := [name for name in named[0] if name not in named[1]]:
        raise InputError(f"{estimate}: has nothing for {len(lacking)} of {len(true)} sentences, such as {lacking[0]!r}")
    if more := len(named[1]) - len(true):
        what = "text of another name is" if more == 1 else "texts of other names are"
        warnings.warn(f"{estimate}: {more} {what} not scored", InputWarning, stacklevel=2)
    return [text for _, text in true], [named[1][name] for name in named[0]]


def _texts(path: Path, kind: str, *, outputs: bool) -> list[tuple[str | None, str]]:
    """The sentences of a file, with their names where it has some; of glosses where it has those, else of its texts."""
    if path.suffix.lower() in LABELS:
        labels = read_labels(path, outputs=outputs)
        if kind != "glosses" or not any(it.glosses for it in labels):
            return [(it.name, it.text) for it in labels]
        if not outputs and (lacking := [it.name for it in labels if not it.glosses]):
            some = f"{len(lacking)} of {len(labels)} sentences, such as {lacking[0]!r}"
            raise InputError(
                f"{path}: has no glosses of {some}, where others have theirs: add them, or leave those out"
            )
        return [(it.name, " ".join(it.glosses)) for it in labels]
    if path.suffix.lower() != ".txt":
        known = " *".join([".txt", *LABELS, *SUBTITLES, *TIERS, ".json"])
        raise InputError(f"{path}: holds no sentences; expected *{known}")
    lines = disk.read_text(path)[0].removeprefix("\ufeff").removesuffix("\n").split("\n")
    marked = [PREFIX.fullmatch(line.rstrip("\r")) for line in lines]
    if not any(marked):
        return [(None, line) for line in lines]
    if not all(marked):
        number = marked.index(None) + 1
        raise InputError(f"{path}:{number}: does not begin with 'sample: NAME, prediction: ', as other lines do")
    pairs = [(it["name"], it["text"]) for it in marked if it]
    if len(dict(pairs)) < len(pairs):
        again = len(pairs) - len(dict(pairs))
        raise InputError(f"{path}: {again} of its names {'is' if again == 1 else 'are'} there twice; keep one of each")
    return list(pairs)
