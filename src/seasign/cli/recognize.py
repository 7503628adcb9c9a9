"""`recognize`: signing and a vocabulary -> which word is signed when; `evaluate-glosses`: how well."""

import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click

import seasign
from seasign import checkpoints
from seasign.cli import jobs
from seasign.cli.options import EXISTING, JSON, OUTPUT, QUIET, Number, naming, wrote
from seasign.corpora import bobsl
from seasign.formats import POSES, TABLES, TIERS, VIDEOS, disk, features
from seasign.glosses import Lemmatizer, close, identity, paint
from seasign.metrics.glosses import OVERLAPS, evaluate_frames
from seasign.models.cslr2_embedder import Cslr2Embedder, Letters, Network
from seasign.models.cslr2_onnx import OnnxCslr2, export
from seasign.models.wordnet import wordnet
from seasign.recognition import Decode, Reading, Walk, find_alternatives, guess_words, read_guesses
from seasign.segmentation import in_video
from seasign.types import Embeddings, InputError, InputWarning, Poses, Sign, Span, TierError, WindowFeatures

LEMMATIZERS: dict[str, Lemmatizer] = {"identity": identity, "wordnet": wordnet}


@click.command()
@click.argument("signing", metavar="POSES_OR_FEATURES", type=EXISTING)
@click.option("--model", required=True, type=EXISTING, metavar="FOLDER", help="The checkpoint of a CSLR2.")
@click.option(
    "--vocabulary",
    type=EXISTING,
    help="The words that may be signed, one a line; or BOBSL's .pkl. [default: FOLDER/words.txt]",
)
@click.option("--synonyms", type=EXISTING, help="A .json (or .pkl) of words and lists of their synonyms.")
@click.option(
    "--vectors",
    type=EXISTING,
    help="Vectors of the words: an .npy, a row a word. [default: made by the text encoder in FOLDER]",
)
@OUTPUT
@click.option(
    "--threshold", type=Number(min=0, max=1), help="Least probability of a sign. [default: as tuned with the model]"
)
@click.option("--shortest", type=click.IntRange(min=1), help="Least windows per sign, for `walk`. [default: as tuned]")
@click.option(
    "--decoder",
    type=click.Choice(["walk", "semi-markov"]),
    default="walk",
    show_default=True,
    help="How to cut signs: runs of one word, as published, or with a prior of pace.",
)
@click.option("--fps", type=Number(min=1), help="Frame rate of the video of an .npy of features. [default: 25]")
@click.option("--stride", type=click.IntRange(min=1), help="Frames between its rows. [default: 2]")
@click.option(
    "--first-frame", type=click.IntRange(min=0), help="Frame at the centre of the window of its first row. [default: 7]"
)
@click.option("--source", help="Network that made it. [default: that of the training data]")
@click.option("--half", is_flag=True, help="Compute in 16 bits: nearly twice as fast on processors that know bf16.")
@click.option(
    "--onnx",
    type=EXISTING,
    metavar="FOLDER",
    help="Encode in whole numbers, by ONNX files in FOLDER: three times as fast. They are made the first time.",
)
@click.option(
    "--cache",
    type=EXISTING,
    metavar="FOLDER",
    help="Where vectors of words are cached. [default: SEASIGN_CACHE, or ~/.cache/seasign]",
)
@QUIET
@JSON
def recognize(
    signing: Path, model: Path, vocabulary: Path | None, synonyms: Path | None, vectors: Path | None, output: Path,
    threshold: float | None, shortest: int | None, decoder: str, fps: float | None, stride: int | None,
    first_frame: int | None, source: str | None, half: bool, onnx: Path | None, cache: Path | None, quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Find the signs in POSES_OR_FEATURES, and which word of a vocabulary each is.

    The input is a .pose or .npz, or an .npy of features of windows, a row each. The signs go to the tier SIGN of an
    .eaf and their alternatives to SIGN_ALTERNATIVES, or both to a .csv or .json. A SIGN tier of your own stays: the
    signs then go to SIGN_MERGED.
    """
    if half and onnx:
        raise click.UsageError("give --half or --onnx: each is a way to compute")
    if shortest and decoder != "walk":
        raise click.UsageError("--shortest goes with --decoder walk: the other has a prior of pace")
    suffix = signing.suffix.lower()
    pace = {"fps": fps, "stride": stride, "first": first_frame}
    if suffix in POSES and (source or any(value is not None for value in pace.values())):
        raise click.UsageError("--fps, --stride, --first-frame and --source go with an .npy: poses say it themselves")
    if suffix in VIDEOS:
        raise InputError(f"{signing}: is a video; run first: seasign estimate-poses {signing} -o {signing.stem}.pose")
    if suffix not in (*POSES, ".npy"):
        raise InputError(f"{signing}: holds neither poses nor features; expected *{' *'.join((*POSES, '.npy'))}")
    listed = vocabulary or model / "words.txt"
    if model.is_dir() and not vocabulary and not listed.exists():
        raise InputError(f"{model}: brings no words.txt; say with --vocabulary what may be signed")
    inputs = [path for path in (signing, listed, synonyms, vectors) if path]
    jobs.check_outputs({"signs": (output, TIERS | TABLES)}, inputs)
    recognizer = checkpoints.load(model)
    if not isinstance(recognizer, Cslr2Embedder):
        raise InputError(f"{model}: recognizes no signing; give the folder of a CSLR2")
    with naming(model):
        recognizer.check_taught("words")
    if not recognizer.encoder and not vectors:
        raise InputError(
            f"{model}: its words are read by {recognizer.inputs.text!r}, which is not here; put the folder of that "
            f"encoder there, as {model / 'text'}, or give --vectors"
        )
    known = bobsl.read_vocabulary(listed)
    with naming(synonyms or listed):
        meant = close(bobsl.read_synonyms(synonyms), known) if synonyms else {}
    if half:
        recognizer.network.bfloat16()  # type: ignore[attr-defined]  # of torch, as every checkpoint
    if onnx:
        recognizer = replace(recognizer, network=_exported(recognizer.network, onnx))
    asked = recognizer.inputs
    given: Poses | WindowFeatures
    if suffix in POSES:
        given = jobs.read_body(signing, recognizer.landmarks)
    else:
        said = {name: value for name, value in pace.items() if value is not None}
        given = features.read(signing, source=source or asked.features, **said)  # type: ignore[arg-type]  # by name
    sure = asked.threshold if threshold is None else threshold
    walk = Walk(sure, asked.shortest if shortest is None else shortest)
    reading: Reading = walk if decoder == "walk" else Decode(threshold=sure)
    with naming(vectors or listed):
        if vectors:
            made: Embeddings | None = Embeddings(bobsl.read_vectors(vectors, known), asked.text)
        else:
            made = _vectors(recognizer, known, cache)
        embedded = recognizer.words(known, made)
    first: dict[bytes, str] = {}
    of = [(word, first.setdefault(row.tobytes(), word)) for word, row in zip(known, embedded.vectors, strict=True)]
    if twins := [pair for pair in of if pair[0] != pair[1]]:
        message = (
            f"{listed}: {len(twins)} of {len(known)} words have the vector of another, such as {twins[0][0]!r} that of "
            f"{twins[0][1]!r}: only the first of them is said"
        )
        warnings.warn(message, InputWarning, stacklevel=2)
    with naming(signing):
        windows = recognizer.windows(given)
    guesses = guess_words(windows, embedded, known)
    found = read_guesses(guesses, reading, meant)
    others = find_alternatives(found, guesses)
    signs = in_video(found, given) if isinstance(given, Poses) else found
    tiers: dict[str, Sequence[Span]] = {}
    if output.suffix.lower() in TIERS:
        texts = ["; ".join(f"{word} {p:.2f}" for word, p in some) for some in others]
        beside = tuple(Sign(sign.start, sign.end, text) for sign, text in zip(signs, texts, strict=True))
        like = output if output.exists() else None
        tiers = jobs.beside({"SIGN": signs, "SIGN_ALTERNATIVES": beside}, like)
        seasign.write(output, tiers, like=like)
    else:
        seasign.write(output, signs, alternatives=others)
    how = {"decoder": decoder, **(asdict(walk) if decoder == "walk" else {"threshold": sure})}
    if as_json:
        where = {"output": str(output), "tiers": list(tiers)}
        click.echo(json.dumps({"signs": len(signs), "words": len(known), **how, **where}))
    elif not quiet:
        settings = ", ".join(f"{name} {value}" for name, value in how.items())
        click.echo(f"signs     {len(signs)}, saying {len({sign.gloss for sign in signs})} of {len(known)} words")
        click.echo(f"by        {recognizer.space}, {settings}\n{wrote(output, tiers)}")


@click.command("evaluate-glosses")
@click.argument("reference", type=EXISTING)
@click.argument("estimate", type=EXISTING)
@click.option("--sentences", type=EXISTING, help="Subtitles that divide both; a sign belongs to the one at its middle.")
@click.option("--synonyms", type=EXISTING, help="A .json of words and lists of their synonyms.")
@click.option(
    "--lemmatizer",
    type=click.Choice(sorted(LEMMATIZERS)),
    default="identity",
    show_default=True,
    help="What reduces words to their base form; WordNet is English, and needs its data.",
)
@click.option("--sign-tier", default="SIGN", show_default=True, help="Where signs are, in an ELAN file.")
@click.option("--reference-tier", help="Where signs are in the reference. [default: as --sign-tier]")
@click.option(
    "--sentence-tier", help="Where the sentences are, in an ELAN file. [default: SUBTITLE_ALIGNED or SUBTITLE]"
)
@JSON
def evaluate_glosses(
    reference: Path, estimate: Path, sentences: Path | None, synonyms: Path | None, lemmatizer: str, sign_tier: str,
    reference_tier: str | None, sentence_tier: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Score the signs of ESTIMATE, with their glosses, against those of REFERENCE.

    Both are an .eaf, .csv or .json with the signs of one video. Without --sentences the video is scored as one
    sentence.
    """
    sides, tiers = [], []
    for path, tier, option in (
        (reference, reference_tier or sign_tier, "--reference-tier"),
        (estimate, sign_tier, "--sign-tier"),
    ):
        with _choosing(option):
            signs = sorted(seasign.read_signs(path, tier), key=lambda sign: sign.start)
        tiers += [f"{tier} of {path.name}"] if path.suffix.lower() in TIERS else []
        bare = sum(not sign.gloss for sign in signs)
        if signs and bare == len(signs):
            raise InputError(f"{path}: none of {len(signs)} signs has a gloss: there is nothing to compare")
        if bare:
            message = f"{path}: {bare} of {len(signs)} signs have no gloss: each counts as wrong"
            warnings.warn(message, InputWarning, stacklevel=2)
        sides.append(signs)
    if not sides[0]:
        raise InputError(f"{reference}: holds no signs: there is nothing to compare with")
    spans: Sequence[Span] = [Span(0.0, max(sign.end for side in sides for sign in side))]
    if sentences:
        with _choosing("--sentence-tier"):
            spans = seasign.read_cues(sentences, sentence_tier).cues
    with naming(synonyms or reference):
        meant = close(bobsl.read_synonyms(synonyms)) if synonyms else {}
    lemmatize = LEMMATIZERS[lemmatizer]
    true, found = (_by_sentence(side, spans) for side in sides)
    if not any(true):
        raise InputError(
            f"{sentences or reference}: none of its sentences holds a sign of {reference}: are they of one video?"
        )
    scores = seasign.evaluate_glosses(true, found, meant, lemmatize=lemmatize)
    cells = [[paint(of, it, lemmatize=lemmatize) for of, it in zip(side, spans, strict=True)] for side in (true, found)]
    frames = evaluate_frames(cells[0], cells[1], meant)
    scored = [(own, others) for own, others in zip(true, found, strict=True) if own]
    outside = [len(side) - sum(len(pair[n]) for pair in scored) for n, side in enumerate(sides)]
    table = scores.as_json() | {"frame_accuracy": frames.accuracy if frames.annotated else None}
    if as_json:
        click.echo(json.dumps(table | {"not_scored": outside[1], "not_scored_reference": outside[0]}))
        return
    within = f"{scores.sentences} sentence{'s' * (scores.sentences != 1)}"
    click.echo(f"signs            {scores.signs} in {within}, words by {scores.lemmatizer}")
    if tiers:
        click.echo(f"tiers            {' and '.join(tiers)}")
    for path, side, count in zip((reference, estimate), sides, outside, strict=True):
        if count:
            click.echo(f"not scored       {count} of {len(side)} signs of {path.name}: in no sentence that is scored")
    for name, value in table.items():
        if name not in ("sentences", "signs", "lemmatizer"):
            click.echo(f"{NAMES.get(name, name.replace('_', ' ')):16} {'-' if value is None else f'{value:.1f} %'}")


NAMES = {"wer": "WER", "bag_iou": "bag IoU", "temporal_iou": "temporal IoU"} | {
    f"f1@{overlap:.2f}": f"F1@{overlap:.2f}" for overlap in OVERLAPS
}


def _by_sentence(signs: Sequence[Sign], sentences: Sequence[Span]) -> list[list[Sign]]:
    """The signs whose middle each sentence holds; of sentences that overlap, the first has it."""
    cut: list[list[Sign]] = [[] for _ in sentences]
    for sign in signs:
        holding = (number for number, one in enumerate(sentences) if one.start <= sign.middle < one.end)
        if (number := next(holding, None)) is not None:
            cut[number].append(sign)
    return cut


@contextmanager
def _choosing(option: str) -> Iterator[None]:
    """Where a tier is missing, the option that chooses it is named."""
    try:
        yield
    except TierError as error:
        raise InputError(f"{error}, by {option}") from error


def _exported(network: Network, folder: Path) -> OnnxCslr2:
    """The network as it lies in a folder; it is put there if it is not."""
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.absolute().parent) as room:
            export(network, Path(room) / "new", int8=True)  # type: ignore[arg-type]  # of torch, as every checkpoint
            (Path(room) / "new").rename(folder)
    found = OnnxCslr2(folder)
    if not found.is_of(network):
        raise InputError(f"{folder}: holds another network than the model; choose another folder, or remove it")
    return found


def _vectors(recognizer: Cslr2Embedder, known: tuple[str, ...], cache: Path | None) -> Embeddings | None:
    """What the text encoder makes of the words, kept for the next time where that is slow."""
    encoder = recognizer.encoder
    if encoder is None or isinstance(encoder, Letters):
        return None
    key = jobs.fingerprint("words", encoder.space, known)
    return jobs.cached(cache or disk.cache("embeddings"), key, encoder.space, lambda: encoder.text(known))
