"""The embeddings: `embed-signs`, `embed-text`, and the embedder that `align` may take."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import seasign
from seasign import checkpoints
from seasign.cli import jobs
from seasign.cli.options import EXISTING, JSON, OUTPUT, QUIET, naming
from seasign.embedding import Joined, join, landmarks_of
from seasign.formats import EMBEDDINGS, POSES, TIERS, disk
from seasign.formats.timed_text import plain
from seasign.models.cslr2_embedder import Cslr2Embedder
from seasign.models.dictionary import Dictionary
from seasign.models.gloss_text import GlossText
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.models.sentence_text import SentenceText
from seasign.models.signclip_embedder import SignClipEmbedder, check_tags
from seasign.segmentation import in_poses
from seasign.types import Cue, Embeddings, InputError, Poses, Sign

SLOW = (SignClipEmbedder, Cslr2Embedder, SentenceText)  # whose embeddings are worth keeping


class Tags(click.ParamType):  # type: ignore[type-arg]  # takes one from click 8.4 on, for the type checker alone
    """A written and a signed language: `en,bfi`."""

    name = "WRITTEN,SIGNED"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Both, by the names that models know."""
        if isinstance(value, tuple):
            return value
        try:
            return check_tags(*value.split(","))
        except (TypeError, InputError):
            self.fail(f"{value!r} is not a written and a signed language, such as en,bfi", param, ctx)


TAGS = click.option("--tags", type=Tags(), help="SignCLIP: the written and the signed language, such as en,bfi.")
NAME = "gloss-text|pose-descriptor|dictionary:FOLDER|sentence-text:FOLDER|cslr2:FOLDER|FOLDER"
WHAT = (
    "What says which signs mean what: their glosses, by letters; where hands are, without words; a folder of clips of "
    "signs, named by their words; their glosses, by a sentence encoder; or the folder of a checkpoint: SignCLIP, CSLR2."
)
EMBEDDER = click.option("--embedder", required=True, metavar=NAME, help=WHAT)
CACHE = click.option(
    "--cache", type=EXISTING, metavar="FOLDER",
    help="Where slow embeddings are cached. [default: SEASIGN_CACHE, or ~/.cache/seasign]",
)  # fmt: skip


@click.command("embed-signs")
@click.argument("poses", type=EXISTING)
@click.option("--signs", required=True, type=EXISTING, help="The signs: .eaf, .csv or .json.")
@click.option("--sign-tier", default="SIGN", show_default=True, help="Where the signs are, in an ELAN file.")
@EMBEDDER
@OUTPUT
@QUIET
@JSON
def embed_signs(
    poses: Path, signs: Path, sign_tier: str, embedder: str, output: Path, quiet: bool, as_json: bool
) -> None:
    """Put signs of POSES into the space of an embedder.

    POSES is a .pose or .npz. The output, an .npz, holds a vector per sign, the name of their space, and the times and
    glosses of the signs.
    """
    if poses.suffix.lower() not in POSES:
        raise InputError(f"{poses}: is no file of poses (*{' *'.join(POSES)}); for a video: seasign estimate-poses")
    jobs.check_outputs({"embeddings": (output, EMBEDDINGS)}, [poses, signs])
    chosen = choose_embedder(embedder, None)
    given = seasign.read_signs(signs, sign_tier)
    looked_at = landmarks_of(chosen)
    seen = jobs.read_body(poses, looked_at) if looked_at else None
    with naming(poses):
        embeddings = seasign.embed_signs(seen, in_poses(given, seen) if seen else given, chosen)
    _write(output, embeddings, given, "signs", quiet, as_json)


@click.command("embed-text")
@click.argument("subtitles", type=EXISTING)
@click.option("--subtitle-tier", help="Where the subtitles are, in an ELAN file. [default: SUBTITLE]")
@EMBEDDER
@TAGS
@OUTPUT
@QUIET
@JSON
def embed_text(
    subtitles: Path,
    subtitle_tier: str | None,
    embedder: str,
    tags: tuple[str, str] | None,
    output: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Put the texts of SUBTITLES into the space of an embedder.

    The output, an .npz, holds a vector per cue, the name of their space, and the cues without their markup.
    """
    jobs.check_outputs({"embeddings": (output, EMBEDDINGS)}, [subtitles])
    chosen = choose_embedder(embedder, tags)
    tier = subtitle_tier or ("SUBTITLE" if subtitles.suffix.lower() in TIERS else None)
    cues = without_markup(seasign.read_cues(subtitles, tier).cues)
    with naming(subtitles):
        embeddings = seasign.embed_text([cue.text for cue in cues], chosen)
    _write(output, embeddings, cues, "cues", quiet, as_json)


def _write(
    output: Path, embeddings: Embeddings, of: Sequence[Cue] | Sequence[Sign], kind: str, quiet: bool, as_json: bool
) -> None:
    """Write them, and say so."""
    seasign.write(output, embeddings, of=of)
    rows, columns = embeddings.vectors.shape
    if as_json:
        click.echo(json.dumps({kind: rows, "dimensions": columns, "space": embeddings.space, "output": str(output)}))
    elif not quiet:
        click.echo(f"embedded  {rows} {kind}, {columns} numbers each\nspace     {embeddings.space}\nwrote     {output}")


def choose_embedder(name: str, tags: tuple[str, str] | None) -> seasign.Embedder:
    """The embedder of that name, or in that folder."""
    kind, _, folder = name.partition(":")
    found: seasign.Embedder
    if name == "gloss-text":
        found = GlossText()
    elif name == "pose-descriptor":
        found = PoseDescriptor()
    elif kind == "dictionary":
        found = Dictionary.read(Path(folder))
    elif kind == "sentence-text":
        found = SentenceText.read(Path(folder))
    elif kind == "cslr2":
        found = checkpoints.load_embedder(Path(folder))
        if not isinstance(found, Cslr2Embedder):
            raise InputError(f"{folder}: is no CSLR2; give its folder alone")
    elif name not in checkpoints.PUBLISHED and not Path(name).exists():
        known = ", ".join(NAME.split("|")[:-1])
        raise InputError(f"{name}: no such embedder; give {known}, the FOLDER of a checkpoint, or its published name")
    else:
        found = checkpoints.load_embedder(name)
    if tags is None:
        return found
    if not isinstance(found, SignClipEmbedder):
        raise click.UsageError(f"--tags go with SignCLIP, and {name} knows none")
    return _tagged(found, tags)


def by_space(where: object, space: str) -> seasign.Embedder:
    """The embedder that a space names, if it needs neither weights nor a folder."""
    for known in GlossText(), PoseDescriptor():
        if known.space == space:
            return known
    raise InputError(f"{where}: is of the space {space!r}: say with --embedder where its embedder is")


def choose_embedders(names: Sequence[str], tags: tuple[str, str] | None) -> seasign.Embedder | None:
    """The embedder of that name, or several as one; None: there are none."""
    if len(names) < 2:
        return choose_embedder(names[0], tags) if names else None
    found = [choose_embedder(name, None) for name in names]
    if tags and not any(isinstance(one, SignClipEmbedder) for one in found):
        raise click.UsageError(f"--tags go with SignCLIP, and {', '.join(names)} know none")
    return Joined(tuple(_tagged(one, tags) if tags and isinstance(one, SignClipEmbedder) else one for one in found))


def _tagged(embedder: SignClipEmbedder, tags: tuple[str, str]) -> SignClipEmbedder:
    """It, for these languages."""
    return replace(embedder, inputs=replace(embedder.inputs, tags=tags))


def without_markup(cues: Sequence[Cue]) -> tuple[Cue, ...]:
    """Cues whose texts are words alone."""
    return tuple(replace(cue, text=plain(cue.text)) for cue in cues)


def embed_both(
    cues: Sequence[Cue], signs: Sequence[Sign], poses: Poses | None, embedder: seasign.Embedder, cache: Path | None
) -> tuple[Embeddings, Embeddings]:
    """The texts and the signs in one space; those of slow embedders are kept in `cache`.

    Args:
        signs: In the time of the video.
    """
    if isinstance(embedder, Joined):
        each = [embed_both(cues, signs, poses, one, cache) for one in embedder.embedders]
        return join([text for text, _ in each]), join([clips for _, clips in each])
    texts = [cue.text for cue in without_markup(cues)]
    own = in_poses(signs, poses) if poses else signs

    def text() -> Embeddings:
        return seasign.embed_text(texts, embedder)

    def clips() -> Embeddings:
        return seasign.embed_signs(poses, own, embedder)

    if not isinstance(embedder, SLOW):
        return text(), clips()
    folder = cache or disk.cache("embeddings")
    said = jobs.fingerprint("text", embedder.space, getattr(embedder, "inputs", None), texts)
    seen = () if poses is None else (poses.landmarks, poses.fps, poses.xyz)
    signed = jobs.fingerprint("signs", embedder.space, [(one.start, one.end, one.gloss) for one in own], *seen)
    return jobs.cached(folder, said, embedder.space, text), jobs.cached(folder, signed, embedder.space, clips)
