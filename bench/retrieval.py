"""What is found without any training, and how far from chance: letters across two languages, signs of other sessions.

    python bench/retrieval.py DATA         # shared data: fingerspelling_poses, traduttore_asl, pose_samples
    python bench/retrieval.py DATA RUNS    # and the small SignCLIPs that bench/signclip_tiny.py left in RUNS

Letters: one clip of each, American (26) and German (30), other people and cameras. A clip of one language looks for the
same letter in the other; the handshapes are the same for many. Intervals are over letters. That the descriptor
cuts off rest was decided on these very letters, so what it gains here is flattered.

Signs of traduttore: ten words, every recording session left out in turn, examples drawn five times from all others.
Intervals are over sessions. All are of one committer, so this says nothing of other signers. The small SignCLIPs have
seen all clips of other sessions with their words, the descriptor nothing but the examples; of each session asked is the
one that never saw it. None has seen a letter.

Dictionary clips: each of 61 looks for itself among all, played at half its frames and shaken by 2 % of the shoulders.
"""

import csv
import json
import sys
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from results import record

import seasign
from seasign.corpora import traduttore
from seasign.metrics import Direction, evaluate_retrieval, guess_retrieval
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.recognition import Classifier, Method, classify, evaluate_recognition, folds, shots
from seasign.types import Embeddings, InputWarning, Poses, Sign
from seasign.uncertainty import bootstrap_retrieval, bootstrap_share

COLUMNS = {"R@1": ("recall", 0), "R@5": ("recall", 1), "median": ("median_rank", None)}
Embedders = dict[str, seasign.Embedder]


def embed(clips: Sequence[Poses], embedder: seasign.Embedder) -> Embeddings:
    """One row per clip."""
    rows = [embedder.signs(clip, [Sign(0.0, clip.duration)]) for clip in clips]
    return Embeddings(np.concatenate([row.vectors for row in rows]), rows[0].space)


def write(row: str, corpus: str, found: Direction, low: Direction | None = None, high: Direction | None = None) -> None:
    for column, (name, place) in COLUMNS.items():
        value, *ends = (
            100 * getattr(one, name)[place] if place is not None else getattr(one, name)
            for one in (found, low, high)
            if one
        )
        unit = "rank" if place is None else "%"
        record(f"{row}: {column}", value, unit, corpus=corpus, interval=(ends[0], ends[1]) if ends else None)


def letters(data: Path, embedders: Embedders) -> None:
    table = (data / "fingerspelling_poses" / "index.csv").read_text(encoding="utf-8")
    clips: dict[str, dict[str, Poses]] = {"ase": {}, "gsg": {}}
    for line in csv.DictReader(table.splitlines()):
        clips[line["signed_language"]][line["glosses"]] = seasign.read_poses(
            data / "fingerspelling_poses" / line["path"]
        )
    for mine, other in ("ase", "gsg"), ("gsg", "ase"):
        asked = [letter for letter in clips[mine] if letter in clips[other]]
        among = list(clips[other])
        corpus = f"letters, {mine} finds {other} ({len(asked)} among {len(among)})"
        for name, embedder in embedders.items():
            queries = embed([clips[mine][letter] for letter in asked], embedder)
            scores = seasign.compare(embed(list(clips[other].values()), embedder), queries)
            found = evaluate_retrieval(scores, among, asked)
            low, high = bootstrap_retrieval(scores, among, asked)
            write(name, corpus, found.sign_to_text, low.sign_to_text, high.sign_to_text)
        write("chance", corpus, guess_retrieval(among, asked).sign_to_text)


def few_shots(data: Path) -> None:
    clips = traduttore.read(data / "traduttore_asl")
    glosses, sessions = [clip.text for clip in clips], [str(clip.signer) for clip in clips]
    poses = [clip.read() for clip in clips]
    methods: dict[str, Method | Classifier] = {
        "nearest": "nearest",
        "k neighbours": "neighbours",
        "prototypes": "prototypes",
    }
    if find_spec("torch"):
        from seasign.training.probe import probe

        methods["linear probe"] = probe
    spaces = {"descriptor": PoseDescriptor(), "descriptor, whole clips": PoseDescriptor(raised=1)}
    corpus = f"traduttore, {len(clips)} clips of {len(set(glosses))} signs, {len(set(sessions))} sessions"
    for space, descriptor in spaces.items():
        signs = embed(poses, descriptor)
        for name, method in methods.items():
            for each in (1, 5, 10):
                found = evaluate_recognition(signs, glosses, sessions, each=each, method=method)
                scores = {f"{each} shot{'s' * (each > 1)}": found.top1} | (
                    {"1 shot, top-5": found.top5} if each == 1 else {}
                )
                for column, score in scores.items():
                    interval = (100 * score.low, 100 * score.high)
                    record(f"{space}, {name}: {column}", 100 * score.value, "%", corpus=corpus, interval=interval)
    record("chance: 1 shot", 100 * found.chance, "%", corpus=corpus)
    print(f"{found.unseen} of {len(clips)} clips left out: no other session shows their sign")


def trained(data: Path, tested: dict[str, Path]) -> None:
    """The networks that never saw a session, asked for its signs; and the descriptor, by the same examples."""
    from seasign import checkpoints
    from seasign.training.probe import probe

    clips = [clip for clip in traduttore.read(data / "traduttore_asl") if clip.signer in tested]
    glosses, poses = np.array([clip.text for clip in clips]), [clip.read() for clip in clips]
    described = embed(poses, PoseDescriptor(raised=1))
    nearest, prototypes = (partial(classify, method=method) for method in ("nearest", "prototypes"))
    guess: dict[str, Classifier] = {"nearest": nearest, "prototypes": prototypes, "linear probe": probe}
    right: dict[tuple[str, int], list[int]] = defaultdict(list)
    whole: dict[int, list[int]] = defaultdict(list)
    for rest, held in folds([str(clip.signer) for clip in clips]):
        learned = embed(poses, checkpoints.load_embedder(tested[str(clips[held[0]].signer)]))
        held = held[np.isin(glosses[held], glosses[rest])]
        for each in (1, 5, 10):
            few = [rest[shots(glosses[rest].tolist(), each, seed)] for seed in range(5)]
            ways = {f"small SignCLIP, {name}": (learned, way) for name, way in guess.items()}
            for name, (signs, way) in (ways | {"descriptor, whole clips, nearest": (described, nearest)}).items():
                asked = Embeddings(signs.vectors[held], signs.space)
                best = [
                    way(asked, Embeddings(signs.vectors[own], signs.space), glosses[own].tolist()).best for own in few
                ]
                right[name, each].append(int(np.sum(np.array(best) == glosses[held])))
            whole[each].append(len(few) * len(held))
    corpus = f"traduttore, {len(clips)} clips, sessions that a network never saw"
    rival = "descriptor, whole clips, nearest"
    for (name, each), hits in right.items():
        rows = {name: np.array(hits)}
        if name != rival:
            rows[f"{name}, less the descriptor"] = rows[name] - right[rival, each]
        for row, part in rows.items():
            found = bootstrap_share(part.astype(float), np.array(whole[each], float))
            interval = (100 * found.low, 100 * found.high)
            record(f"{row}: {each} shot{'s' * (each > 1)}", 100 * found.value, "%", corpus=corpus, interval=interval)


def dictionary(data: Path, embedders: Embedders) -> None:
    folder = data / "pose_samples"
    paths = [*(data / "fingerspelling_poses").glob("*/*.pose"), *(folder / "lexicon_sgg").glob("*.pose")]
    paths = [*sorted(paths), folder / "asl_house.pose"]
    names, clips = [path.stem for path in paths], [seasign.read_poses(path) for path in paths]
    rng = np.random.default_rng(0)
    corpus = f"{len(clips)} dictionary clips, at half the frames and shaken"
    for name, embedder in embedders.items():
        if not isinstance(embedder, PoseDescriptor):
            continue  # others need landmarks that the reduced clips lack
        changed = [shaken(clip, rng) for clip in clips]
        scores = seasign.compare(embed(clips, embedder), embed(changed, embedder))
        found, (low, high) = evaluate_retrieval(scores, names, names), bootstrap_retrieval(scores, names, names)
        write(name, corpus, found.sign_to_text, low.sign_to_text, high.sign_to_text)
    write("chance", corpus, guess_retrieval(names, names).sign_to_text)


def shaken(clip: Poses, rng: np.random.Generator) -> Poses:
    """Every second frame, and noise."""
    right, left = (clip.landmarks.index(f"POSE_LANDMARKS.{side}_SHOULDER") for side in ("RIGHT", "LEFT"))
    width = float(np.nanmedian(np.linalg.norm(clip.xyz[:, right, :2] - clip.xyz[:, left, :2], axis=1)))
    xyz = clip.xyz[::2] + rng.normal(0, 0.02 * width, clip.xyz[::2].shape).astype(np.float32)
    return replace(clip, xyz=xyz, confidence=clip.confidence[::2], fps=clip.fps / 2)


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)
    data = Path(sys.argv[1])
    embedders: Embedders = {"descriptor": PoseDescriptor(), "descriptor, whole clips": PoseDescriptor(raised=1)}
    tested: dict[str, Path] = {}
    for path in sorted(Path(sys.argv[2]).glob("*/config.json")) if len(sys.argv) > 2 else ():
        left = json.loads(path.read_text(encoding="utf-8"))["parts"]["test"]
        if len(left) == 1:
            tested.setdefault(left[0], path.parent)
    if tested:
        from seasign import checkpoints

        embedders["small SignCLIP"] = checkpoints.load_embedder(next(iter(tested.values())))
    letters(data, embedders)
    dictionary(data, embedders)
    few_shots(data)
    if tested:
        trained(data, tested)
