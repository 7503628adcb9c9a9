"""Moves subtitles onto the signing that says them."""

from importlib.metadata import version as _version

from seasign.alignment import PRESETS, align, assign
from seasign.calibration import Calibrated, Reliability, calibrate, draw_reliability
from seasign.decoding import Argmax, Decoded, Decoder, Likeliest, SemiMarkov, Threshold
from seasign.embedding import Embedder, compare, embed_signs, embed_text
from seasign.explanation import explain, parse_report
from seasign.formats import pins, read, read_cues, read_embeddings, read_poses, read_preset, read_signs, write
from seasign.indexing import Filters, Match, VectorIndex, Video, Window, find_windows, index
from seasign.lag import estimate_lag
from seasign.legality import Legality, check_nothing_lost, legalize, place_dropped
from seasign.metrics import (
    Counts,
    Evaluation,
    Found,
    evaluate,
    evaluate_baselines,
    evaluate_drops,
    evaluate_retrieval,
    find_dropped,
)
from seasign.metrics.glosses import GlossScores, WordErrors, evaluate_glosses, evaluate_words
from seasign.metrics.retrieval import RetrievalScores
from seasign.metrics.translation import (
    IsolatedScores,
    TranslationScores,
    evaluate_isolated,
    evaluate_translation,
    join_cues,
)
from seasign.pose_estimation import estimate_poses
from seasign.recognition import (
    Guesses,
    RecognitionScores,
    RecognitionTuning,
    Recognizer,
    Vocabulary,
    Walk,
    WindowGuesses,
    classify,
    evaluate_recognition,
    recognize,
    tune_recognition,
)
from seasign.report import Summary, Verdict, build_report, diagnose, give_verdict, summarize
from seasign.retrieval import Hit, search
from seasign.segmentation import TRAINING_FREE, Segmenter, TrainingFree, gate, merge, phrases, segment
from seasign.spans import join_neighbours, shift
from seasign.spotting import Spot, Spotter, spot
from seasign.stores import open_index, settle
from seasign.synthesis import Episode, synthesize
from seasign.training import Trained, train
from seasign.training.cotraining import Cotrained, cotrain
from seasign.translation import Translated, Translation, Translator, translate
from seasign.tuning import Tuning, tune
from seasign.types import (
    Alignment,
    Alternative,
    Calibration,
    Confidence,
    Costs,
    Cue,
    Embeddings,
    Example,
    InputError,
    InputWarning,
    Lag,
    Normalization,
    Poses,
    Preset,
    Sign,
    Span,
    Subtitles,
    Tags,
    Terms,
    WindowFeatures,
)
from seasign.uncertainty import Comparison, Interval, bootstrap, compare_runs
from seasign.web.contact_sheet import Card, render_sheet
from seasign.web.report_page import SCHEMA, dump_report, render_report
from seasign.web.timeline import draw_timeline

__version__ = _version("seasign")

__all__ = [
    "PRESETS",
    "SCHEMA",
    "TRAINING_FREE",
    "Alignment",
    "Alternative",
    "Argmax",
    "Calibrated",
    "Calibration",
    "Card",
    "Comparison",
    "Confidence",
    "Costs",
    "Cotrained",
    "Counts",
    "Cue",
    "Decoded",
    "Decoder",
    "Embedder",
    "Embeddings",
    "Episode",
    "Evaluation",
    "Example",
    "Filters",
    "Found",
    "GlossScores",
    "Guesses",
    "Hit",
    "InputError",
    "InputWarning",
    "Interval",
    "IsolatedScores",
    "Lag",
    "Legality",
    "Likeliest",
    "Match",
    "Normalization",
    "Poses",
    "Preset",
    "RecognitionScores",
    "RecognitionTuning",
    "Recognizer",
    "Reliability",
    "RetrievalScores",
    "Segmenter",
    "SemiMarkov",
    "Sign",
    "Span",
    "Spot",
    "Spotter",
    "Subtitles",
    "Summary",
    "Tags",
    "Terms",
    "Threshold",
    "Trained",
    "TrainingFree",
    "Translated",
    "Translation",
    "TranslationScores",
    "Translator",
    "Tuning",
    "VectorIndex",
    "Verdict",
    "Video",
    "Vocabulary",
    "Walk",
    "Window",
    "WindowFeatures",
    "WindowGuesses",
    "WordErrors",
    "align",
    "assign",
    "bootstrap",
    "build_report",
    "calibrate",
    "check_nothing_lost",
    "classify",
    "compare",
    "compare_runs",
    "cotrain",
    "diagnose",
    "draw_reliability",
    "draw_timeline",
    "dump_report",
    "embed_signs",
    "embed_text",
    "estimate_lag",
    "estimate_poses",
    "evaluate",
    "evaluate_baselines",
    "evaluate_drops",
    "evaluate_glosses",
    "evaluate_isolated",
    "evaluate_recognition",
    "evaluate_retrieval",
    "evaluate_translation",
    "evaluate_words",
    "explain",
    "find_dropped",
    "find_windows",
    "gate",
    "give_verdict",
    "index",
    "join_cues",
    "join_neighbours",
    "legalize",
    "merge",
    "open_index",
    "parse_report",
    "phrases",
    "pins",
    "place_dropped",
    "read",
    "read_cues",
    "read_embeddings",
    "read_poses",
    "read_preset",
    "read_signs",
    "recognize",
    "render_report",
    "render_sheet",
    "search",
    "segment",
    "settle",
    "shift",
    "spot",
    "summarize",
    "synthesize",
    "train",
    "translate",
    "tune",
    "tune_recognition",
    "write",
]
