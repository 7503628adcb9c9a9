"""Moves subtitles onto the signing that says them."""

from importlib.metadata import version as _version

from seasign.alignment import PRESETS, Preset, align, assign, shift
from seasign.embedding import Embedder, compare
from seasign.formats import read, read_cues, read_poses, read_signs, write
from seasign.metrics import Counts, Evaluation, evaluate
from seasign.pose_estimation import estimate_poses
from seasign.report import Summary, summarize
from seasign.segmentation import TRAINING_FREE, Segmenter, TrainingFree, gate, merge, phrases, segment
from seasign.synthesis import Episode, synthesize
from seasign.timeline import draw_timeline
from seasign.types import (
    Alignment,
    Costs,
    Cue,
    Embeddings,
    InputError,
    InputWarning,
    Normalization,
    Poses,
    Sign,
    Span,
    Subtitles,
)

__version__ = _version("seasign")

__all__ = [
    "PRESETS",
    "TRAINING_FREE",
    "Alignment",
    "Costs",
    "Counts",
    "Cue",
    "Embedder",
    "Embeddings",
    "Episode",
    "Evaluation",
    "InputError",
    "InputWarning",
    "Normalization",
    "Poses",
    "Preset",
    "Segmenter",
    "Sign",
    "Span",
    "Subtitles",
    "Summary",
    "TrainingFree",
    "align",
    "assign",
    "compare",
    "draw_timeline",
    "estimate_poses",
    "evaluate",
    "gate",
    "merge",
    "phrases",
    "read",
    "read_cues",
    "read_poses",
    "read_signs",
    "segment",
    "shift",
    "summarize",
    "synthesize",
    "write",
]
