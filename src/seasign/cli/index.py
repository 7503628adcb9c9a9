"""`index`: the videos of a corpus, into what `search` looks through."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import seasign
from seasign import jobs
from seasign.cli.embed import NAME, WHAT, choose_embedder, landmarks_of, without_markup
from seasign.cli.options import ESTIMATION, EXISTING, JSON, QUIET, SEGMENTATION, options, progress_bar
from seasign.cli.signing import choose_segmenter, poses_in, segmented
from seasign.corpora.videos import Listed, read_folder, read_manifest
from seasign.formats import EMBEDDINGS, POSES, TIERS, VIDEOS
from seasign.formats.disk import sha256
from seasign.formats.npz import holds_embeddings
from seasign.indexing import File, VectorIndex, Video
from seasign.models.gloss_text import GlossText
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.types import Cue, Embeddings, InputError, Poses, Sign

SETTINGS = ("segmenter", "decoder", "thresholds", "sign_tier", "subtitle_tier")  # that windows depend on


@click.command()
@click.argument("corpus", type=EXISTING, required=False, metavar="[MANIFEST_OR_FOLDER]")
@click.option(
    "--out", "where", required=True, metavar="INDEX", help="A folder, or an address such as s3://bucket/signs."
)
@click.option("--embedder", metavar=NAME, help=f"{WHAT} [default: that of the index, where no weights are needed]")
@options(SEGMENTATION)
@click.option("--sign-tier", default="SIGN", show_default=True, help="Where the signs are, in ELAN files.")
@click.option("--subtitle-tier", help="Where the subtitles are, in ELAN files. [default: SUBTITLE_ALIGNED or SUBTITLE]")
@click.option("--delete", "gone", multiple=True, metavar="VIDEO", help="Forget this video, by its name in the index.")
@options(ESTIMATION)
@QUIET
@JSON
@click.pass_context
def index(
    context: click.Context,
    /,
    corpus: Path | None,
    where: str,
    embedder: str | None,
    gone: Sequence[str],
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Put the videos of MANIFEST_OR_FOLDER into an index that `search` looks through.

    A folder holds videos or poses, and beside each, under the same name, perhaps its signs, subtitles, or what
    `embed-signs` wrote; a manifest is a CSV of video,poses,embeddings,signs,subtitles,signer,date,gloss. One file will
    do too. Every sign and every sentence becomes a window. Given again, the command passes over videos that have not
    changed, and puts those that have in place of what they were.
    """
    if corpus is None and not gone:
        raise click.UsageError("give a MANIFEST_OR_FOLDER, or a VIDEO to --delete")
    listed = [one for one in _listed(corpus) if not _lies_in(one, where)] if corpus else []
    store = seasign.open_index(where, create=corpus is not None)
    for name in gone:
        if not store.delete(name):
            raise InputError(f"{where}: has no video {name!r}; it has {_some(store.videos())}")
    way = _Way(store, where, embedder, given, quiet or as_json)
    done: dict[str, int] = {}
    failed: dict[str, str] = {}
    unchanged: list[str] = []
    known = store.videos({one.name for one in listed})
    with progress_bar("indexing", "videos", quiet or as_json) as progress:
        for number, one in enumerate(listed):
            if progress:
                progress(number, len(listed))
            try:
                made = way.about(one, known.get(one.name))
                if made is None:
                    unchanged.append(one.name)
                    continue
                found = way.read(one, made)
            except (InputError, OSError) as error:
                named = isinstance(error, OSError) and f"{error.filename}: {error.strerror}"
                failed[one.name] = named or str(error)
                continue
            try:
                done[one.name] = seasign.index(made, *found[:2], store, **found[2])
            except InputError as error:
                failed[one.name] = f"{one.name}: {error}"
    store = seasign.settle(where)
    _tell(store, where, done, unchanged, gone, failed, quiet, as_json)
    if failed:
        context.exit(1)


def _listed(corpus: Path) -> tuple[Listed, ...]:
    """The videos of a folder, of a manifest, or the one that a file is."""
    suffix = corpus.suffix.lower()
    if corpus.is_dir():
        return read_folder(corpus)
    if suffix in EMBEDDINGS and holds_embeddings(corpus):
        return (Listed(corpus.name, embeddings=corpus),)
    if suffix in (*POSES, *VIDEOS, *TIERS):
        for one in read_folder(corpus.parent):
            if corpus in (one.poses, one.video, one.embeddings, one.signs):
                return (one,)
        raise InputError(f"{corpus}: another file of its name goes before it; index that, or list it in a manifest")
    if suffix == ".csv":
        return read_manifest(corpus)
    raise InputError(f"{corpus}: is no folder and no manifest (.csv); nor a video, poses or embeddings")


def _lies_in(one: Listed, where: str) -> bool:
    """Whether it is one of the files that an index keeps for itself."""
    path = one.poses or one.embeddings or one.video or one.signs
    return path is not None and "://" not in where and path.resolve().is_relative_to(Path(where).resolve())


@dataclass(frozen=True)
class _Way:
    """How videos become windows."""

    store: VectorIndex
    where: str
    name: str | None  # of the embedder
    given: Mapping[str, Any]
    quiet: bool

    def about(self, one: Listed, known: Video | None) -> Video | None:
        """What is to be known of a video; None: the index has it as it is."""
        used = [one.embeddings or one.poses or one.video, one.signs, one.subtitles]
        paths = list(dict.fromkeys(path.resolve() for path in used if path is not None))
        other = Path(known.files[0].path) if known and known.files else paths[0]
        if other.parent != paths[0].parent and other.exists():
            raise InputError(f"{one.name}: the index has another video of this name, {other}: rename one")
        before = {file.path: file for file in known.files} if known else {}
        files = tuple(stamp(path, before.get(str(path))) for path in paths)
        made = json.dumps({"gloss": one.gloss} | {key: str(self.given[key]) for key in SETTINGS})
        film = str(one.video.resolve()) if one.video else None
        video = Video(one.name, one.signer, one.date, files, film, made)
        return None if known is not None and _plain(known) == _plain(video) else video

    def read(self, one: Listed, made: Video) -> tuple[tuple[Sign, ...], tuple[Cue, ...], dict[str, Any]]:
        """The signs and cues of a video, and what their vectors come from."""
        cues = self._cues(one)
        if one.embeddings:
            embeddings, signs = read_signs_embedded(one.embeddings)
            return signs, cues, {"embeddings": embeddings}
        embedder = self._embedder(one)
        poses = self._poses(one, made, landmarks_of(embedder))
        signs = self._signs(one, poses)
        if not signs:
            raise InputError(f"{one.name}: nobody signs in it; leave it out")
        return signs, cues, {"poses": poses, "embedder": embedder}

    def _embedder(self, one: Listed) -> seasign.Embedder:
        if self.name:
            return choose_embedder(self.name, None)
        if self.store.space is None:
            raise InputError(f"{one.name}: say with --embedder what its signs are embedded with")
        return by_space(self.where, self.store.space)

    def _poses(self, one: Listed, made: Video, landmarks: Sequence[str]) -> Poses | None:
        """Those that there are, or those that are estimated and kept in the index; None: nobody looks at them."""
        if one.poses:
            needed = landmarks or not (one.signs or one.gloss)
            return jobs.read_body(one.poses, landmarks) if needed or one.gloss else None
        if one.video and (landmarks or not one.signs):
            if "://" in self.where:
                raise InputError(f"{one.video}: estimate its poses first: seasign estimate-poses")
            keep = kept_poses(self.where, made)
            keep.parent.mkdir(exist_ok=True)
            with ExitStack() as done:
                return poses_in(one.video, {**self.given, "poses": keep}, keep, self.quiet, done, landmarks)
        return None

    def _signs(self, one: Listed, poses: Poses | None) -> tuple[Sign, ...]:
        if one.gloss and poses is not None:
            return (Sign(0.0, poses.duration, one.gloss),)
        if one.signs and (one.signs.suffix.lower() not in TIERS or self.given["sign_tier"] in _tiers(one.signs)):
            return seasign.read_signs(one.signs, self.given["sign_tier"])
        if poses is None:
            raise InputError(f"{one.name}: has neither poses nor signs (tier {self.given['sign_tier']})")
        return segmented(poses, *choose_segmenter(self.given, "annotation"))[0]

    def _cues(self, one: Listed) -> tuple[Cue, ...]:
        """Of the subtitles; else of the tier of an ELAN file, when it has one."""
        tier = self.given["subtitle_tier"]
        if one.subtitles and one.subtitles.suffix.lower() not in TIERS:
            return without_markup(seasign.read_cues(one.subtitles).cues)
        for path in one.subtitles, one.signs:
            wanted = {tier} if tier else {"SUBTITLE_ALIGNED", "SUBTITLE"}
            if path and path.suffix.lower() in TIERS and (path is one.subtitles or wanted & _tiers(path)):
                return without_markup(seasign.read_cues(path, tier).cues)
        return ()


def read_signs_embedded(path: Path) -> tuple[Embeddings, tuple[Sign, ...]]:
    """What `embed-signs` wrote.

    Raises:
        InputError: It holds texts, or does not say what it holds.
    """
    embeddings, items = seasign.read_embeddings(path)
    signs = tuple(item for item in items if isinstance(item, Sign))
    if len(signs) != len(embeddings.vectors):
        raise InputError(f"{path}: does not say which signs its rows are; expected what embed-signs wrote")
    return embeddings, signs


def by_space(where: object, space: str) -> seasign.Embedder:
    """The embedder that a space names, if it needs neither weights nor a folder."""
    for known in GlossText(), PoseDescriptor():
        if known.space == space:
            return known
    raise InputError(f"{where}: is of the space {space!r}: say with --embedder where its embedder is")


def kept_poses(where: str, video: Video) -> Path:
    """Where an index keeps what was estimated of a video as it is now."""
    return Path(where) / "poses" / f"{Path(video.name).stem}.{video.files[0].sha256[:16]}.pose"


def stamp(path: Path, known: File | None = None) -> File:
    """A file as it is; it is hashed, unless size and time are those that are known."""
    status = path.stat()
    if known and (known.size, known.modified) == (status.st_size, status.st_mtime_ns):
        return known
    return File(str(path), status.st_size, status.st_mtime_ns, sha256(path))


def has_changed(video: Video) -> bool:
    """Whether a file that a video was made of is not there any more, or says something else."""
    try:
        return any(stamp(Path(file.path), file).sha256 != file.sha256 for file in video.files)
    except OSError:
        return True


def _plain(video: Video) -> tuple[object, ...]:
    """All of a video that its windows depend on."""
    return video.signer, video.date, video.film, video.made, [(file.path, file.sha256) for file in video.files]


def _tiers(path: Path) -> set[str]:
    from seasign.formats import eaf  # here, since it brings lxml

    return set(eaf.names(path))


def _some(names: Mapping[str, object], several: int = 3) -> str:
    listed = list(names)
    return (", ".join(listed[:several]) + " ..." * (len(listed) > several)) or "none"


def _tell(
    store: VectorIndex,
    where: str,
    done: Mapping[str, int],
    unchanged: Sequence[str],
    gone: Sequence[str],
    failed: Mapping[str, str],
    quiet: bool,
    as_json: bool,
) -> None:
    """Say what became of every video."""
    for line in failed.values():
        click.echo(f"error: {line}", err=True)
    videos, windows, space = len(store.videos()), len(store), store.space
    if as_json:
        values = {"indexed": dict(done), "unchanged": list(unchanged), "deleted": list(gone), "failed": dict(failed)}
        click.echo(json.dumps({**values, "videos": videos, "windows": windows, "space": space, "index": where}))
    elif not quiet:
        if done:
            click.echo(f"indexed   {len(done)} videos, {sum(done.values())} windows")
        for what, names in ("unchanged", unchanged), ("deleted", gone), ("failed", failed):
            if names:
                click.echo(f"{what:9} {len(names)} videos")
        click.echo(f"index     {where}: {videos} videos, {windows} windows" + (f" in {space}" if space else ""))
