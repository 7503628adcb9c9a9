"""The signer: `estimate-poses`, `segment`, and the signs that `align` starts from."""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

import seasign
from seasign import checkpoints
from seasign.cli import jobs
from seasign.cli.options import (
    DECODERS,
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
)
from seasign.decoding import Decoder
from seasign.formats import POSES, TABLES, TIERS, VIDEOS
from seasign.segmentation import Gate, Purpose, choose_decoder, find_phrases, find_signs, in_video
from seasign.types import InputError, Poses, Sign, Span, plain_values


@click.command("estimate-poses")
@click.argument("video", type=EXISTING)
@OUTPUT
@options(ESTIMATION)
@click.option("--start", type=Number(min=0), default=0.0, help="Seconds; the poses begin there.")
@click.option("--end", type=Number(min=0, min_open=True), help="Seconds; the poses end there.")
@QUIET
@JSON
def estimate_poses(video: Path, output: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Find the landmarks of the signer in VIDEO.

    MediaPipe Holistic finds them. The same command resumes an interrupted run.
    """
    is_video(video, "video", ())
    jobs.check_outputs({"poses": (output, POSES)}, [video])
    with ExitStack() as done:
        poses = _estimated(video, given, output, quiet or as_json, done)
        seasign.write(output, poses)
        frames, landmarks, fps, provenance = len(poses.xyz), len(poses.landmarks), str(poses.fps), poses.provenance
        del poses  # its arrays are files of the folder that goes now
    if as_json:
        found = {"frames": frames, "fps": fps, "landmarks": landmarks, "provenance": provenance, "output": str(output)}
        click.echo(json.dumps(found))
    elif not quiet:
        click.echo(f"wrote     {output}: {frames} frames of {landmarks} landmarks at {fps} fps")


@click.command()
@click.argument("poses", type=EXISTING)
@OUTPUT
@options(SEGMENTATION)
@click.option("--one-per-bout", is_flag=True, help="Do not cut bouts of signing: for isolated signs.")
@options(ESTIMATION)
@QUIET
@JSON
def segment(poses: Path, output: Path, one_per_bout: bool, quiet: bool, as_json: bool, **given: Any) -> None:
    """Find the signs in POSES.

    POSES is a video or a file of poses (.pose, .npz). The signs go to the tier SIGN of an .eaf and their bouts to
    PHRASE, or the signs alone to a .csv or .json.
    """
    segmenter = given["segmenter"]
    if one_per_bout and segmenter != "training-free":
        raise click.UsageError("--one-per-bout goes with the training-free segmenter")
    filmed = is_video(poses, "video or poses", POSES)
    check_estimation(poses, given)
    jobs.check_outputs({"signs": (output, TIERS | TABLES)}, [poses])
    chosen = choose_segmenter(given, "annotation", one_per_bout=one_per_bout)
    with ExitStack() as done:
        seen = poses_in(poses, given, output, quiet or as_json, done)
        with naming(poses):
            signs, phrases, gate = segmented(seen, *chosen)
        del seen
        if output.suffix.lower() in TIERS:
            like = output if output.exists() else None
            tiers = jobs.beside({"SIGN": signs, "PHRASE": phrases}, like)
            seasign.write(output, tiers, like=like, media=[poses] if filmed else [])
        else:
            seasign.write(output, signs)
    if as_json:
        click.echo(json.dumps(plain_values(asdict(gate)) | {"segmenter": segmenter, "output": str(output)}))
    elif not quiet:
        click.echo(f"signs     {gate}\nby        {segmenter} segmenter\nwrote     {output}")


def signs_in(
    source: Path,
    poses: Poses | None,
    chosen: tuple[seasign.Segmenter, Decoder] | None,
    given: Mapping[str, Any],
    quiet: bool,
) -> tuple[tuple[Sign, ...], Path | None]:
    """The signs in a file of signs, and that file; or those that the chosen segmenter finds in the poses."""
    if poses is None or chosen is None:
        return seasign.read_signs(source, given["sign_tier"]), source
    with naming(source):
        signs, _, gate = segmented(poses, *chosen)
    if not quiet:
        click.echo(f"signs     {gate}")
    return signs, None


def choose_segmenter(
    given: Mapping[str, Any], purpose: Purpose, *, one_per_bout: bool = False
) -> tuple[seasign.Segmenter, Decoder]:
    """The default, or a network by its published name or in a folder; and what reads its tags."""
    if given["decoder"] and given["thresholds"]:
        raise click.UsageError("give --decoder or --thresholds")
    segmenter: seasign.Segmenter = replace(seasign.TRAINING_FREE, one_per_bout=one_per_bout)
    if given["segmenter"] != "training-free":
        segmenter = checkpoints.load_segmenter(given["segmenter"])
    asked: Decoder | None = given["thresholds"] or DECODERS.get(given["decoder"])
    if asked is not None and isinstance(segmenter, seasign.TrainingFree):
        raise click.UsageError("--decoder and --thresholds go with a network: the default is sure of its tags")
    return segmenter, asked or choose_decoder(segmenter, purpose)


def segmented(
    poses: Poses, segmenter: seasign.Segmenter, decoder: Decoder
) -> tuple[tuple[Sign, ...], tuple[Span, ...], Gate]:
    """The signs and phrases in poses, in the time of the video, and the gate."""
    tags = segmenter.tag(poses)
    signs = find_signs(tags, decoder)
    phrases = find_phrases(tags, signs, choose_decoder(segmenter, "phrases"))
    return in_video(signs, poses), in_video(phrases, poses), seasign.gate(signs, poses)


def poses_in(
    source: Path,
    given: Mapping[str, Any],
    output: Path,
    quiet: bool,
    done: ExitStack,
    landmarks: Collection[str] = (),
) -> Poses:
    """The poses in a file, or those of a video: estimated now, unless they were kept.

    Args:
        landmarks: Those of the face that are needed, too.
    """
    if source.suffix.lower() in POSES:
        return jobs.read_body(source, landmarks)
    keep = given.get("poses")
    if keep and keep.exists():
        return jobs.read_kept(keep, source, crop=given["crop"], static=given["static"], wanted=landmarks)
    poses = _estimated(source, given, keep or output, quiet, done)
    if keep:
        seasign.write(keep, poses)
    return poses


def _estimated(video: Path, given: Mapping[str, Any], output: Path, quiet: bool, done: ExitStack) -> Poses:
    """Estimate poses with a progress bar. Until all is `done`, what there is stays beside `output` for another run."""
    names = ("start", "end", "crop", "static", "python")
    settings = {name: given[name] for name in names if name in given}
    scratch = done.enter_context(jobs.scratch(output))
    try:
        with progress_bar("estimating poses", "frames", quiet) as progress:
            return seasign.estimate_poses(video, **settings, scratch=scratch, progress=progress)
    except KeyboardInterrupt:
        kept = "every whole minute of video done so far is kept in it, and the same command goes on from there"
        if scratch.exists():
            click.echo(f"\nstopped   {scratch}: {kept}", err=True)
        raise


def is_video(path: Path, what: str, others: Iterable[str]) -> bool:
    """Whether a file is a video by its name; what is none of the `others` either is refused."""
    suffix = path.suffix.lower()
    if suffix not in VIDEOS and suffix not in others:
        raise InputError(f"{path}: is no {what}; expected *{' *'.join((*VIDEOS, *others))}")
    return suffix in VIDEOS


def check_estimation(source: Path, given: Mapping[str, Any]) -> None:
    """Refuse what says how poses are estimated where they are not."""
    asked = [f"--{name}" for name in ("crop", "static", "python", "poses") if given.get(name)]
    if asked and source.suffix.lower() not in VIDEOS:
        go = "goes" if len(asked) == 1 else "go"
        raise click.UsageError(f"{' and '.join(asked)} {go} with a video, whose poses are estimated; {source} is none")
