"""Embeddings in files: `search` among them, and `evaluate-retrieval` of texts and signs."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

import seasign
from seasign import jobs
from seasign.cli.embed import NAME, TAGS, WHAT, choose_embedder, landmarks_of
from seasign.cli.options import EXISTING, JSON, QUIET
from seasign.formats import POSES, read_embeddings
from seasign.metrics import AT, Direction, guess_retrieval
from seasign.models.gloss_text import GlossText
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.retrieval import Hit
from seasign.types import Cue, Embeddings, InputError, InputWarning, Sign, plain_values
from seasign.uncertainty import bootstrap_retrieval

SEVERAL = 3  # labels that are named when more have no counterpart
FEW = 10  # queries from which on an interval is about as wide as it should be


@click.command()
@click.argument("embeddings", type=EXISTING)
@click.argument("text", required=False)
@click.option(
    "--like", metavar="POSES or FILE.npz#ROW",
    help="In place of TEXT: a clip of one sign (.pose, .npz), or a row of embeddings, counted from 1.",
)  # fmt: skip
@click.option("--embedder", metavar=NAME, help=f"{WHAT} [default: by the space, where no weights are needed]")
@TAGS
@click.option("-n", "count", type=click.IntRange(1), default=10, show_default=True, help="How many are shown.")
@QUIET
@JSON
@click.pass_obj
def search(
    warned: list[str],
    /,
    embeddings: Path,
    text: str | None,
    like: str | None,
    embedder: str | None,
    tags: tuple[str, str] | None,
    count: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find in EMBEDDINGS what is nearest to TEXT, or to a sign.

    EMBEDDINGS is what `embed-signs` or `embed-text` wrote. Every vector is compared. Scores are dot products: higher is
    nearer, and only those of one space compare.
    """
    if (text is None) == (like is None):
        raise click.UsageError("give a TEXT to look for, or --like")
    among, items = read_embeddings(embeddings)
    query, itself = _query(embeddings, among, text, like, embedder, tags)
    if among.space == query.space and not query.vectors.any():
        raise InputError(f"{text or like}: is nothing at all in the space {among.space!r}; look for something else")
    (hits,) = seasign.search(query, among, best=count + (itself is not None))
    hits = tuple(hit for hit in hits if hit.row != itself)[:count]
    if as_json:
        found = [{"rank": rank, **_described(hit, items)} for rank, hit in enumerate(hits, 1)]
        click.echo(json.dumps({"space": among.space, "text": text, "like": like, "hits": found, "warnings": warned}))
    elif not quiet:
        _print_hits([_described(hit, items) for hit in hits])


def _query(
    path: Path,
    among: Embeddings,
    text: str | None,
    like: str | None,
    name: str | None,
    tags: tuple[str, str] | None,
) -> tuple[Embeddings, int | None]:
    """The vector that is looked for; and its row, if it stands among the others."""
    file, _, row = (like or "").rpartition("#")
    if file and row.isdecimal():
        known, _ = read_embeddings(Path(file))
        if not 1 <= int(row) <= len(known.vectors):
            raise InputError(f"{file}: there is no row {row}; it has {len(known.vectors)}, counted from 1")
        own = int(row) - 1 if jobs.same_file(Path(file), path) else None
        return Embeddings(known.vectors[int(row) - 1 : int(row)], known.space), own
    if like and Path(like).suffix.lower() not in POSES:
        raise InputError(f"{like}: is no file of poses (*{' *'.join(POSES)}), and names no row, such as signs.npz#3")
    embedder = choose_embedder(name, tags) if name else _by_space(path, among.space)
    if like is None:
        return seasign.embed_text([text or ""], embedder), None
    poses = jobs.read_body(Path(like), landmarks_of(embedder))
    return seasign.embed_signs(poses, [Sign(0.0, poses.duration)], embedder), None


def _by_space(path: Path, space: str) -> seasign.Embedder:
    """The embedder that a space names, if it needs neither weights nor a folder."""
    for known in GlossText(), PoseDescriptor():
        if known.space == space:
            return known
    raise InputError(f"{path}: is of the space {space!r}: say with --embedder where its embedder is")


def _described(hit: Hit, items: Sequence[Cue] | Sequence[Sign]) -> dict[str, Any]:
    """A hit, and what is known of it."""
    known = asdict(items[hit.row]) if items else {}
    names = ("start", "end", "text", "gloss", "id")
    return {"row": hit.row + 1, "score": hit.score} | {name: known[name] for name in names if name in known}


def _print_hits(hits: Sequence[Mapping[str, Any]]) -> None:
    """A line per hit; a dash for what is not known."""
    if not hits:
        click.echo("nothing to find: there are no embeddings")
        return
    lines: list[tuple[str, ...]] = [("rank", "score", "from", "to", "row", "says", "id")]
    for rank, hit in enumerate(hits, 1):
        times = [f"{hit[name]:.2f} s" if name in hit else "-" for name in ("start", "end")]
        says = " ".join((hit.get("text") or hit.get("gloss") or "-").split())
        lines.append((str(rank), f"{hit['score']:.4g}", *times, str(hit["row"]), says, hit.get("id") or "-"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[:5], widths, strict=False)]
        click.echo("  ".join([*cells, line[5].ljust(widths[5]), line[6]]))


# Retrieval ------------------------------------------------------------------------------------------------------------


@click.command("evaluate-retrieval")
@click.argument("texts", metavar="TEXT", type=EXISTING)
@click.argument("signs", metavar="SIGNS...", type=EXISTING, nargs=-1, required=True)
@QUIET
@JSON
@click.pass_obj
def evaluate_retrieval(warned: list[str], /, texts: Path, signs: Sequence[Path], quiet: bool, as_json: bool) -> None:
    """Score how well texts find signs, and signs find texts.

    TEXT is what `embed-text` wrote, SIGNS what `embed-signs` did. A sign belongs to the text that is its gloss, in
    whatever case. Of several SIGNS each is one group, such as a signer, and intervals are for other groups; those of
    one file are for other signs like these.
    """
    said, rows = _labelled(texts, Cue, "embed-text")
    files = [_labelled(path, Sign, "embed-signs") for path in signs]
    columns = [label for _, labels in files for label in labels]
    groups = [str(path) for path, (_, labels) in zip(signs, files, strict=True) for _ in labels]
    unpaired = _name_unpaired(rows, columns)
    text, sign = (
        [place for place, label in enumerate(labels) if label and label not in left]
        for labels, left in ((rows, ()), (columns, unpaired["signs"]))
    )
    if not sign:
        raise InputError(f"{texts}: none of {len(columns)} signs has a gloss that is one of {len(rows)} texts")
    scores = np.hstack([seasign.compare(said, one) for one, _ in files])[np.ix_(text, sign)]
    rows, columns, groups = [rows[i] for i in text], [columns[i] for i in sign], [groups[i] for i in sign]
    found, chance = seasign.evaluate_retrieval(scores, rows, columns), guess_retrieval(rows, columns)
    low, high = bootstrap_retrieval(scores, rows, columns, groups=groups if len(signs) > 1 else None)
    if as_json:
        values = {"low": low.as_json(), "high": high.as_json(), "chance": chance.as_json(), "unpaired": unpaired}
        click.echo(json.dumps(plain_values(found.as_json() | values) | {"warnings": warned}))
    elif not quiet:
        shown = {"": found, "95 % from": low, "to": high, "by chance": chance}
        _print_direction("text to sign", {name: one.text_to_sign for name, one in shown.items()})
        _print_direction("sign to text", {name: one.sign_to_text for name, one in shown.items()})
        drawn = ("files", len(set(groups))) if len(signs) > 1 else ("signs", len(sign))
        for kind, number in (("texts", found.text_to_sign.queries), drawn):
            if number < FEW:
                click.echo(f"intervals of {number} {kind} are too narrow: they have seen little")


def _labelled(path: Path, kind: type[Cue] | type[Sign], command: str) -> tuple[Embeddings, list[str]]:
    """Embeddings, and what each says without its case; empty where it says nothing."""
    embeddings, items = read_embeddings(path)
    if not items or not isinstance(items[0], kind):
        raise InputError(f"{path}: does not say what its rows are; expected what {command} wrote")
    said = (item.text if isinstance(item, Cue) else item.gloss or "" for item in items)
    return embeddings, [" ".join(words.casefold().split()) for words in said]


def _name_unpaired(texts: Sequence[str], signs: Sequence[str]) -> dict[str, list[str]]:
    """What texts no sign says, and what signs say that is no text; said, and counted."""
    left = {
        "texts": [text for text in dict.fromkeys(texts) if text and text not in set(signs)],
        "signs": [sign for sign in dict.fromkeys(signs) if sign and sign not in set(texts)],
    }
    what = {"texts": "said by no sign, and only in the way of others", "signs": "left out, since no text says it"}
    for (side, labels), every in zip(left.items(), (texts, signs), strict=True):
        if labels:
            some = ", ".join(labels[:SEVERAL]) + " ..." * (len(labels) > SEVERAL)
            kind = "texts" if side == "texts" else "glosses"
            message = f"{what[side]}: {len(labels)} of {len(set(every) - {''})} {kind} ({some})"
            warnings.warn(message, InputWarning, stacklevel=2)
    if bare := sum(not sign for sign in signs):
        warnings.warn(f"{bare} of {len(signs)} signs have no gloss, and are left out", InputWarning, stacklevel=2)
    return left


def _print_direction(head: str, rows: Mapping[str, Direction]) -> None:
    """The scores, their interval and chance; percent, and ranks that count from 1."""
    precise = rows[""].precision is not None
    names = [f"{score}@{k}" for score in ("R", "P")[: 1 + precise] for k in AT]
    click.echo(f"{head:12}" + "".join(f"{name:>8}" for name in names) + "  median rank  mean rank  queries")
    for name, one in rows.items():
        shares = (*one.recall, *(one.precision or ()))
        values = "".join(f"{_number(100 * share):>8}" for share in shares)
        ranks = f"{_number(one.median_rank):>13}{_number(one.mean_rank):>11}"
        click.echo(f"{name:>12}{values}{ranks}" + (f"{one.queries:9}" if not name else ""))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
