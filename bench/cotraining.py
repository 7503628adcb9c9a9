"""Does an embedder that was trained on what time alone aligned align better, and does a second round help?

    python bench/cotraining.py DATA WORK [SEEDS]

DATA is the folder of traduttore_asl; episodes are stitched as in bench/stitched.py, one word a cue, cues 2 s early
with a jitter of .5 s, the lag unknown, signs found by the training-free segmenter. Nobody says which sign is which:
`seasign cotrain` sees 15 episodes of sessions 1, 2, 3, 6 and 7, and agrees with 2 of session 5. F1@.50 is of these 15,
which it learned from, and of 6 others, of sessions 0 and 4. Intervals are over episodes, all seeds together.
"""

import csv
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from results import record
from signclip_tiny import RECIPE
from stitched import JITTER, deliver, f1, stitch

import seasign
from seasign import checkpoints
from seasign.corpora import traduttore
from seasign.training.cotraining import align_with
from seasign.types import InputWarning

PARTS = {"train": (1, 2, 3, 6, 7), "valid": (5,), "new": (0, 4)}
EACH = {"train": 3, "valid": 2, "new": 3}  # episodes of a session
UNLEARNED = ("large", "small")  # in sessions 0 and 4 alone
ROUNDS = 3


def write(data: Path, folder: Path, seed: int) -> dict[str, list[tuple]]:
    """The episodes and the recipe; what is in the episodes, by part."""
    clips = [clip for clip in traduttore.read(data) if clip.text not in UNLEARNED]
    folder.mkdir(parents=True, exist_ok=True)
    lines = [("poses", "subtitles", "signs", "signer", "split")]
    found = defaultdict(list)
    for part, sessions in PARTS.items():
        for session in sessions:
            own = [clip for clip in clips if clip.signer == f"block {session}"]
            for number in range(EACH[part]):
                chance = 1000 * seed + 10 * session + number
                poses, _, truth = stitch(own, chance, 1)
                signs, cues = seasign.segment(poses, purpose="alignment"), deliver(truth, chance, JITTER)
                found[part].append((poses, signs, cues, truth))
                name = folder / f"{session}-{number}"
                if part != "new":
                    seasign.write(name.with_suffix(".npz"), poses)
                    seasign.write(name.with_suffix(".vtt"), cues)
                    seasign.write(name.with_suffix(".csv"), signs)
                    files = [name.with_suffix(suffix).name for suffix in (".npz", ".vtt", ".csv")]
                    lines.append((*files, f"session {session}", part))
    with (folder / "episodes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    text = RECIPE.read_text(encoding="utf-8")
    gone = ("traduttore", "test_signers", "valid_signers")
    text = "\n".join(line for line in text.splitlines() if not line.startswith(gone))
    text = text.replace('methods = ["nearest", "neighbours", "prototypes", "probe"]', "methods = []")
    text = text.replace('metric = "valid_loss"\ndirection = "min"', 'metric = "sign_to_text_r@1"')
    text = text.replace("[loop]\n", f"[loop]\nseed = {seed}\n")
    text += f'\n[cotrain]\nepisodes = "episodes.csv"\nrounds = {ROUNDS}\n'
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    return found


def main(data: Path, work: Path, seeds: int) -> None:
    torch.set_num_threads(1)
    scores: dict[str, dict[str, list[float]]] = {"learned from": defaultdict(list), "new": defaultdict(list)}
    pairs, agreements = defaultdict(list), defaultdict(list)
    for seed in range(seeds):
        episodes = write(data, work / str(seed), seed)
        done = seasign.cotrain(work / str(seed) / "recipe.toml", output=work / str(seed) / "out")
        print(seed, done, flush=True)
        ways = {"by time alone": None}
        for number, turn in enumerate(done.rounds, start=1):
            ways[f"round {number}"] = checkpoints.load_embedder(turn.checkpoint)
            pairs[number].append(turn.pairs)
            agreements[number].append(turn.agreement)
        ways["best"] = ways[f"round {done.best}"]
        for name, part in ("learned from", "train"), ("new", "new"):
            for poses, signs, cues, truth in episodes[part]:
                for way, embedder in ways.items():
                    scores[name][way].append(f1(truth, align_with(poses, cues, signs, embedder, None).cues))
    for number in pairs:
        record(f"round {number}: pairs learned from", float(np.mean(pairs[number])), "", "", "cotraining, stitched")
        record(f"round {number}: agreement", 100 * float(np.mean(agreements[number])), "%", "", "cotraining, stitched")
    for name, ways in scores.items():
        ways = {way: np.array(values) for way, values in ways.items()}
        rows = dict(ways)
        rows["round 1 less time alone"] = ways["round 1"] - ways["by time alone"]
        rows["round 2 less round 1"] = ways["round 2"] - ways["round 1"]
        for way, values in rows.items():
            drawn = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
            low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975)).tolist()
            target = "above 0" if way.startswith("round 2 less") else ""
            record(f"{way}: {name}", float(values.mean()), "%", target, "cotraining, stitched: F1@.50", (low, high))


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 2)
