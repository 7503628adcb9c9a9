"""`evaluate-retrieval`: how well texts find signs, and signs find texts."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np

import seasign
from seasign.cli.options import EXISTING, JSON, QUIET, some
from seasign.formats import read_embeddings
from seasign.metrics import AT, Direction, guess_retrieval
from seasign.types import Cue, Embeddings, InputError, InputWarning, Sign, plain_values
from seasign.uncertainty import bootstrap_retrieval

FEW = 10  # queries from which on an interval is about as wide as it should be


@click.command("evaluate-retrieval")
@click.argument("texts", metavar="TEXT", type=EXISTING)
@click.argument("signs", metavar="SIGNS...", type=EXISTING, nargs=-1, required=True)
@QUIET
@JSON
@click.pass_obj
def evaluate_retrieval(warned: list[str], /, texts: Path, signs: Sequence[Path], quiet: bool, as_json: bool) -> None:
    """Score how well texts find signs, and signs find texts.

    TEXT is the output of `embed-text`, SIGNS that of `embed-signs`. A sign belongs to the text that equals its gloss,
    ignoring case. With several SIGNS each is one group, such as a signer, and intervals are for other groups; with one,
    they are for other signs like these.
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
            kind = "texts" if side == "texts" else "glosses"
            message = f"{what[side]}: {len(labels)} of {len(set(every) - {''})} {kind} ({some(labels)})"
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
