"""`align`: the whole job."""

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, get_args

import click
import numpy as np

import seasign
from seasign.cli import jobs
from seasign.cli.embed import CACHE, NAME, TAGS, WHAT, choose_embedders, embed_both
from seasign.cli.options import (
    COST,
    ESTIMATION,
    EXISTING,
    JSON,
    NAN,
    PRESET,
    QUIET,
    SEGMENTATION,
    Finite,
    Lag,
    Number,
    Pair,
    naming,
    options,
    preset_files,
)
from seasign.cli.signing import check_estimation, choose_segmenter, is_video, poses_in, signs_in
from seasign.confidence import CALIBRATION
from seasign.embedding import landmarks_of
from seasign.formats import EMBEDDINGS, POSES, SUBTITLES, TABLES, TIERS, VIDEOS
from seasign.formats.disk import write_text
from seasign.formats.timed_text import format_stamp, plain, prefixed, whole_milliseconds, without
from seasign.lag import CLEAR
from seasign.legality import NOT_SIGNED, Policy
from seasign.types import Alignment, Costs, Cue, Embeddings, InputError, InputWarning, Normalization, Sign, plain_values

FAR = 10.0  # seconds outside of the signing at which no lag explains a cue


@click.command()
@click.argument("source", metavar="INPUT", type=EXISTING)
@click.argument("subtitles", type=EXISTING)
@click.option("-o", "--output", type=EXISTING, help="The output; its suffix sets the format.")
@click.option("--in-place", is_flag=True, help="Replace SUBTITLES, and keep the old file as SUBTITLES.bak, .bak1, ...")
@click.option("--signs", type=EXISTING, help="Read the signs from this file, and INPUT only for --embedder.")
@click.option("--merge", "extra", type=EXISTING, help="More signs: each replaces the signs that it agrees with.")
@click.option("--sign-tier", default="SIGN", show_default=True, help="Where the signs are, in an ELAN file.")
@click.option("--subtitle-tier", help="Where the subtitles are, in an ELAN file. [default: SUBTITLE]")
@options(SEGMENTATION)
@click.option("--similarity", type=EXISTING, help="A .npy of cues x signs, higher is better.")
@click.option("--cue-embeddings", type=EXISTING,
              help="What embed-text wrote, or a .npy of cues x dimensions; needs --sign-embeddings.")  # fmt: skip
@click.option("--sign-embeddings", type=EXISTING,
              help="What embed-signs wrote, or a .npy of signs x dimensions, from the same model.")  # fmt: skip
@click.option("--embedder", multiple=True, metavar=NAME, help=f"{WHAT} Given more than once: the mean of them.")
@TAGS
@CACHE
@click.option("--normalize", type=click.Choice(["softmax", "z-score", "sinkhorn", "columns", "softmax+columns"]),
              help="How similarities become rewards, as published. [default: by their evidence]")  # fmt: skip
@click.option(
    "--threshold", type=Finite(), help="Rewards up to this count as none; goes with --normalize. [default: 0]"
)
@PRESET
@click.option("--lag", type=Lag(), help="Seconds by which the signing comes after the subtitles. [default: auto]")
@click.option("--padding", type=Pair(), help="Seconds added to starts and ends last of all, such as 0,1. [default: 0]")
@click.option("--w-dur", type=COST, help=f"Cost per second of difference in length. [default: {Costs.w_dur:g}]")
@click.option("--w-gap", type=COST, help=f"Cost per second without a sign inside a cue. [default: {Costs.w_gap:g}]")
@click.option("--w-sim", type=COST, help=f"Reward of similarity. [default: {Costs.w_sim:g}]")
@click.option("--max-gap", type=COST, help=f"Longest pause inside a cue, in seconds. [default: {Costs.max_gap:g}]")
@click.option(
    "--window", type=click.IntRange(0), help=f"Signs near a cue on which it may end; 0: all. [default: {Costs.window}]"
)
@click.option("--drop", type=COST, help=f"Price of a cue that gets no sign. [default: {Costs.drop:g}]")
@click.option("--skip", type=COST, help=f"Price per second of signs left between two cues. [default: {Costs.skip:g}]")
@click.option("--hole", type=COST, help=f"Price of a hole; a second in it costs a sixth. [default: {Costs.hole:g}]")
@click.option("--temperature", type=COST, help=f"0: take the best runs alone. [default: {Costs.temperature:g}]")
@click.option("--compat", type=click.Choice(["sea"]), help="The published arithmetic, slips included.")
@click.option("--touching", type=COST, help="Seconds: cues delivered at most so far apart meet, such as 0.25.")
@click.option("--pins", type=EXISTING, help="Times to keep: a CSV of cue,start,end, or an .eaf with the tier PINNED.")
@click.option("--dropped", type=click.Choice(get_args(Policy)), default="shift", show_default=True,
              help="Cues without signs: keep their times, shift them by the lag, mark or remove them.")  # fmt: skip
@click.option(
    "--max-speed",
    type=Number(min=0, min_open=True),
    help="Characters per second: a faster cue stays up longer where there is room.",
)
@click.option("--report", type=EXISTING, help="Also write a report, as .json or as a page, .html.")
@click.option("--force", is_flag=True, help="Write the output even if the verdict is `do not use`.")
@click.option("--skip-broken", is_flag=True, help="Skip unreadable cues instead of refusing the file.")
@click.option("--timeline", type=EXISTING, help="Also draw signs and cues, before and after, as .svg.")
@options(ESTIMATION)
@click.option("--poses", type=EXISTING, help="Keep the poses of a video in this .pose, and use them if it exists.")
@QUIET
@JSON
@click.pass_obj
def align(
    warned: list[str], /, source: Path, subtitles: Path, output: Path | None, quiet: bool, as_json: bool, **given: Any
) -> None:
    """Move each cue of SUBTITLES onto the signing in INPUT.

    INPUT is a video, poses (.pose, .npz) or signs (.eaf, .csv, .json).
    """
    if (output is None) != given["in_place"]:
        raise click.UsageError("give either -o OUTPUT or --in-place")
    output = output or subtitles
    normalization = _normalization(given["normalize"], given["threshold"])
    _check_files(source, subtitles, output, given)
    tier = given["subtitle_tier"] or ("SUBTITLE" if subtitles.suffix.lower() in TIERS else None)
    delivered = seasign.read_cues(subtitles, tier, skip_broken=given["skip_broken"])
    others = seasign.read_signs(given["extra"], given["sign_tier"]) if given["extra"] else None
    similarity, space, embedded = _similarity(given, delivered.cues)
    embedder = choose_embedders(given["embedder"], given["tags"])
    seen = landmarks_of(embedder)
    ready = given["signs"] or source.suffix.lower() in TIERS | TABLES
    chosen = None if ready else choose_segmenter(given, "alignment")
    if similarity is not None and len(similarity) != len(delivered.cues):
        raise InputError(
            f"the similarity has {len(similarity)} rows, but there are {len(delivered.cues)} cues: "
            "compute it from the same files"
        )
    pins = seasign.pins(given["pins"], delivered.cues) if given["pins"] else {}
    preset = _settings(given)
    costs, lag, padding = preset.costs, preset.lag, preset.padding
    with ExitStack() as done:
        poses = None
        if source.suffix.lower() not in TIERS | TABLES and (seen or chosen):
            poses = poses_in(source, given, output, quiet or as_json, done, seen)
        signs, signs_from = signs_in(given["signs"] or source, poses, chosen, given, quiet or as_json)
        if others is not None:
            signs, signs_from = seasign.merge(signs, others), None
        _check_same(embedded, signs)
        if embedder is not None and signs and delivered.cues:
            with naming(source, subtitles):
                text, clips = embed_both(delivered.cues, signs, poses, embedder, given["cache"])
            similarity, space = seasign.compare(text, clips), clips.space
            if not (quiet or as_json):
                click.echo(f"compared  {len(text.vectors)} texts with {len(clips.vectors)} signs, by {space}")
        del poses
        _compare_clocks(subtitles, delivered.cues, signs, 0.0 if lag == "auto" else lag[0])
        with naming(source, subtitles):
            alignment = seasign.align(
                signs,
                delivered.cues,
                similarity=similarity,
                costs=costs,
                normalization=normalization,
                lag=lag,
                padding=padding if costs.compat else (0.0, 0.0),
                touching=given["touching"],
                pins=pins,
                calibration=preset.calibration or CALIBRATION,
            )
        dropped = frozenset(i for i, run in enumerate(alignment.runs) if signs and not run and i not in pins)
        final, legality = legal(delivered.cues, alignment, dropped, padding, costs, given)
        verdict = seasign.give_verdict(alignment)
        whole = len(final) == len(alignment.cues)
        summary = seasign.summarize(delivered.cues, replace(alignment, cues=final) if whole else alignment, signs)
        refused = verdict.verdict == "do not use" and not given["force"]
        if not refused:
            if given["in_place"]:
                jobs.back_up(subtitles)
            kept = _in_document(delivered, final, dropped, given["dropped"], output)
            _write_alignment(output, delivered, kept, signs, costs, (source, signs_from, subtitles))
        if given["timeline"] and not refused:
            lanes = {"signs": signs, "delivered": delivered.cues, "aligned": final}
            write_text(given["timeline"], seasign.draw_timeline(lanes))
        report = {
            "schema": seasign.SCHEMA,
            "seasign": seasign.__version__,
            "inputs": {"input": str(source), "subtitles": str(subtitles), "output": None if refused else str(output)},
            "settings": asdict(costs)
            | {"lag": lag, "padding": padding, "dropped": given["dropped"], "touching": given["touching"]}
            | ({"embeddings": space} if space else {}),
            "warnings": warned,
        } | seasign.build_report(
            delivered.cues,
            alignment,
            final,
            signs,
            verdict=verdict,
            summary=summary,
            texts=[plain(cue.text) for cue in delivered.cues],
            speeds=legality.speeds if legality else [NAN] * len(final),
        )
        if given["report"]:
            page = given["report"].suffix.lower() == ".html"
            write_text(given["report"], (seasign.render_report if page else seasign.dump_report)(report))
    if as_json:
        found = {"cost": alignment.cost, "verdict": report["verdict"], "lag_estimate": report["lag"]}
        found |= {"output": None if refused else str(output), "warnings": warned}
        click.echo(json.dumps(plain_values(summary.as_json() | found)))
    elif not quiet:
        _print_summary(summary, alignment, lag, verdict)
        written = [
            path for path in (None if refused else output, not refused and given["timeline"], given["report"]) if path
        ]
        click.echo(f"wrote     {', '.join(map(str, written)) or 'nothing'}", nl=False)
        click.echo("; --force writes the subtitles all the same" * refused, nl=False)
        click.echo(f"; {len(warned)} warning{'s' * (len(warned) != 1)}, above" if warned else "")
    if refused:
        click.echo(f"error: {output}: not written: {verdict.reason}", err=True)
        raise click.exceptions.Exit(3)


def _compare_clocks(subtitles: Path, cues: Sequence[Cue], signs: Sequence[Sign], lag: float) -> None:
    """Warn of cues that all come before or after all signs, such as those whose time code begins at 10:00:00."""
    if not cues or not signs:
        return
    first, last = min(cue.start for cue in cues), max(cue.end for cue in cues)
    begin, end = min(sign.start for sign in signs), max(sign.end for sign in signs)
    if begin - FAR < last + lag and first + lag < end + FAR:
        return
    times = [format_stamp(whole_milliseconds(max(time, 0.0))) for time in (first, last, begin, end)]
    found = f"all cues ({times[0]} to {times[1]}) are outside of the signing ({times[2]} to {times[3]})"
    remedy = f"if their clock is another one, --lag {round(begin - first)} or so brings them there"
    warnings.warn(f"{subtitles}: {found}: {remedy}", InputWarning, stacklevel=2)


def legal(
    delivered: Sequence[Cue],
    alignment: Alignment,
    dropped: frozenset[int],
    padding: tuple[float, float],
    costs: Costs,
    given: Mapping[str, Any],
) -> tuple[tuple[Cue, ...], seasign.Legality | None]:
    """The aligned cues as legal subtitles, those without signs where they are wanted, and none lost."""
    if costs.compat or alignment.shifts is None:  # there are no cues, or no signs
        return alignment.cues, None
    lag = np.array(alignment.shifts)
    placed = seasign.place_dropped(delivered, alignment.cues, dropped, given["dropped"], lag)
    left = [i for i in range(len(delivered)) if given["dropped"] != "remove" or i not in dropped]
    guessed, pinned = ([k for k, i in enumerate(left) if i in some] for some in (dropped, alignment.pins))
    final, legality = seasign.legalize(
        placed, padding=padding, max_speed=given["max_speed"], dropped=guessed, pinned=pinned, plain=plain
    )
    seasign.check_nothing_lost(delivered, final, dropped, given["dropped"])
    return final, legality


def _check_files(source: Path, subtitles: Path, output: Path, given: Mapping[str, Any]) -> None:
    """Refuse before any work what cannot be written, or would take the place of what is read."""
    if source.suffix.lower() in SUBTITLES or subtitles.suffix.lower() in (*VIDEOS, *POSES):
        raise InputError(f"{source} {subtitles}: INPUT (a video, poses or signs) comes first, then SUBTITLES")
    check_estimation(source, given)
    inputs = [
        source,
        *(given[name] for name in ("signs", "extra", "similarity", "cue_embeddings", "sign_embeddings", "pins")),
    ]
    if given["in_place"]:
        inputs = [path for path in inputs if path and not jobs.same_file(path, subtitles)]
    elif jobs.same_file(output, subtitles):
        raise InputError(f"{output}: is an input too; choose another output, or --in-place to replace the subtitles")
    outputs: dict[str, tuple[Path, Collection[str]]] = {"subtitles": (output, SUBTITLES | TIERS | TABLES)}
    if given["timeline"]:
        outputs["the timeline"] = (given["timeline"], [".svg"])
    if given["report"]:
        outputs["the report"] = (given["report"], [".json", ".html"])
    looked_at = not given["signs"] or (given["embedder"] and given["poses"])
    if looked_at and is_video(source, "video, poses or signs", POSES | TIERS | TABLES) and given["poses"]:
        if given["poses"].exists():
            inputs.append(given["poses"])
        else:
            outputs["the poses"] = (given["poses"], POSES)
    jobs.check_outputs(outputs, [path for path in (*inputs, *preset_files()) if path])


def _settings(given: Mapping[str, Any]) -> seasign.Preset:
    """The preset or the default, with what was given in its place."""
    preset: seasign.Preset = given["preset"]
    names = ("w_dur", "w_gap", "w_sim", "max_gap", "drop", "skip", "hole", "temperature")
    costs = {name: given[name] for name in names if given[name] is not None}
    if given["window"] is not None:
        costs["window"] = given["window"] or None
    lag = preset.lag if given["lag"] is None else given["lag"]
    padding = preset.padding if given["padding"] is None else given["padding"]
    costs["compat"] = given["compat"] or preset.costs.compat
    return replace(preset, costs=replace(preset.costs, **costs), lag=lag, padding=padding)


def _normalization(name: str | None, threshold: float | None) -> Normalization:
    """`softmax+columns`: first over columns, then over rows; `columns`: over columns alone."""
    if name is None:
        if threshold is not None:
            raise click.UsageError("--threshold goes with --normalize: evidence has none")
        return Normalization()
    rows, _, columns = name.partition("+")
    return Normalization(None if rows == "columns" else rows, bool(columns) or rows == "columns", threshold or 0.0)  # type: ignore[arg-type]


def _similarity(
    given: Mapping[str, Any], cues: Sequence[Cue]
) -> tuple[np.ndarray | None, str | None, Sequence[Sign | Cue]]:
    """The matrix, or the one that two files of embeddings make; then also their space, and the signs they are of."""
    matrix, text, signs = (given[name] for name in ("similarity", "cue_embeddings", "sign_embeddings"))
    ways = [matrix is not None, text is not None, bool(given["embedder"])]
    if (text is None) != (signs is None) or sum(ways) > 1:
        raise click.UsageError("give --embedder, or --similarity, or both --cue-embeddings and --sign-embeddings")
    if not given["embedder"] and (given["tags"] or given["cache"]):
        raise click.UsageError("--tags and --cache go with --embedder")
    if not text:
        return array(matrix) if matrix else None, None, ()
    (said, texts), (shown, embedded) = _embeddings(text), _embeddings(signs)
    for kind, path, items in (Cue, text, texts), (Sign, signs, embedded):
        if any(not isinstance(one, kind) for one in items):
            raise InputError(f"{path}: holds {'signs' if kind is Cue else 'texts'}: these are the other embeddings")
    for number, (before, now) in enumerate(zip(texts, cues, strict=False), 1):
        if isinstance(before, Cue) and before.text != plain(now.text):
            raise InputError(
                f"{text}: cue {number} was {before.text!r:.40}, and is now {now.text!r:.40}: embed these cues"
            )
    return seasign.compare(said, shown), said.space, embedded


def _check_same(embedded: Sequence[Sign | Cue], signs: Sequence[Sign]) -> None:
    """Refuse embeddings of signs that are elsewhere."""
    for number, (before, now) in enumerate(zip(embedded, signs, strict=False), 1):
        if abs(before.start - now.start) > 0.001 or abs(before.end - now.end) > 0.001:
            raise InputError(
                f"sign {number} was embedded at {before.start:.3f} to {before.end:.3f} s, and is now at "
                f"{now.start:.3f} to {now.end:.3f} s: embed these signs"
            )


def _embeddings(path: Path) -> tuple[Embeddings, Sequence[Sign | Cue]]:
    """Embeddings, and of what they are, if their file says."""
    if path.suffix.lower() in EMBEDDINGS:
        return seasign.read_embeddings(path)
    return Embeddings(array(path), "given"), ()


def array(path: Path) -> np.ndarray:
    """A matrix of numbers from a .npy."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not an array of numbers in a .npy file ({error})") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected a matrix of numbers in a .npy file")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: holds numbers that are not finite; compute them again")
    return array.astype(np.float32) if array.dtype.kind in "iu" else array


def _in_document(
    delivered: seasign.Subtitles, cues: tuple[Cue, ...], dropped: Collection[int], policy: str, output: Path
) -> seasign.Subtitles:
    """The cues in the document that they were delivered in, changed as little as `policy` asks for.

    A TTML document stays as it is or goes: what is marked or left out there makes a new file, with a warning.
    """
    document = delivered.document
    changed = [i for i in sorted(dropped) if policy in ("mark", "remove")]
    if document is None or not changed:
        return replace(delivered, cues=cues)
    if document.suffix == ".ttml":
        if SUBTITLES.get(output.suffix.lower()) == "ttml":
            what = f"{len(changed)} cues are {'marked' if policy == 'mark' else 'left out'}"
            warnings.warn(f"{output}: {what}: written anew, without head and styles", InputWarning, stacklevel=2)
        return seasign.Subtitles(cues)
    if policy == "remove":
        return seasign.Subtitles(cues, without(document, delivered.cues, changed))
    fresh = [i for i in changed if cues[i].text != delivered.cues[i].text]  # the others have their mark already
    return seasign.Subtitles(cues, prefixed(document, delivered.cues, fresh, NOT_SIGNED))


def _write_alignment(
    output: Path,
    delivered: seasign.Subtitles,
    kept: seasign.Subtitles,
    signs: Sequence[Sign],
    costs: Costs,
    sources: tuple[Path, Path | None, Path],
) -> None:
    """Write the moved cues; into an ELAN file, the signs and the cues as delivered too.

    Args:
        kept: The moved cues, in their document.
        sources: INPUT, the file that holds just these signs, and the subtitles.
    """
    if output.suffix.lower() not in TIERS:
        seasign.write(output, kept)
        return
    aligned = kept.cues
    if costs.compat:  # the published ELAN files cut times to the millisecond below
        aligned = tuple(
            replace(cue, start=int(cue.start * 1000) / 1000, end=int(cue.end * 1000) / 1000) for cue in aligned
        )
    source, signs_from, subtitles = sources
    before = (output,) if jobs.same_file(output, subtitles) else (source, subtitles, output)
    like = next((path for path in before if path.suffix.lower() in TIERS and path.exists()), None)
    tiers = jobs.lay_tiers(
        delivered.cues, aligned, signs, like=like, output=output, cues_from=subtitles, signs_from=signs_from
    )
    if "SUBTITLE_ALIGNED" not in tiers:
        stays = f"{like}: its own tier SUBTITLE_ALIGNED stays; the cues moved are on {list(tiers)[-1]} of {output}"
        warnings.warn(stays, InputWarning, stacklevel=2)
    seasign.write(output, tiers, like=like, media=[source] if source.suffix.lower() in VIDEOS else [])


def _print_summary(
    summary: seasign.Summary,
    alignment: Alignment,
    lag: tuple[float, float] | Literal["auto"],
    verdict: seasign.Verdict,
) -> None:
    """What was done, beside what a constant shift would have done, and what to do with it."""
    click.echo(f"moved     {summary.moved} of {summary.cues} cues onto {summary.signs} signs", nl=False)
    click.echo(
        f"; {summary.unmatched} {'has' if summary.unmatched == 1 else 'have'} no signs" * bool(summary.unmatched)
    )
    if not summary.cues:
        return
    click.echo(f"by        {summary.half:.2f} s in the median, {summary.most:.2f} s at most for 90 %")
    if alignment.lag is not None:
        click.echo(f"lag       {alignment.lag}, {'estimated' if alignment.lag.clarity >= CLEAR else 'a guess'}")
    elif lag != "auto":
        click.echo(f"lag       {lag[0]:+z.2f} s at the starts, {lag[1]:+z.2f} s at the ends, given")
    click.echo("")
    click.echo("                 overlaps   time on signing   starts on a sign")
    stages = {"as delivered": summary.delivered, "lag only": summary.lag_only, "lag and joined": summary.joined}
    for name, state in (stages | {"aligned": summary.aligned}).items():
        shares = f"{100 * state.on_signing:15.1f} % {100 * state.starts_on_sign:16.1f} %"
        click.echo(f"{name:14}{state.overlaps:11d} {shares}")
    click.echo(f"\nverdict   {verdict}")
