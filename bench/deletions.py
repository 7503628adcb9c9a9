"""Cues that nobody signs, and signing without a cue, in a real story: what is dropped, and what it costs the others.

    python bench/deletions.py DATA

DATA is that of bench/real.py, as are jitter, aligners and baselines. DRAWS times the signing of 5 of 37 sentences is
deleted, so that 5 cues are never signed, and the text of 5 others, so that signing has no cue. "Nothing deleted" are
the same cues with the same jitter, all signed; their rows count the same cues, so what the deletions cost those beside
them is the difference. Intervals draw these choices, and say nothing about other stories.
"""

import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from quality import auroc
from real import ALIGNERS, BLIND, Moved, align, command, deliver, draw, expect, rank_wrong, share, story
from results import record

import seasign
from seasign.types import Cue, InputWarning, Sign

DRAWS, DELETED = 20, 5
CORPUS = f"ncslgr story, {DRAWS} draws"
DROPS = ("drop_precision", "drop_recall", "drop_f1")
Groups = Mapping[str, Bool[np.ndarray, " sentences"]]


def write_episode(
    folder: Path, stem: str, truth: Sequence[Cue], delivered: Sequence[Cue], signs: Sequence[Sign]
) -> None:
    for side in ("in", "truth", "delivered"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    seasign.write(folder / "truth" / f"{stem}.vtt", truth)
    seasign.write(folder / "delivered" / f"{stem}.vtt", delivered)
    seasign.write(folder / "in" / f"{stem}.csv", signs)


def delete(data: Path, folder: Path) -> list[Groups]:
    """Write DRAWS episodes `folder`/deleted and, from the same cues, `folder`/whole.

    Returns:
        For every episode, which sentences are "told" in text; and, of those signed too, which stand beside a deletion.
    """
    sentences, signs = story(data)
    drawn = []
    for seed in range(DRAWS):
        chosen = np.random.default_rng([seed, 2]).permutation(len(sentences))
        silent, untold = chosen[:DELETED], chosen[DELETED : 2 * DELETED]
        cues = deliver(sentences, seed)
        truth = [replace(cue, text=f"[{cue.text}]") if i in silent else cue for i, cue in enumerate(sentences)]
        number = np.arange(len(sentences))
        told = np.isin(number, untold, invert=True)
        left = [sign for sign in signs if not any(_holds(sentences[i], sign) for i in silent)]
        write_episode(folder / "deleted", f"{seed:02}", [*compress(truth, told)], [*compress(cues, told)], left)
        write_episode(folder / "whole", f"{seed:02}", sentences, cues, signs)
        beside, after = (np.abs(number[:, None] - gone).min(axis=1) == 1 for gone in (silent, untold))
        real = told & np.isin(number, silent, invert=True)
        groups = {
            "beside deleted signing": real & beside,
            "beside deleted text": real & after & ~beside,
            "elsewhere": real & ~after & ~beside,
        }
        drawn.append({"told": told, **groups})
    return drawn


def _holds(sentence: Cue, sign: Sign) -> bool:
    return sentence.start <= sign.middle < sentence.end


def rank_unsigned(episodes: Sequence[Moved]) -> float:
    """AUROC, in percent, of "this cue is not signed", by how likely the aligner finds it."""
    return 100 * auroc(
        np.concatenate([~one.signed for one in episodes]),
        -np.concatenate([one.unsigned for one in episodes if one.unsigned is not None]),
    )


def deletions(data: Path, folder: Path) -> None:
    drawn = delete(data, folder)
    groups = [name for name in drawn[0] if name != "told"]
    for side in (*BLIND, *ALIGNERS):
        moved = list(align(folder / "deleted", [side])[side].values())
        rows = {side: moved}
        if side in ALIGNERS:  # the others look at no signing
            rows[f"{side}, nothing deleted"] = [
                replace(one, **{name: value[which["told"]] for name, value in vars(one).items() if np.ndim(value)})
                for one, which in zip(align(folder / "whole", [side])[side].values(), drawn, strict=True)
            ]
        for row, episodes in rows.items():
            for group in groups:
                marked = [
                    replace(one, kept=which[group][which["told"]]) for one, which in zip(episodes, drawn, strict=True)
                ]
                value = share(lambda one: one.hit, lambda one: one.kept)
                record(f"{row}: right {group}", value(marked), "%", corpus=CORPUS, interval=draw(marked, value))
        found = command("evaluate", folder / "deleted" / "truth", folder / "deleted" / side, "--fps", 25)
        for score in ("f1@0.50", *(DROPS if "aligned" in side else ())):
            record(f"{side}: {score}", found[score], "%", corpus=CORPUS, interval=found["intervals"][score])
        if moved[0].probability is not None:
            for name, value in {
                "AUROC of never signed": rank_unsigned,
                "AUROC of wrong": rank_wrong,
                "kept and right": share(lambda one: one.hit, lambda one: one.kept),
                "as expected": expect,
            }.items():
                record(f"{side}: {name}", value(moved), "%", corpus=CORPUS, interval=draw(moved, value))
        if lags := [one.lag for one in moved if one.lag is not None]:
            off = np.abs(np.array(lags) - 2)
            record(f"{side}: lag off by > .5 s", 100 * float((off > 0.5).mean()), "%", corpus=CORPUS)


def main(data: Path) -> None:
    warnings.simplefilter("ignore", InputWarning)  # jitter makes cues overlap
    with tempfile.TemporaryDirectory() as scratch:
        deletions(data, Path(scratch))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
