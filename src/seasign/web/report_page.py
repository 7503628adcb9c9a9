"""The report of an alignment: as JSON, and as one page that opens from a file and asks the network for nothing.

What the report holds is in docs/report.md.
"""

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

SCHEMA = "seasign-report/1"
_UNSAFE = str.maketrans({"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"})  # they end scripts or lines


def dump_report(report: Mapping[str, object]) -> str:
    """The report as one line of JSON, numbers rounded to four decimals; what is not a finite number becomes null."""
    return json.dumps(_plain(report), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def render_report(report: Mapping[str, object]) -> str:
    """Draw the report as one HTML document that needs no other file.

    Its content security policy lets run the page's own script alone, known by its hash, and forbids every request:
    a text from a subtitle that should become markup after all would still do nothing.
    """
    page = files("seasign.web").joinpath("report.html").read_text(encoding="utf-8")
    policy = (
        f"script-src {_hash(page, 'script')}; style-src {_hash(page, 'style')}; base-uri 'none'; form-action 'none'"
    )
    page = page.replace("default-src 'none'", f"default-src 'none'; {policy}; require-trusted-types-for 'script'", 1)
    return page.replace(">null</script>", f">{dump_report(report).translate(_UNSAFE)}</script>", 1)


def _hash(page: str, tag: str) -> str:
    """What the policy calls the one element of that name without attributes."""
    (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{b64encode(sha256(body.encode()).digest()).decode()}'"


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
