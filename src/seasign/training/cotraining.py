"""Alignment and embedder teach each other: what was aligned with confidence is learned from, and aligned again.

The question is open in Jiang et al. 2025 (SEA, arXiv:2512.08094); the procedure and where it stops are ours.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from seasign.alignment import align
from seasign.corpora.recordings import Part, divide, find_file, read_part
from seasign.embedding import Embedder, compare, embed_signs, embed_text
from seasign.formats import POSES, SUBTITLES, TABLES, TIERS, read_cues, read_poses, read_signs, write
from seasign.formats.disk import read_text, sha256, write_text
from seasign.formats.tables import read_rows
from seasign.formats.timed_text import plain
from seasign.segmentation import in_poses, segment
from seasign.training import Progress, import_task
from seasign.training.recipe import Count, Share, build, folder_or_name, read_table
from seasign.types import Alignment, Cue, InputError, Poses, Sign, plain_values

COLUMNS = ("poses", "subtitles", "signs", "signer", "split")


@dataclass(frozen=True)
class Settings:
    """What cotraining does besides training: the table [cotrain] of a recipe of SignCLIP."""

    episodes: Path  # a table: poses,subtitles[,signs,signer,split], files relative to its folder
    rounds: Count = 3
    confidence: Share = 0.5  # cues that are at least as likely to be on their signing are learned from
    lag: float | None = None  # seconds by which the signing comes after the subtitles; None: it is found
    divide: Literal["signer", "file"] = "signer"  # what is never in two parts
    valid: Share = 0.2  # of the episodes: they are agreed on, and not learned from
    tier: str = "SIGN"  # of an ELAN file of signs
    segmenter: str | None = None  # of episodes without signs: a checkpoint; None: training-free


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    pairs: int  # that were learned from
    agreement: float  # the recipe's metric on the pairs of held-out episodes that time alone is sure of
    checkpoint: Path


@dataclass(frozen=True)
class Cotrained:
    """What all rounds came to."""

    best: int  # the round whose embedder agrees most, from 1
    rounds: tuple[Round, ...]  # the last one is worse, if that ended it
    stopped: Literal["rounds", "agreement"]

    @property
    def checkpoint(self) -> Path:
        """Of the best round."""
        return self.rounds[self.best - 1].checkpoint


@dataclass(frozen=True)
class Episode:
    """Signing with its subtitles."""

    name: str
    poses: Path
    subtitles: Path
    signs: Path | None = None  # None: they are found
    signer: str | None = None
    part: Part | None = None


def cotrain(
    recipe: Path | str,
    *,
    output: Path | str | None = None,
    progress: Callable[[int, Progress], None] | None = None,
    told: Callable[[int, Round], None] | None = None,
) -> Cotrained:
    """Train an embedder on subtitles as they are: align, keep the pairs that are sure, learn from them, align again.

    Round 1 aligns with the recipe's `start`, or by time alone where there is none; every round trains from there, on
    what its alignment is sure of, and the next one aligns with what it made. It ends after `rounds`, or when a round
    agrees less than the one before with the pairs of held-out episodes: those that time alone is sure of, which stay
    the same throughout, so that rounds can be compared and no embedder judges itself.

    A recipe is one of SignCLIP, less the table [data] `manifest`, with a table [cotrain]. Rounds lie in the folder;
    what is there is not done again, and a run that was killed goes on in the middle of its training.

    Args:
        recipe: A TOML file; paths in it are relative to its folder.
        output: The folder, in place of the recipe's `output`.
        progress: Called after every step of training, with the round.
        told: Called when a round is done.
    Raises:
        InputError: The recipe or an episode cannot be used; no pairs are sure.
        ModuleNotFoundError: torch or lightning-fabric is missing; the message is the remedy.
    """
    recipe = Path(recipe)
    table = read_table(recipe)
    if table.pop("task", None) != "signclip":
        raise InputError(f'{recipe}: task: only embedders learn from alignments: "signclip"')
    given = table.pop("output", None)
    if output is None and not isinstance(given, str):
        raise InputError(f"{recipe}: output: expected the folder of the run, found {given!r}")
    folder = Path(output) if output is not None else recipe.parent / str(given)
    settings = build(Settings, table.pop("cotrain", {}), f"{recipe} [cotrain]", recipe.parent)
    loop, task = import_task("signclip")
    learning = build(task.Recipe, _with_manifest(table, recipe), str(recipe), recipe.parent)
    if learning.loop.devices > 1:
        raise InputError(f"{recipe} [loop]: devices: rounds are made by one process; take it out")
    parts = divide(_read(settings.episodes), settings.divide, valid=settings.valid, seed=learning.loop.seed)
    better = 1 if learning.loop.direction == "max" else -1
    rounds: list[Round] = []
    for number in range(1, settings.rounds + 1):
        here = folder / f"round-{number}"
        start = rounds[-1].checkpoint if rounds else learning.start
        pairs = _gather(parts, here, start, folder / "round-1", settings)
        data = replace(learning.data, manifest=here / "clips.csv")

        def tell(step: Progress, number: int = number) -> None:
            if progress is not None:
                progress(number, step)

        prepare = partial(task.prepare, replace(learning, data=data))
        trained = loop.run(prepare, learning.loop, here / "model", recipe=recipe, progress=tell)
        rounds.append(Round(pairs, float(trained.metrics[learning.loop.metric]), trained.checkpoint))
        if told is not None:
            told(number, rounds[-1])
        if number > 1 and better * (rounds[-1].agreement - rounds[-2].agreement) < 0:
            break
    best = max(range(len(rounds)), key=lambda at: better * rounds[at].agreement)
    fell = len(rounds) > 1 and better * (rounds[-1].agreement - rounds[-2].agreement) < 0
    found = Cotrained(best + 1, tuple(rounds), "agreement" if fell else "rounds")
    said = {"best": found.best, "stopped": found.stopped, "rounds": [asdict(one) for one in rounds]}
    write_text(folder / "rounds.json", json.dumps(plain_values(said), indent=1, default=str) + "\n")
    return found


def _with_manifest(table: Mapping[str, Any], recipe: Path) -> dict[str, Any]:
    """The recipe with a manifest, which the rounds replace."""
    data = table.get("data", {})
    for key in ("manifest", "traduttore", "valid_signers", "test_signers"):
        if key in data:
            raise InputError(f"{recipe} [data]: {key}: the clips come from [cotrain] episodes; take it out")
    return {**table, "data": {**data, "manifest": "clips.csv"}}


def _read(path: Path) -> tuple[Episode, ...]:
    """The episodes of a table."""
    found = []
    for where, cells in read_rows(path, COLUMNS, ("poses", "subtitles")):
        poses, subtitles = (path.parent / str(cells[name]) for name in ("poses", "subtitles"))
        signs = cells["signs"] and find_file(where, path.parent / cells["signs"], TIERS | TABLES)
        find_file(where, poses, POSES)
        find_file(where, subtitles, SUBTITLES | TIERS | TABLES)
        part = read_part(where, cells["split"])
        found.append(Episode(str(cells["poses"]), poses, subtitles, signs or None, cells["signer"], part))
    return tuple(found)


def _gather(
    parts: Mapping[Part, Sequence[Episode]], folder: Path, start: Path | None, first: Path, settings: Settings
) -> int:
    """Write the clips of the pairs that are sure and a table of them, unless it is there; count those to learn from.

    Held-out episodes are aligned by time alone, in the first round.

    Raises:
        InputError: No pairs are sure; the table that is there was made of other files, or in another way.
    """
    path, note = folder / "clips.csv", folder / "clips.json"
    about = _about(parts, start, settings)
    if path.exists():
        before = json.loads(read_text(note)[0]) if note.exists() else {}
        if keys := [key for key in {**before, **about} if before.get(key) != about.get(key)]:
            raise InputError(
                f"{folder}: holds pairs of other episodes or settings ({', '.join(keys[:3])}); name another folder, "
                f"or remove {folder.parent}"
            )
    else:
        embedder = None
        if start is not None:
            from seasign import checkpoints

            embedder = checkpoints.load_embedder(folder_or_name(start))
        lines: list[tuple[str, str, str, str]] = []
        for number, episode in enumerate(parts["train"]):
            lines += _cut(episode, embedder, folder, f"clips/{number:05d}", "train", settings)
        held: list[tuple[str, str, str, str]] = []
        if folder == first:
            for number, episode in enumerate(parts["valid"]):
                held += _cut(episode, None, folder, f"valid/{number:05d}", "valid", settings)
        else:
            before = (
                cells for _, cells in read_rows(first / "clips.csv", ("poses", "text", "signer", "split"), ("split",))
            )
            held += [
                (f"../round-1/{cells['poses']}", str(cells["text"]), str(cells["signer"]), "valid")
                for cells in before
                if cells["split"] == "valid"
            ]
        for some, where in (lines, ""), (held, "held-out "):
            if not some:
                raise InputError(
                    f"{settings.episodes}: no cue of the {where}episodes is sure to be on its signing; "
                    "lower [cotrain] confidence"
                )
        lines += held
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([("poses", "text", "signer", "split"), *lines])
        folder.mkdir(parents=True, exist_ok=True)
        write_text(note, json.dumps(about, ensure_ascii=False, indent=1) + "\n")
        write_text(path, table.getvalue())  # last: what it lists is there
    return sum(cells["split"] == "train" for _, cells in read_rows(path, ("split",), ("split",)))


def _about(parts: Mapping[Part, Sequence[Episode]], start: Path | None, settings: Settings) -> dict[str, Any]:
    """All that the pairs of a round depend on."""
    asked = {key: str(value) for key, value in asdict(settings).items() if key not in ("episodes", "rounds")}
    files = {
        f"{part}: {episode.name}: {path.name}": sha256(path)
        for part in ("train", "valid")
        for episode in parts[part]
        for path in (episode.poses, episode.subtitles, episode.signs)
        if path is not None
    }
    weights = start and start / "weights.safetensors"
    files[settings.episodes.name] = sha256(settings.episodes)
    return asked | files | {"start": sha256(weights) if weights and weights.exists() else str(start)}


def _cut(
    episode: Episode, embedder: Embedder | None, folder: Path, start: str, part: Part, settings: Settings
) -> list[tuple[str, str, str, str]]:
    """Write the poses of every cue that is sure to be signed there; the lines of the table."""
    poses = read_poses(episode.poses)
    tier = "SUBTITLE" if episode.subtitles.suffix.lower() in TIERS else None  # as delivered, and not what is aligned
    cues = in_poses(read_cues(episode.subtitles, tier).cues, poses)
    if episode.signs is not None:
        signs = in_poses(read_signs(episode.signs, settings.tier), poses)
    elif settings.segmenter is not None:
        from seasign import checkpoints

        signs = segment(poses, checkpoints.load_segmenter(settings.segmenter), purpose="alignment")
    else:
        signs = segment(poses, purpose="alignment")
    alignment = align_with(poses, cues, signs, embedder, settings.lag)
    lines: list[tuple[str, str, str, str]] = []
    for number, run in enumerate(alignment.runs):
        sure = alignment.confidence[number].probability if alignment.confidence else 0.0
        text = " ".join(plain(cues[number].text).split())
        if run and text and sure >= settings.confidence:
            name = f"{start}-{number:05d}.npz"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name, _between(poses, run[0].start, run[-1].end))
            lines.append((name, text, episode.signer or episode.name, part))
    return lines


def align_with(
    poses: Poses, cues: Sequence[Cue], signs: Sequence[Sign], embedder: Embedder | None, lag: float | None
) -> Alignment:
    """Align with signs that are known already, by an embedder or by time alone; all in the time of the poses."""
    similarity = None
    if embedder is not None and cues and signs:
        similarity = compare(
            embed_text([plain(cue.text) for cue in cues], embedder), embed_signs(poses, signs, embedder)
        )
    return align(signs, cues, similarity=similarity, lag="auto" if lag is None else (lag, lag))


def _between(poses: Poses, start: float, end: float) -> Poses:
    """The frames of a span, at least one."""
    first = min(max(0, round(start * float(poses.fps))), len(poses.xyz) - 1)
    rows = slice(first, max(round(end * float(poses.fps)), first + 1))
    return replace(poses, xyz=poses.xyz[rows], confidence=poses.confidence[rows])
