"""`search`, among embeddings in a file or in an index."""

import csv
import io
import json
import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
import numpy as np

import seasign
from seasign.cli import jobs
from seasign.cli.clips import clip_parts, read_clip
from seasign.cli.embed import NAME, TAGS, WHAT, by_space, choose_embedder
from seasign.cli.index import kept_poses, to_forget
from seasign.cli.options import EXISTING, JSON, QUIET, SEVERAL, Number, counted, print_table, some
from seasign.corpora.videos import check_date
from seasign.embedding import compare, landmarks_of
from seasign.formats import EMBEDDINGS, POSES, TABLES, TIERS, VIDEOS, read_embeddings
from seasign.formats.disk import write_text
from seasign.formats.npz import holds_embeddings
from seasign.indexing import EVERYTHING, Filters, Match, VectorIndex, Video, Window
from seasign.retrieval import Hit
from seasign.segmentation import in_poses
from seasign.spotting import check_example, trim
from seasign.stores.stamps import has_changed, has_gone
from seasign.types import Cue, Embeddings, InputError, InputWarning, Poses, Sign, plain_values
from seasign.web.contact_sheet import DRAWN, Asked, Card, clock, moments, shorten

AROUND = 5.0  # seconds around a hit in which its neighbours are
COLUMNS = "rank score video kind start end gloss confidence text before inside after signer date path".split()
TENTH = 10  # among the nearest: how far the first stands above it says more than its score


@click.command()
@click.argument("among", metavar="EMBEDDINGS_OR_INDEX")
@click.argument("text", required=False)
@click.option(
    "--like", metavar="CLIP or FILE.npz#ROW",
    help="In place of TEXT: a clip of one sign (clip.pose, clip.pose#1.2-1.9 or story.eaf#HOUSE), or a row of "
         "embeddings, counted from 1.",
)  # fmt: skip
@click.option("--embedder", metavar=NAME, help=f"{WHAT} [default: by the space, where no weights are needed]")
@TAGS
@click.option("-n", "count", type=click.IntRange(1), default=10, show_default=True, help="How many hits to show.")
@click.option("--gloss", metavar="PATTERN", help="Index: signs of this gloss, such as 'HOUSE*'; also without TEXT.")
@click.option("--kind", type=click.Choice(["sign", "sentence"]), help="Index: windows of this kind. [--like: sign]")
@click.option("--signer", help="Index: windows of this signer.")
@click.option("--since", metavar="DAY", help="Index: videos of this day or later, such as 2026-11-21.")
@click.option("--until", metavar="DAY", help="Index: videos of this day or earlier.")
@click.option(
    "--least-confidence",
    "least",
    type=Number(),
    metavar="SCORE",
    help="Index: signs of at least this confidence.",
)
@click.option("-o", "--output", type=EXISTING, help="Index: write the hits to a .csv or .json.")
@click.option("--sheet", type=EXISTING, help="Index: show the hits on one page of pictures, an .html.")
@click.option("--frames", is_flag=True, help="With --sheet: frames of the video, if it is there, in place of poses.")
@QUIET
@JSON
@click.pass_obj
def search(warned: list[str], /, among: str, **given: Any) -> None:
    """Find what is nearest to TEXT, or to a sign, among embeddings or in an index.

    `embed-signs` and `embed-text` write embeddings, `index` makes an index. Scores are dot products: higher is nearer,
    and scores of different spaces do not compare.
    """
    asked = Filters(**{one.name: given[one.name] for one in fields(Filters)})
    text, like = given["text"], given["like"]
    if text is not None and like is not None:
        raise click.UsageError("give a TEXT to look for or --like, not both")
    if text is not None and not text.strip():
        raise click.UsageError("the TEXT to look for is empty")
    if given["frames"] and not given["sheet"]:
        raise click.UsageError("--frames are the pictures of a --sheet: give one")
    if "://" in among or Path(among).is_dir() or not (Path(among).exists() or Path(among).suffix in EMBEDDINGS):
        if text is None and like is None and asked == EVERYTHING:
            raise click.UsageError("give a TEXT to look for, --like, --gloss or another filter")
        _search_index(warned, among, asked, given)
        return
    if asked != EVERYTHING or given["output"] or given["sheet"]:
        raise click.UsageError("filters, --output, --sheet and --frames go with an index")
    if text is None and like is None:
        raise click.UsageError("give a TEXT to look for, or --like")
    _search_file(warned, Path(among), given)


def _search_file(warned: list[str], path: Path, given: Mapping[str, Any]) -> None:
    """Search what `embed-signs` or `embed-text` wrote."""
    among, items = read_embeddings(path)
    query, itself = _query(path, among.space, given)
    if among.space == query.space:
        _check_query(query, given)
    count: int = given["count"]
    (hits,) = seasign.search(query, among, best=count + (itself is not None))
    hits = tuple(hit for hit in hits if hit.row != itself and hit.score != 0)[:count]
    if given["as_json"]:
        found = [{"rank": rank, **_described(hit, items)} for rank, hit in enumerate(hits, 1)]
        said = {"space": among.space, "text": given["text"], "like": given["like"]}
        click.echo(json.dumps({**said, "hits": found, "warnings": warned}))
    elif not given["quiet"]:
        _print_hits([_described(hit, items) for hit in hits], len(among.vectors))


def _check_query(query: Embeddings, given: Mapping[str, Any]) -> None:
    """Refuse to look for nothing."""
    if not query.vectors.any():
        raise InputError(
            f"{given['text'] or given['like']}: is nothing at all in the space {query.space!r}; look for something else"
        )


def _query(path: Path | str, space: str, given: Mapping[str, Any]) -> tuple[Embeddings, int | None]:
    """The vector that is looked for; and its row, if it stands among the others."""
    like, name = given["like"], given["embedder"]
    file, _, row = (like or "").rpartition("#")
    if file and row.isdecimal():
        known, _ = read_embeddings(Path(file))
        if not 1 <= int(row) <= len(known.vectors):
            raise InputError(f"{file}: there is no row {row}; it has {len(known.vectors)}, counted from 1")
        own = int(row) - 1 if jobs.same_file(Path(file), Path(path)) else None
        return Embeddings(known.vectors[int(row) - 1 : int(row)], known.space), own
    if like and Path(clip_parts(like)[0]).suffix.lower() not in (*POSES, *TIERS):
        raise InputError(f"{like}: is no file of poses (*{' *'.join(POSES)}), and names no row, such as signs.npz#3")
    embedder = choose_embedder(name, given["tags"]) if name else by_space(path, space)
    if (made := getattr(embedder, "space", space)) != space:
        raise InputError(
            f"{path}: is of the space {space!r}, and {name} makes {made!r}: name the embedder that made it"
        )
    if like is None:
        return seasign.embed_text([given["text"]], embedder), None
    found = []
    for example in _examples(like, landmarks_of(embedder)):
        check_example(example, like)
        found.append(seasign.embed_signs(example, [Sign(0.0, example.duration)], embedder))
    if len(found) == 1:
        return found[0], None
    mean = np.mean([one.vectors for one in found], axis=0)
    return Embeddings(mean / max(float(np.linalg.norm(mean)), 1e-12), found[0].space), None


def _examples(like: str, landmarks: Sequence[str]) -> list[Poses]:
    """The clips that are named; whole files without the rest around the sign, where shoulders and wrists say when."""
    with warnings.catch_warnings():  # a sign of one hand never shows the other
        warnings.simplefilter("ignore", InputWarning)
        _, clips = read_clip(like, "SIGN", lambda path: jobs.read_body(path, landmarks))
    if not clip_parts(like)[1]:
        with suppress(InputError):
            return [trim(clip) for clip in clips]
    return clips


def _described(hit: Hit, items: Sequence[Cue] | Sequence[Sign]) -> dict[str, Any]:
    """A hit, and what is known of it."""
    known = asdict(items[hit.row]) if items else {}
    names = ("start", "end", "text", "gloss", "id")
    return {"row": hit.row + 1, "score": hit.score} | {name: known[name] for name in names if name in known}


def _print_hits(hits: Sequence[Mapping[str, Any]], among: int) -> None:
    """A line per hit; a dash for what is not known."""
    if not hits:
        click.echo("nothing was found" if among else "nothing to find: there are no embeddings")
        return
    lines: list[tuple[str, ...]] = [("rank", "score", "from", "to", "row", "says", "id")]
    for rank, hit in enumerate(hits, 1):
        times = [f"{hit[name]:.2f} s" if name in hit else "-" for name in ("start", "end")]
        says = " ".join((hit.get("text") or hit.get("gloss") or "-").split())
        lines.append((str(rank), f"{hit['score']:.4g}", *times, str(hit["row"]), says, hit.get("id") or "-"))
    print_table(lines, left=("says", "id"))


# An index -------------------------------------------------------------------------------------------------------------


def _search_index(warned: list[str], where: str, asked: Filters, given: Mapping[str, Any]) -> None:
    """Search what `index` made."""
    text, like, output, sheet = (given[name] for name in ("text", "like", "output", "sheet"))
    asked = replace(asked, since=check_date("--since", asked.since), until=check_date("--until", asked.until))
    if asked.since and asked.until and asked.since > asked.until:
        raise click.UsageError(f"--since {asked.since} is after --until {asked.until}")
    store = seasign.open_index(where)
    wanted: dict[str, tuple[Path, Collection[str]]] = {"hits": (output, TABLES)} if output else {}
    wanted |= {"the contact sheet": (sheet, (".html",))} if sheet else {}
    used = [Path(file.path) for video in store.videos().values() for file in video.files] if output else []
    jobs.check_outputs(wanted, [Path(where) / "index.json", *used])
    space, query = store.space, None
    if space is not None and (text is not None or like is not None):
        query, _ = _query(where, space, given)
        compare(query, replace(query, space=space))
        _check_query(query, given)
    if like is not None and asked.kind is None:
        asked = replace(asked, kind="sign")
    nearest = store.search(query, asked, max(given["count"], TENTH))
    matches = [match for match in nearest if match.score != 0][: given["count"]]  # 0: it shares nothing with the query
    if not nearest and (why := _why_nothing(store, asked)):
        warnings.warn(f"{where}: {why}", InputWarning, stacklevel=2)
    known = _known(store, where, matches)
    cards = [_card(store, match, known.get(match.video)) for match in matches]
    rows = [{"rank": rank, **_row(card, known.get(card.match.video))} for rank, card in enumerate(cards, 1)]
    said = {"index": where, "space": space, "text": text, "like": like}
    if output:
        _write_hits(output, said, rows)
    if sheet:
        title = text or (f"like {Path(like).name}" if like else asked.gloss) or "windows"
        shown = [_pictured(card, where, known.get(card.match.video), given["frames"]) for card in cards]
        floor = min((match.score for match in nearest[:TENTH]), default=math.nan)
        bars = f"bars: how far above the {'tenth' if len(nearest) >= TENTH else 'last'}, {floor:.4g}"
        words = [f"{len(cards)} of {counted(len(store), 'window')} in {where}", _plainly(asked)]
        words += [bars] if floor < nearest[0].score else []
        wanted_sign = _asked(like) if like else None
        write_text(
            sheet, seasign.render_sheet(title, shown, ", ".join(filter(None, words)), floor=floor, asked=wanted_sign)
        )
    if given["as_json"]:
        click.echo(json.dumps(plain_values({**said, "hits": rows}) | {"warnings": warned}))
    elif not given["quiet"]:
        _print_cards(cards)
        for path in filter(None, (output, sheet)):
            click.echo(f"wrote     {path}")


def _known(store: VectorIndex, where: str, matches: Sequence[Match]) -> Mapping[str, Video]:
    """The videos of what was found. Those that have changed since are named."""
    videos = store.videos({match.video for match in matches})
    gone = [name for name, video in videos.items() if has_gone(video)]
    changed = [name for name, video in videos.items() if name not in gone and has_changed(video)]
    for names, what in (
        (gone, f"gone from the disk, and still in the index; to forget: {to_forget(where, gone[:SEVERAL])}"),
        (changed, f"changed since indexed, so times may be off; index again: seasign index ... --out {where}"),
    ):
        if names:
            warnings.warn(f"{some(names)}: {what}", InputWarning, stacklevel=2)
    return videos


def _why_nothing(store: VectorIndex, asked: Filters) -> str:
    """Which filters let nothing pass, each alone, and what there is instead."""
    if not len(store):
        return "there is nothing in it"
    alone = {one.name for one in fields(asked) if (value := getattr(asked, one.name)) is not None
             and not store.search(None, Filters(**{one.name: value}), 1)}  # fmt: skip
    videos = store.videos().values()
    signers = sorted({video.signer for video in videos if video.signer})
    days = sorted(video.date for video in videos if video.date)
    reasons = {
        "kind": f"it has no {asked.kind}s",
        "gloss": f"no sign has the gloss {asked.gloss}",
        "signer": f"no video is by {asked.signer!r}: "
        + (f"there are {some(signers)}" if signers else "none names its signer"),
        "least": f"no sign says a confidence of {asked.least} or more",
    }
    held = f"its videos are of {days[0]} to {days[-1]}" if days else "no video in it says its day"
    said = [reason for name, reason in reasons.items() if name in alone]
    return "; ".join(said + [held] * bool(alone & {"since", "until"})) or "no window passes all filters at once"


def _asked(like: str) -> Asked | None:
    """The sign that is looked for, as it is drawn, without the rest around it; None: there are no poses of it."""
    file, _, row = like.rpartition("#")
    if not (file and row.isdecimal()):
        return Asked(Path(like).name, _examples(like, DRAWN)[0])
    path, (_, items) = Path(file).with_suffix(".pose"), read_embeddings(Path(file))
    if not items or not path.is_file():
        return None
    own = items[int(row) - 1]
    name = (own.gloss if isinstance(own, Sign) else own.text) or f"{path.name}#{row}"
    return Asked(name, _drawn(path, Window(own.start, own.end, "sign")))


def _card(store: VectorIndex, match: Match, video: Video | None) -> Card:
    """What was found, and the signs around it."""
    own = match.window
    near = [one for one in store.windows(match.video, own.start - AROUND, own.end + AROUND) if one.kind == "sign"]
    before = [one.gloss for one in near if one.gloss and one.middle < own.start]
    after = [one.gloss for one in near if one.gloss and one.middle >= own.end]
    inside = [one.gloss for one in near if one.gloss and own.start <= one.middle < own.end]
    return Card(
        match,
        tuple(before[-SEVERAL:]),
        tuple(after[:SEVERAL]),
        tuple(inside) if own.kind == "sentence" else (),
        video.signer if video else None,
        video.date if video else None,
    )


def _pictured(card: Card, where: str, video: Video | None, frames: bool) -> Card:
    """With the pictures of it, or the poses; as it was, where there are none."""
    if video is None or not video.files:
        return card
    window, path = card.match.window, Path(video.files[0].path)
    films = [Path(video.film)] if video.film else [path.with_suffix(suffix) for suffix in (path.suffix, *VIDEOS)]
    film = next((one for one in films if one.suffix.lower() in VIDEOS and one.is_file()), None)
    link = f"{film.as_uri()}#t={window.start:.2f}" if film else None
    files = [
        one
        for one in (path, path.with_suffix(".pose"), kept_poses(where, video))
        if one.suffix.lower() in POSES and one.is_file()
    ]
    seen = next((one for one in files if not holds_embeddings(one)), None)
    try:
        if film and (frames or seen is None):
            from seasign.formats.video import stills  # here, since it brings av

            return replace(card, link=link, pictures=tuple(stills(film, moments(window.start, window.end))))
        return replace(card, link=link, poses=_drawn(seen, window) if seen else None)
    except (InputError, OSError) as error:
        warnings.warn(f"{card.match.video}: has no picture ({error})", InputWarning, stacklevel=2)
        return replace(card, link=link)


def _drawn(path: Path, window: Window) -> Poses:
    """The poses of a window alone: a page of many holds no more than it shows."""
    poses = _body(path)
    (own,) = in_poses([window], poses)
    first = min(max(0, int(own.start * poses.fps)), max(0, len(poses.xyz) - 1))
    stop = max(first + 1, math.ceil(own.end * float(poses.fps)))
    return replace(poses, xyz=poses.xyz[first:stop].copy(), confidence=poses.confidence[first:stop].copy())


@lru_cache(maxsize=2)
def _body(path: Path) -> Poses:
    """What is drawn of a file; several windows in a row may be in one."""
    return jobs.read_body(path, DRAWN)


def _plainly(asked: Filters) -> str:
    """Filters, in words."""
    words = {"kind": "{}s", "gloss": "gloss {}", "signer": "signer {}", "since": "since {}", "until": "until {}"}
    words["least"] = "confidence at least {}"
    return ", ".join(
        word.format(getattr(asked, name)) for name, word in words.items() if getattr(asked, name) is not None
    )


def _row(card: Card, video: Video | None) -> dict[str, Any]:
    """A hit for machines."""
    own = asdict(card.match.window)
    return {
        "score": card.match.score,
        "video": card.match.video,
        "kind": own["kind"],
        "start": own["start"],
        "end": own["end"],
        "gloss": own["gloss"],
        "confidence": own["confidence"],
        "text": own["text"],
        "before": list(card.before),
        "inside": list(card.inside),
        "after": list(card.after),
        "signer": card.signer,
        "date": card.date,
        "path": video.files[0].path if video and video.files else None,
    }


def _write_hits(path: Path, said: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Hits as a table, or as JSON."""
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(plain_values({**said, "hits": rows}), ensure_ascii=False, indent=1) + "\n")
        return
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in plain_values({"rows": rows})["rows"]:
        cells = (row[column] for column in COLUMNS)
        table.writerow([" ".join(cell) if isinstance(cell, list) else cell for cell in cells])
    write_text(path, lines.getvalue())


def _print_cards(cards: Sequence[Card]) -> None:
    """A line per hit: the gloss between its neighbours, or the sentence."""
    if not cards:
        click.echo("nothing was found")
        return
    lines = [("rank", "score", "from", "to", "video", "kind", "says")]
    for rank, card in enumerate(cards, 1):
        own, score = card.match.window, card.match.score
        said = " ".join((*card.before, f"[{own.gloss or '-'}]", *card.after))
        if own.kind == "sentence":
            said = own.text or " ".join(card.inside) or "-"
        shown = f"{score:.4g}" if score == score else "-"
        says = " ".join(said.split())
        lines.append((str(rank), shown, clock(own.start), clock(own.end), shorten(card.match.video), own.kind, says))
    print_table(lines, left=("video", "kind", "says"))
