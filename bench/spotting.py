"""Signs planted at known places: whether spotters say that they are there, and where; the published spotter and ours.

    python bench/spotting.py DATA RUNS [SEEDS]  # 0: write down what was measured so far
    python bench/spotting.py DATA  # hands alone, that people timed: nothing is trained

DATA holds `traduttore_asl`, `how2sign` and `boston104` (the shared data; without the first, signs are made up, and
without the others their tables are left out), RUNS is where checkpoints go; what is there already is not trained or
measured again. The recipe is recipes/spotter-tiny.toml, and all that is trained has its sizes and the very same pairs:
the published network is one of narrow layers, on a few thousand pairs.

Three seeds, and with each two signs that are in no pair that is learned from or chosen on. Asked is with a sign of a
session that the epoch was chosen on, in what is joined of signs of two sessions that nothing has seen; half of the
pairs are present, and of the others half ask with the sign that is most alike among those as long of its session.
"Natural" asks with any sign. "Planted" are the same signs between stretches of real continuous signing of another
signer; in what is absent, another sign is planted. Thresholds of presence are those that are best where the epoch was
chosen. Localised is what is present. Brackets hold the least and the greatest of the seeds.
"""

import json
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import numpy as np
import segmentation
import signclip_tiny
import torch
from results import record
from safetensors.torch import load_file

import seasign
from seasign import formats
from seasign.metrics.spotting import evaluate_localisation, evaluate_presence
from seasign.models.features import SHOULDERS, SIDES
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.models.spotter import Shape
from seasign.models.spotter import Spotter as Network
from seasign.models.spotter_inputs import LANDMARKS, Inputs, PoseSpotter
from seasign.models.spotter_inputs import places as spotted
from seasign.models.subsequence_dtw import SubsequenceDtw
from seasign.spotting import EmbeddingWindows, Spot, Spotter, rank
from seasign.synthesis import synthesize_signs
from seasign.training import spotting as tasks
from seasign.training import train
from seasign.training.concatenation import Joining, concatenate
from seasign.training.recipe import build, read_table
from seasign.training.spotting import JoinedSigns, Recipe, SpottingTask, choose, prepare, trimmed
from seasign.types import InputError, InputWarning, Poses, Sign, Span

RECIPE = Path(__file__).parents[1] / "recipes" / "spotter-tiny.toml"
NOTHING = {"layers": 2, "times": 0, "compare": 0, "learning_rate": 1e-3}
PUBLISHED = NOTHING | {"head": "presence"}
BCE, CONTRAST, BOTH = ({"presence": a, "frames": 0.0, "contrast": b} for a, b in ((1.0, 0.0), (0.0, 1.0), (1.0, 0.5)))
WAYS: dict[str, dict[str, object]] = {  # of what the recipe says
    "published, 2-D, BCE": PUBLISHED | BCE,
    "published, 2-D, contrastive": PUBLISHED | CONTRAST | {"head": "contrast"},
    "published, 2-D, both": PUBLISHED | BOTH,
    "published, 1-D, BCE": PUBLISHED | BCE | {"convolution": "1d"},
    "published, 1-D, both": PUBLISHED | BOTH | {"convolution": "1d"},
    "ours, presence alone": {"frames": 0.0},
    "ours, presence and places": {},
    "ours, points alone, presence alone": {"times": 0, "frames": 0.0},
    "ours, points alone": {"times": 0},
    "ours, nothing compared": NOTHING,
    "ours, points alone, with the transformer": {"layers": 2, "times": 0, "learning_rate": 1e-3},
}
WORDS = ("can", "coffee", "get", "hello", "large", "muffin", "no", "please", "small", "thank you")
SESSIONS = 9
HELD_OUT = (("muffin", "no"), ("get", "hello"), ("can", "thank you"))  # by seed
PAIRS, NATURAL, PLANTED, CHOSEN = 160, 80, 80, 100
EXAMPLES = 5
FPS = Fraction(20)  # of what is asked


@dataclass(frozen=True)
class Case:
    """A query of one example and of five, poses, and where the query is in them."""

    word: str
    queries: tuple[Poses, ...]
    poses: Poses
    spans: tuple[Span, ...]


FIRST = (
    "published, 2-D, BCE",
    "ours, presence alone",
    "ours, presence and places",
)  # with all seeds, before the others


# --- What is trained --------------------------------------------------------------------------------------------------


CORPORA: dict[tuple[object, ...], JoinedSigns] = {}


def remembered(recipe: Recipe, inputs: Inputs) -> JoinedSigns:
    """Pairs, each drawn once and the same for all ways."""
    key = recipe.data, recipe.joined, recipe.augment, recipe.loop.seed, inputs
    if key in CORPORA:
        return CORPORA[key]
    corpus, drawn = JoinedSigns(recipe, inputs), dict[tuple[int, int], tasks.Pair]()

    def draw(item: int, rng: np.random.Generator) -> tasks.Pair:
        place = item, int(rng.bit_generator.state["state"]["state"])
        if place not in drawn:
            drawn[place] = JoinedSigns.draw(corpus, item, rng)
        return drawn[place]

    corpus.draw = draw  # type: ignore[method-assign]
    return CORPORA.setdefault(key, corpus)


def trained(data: Path, folder: Path, way: str, seed: int) -> SpottingTask:
    """The task with the weights of its best epoch."""
    text = RECIPE.read_text(encoding="utf-8")
    corpus = data / "traduttore_asl"
    if corpus.exists():
        settings: dict[str, object] = {"traduttore": str(corpus.resolve())}
    else:
        text = re.sub(r"^traduttore = .*$", 'manifest = ""', text, flags=re.MULTILINE)
        settings = {"manifest": str(made_up(folder / "made up"))}
    settings |= WAYS[way]
    for key, value in settings.items():
        line = f"{key} = {json.dumps(value)}"
        if re.search(rf"^{key} = ", text, flags=re.MULTILINE):
            text = re.sub(rf"^{key} = .*$", lambda _, line=line: line, text, flags=re.MULTILINE)
        else:
            table = "loss" if key == "contrast" else "network"
            text = text.replace(f"[{table}]\n", f"[{table}]\n{line}\n")
    text = text.replace("[loop]\n", f"[loop]\nseed = {seed}\n")
    text = text.replace("[data]\n", f"[data]\nwithout = {json.dumps(HELD_OUT[seed % len(HELD_OUT)])}\n")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{re.sub('[^a-z0-9]+', '-', way.lower())}-{seed}"
    (folder / f"{name}.toml").write_text(text)
    train(folder / f"{name}.toml", output=folder / name)
    table = read_table(folder / f"{name}.toml")
    del table["task"], table["output"]
    task = prepare(build(Recipe, table, name, folder))
    task.model.load_state_dict(load_file(folder / name / "weights.safetensors"))
    task.model.eval()
    return task


LOOKS, READS = "windows of a SignCLIP", "windows of a SignCLIP, asked with words"


def signclip(data: Path, runs: Path, seed: int) -> EmbeddingWindows:
    """Windows of a small SignCLIP that has learned from the same sessions, and none of the words that are held out."""
    others, held_out = ("block 1", "block 2", "block 4"), HELD_OUT[seed % len(HELD_OUT)]
    return EmbeddingWindows(signclip_tiny.trained(data / "traduttore_asl", runs / "signclip", others, seed, held_out))


def made_up(folder: Path) -> Path:
    """A table of as many signs of nobody, each once in every session; the words are those of the real ones."""
    table = folder / "clips.csv"
    if not table.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rows = ["poses,text,signer"]
        for number, (poses, _) in enumerate(synthesize_signs(len(WORDS), SESSIONS)):
            word, session = WORDS[number // SESSIONS], number % SESSIONS
            formats.write(folder / f"{word}-{session}.npz", poses)
            rows.append(f"{word}-{session}.npz,{word},block {session}")
        table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


# --- What is asked ----------------------------------------------------------------------------------------------------


def asked(
    corpus: JoinedSigns, part: str, asking: str, count: int, how: str, background: Sequence[Poses] = ()
) -> list[Case]:
    """Cases, the same whenever they are made of the same parts.

    Args:
        how: "balanced", or "natural".
        background: Signing between which one sign is planted; none: signs are joined.
    """
    rng, cases = np.random.default_rng([2026, count]), []
    queries, own = corpus.queries[asking], corpus.queries[part]
    words = sorted(set(queries.words.tolist()) & set(own.words.tolist()))
    if part == "valid":
        words = [word for word in words if word in corpus.known["valid"]]
    while len(cases) < count:
        if background:
            word = str(rng.choice(words))
            poses, signs = planted(corpus, part, word, background[rng.integers(len(background))], rng)
        else:
            poses, signs = corpus.join(part, words if part == "valid" else corpus.words(part), rng, FPS)
        said = [str(sign.gloss) for sign in signs]
        there = [word for word in words if word in said]
        word = str(rng.choice(words if how == "natural" or not there else there))
        row = queries.draw(word, rng)
        if how == "balanced" and len(cases) % 2 == 0:
            others = [word for word in words if word not in said]
            row = queries.other(row, others, rng, 0.5)
            word = queries.tokens[row].word
        rows = [row, *rng.permutation(np.setdiff1d(np.flatnonzero(queries.words == word), [row]))[: EXAMPLES - 1]]
        tokens = [queries.tokens[one] for one in rows]
        spans = tuple(Span(sign.start, sign.end) for sign in signs if sign.gloss == word)
        cases.append(Case(word, tuple(trimmed(one.poses, one.sign) for one in tokens), poses, spans))
    return cases


def planted(
    corpus: JoinedSigns, part: str, word: str, signing: Poses, rng: np.random.Generator
) -> tuple[Poses, tuple[Sign, ...]]:
    """A sign of a part somewhere in continuous signing, which is cut there and goes on after it."""
    own = corpus.queries[part]
    token = own.tokens[own.draw(word, rng)]
    at = float(rng.uniform(0.2, 0.8)) * signing.duration
    pieces = [Span(0.0, at), Span(at, signing.duration)]
    clips = [(trimmed(signing, piece), None) for piece in pieces]
    clips.insert(1, (trimmed(token.poses, token.sign), token.word))
    whole = [(poses, Sign(0.0, poses.duration, gloss)) for poses, gloss in clips]
    poses, signs = concatenate(whole, int(rng.integers(2**31)), joining=Joining(phrase=(3, 3)), fps=FPS)
    return poses, tuple(sign for sign in signs if sign.gloss)


# --- What is said to it -----------------------------------------------------------------------------------------------

Answer = tuple[float, tuple[Spot, ...]]  # how surely it is there, and where


def answers(spotter: Spotter, cases: Sequence[Case], examples: int) -> list[Answer]:
    """Asked with so many examples; 0: with the word."""
    found = []
    for case in cases:
        query = case.queries[:examples] or case.word
        try:
            spots = rank(spotter.candidates(query, case.poses), (0.0, 1.0))
        except InputError:  # a query longer than what is left of the poses: nowhere
            spots = ()
        best = max((spot.score for spot in spots), default=-100.0)
        found.append((spotter.presence(query, case.poses) if isinstance(spotter, PoseSpotter) else best, spots))
    return found


def presence(found: Sequence[Answer], cases: Sequence[Case], threshold: float) -> dict[str, float]:
    scores = evaluate_presence(
        np.array([score for score, _ in found]), np.array([bool(case.spans) for case in cases]), threshold=threshold
    )
    names = {"accuracy": scores.accuracy, "balanced accuracy": scores.balanced_accuracy, "F1": scores.f1}
    names |= {"macro F1": scores.macro_f1, "AP": scores.average_precision, "ROC-AUC": scores.roc_auc}
    return {name: 100 * value for name, value in names.items()}


def places(found: Sequence[Answer], cases: Sequence[Case]) -> dict[str, float]:
    queries = defaultdict(list)
    for (_, spots), case in zip(found, cases, strict=True):
        if case.spans:
            queries[case.word].append((case.spans, spots))
    scores = evaluate_localisation(queries)
    return {"IoU": 100 * scores.iou, "mAP@.3": 100 * scores.map[0], "mAP@.5": 100 * scores.map[1]}


def measured(
    spotter: Spotter, sets: Mapping[str, Sequence[Case]], held_out: Sequence[str], least: int = 1
) -> dict[str, dict[str, float]]:
    """By table.

    Args:
        least: Examples that are asked with; 0: words are, and no examples.
    """
    chosen = answers(spotter, sets["chosen on"], least)
    threshold = choose(
        np.array([score for score, _ in chosen]), np.array([bool(case.spans) for case in sets["chosen on"]])
    )
    tables: dict[str, dict[str, float]] = {}
    for name, cases in sets.items():
        if name == "chosen on":
            continue
        for examples in (least, EXAMPLES) if name == "joined" and least else (least,):
            cases = cases[: len(cases) // 2] if examples > 1 else cases
            found = answers(spotter, cases, examples)
            kinds: dict[str, Callable[[str], bool]] = {"": lambda word: True}
            if name == "joined" and examples == least:
                kinds |= {
                    ", signs seen": lambda word: word not in held_out,
                    ", signs unseen": lambda word: word in held_out,
                }
            for kind, belongs in kinds.items():
                own = [row for row, case in enumerate(cases) if belongs(case.word)]
                some, said = [cases[row] for row in own], [found[row] for row in own]
                if not any(case.spans for case in some):
                    continue
                title = f"{name}{kind}" + ", five examples" * (examples > 1)
                tables[title] = presence(said, some, threshold) | places(said, some)
    return tables


def main(data: Path, runs: Path, seeds: int) -> None:
    torch.set_num_threads(1)
    tasks.JoinedSigns = remembered  # type: ignore[assignment,misc]
    background = [seasign.read_poses(path) for path in sorted((data / "how2sign" / "poses").glob("*.pose"))]
    background = [poses for poses in background if 3.0 <= poses.duration <= 8.0]
    book = runs / "measured.json"
    results = json.loads(book.read_text()) if book.exists() else {}
    order = FIRST, [way for way in WAYS if way not in FIRST]
    sets = cache(lambda seed: asked_of(trained(data, runs, next(iter(WAYS)), seed).corpus, background))
    for seed, way in [(seed, way) for ways in order for seed in range(seeds) for way in ways]:
        rows: dict[str, Callable[[], Spotter]] = {way: lambda: trained(data, runs, way, seed).spotter()}  # noqa: B023
        if way == next(iter(WAYS)):
            rows |= {
                "DTW": SubsequenceDtw,
                "windows of the descriptor": lambda: EmbeddingWindows(PoseDescriptor()),
                "ours, nothing learned": lambda: PoseSpotter(untrained(), Inputs(Fraction(12)), (0.0, 1.0)),
            }
            if (data / "traduttore_asl").exists():
                rows |= dict.fromkeys((LOOKS, READS), partial(signclip, data, runs, seed))
        for row, make in rows.items():
            if f"{row}, {seed}" not in results:
                held_out, least = HELD_OUT[seed % len(HELD_OUT)], int(row != READS)
                results[f"{row}, {seed}"] = measured(make(), sets(seed), held_out, least)
                book.write_text(json.dumps(results))
                some = {name: round(value, 1) for name, value in results[f"{row}, {seed}"]["joined"].items()}
                print(seed, row, some, flush=True)
    corpus = "traduttore_asl" if (data / "traduttore_asl").exists() else "synthetic signs"
    for table in next(iter(results.values())):
        for row in dict.fromkeys(name.rpartition(", ")[0] for name in results):
            found = [own[table] for name, own in results.items() if name.rpartition(", ")[0] == row and table in own]
            for column in found[0]:
                values = [one[column] for one in found]
                between = (min(values), max(values)) if len(values) > 1 else None
                record(f"{row}: {column}", float(np.mean(values)), "%", "", f"{corpus}, {table}", between)


def asked_of(corpus: JoinedSigns, background: Sequence[Poses]) -> dict[str, list[Case]]:
    """By table; with "chosen on", by which thresholds are."""
    sets = {
        "chosen on": asked(corpus, "valid", "train", CHOSEN, "balanced"),
        "joined": asked(corpus, "test", "valid", PAIRS, "balanced"),
        "joined, natural rate": asked(corpus, "test", "valid", NATURAL, "natural"),
    }
    if background:
        sets["planted in how2sign"] = asked(corpus, "test", "valid", PLANTED, "balanced", background)
    return sets


# --- Hands whose signs people timed -----------------------------------------------------------------------------------

TRACKS = (*SHOULDERS, *(f"POSE_LANDMARKS.{side}_WRIST" for side in SIDES))
WIDE, BELOW = 60.0, 45.0  # pixels: shoulders, which nobody marked, are so wide and so far below the nose


def hands(sentence: segmentation.Sentence) -> Poses:
    """Wrists where hands are, and shoulders where they would be."""
    xyz = np.zeros((sentence.hands.shape[1], 4, 3), np.float32)
    xyz[:, :2, :2] = sentence.nose + np.array([[-WIDE / 2, BELOW], [WIDE / 2, BELOW]])
    xyz[:, 2:, :2] = sentence.hands.swapaxes(0, 1)
    return Poses(xyz, np.ones(xyz.shape[:2], np.float32), Fraction(30), TRACKS)


def track(poses: Poses) -> np.ndarray:
    """What a network takes of them: wrists where they are, their speed where elbows would be, nothing else."""
    xy = (poses.xyz[..., :2] - poses.xyz[:, :2, :2].mean(axis=1, keepdims=True)) / WIDE
    made = np.zeros((len(xy), len(LANDMARKS), 2), np.float32)
    for number, side in enumerate(SIDES):
        made[:, LANDMARKS.index(f"POSE_LANDMARKS.{side}_WRIST")] = xy[:, 2 + number]
        if len(xy) > 1:
            speed = np.gradient(xy[:, 2 + number], axis=0) * 5  # a sixth of a second
            made[:, LANDMARKS.index(f"POSE_LANDMARKS.{side}_ELBOW")] = speed
    return made


@dataclass(frozen=True)
class Tracker:
    """Our comparison with nothing learned, of hands alone; as `PoseSpotter`, which asks for fingers."""

    network: Network
    calibration: tuple[float, float] = (0.0, 1.0)

    def candidates(self, query: tuple[Poses, ...], poses: Poses) -> tuple[Spot, ...]:
        frames, examples = track(poses), [track(example) for example in query]
        logits = np.mean([self.network.frame_logits(example, frames) for example in examples], axis=0)
        return spotted(logits, float(np.mean([example.duration for example in query])), poses.fps)


def boston(data: Path) -> None:
    """Every gloss that both sign, asked with one's and looked for in all sentences of the other."""
    with (data / "boston104" / "signs.csv").open(encoding="utf-8") as lines:
        rows = [line.strip().split(",") for line in lines][1:]
    glosses = defaultdict(list)
    for video, _, _, word, *_ in rows:
        glosses[video].append(word)
    sentences = segmentation.read(data / "boston104")
    spotters = {"DTW": SubsequenceDtw(), "ours, nothing learned": Tracker(untrained())}
    for name, spotter in spotters.items():
        for examples in (1, EXAMPLES):
            queries = {}
            for asking, other in (("woman-1", "man-1"), ("man-1", "woman-1")):
                tokens = defaultdict(list)
                for one in (one for one in sentences if one.speaker == asking):
                    for (start, stop), word in zip(one.signs, glosses[one.video], strict=True):
                        tokens[word].append(trimmed(hands(one), Span(start / 30, stop / 30)))
                videos = [one for one in sentences if one.speaker == other]
                there = {word for one in videos for word in glosses[one.video]}
                for word in sorted(word for word in set(tokens) & there if len(tokens[word]) >= examples):
                    found = []
                    for one in videos:
                        spans = [span for span, said in zip(one.spans, glosses[one.video], strict=True) if said == word]
                        query = tuple(tokens[word][:examples])
                        found.append((spans, rank(spotter.candidates(query, hands(one)), (0.0, 1.0))))
                    queries[f"{asking} {word}"] = found
            scores = evaluate_localisation(queries)
            row = f"{name}, {examples} example{'s' * (examples > 1)}"
            for column, value in {"IoU": scores.iou, "mAP@.3": scores.map[0], "mAP@.5": scores.map[1]}.items():
                record(f"{row}: {column}", 100 * value, "%", corpus="boston104, hands of the other signer")


def untrained() -> Network:
    """Our comparison as it begins."""
    torch.manual_seed(0)
    return Network(Shape(layers=0, head="frames", compare=32), Inputs(Fraction(12))).eval()


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)  # one hand is nothing to warn of
    if len(sys.argv) == 2:
        boston(Path(sys.argv[1]))
        sys.exit()
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3)
