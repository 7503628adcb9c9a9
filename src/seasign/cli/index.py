"""`index`: the videos of a corpus, into what `search` looks through."""

import json
import shlex
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

import seasign
from seasign.cli import jobs
from seasign.cli.embed import NAME, WHAT, by_space, choose_embedder, without_markup
from seasign.cli.options import (
    ESTIMATION,
    EXISTING,
    JSON,
    QUIET,
    SEGMENTATION,
    SEVERAL,
    counted,
    options,
    progress_bar,
    some,
)
from seasign.cli.signing import choose_segmenter, poses_in, segmented
from seasign.corpora.videos import Listed, read_folder, read_manifest, read_one
from seasign.decoding import Decoder
from seasign.embedding import landmarks_of
from seasign.formats import EMBEDDINGS, POSES, TIERS, VIDEOS
from seasign.formats.npz import holds_embeddings
from seasign.indexing import VectorIndex, Video
from seasign.segmentation import find_sign, in_video
from seasign.stores.stamps import has_gone, stamp
from seasign.types import Cue, Embeddings, InputError, InputWarning, Poses, Sign

SETTINGS = ("segmenter", "decoder", "thresholds", "sign_tier", "subtitle_tier")  # that windows depend on
ESTIMATED = ("crop", "static")  # that they also do where poses are estimated


@click.command()
@click.argument("corpus", type=EXISTING, required=False, metavar="[MANIFEST_OR_FOLDER]")
@click.option(
    "--out", "where", required=True, metavar="INDEX", help="A folder, or an address such as s3://bucket/signs."
)
@click.option("--embedder", metavar=NAME, help=f"{WHAT} [default: that of the index, where no weights are needed]")
@options(SEGMENTATION)
@click.option("--sign-tier", default="SIGN", show_default=True, help="Where the signs are, in ELAN files.")
@click.option("--subtitle-tier", help="Where the subtitles are, in ELAN files. [default: SUBTITLE_ALIGNED or SUBTITLE]")
@click.option("--delete", "gone", multiple=True, metavar="VIDEO", help="Remove this video, by its name in the index.")
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

    A folder holds videos or poses. Beside each, under the same name, may lie its signs, its subtitles, or the output of
    `embed-signs`. A manifest is a CSV of video,poses,embeddings,signs,subtitles,signer,date,gloss. One file will do
    too. Every sign and every sentence becomes a window. Run the command again to update: it skips unchanged videos and
    replaces changed ones.
    """
    if corpus is None and not gone:
        raise click.UsageError("give a MANIFEST_OR_FOLDER, or a VIDEO to --delete")
    chosen = choose_embedder(embedder, None) if embedder else None
    segmenter = choose_segmenter(given, "annotation")
    listed = [one for one in _listed(corpus) if not _lies_in(one, where)] if corpus else []
    begun = corpus is None or "://" in where or (Path(where) / "index.json").exists()
    store = seasign.open_index(where) if begun else None
    chosen = _agree(where, store.space if store else None, chosen, listed)
    held = store.videos() if store else {}
    for name in gone:
        if name not in held:
            raise InputError(f"{where}: has no video {name!r}; it has {some(held)}")
        if name in {one.name for one in listed}:
            raise InputError(f"{name}: is in {corpus}, and would be indexed again: take it out of there first")
    store = seasign.open_index(where, create=corpus is not None)
    told = _Told()
    way = _Way(store, where, chosen, segmenter, given, quiet or as_json)
    for name in gone:
        store.delete(name)
        way.clear(held[name])
    _go_through(listed, held, way, told)
    store = seasign.settle(where)
    there = store.videos() if corpus else {}
    told.gone.extend(name for name, video in there.items() if has_gone(video) and name not in told.failed)
    _tell(store, where, told, gone, quiet, as_json)
    if told.failed:
        context.exit(1)


@dataclass(frozen=True)
class _Told:
    """What became of every video."""

    done: dict[str, int] = field(default_factory=dict)  # its windows
    unchanged: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)  # nobody signs in it
    gone: list[str] = field(default_factory=list)  # in the index, and not on the disk
    failed: dict[str, str] = field(default_factory=dict)


def _go_through(listed: Sequence[Listed], held: Mapping[str, Video], way: "_Way", told: _Told) -> None:
    """Index what has changed; whatever goes wrong in one video, go on with the next."""
    try:
        with progress_bar("indexing", "videos", way.quiet) as progress:
            for number, one in enumerate(listed):
                progress(number, len(listed))
                try:
                    _index_one(one, held.get(one.name), way, told)
                except InputError as error:
                    told.failed[one.name] = str(error)
    except KeyboardInterrupt:
        kept = "done and kept; the same command goes on from there"
        click.echo(f"\nstopped   {way.where}: {counted(len(told.done), 'video')} {kept}", err=True)
        raise


def _index_one(one: Listed, known: Video | None, way: "_Way", told: _Told) -> None:
    """Put one video in place of what the index has of it."""
    try:
        made = way.about(one, known)
        if made and (now := way.store.videos([one.name]).get(one.name)) != known:  # another writer was faster
            known, made = now, way.about(one, now)
        if made is None:
            told.unchanged.append(one.name)
            return
        signs, cues, how = way.read(one, made)
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
    if not signs:
        way.store.delete(one.name)
        told.silent.append(one.name)
    else:
        try:
            told.done[one.name] = seasign.index(made, signs, cues, way.store, **how)
        except InputError as error:
            raise InputError(f"{one.name}: {error}") from None
    if known:
        way.clear(known, made)


def _agree(
    where: str, space: str | None, chosen: seasign.Embedder | None, listed: Sequence[Listed]
) -> seasign.Embedder | None:
    """The embedder that was chosen, or that of the index; None: every video brings its embeddings.

    Raises:
        InputError: The two are not in one space, or the index does not say what its embedder is.
    """
    own = getattr(chosen, "space", space)
    if space not in (None, own):
        raise InputError(f"{where}: holds {space!r}, and this embedder makes {own!r}: name another folder for --out")
    bare = [one.name for one in listed if not one.embeddings]
    if chosen is None and bare and space is None:
        raise click.UsageError(f"say with --embedder what signs are embedded with: {bare[0]} brings no embeddings")
    return by_space(where, space) if chosen is None and bare and space is not None else chosen


def _listed(corpus: Path) -> tuple[Listed, ...]:
    """The videos of a folder, of a manifest, or the one that a file is."""
    suffix = corpus.suffix.lower()
    if corpus.is_dir():
        return read_folder(corpus)
    if suffix in EMBEDDINGS and holds_embeddings(corpus):
        return (Listed(corpus.name, embeddings=corpus),)
    if suffix in (*POSES, *VIDEOS, *TIERS):
        one = read_one(corpus)
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
    embedder: seasign.Embedder | None
    segmenter: tuple[seasign.Segmenter, Decoder]
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
        how = {"gloss": one.gloss} | {key: str(self.given[key]) for key in SETTINGS}
        if used[0] == one.video:
            how |= {key: self.given[key] for key in ESTIMATED}
        film = str(one.video.resolve()) if one.video else None
        video = Video(one.name, one.signer, one.date, files, film, json.dumps(how))
        if known is None or _plain(known) != _plain(video):
            return video
        if known != video:  # touched or copied back: by its new time it is known without being hashed
            vectors = Embeddings(self.store.vectors(one.name), self.store.space or "")
            self.store.put(video, self.store.windows(one.name), vectors)
        return None

    def clear(self, known: Video, made: Video | None = None) -> None:
        """Take away the poses that were kept of a video as it was, unless they are of it or another as they are now."""
        if "://" in self.where or not known.files or not (kept := kept_poses(self.where, known)).exists():
            return
        there = [*self.store.videos().values(), *([made] if made else [])]
        if kept not in {kept_poses(self.where, video) for video in there if video.files}:
            for file in kept, kept.with_name(f"{kept.name}.json"):  # with what it says of itself
                file.unlink(missing_ok=True)

    def read(self, one: Listed, made: Video) -> tuple[tuple[Sign, ...], tuple[Cue, ...], dict[str, Any]]:
        """The signs and cues of a video, and what their vectors come from."""
        cues = self._cues(one)
        if one.embeddings:
            embeddings, signs = read_signs_embedded(one.embeddings)
            return signs, cues, {"embeddings": embeddings}
        poses = self._poses(one, made, landmarks_of(self.embedder))
        return self._signs(one, poses), cues, {"poses": poses, "embedder": self.embedder}

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
            span = find_sign(poses)
            return in_video([Sign(span.start, span.end, one.gloss)], poses)
        if one.signs and (one.signs.suffix.lower() not in TIERS or self.given["sign_tier"] in _tiers(one.signs)):
            return seasign.read_signs(one.signs, self.given["sign_tier"])
        if poses is None:
            found = ", ".join(sorted(_tiers(one.signs))) if one.signs else ""
            advice = f"choose one of {found} by --sign-tier" if found else "add poses beside it"
            raise InputError(
                f"{one.name}: has no tier {self.given['sign_tier']}, and no poses to find signs in: {advice}"
            )
        return segmented(poses, *self.segmenter)[0]

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


def kept_poses(where: str, video: Video) -> Path:
    """Where an index keeps what was estimated of a video as it is now, in the way that it says."""
    try:
        crop, static = map(json.loads(video.made).get, ESTIMATED)
    except (ValueError, AttributeError):  # who has put it in says otherwise how it was made
        crop, static = None, False
    way = ["-".join(map(str, crop))] if crop else []
    way += ["static"] if static else []
    return Path(where) / "poses" / ".".join([Path(video.name).stem, video.files[0].sha256[:16], *way, "pose"])


def to_forget(where: object, names: Iterable[str]) -> str:
    """The command that takes videos out of an index."""
    return f"seasign index --out {shlex.quote(str(where))}" + "".join(f" --delete {shlex.quote(it)}" for it in names)


def _plain(video: Video) -> tuple[object, ...]:
    """All of a video that its windows depend on."""
    return video.signer, video.date, video.film, video.made, [(file.path, file.sha256) for file in video.files]


def _tiers(path: Path) -> set[str]:
    from seasign.formats import eaf  # here, since it brings lxml

    return set(eaf.names(path))


def _tell(store: VectorIndex, where: str, told: _Told, deleted: Sequence[str], quiet: bool, as_json: bool) -> None:
    """Say what became of every video."""
    for line in told.failed.values():
        click.echo(f"error: {line}", err=True)
    if told.silent:
        warnings.warn(f"{some(told.silent)}: nobody signs in it; passed over", InputWarning, stacklevel=2)
    if told.gone:
        forget = to_forget(where, told.gone[:SEVERAL])
        message = f"{some(told.gone)}: gone from the disk, and still in the index; to forget: {forget}"
        warnings.warn(message, InputWarning, stacklevel=2)
    videos, windows, space = len(store.videos()), len(store), store.space
    said: Mapping[str, Sequence[str]] = {
        "unchanged": told.unchanged,
        "deleted": list(deleted),
        "no signs": told.silent,
        "gone": told.gone,
        "failed": [*told.failed],
    }
    if as_json:
        values = {what.replace(" ", "_"): names for what, names in said.items()}
        facts = {"failed": told.failed, "videos": videos, "windows": windows, "space": space, "index": where}
        click.echo(json.dumps({"indexed": told.done, **values, **facts}))
    elif not quiet:
        if told.done:
            click.echo(f"indexed   {counted(len(told.done), 'video')}, {counted(sum(told.done.values()), 'window')}")
        for what, names in said.items():
            if names:
                click.echo(f"{what:9} {counted(len(names), 'video')}")
        held = f"{counted(videos, 'video')}, {counted(windows, 'window')}"
        click.echo(f"index     {where}: {held}" + (f" in {space}" if space else ""))
