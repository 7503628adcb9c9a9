"""A picture of an alignment: signs and cues on lanes of time, as SVG."""

import html
import re
from collections.abc import Mapping, Sequence
from math import ceil

from seasign.types import Cue, Sign, Span

COLORS = ("#999999", "#e69f00", "#0072b2", "#009e73", "#cc79a7")  # told apart by colour-blind eyes (Okabe and Ito)
LEFT, WIDTH, LANE, AXIS, GAP = 92, 1120, 20, 16, 14  # pixels: names, time, one lane, the scale, between rows
LETTER = 5.6  # pixels: width of a letter, roughly
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML, escaped or not


def draw_timeline(lanes: Mapping[str, Sequence[Span]], seconds: float | None = None, row: float = 30.0) -> str:
    """Draw lanes of signs and cues as one SVG document, wrapped like text.

    Args:
        lanes: Name -> its spans, from top to bottom. Cues are numbered in their order, so that the same cue is found
            on every lane; what is too short for its text shows it on hovering.
        seconds: Length of the picture; None ends with the last span.
        row: Seconds in one row.
    """
    seconds = seconds or max((span.end for spans in lanes.values() for span in spans), default=row)
    rows = max(1, ceil(seconds / row))
    height = len(lanes) * LANE + AXIS + GAP
    body = [line for index in range(rows) for line in _row(lanes, index * row, row, index * height)]
    size = f'width="{LEFT + WIDTH + 10}" height="{rows * height + 10}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _row(lanes: Mapping[str, Sequence[Span]], start: float, length: float, top: float) -> list[str]:
    """All lanes between `start` and `start + length`, with their names and a scale."""
    lines = []
    scale = WIDTH / length
    bottom = top + AXIS + len(lanes) * LANE
    for second in range(ceil(start), int(start + length) + 1):
        x = LEFT + (second - start) * scale
        if second % 5 == 0:
            lines.append(
                f'<text x="{x:.1f}" y="{top + 12:.1f}" text-anchor="middle" fill="#555555">{_clock(second)}</text>'
            )
        lines.append(
            f'<path d="M{x:.1f} {top + AXIS:.1f}V{bottom:.1f}" stroke="#{"ccc" if second % 5 == 0 else "eee"}"/>'
        )
    for index, (name, spans) in enumerate(lanes.items()):
        y = top + AXIS + index * LANE
        lines.append(f'<text x="{LEFT - 8}" y="{y + 14:.1f}" text-anchor="end">{_escaped(name)}</text>')
        for number, span in enumerate(spans, 1):
            left, right = max(span.start, start), min(span.end, start + length)
            if left < right:
                box = LEFT + (left - start) * scale, y + 1.5, (right - left) * scale, LANE - 3
                lines += _box(*box, COLORS[index % len(COLORS)], _label(span, number), span)
    return lines


def _box(x: float, y: float, width: float, height: float, color: str, label: str, span: Span) -> list[str]:
    """One span; its text inside as far as it fits, and whole on hovering."""
    room = int((width - 6) / LETTER)
    shown = label if len(label) <= room else label[: room - 1] + "…" if room > 3 else ""
    return [
        f"<g><title>{_escaped(label)} ({span.start:.2f} - {span.end:.2f} s)</title>",
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width - 0.8, 0.8):.1f}" height="{height}" rx="2" fill="{color}" '
        'fill-opacity="0.35" stroke="#444444" stroke-width="0.4"/>',
        f'<text x="{x + 3:.1f}" y="{y + 12:.1f}">{_escaped(shown)}</text></g>',
    ]


def _label(span: Span, number: int) -> str:
    """What is written on a span."""
    if isinstance(span, Cue):
        return f"{number} {' '.join(span.text.split())}"
    return (span.gloss or "") if isinstance(span, Sign) else ""


def _clock(second: int) -> str:
    """Minutes and seconds."""
    return f"{second // 60}:{second % 60:02d}"


def _escaped(text: str) -> str:
    """Text as XML has it."""
    return html.escape(FORBIDDEN.sub("\ufffd", text))
