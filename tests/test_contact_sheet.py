"""The contact sheet: it shows what was found, asks nobody for anything, and no text in it becomes markup."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from seasign.indexing import Match, Window
from seasign.types import Poses
from seasign.web.contact_sheet import (
    DRAWN,
    HIGH,
    MOMENTS,
    WIDE,
    Asked,
    Card,
    clock,
    draw_poses,
    moments,
    render_sheet,
    shorten,
)
from test_pose_descriptor import signing

HOSTILE = ("<script>document.title = 'broken'</script>", '" onload="x', "</style><img src=x>", "]]>&amp;", "<!--")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def card(text="Rain tonight.", score=0.75, **more):
    window = Window(1.0, 2.0, "sign", more.pop("gloss", "RAIN"), 0.5, text)
    return Card(Match(more.pop("video", "a/b.pose"), window, score), **more)


class Words(HTMLParser):
    """All text of a page, and its tags."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.tags = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def test_a_card_says_what_was_found_and_what_is_around_it():
    page = render_sheet(
        "heavy rain",
        [
            card(
                before=("HEAVY",), after=("NOW", "GO"), signer="Ada", date="2026-11-21", link="file:///a/b.mp4#t=1.00"
            ),
            Card(Match("c.eaf", Window(60, 62.5, "sentence", text="It rains."), float("nan")), inside=("IT", "RAIN")),
            Card(Match("d.eaf", Window(3600, 3661, "sentence"), 0.1)),
        ],
        "2 windows",
    )
    said = " ".join(" ".join(Words(page).texts).split())
    for words in (
        "heavy rain", "2 windows", "RAIN 0.75", "a/b.pose", "0:01.00 \u2013 0:02.00", "HEAVY · RAIN · NOW · GO",
        "“Rain tonight.”",
        "Ada · 2026-11-21 · confidence 0.50", "“It rains.”", "IT · RAIN", "1:00.00 \u2013 1:02.50",
        "3 d.eaf 1:00:00.00 \u2013 1:01:01.00 0.1",
    ):  # fmt: skip
        assert words in said, words
    assert ("a", {"href": "file:///a/b.mp4#t=1.00"}) in Words(page).tags
    assert "Nothing was found." in render_sheet("x", [])


def test_what_says_nothing_is_titled_by_where_it_is_and_a_sentence_by_its_glosses():
    bare = Card(Match("d.eaf", Window(60, 61, "sentence"), 0.1))
    (title,) = re.findall("<h2.*?</h2>", render_sheet("x", [bare]))
    assert "d.eaf<span><time>1:00.00</time>" in title
    assert render_sheet("x", [bare]).count("d.eaf") == 1
    page = render_sheet("x", [replace(bare, inside=("IT", "RAIN"))])
    assert '<h2 class="sentence">IT · RAIN</h2>' in page
    assert page.count("RAIN") == 1


def test_a_signer_is_said_once():
    own = " ".join(Words(render_sheet("x", [card(video="ada/news.npz", signer="ada", date="2026-11-21")])).texts)
    assert own.count("ada") == 1
    assert "2026-11-21 · confidence" in own
    assert "ada · confidence" in render_sheet("x", [card(video="adam/news.npz", signer="ada")])


def bars(page):
    return [float(width) for width in re.findall(r'<rect width="(.*?)"', page)]


def test_bars_rise_from_the_floor_to_the_best():
    cards = [card(score=score) for score in (0.95, 0.92, 0.9, 0.85)]
    assert bars(render_sheet("x", cards, floor=0.9)) == [100, 40, 0, 0]
    assert bars(render_sheet("x", [card(score=score) for score in (-0.1, -0.2, -0.3)], floor=-0.3)) == [100, 50, 0]
    assert bars(render_sheet("x", cards)) == bars(render_sheet("x", cards[:1], floor=0.95)) == []


def test_what_was_looked_for_is_drawn_before_what_was_found():
    page = render_sheet("x", [card(poses=signing(1))], asked=Asked("house.pose", signing(2)))
    assert page.count('<svg viewBox="0 0 400') == 2
    said = " ".join(" ".join(Words(page).texts).split())
    assert said.index("house.pose what was looked for") < said.index("RAIN 0.75")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup(text):
    one = card(text, gloss=text, video=text, before=(text,), signer=text, date=text, link=text)
    plain = card("x", gloss="x", video="x", before=("x",), signer="x", date="x", link="x")
    hostile = Words(render_sheet(text, [one], text))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in Words(render_sheet("x", [plain], "x")).tags]
    assert {"onload", "src"}.isdisjoint(name for _, attributes in hostile.tags for name in attributes)
    assert text in "".join(hostile.texts)


def test_the_page_asks_nobody():
    page = render_sheet("x", [card(pictures=(b"\xff\xd8jpeg",), poses=signing(0))])
    assert not re.search(r"https?://|<script|@import|url\(|style=", page)
    assert [attributes["src"][:23] for tag, attributes in Words(page).tags if tag == "img"] == [
        "data:image/jpeg;base64,"
    ]
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def points(drawn):
    """Every number of a strip, in pairs, by picture."""
    found = []
    for picture in ElementTree.fromstring(drawn):
        words = " ".join(element.get("d", "") or element.get("points", "") for element in picture.iter())
        found.append(np.array(re.findall(r"-?\d+\.\d", words), float).reshape(-1, 2))
    return found


def test_poses_are_drawn_as_large_wherever_the_signer_stands():
    poses = signing(1)
    drawn = draw_poses(poses, 0.5, 1.5)
    assert len(ElementTree.fromstring(drawn)) == MOMENTS
    moved = replace(poses, xyz=poses.xyz * np.float32(2.5) + np.array([70, -40, 3], np.float32))
    for one, other in zip(points(drawn), points(draw_poses(moved, 0.5, 1.5)), strict=True):
        assert len(one) > 40
        assert other == pytest.approx(one, abs=0.11)
        assert ((one > -WIDE) & (one < 2 * HIGH)).all()
    assert drawn != draw_poses(poses, 1.0, 1.5)
    assert 'class="left way"' in drawn
    assert "nan" not in drawn


def test_the_trunk_hangs_straight_and_hands_that_hang_are_in_the_picture():
    poses = signing(1)
    at = {name: number for number, name in enumerate(poses.landmarks)}
    left, right = (poses.xyz[:, at[f"POSE_LANDMARKS.{side}_SHOULDER"]] for side in ("LEFT", "RIGHT"))
    width, middle = np.linalg.norm(left - right, axis=1).mean(), (left + right) / 2
    low = poses.xyz.copy()
    low[:, [number for name, number in at.items() if "HAND" in name]] = (middle + np.array([0, 2.0 * width, 0]))[
        :, None
    ]
    drawn = draw_poses(replace(poses, xyz=low.astype(np.float32)), 0, 2)
    tops = [number for name, number in at.items() if "HIP" in name]
    low[:, tops] += np.random.default_rng(0).normal(0, width, (len(low), len(tops), 3))
    assert draw_poses(replace(poses, xyz=low.astype(np.float32)), 0, 2) == drawn
    assert max(one[:, 1].max() for one in points(drawn)) < HIGH
    for polygon in ElementTree.fromstring(drawn).iter("polygon"):
        (a, _), (b, _), (c, low), (d, deep) = (map(float, pair.split(",")) for pair in polygon.get("points").split())
        assert (low, c + d) == (deep, pytest.approx(a + b, abs=0.2))


def test_what_is_not_seen_is_not_drawn():
    poses = signing(2)
    blind = replace(poses, xyz=np.full_like(poses.xyz, np.nan))
    assert draw_poses(blind, 0, 1) == ""
    assert "no poses, no video" in render_sheet("x", [card(poses=blind)])
    hand = [number for number, name in enumerate(poses.landmarks) if name.startswith("LEFT_HAND")]
    some = poses.xyz.copy()
    some[:, hand] = np.nan
    one, other = draw_poses(replace(poses, xyz=some), 0, 2), draw_poses(poses, 0, 2)
    assert 0 < len(one) < len(other)
    assert "nan" not in one
    alone = Poses(poses.xyz[:, :1], poses.confidence[:, :1], poses.fps, ("elsewhere.POINT",))
    assert draw_poses(alone, 0, 1) == ""
    wrists = [poses.landmarks.index(f"POSE_LANDMARKS.{side}_WRIST") for side in ("LEFT", "RIGHT")]
    bare = Poses(
        poses.xyz[:, wrists], poses.confidence[:, wrists], poses.fps, tuple(poses.landmarks[i] for i in wrists)
    )
    assert "way" in draw_poses(bare, 0, 2)
    assert draw_poses(poses, 99, 100)  # beyond the end: the last frame


def test_landmarks_are_named_once():
    assert len(set(DRAWN)) == len(DRAWN) == 7 + 6 + 42


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00.00"), (59.999, "1:00.00"), (3725.5, "1:02:05.50"), (-1.25, "-0:01.25")]
)
def test_seconds_are_written_as_people_do(seconds, words):
    assert clock(seconds) == words


def test_moments_lie_in_the_window_and_long_names_are_cut():
    assert moments(1, 3) == [1.25, 1.75, 2.25, 2.75]
    assert shorten("a/b.pose") == "a/b.pose"
    assert shorten("long/" * 20 + "b.pose") == "…/b.pose"


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_a_browser_draws_it_without_a_word_of_complaint(tmp_path):
    page = tmp_path / "sheet.html"
    page.write_text(render_sheet("rain", [card(poses=signing(number)) for number in range(3)]), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=90
    )
    assert done.stdout.count("<article>") == 3
    assert "Content Security Policy" not in done.stderr
