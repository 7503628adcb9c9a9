"""The report as a page: only its own script runs, nothing leaves it, and it works without a mouse."""

import json
import re
import shutil
import subprocess
import time
from importlib.resources import files

import pytest

import planted
from seasign.web.report_page import SCHEMA, dump_report, render_report

HOSTILE = (
    "<img src=x onerror=\"document.title='broken'\">",
    "</script><script>document.title = 'broken'</script>",
    "<!--<script>",
    "a line\u2028a paragraph\u2029its end",
    ">null</script>",
    "default-src 'none'",
    "\\u003c/script> \\",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report():
    return planted.report()


def held(page):
    """The report that a page holds."""
    (text,) = re.findall(r'<script type="application/json" id="report">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_holds_the_whole_report(report):
    assert report["schema"] == SCHEMA
    assert held(render_report(report)) == json.loads(dump_report(report))


def test_json_keeps_everything_but_decimals_that_nobody_needs(report):
    again = json.loads(dump_report(report))
    assert [cue["text"] for cue in again["cues"]] == [cue["text"] for cue in report["cues"]]
    assert [cue["aligned"] for cue in again["cues"]] == [
        pytest.approx(cue["aligned"], abs=5.1e-5) for cue in report["cues"]
    ]
    assert again["verdict"] == report["verdict"]
    assert dump_report(again) == dump_report(report)


def test_what_is_no_number_becomes_null():
    given = {"a": 1.23456789, "b": [float("nan"), float("inf"), (1, 2.0)], "c": True, "d": None}
    assert json.loads(dump_report(given)) == {"a": 1.2346, "b": [None, None, [1, 2.0]], "c": True, "d": None}


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_the_data(report, text):
    hostile = {**report, "cues": [{**report["cues"][0], "text": text, "id": text, "why": text}], "warnings": [text]}
    page, empty = render_report(hostile), render_report({})
    assert held(page) == json.loads(dump_report(hostile))
    for mark in ("<script", "</script", "<!--", "<img", "\u2028", "\u2029", "script-src"):
        assert page.count(mark) == empty.count(mark)


def test_the_page_asks_nobody_and_builds_no_markup(report):
    page = render_report(report)
    assert not re.search(r"https?://|\bsrc=|\bhref=|\bfetch\(|\bimport\b|XMLHttpRequest|url\(|@import", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", page)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_an_hour_fits_into_a_mail():
    report = planted.report(3680.0)
    assert len(report["cues"]) >= 990
    assert len(report["signs"]) >= 4900
    assert len(render_report(report).encode()) < 1.2e6


def test_the_page_is_shipped():
    assert files("seasign").joinpath("web", "report.html").is_file()


class Browser:
    """A headless Chromium on one page, driven over two pipes; it keeps what went wrong and what was asked for."""

    def __init__(self, folder, page):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        command += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder}"]
        command += ["--remote-debugging-pipe", "--window-size=1280,900", "about:blank"]
        self.process = subprocess.Popen(  # it reads commands from 3 and answers on 4
            ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null', *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self.rest, self.number, self.session = b"", 0, None
        self.faults, self.requests = [], []
        target = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def send(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        while True:
            *answers, self.rest = self.rest.split(b"\0")
            for place, answer in enumerate(map(json.loads, answers)):
                self.note(answer)
                if answer.get("id") == self.number:
                    assert "error" not in answer, answer
                    self.rest = b"\0".join([*answers[place + 1 :], self.rest])
                    return answer["result"]
            received = self.process.stdout.read(1 << 16)
            assert received, "the browser is gone"
            self.rest += received

    def note(self, event):
        method, params = event.get("method"), event.get("params")
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.faults.append(params)

    def get(self, expression):
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression):
        deadline = time.monotonic() + 30
        while not self.get(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def press(self, *keys):
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind, x, y, buttons=0):
        button = "left" if buttons or kind == "mouseReleased" else "none"
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1)

    def click(self, x, y):
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def browse(tmp_path):
    browsers = []

    def browse(report):
        page = tmp_path / "report.html"
        page.write_text(render_report(report), encoding="utf-8")
        browsers.append(Browser(tmp_path / "profile", page))
        return browsers[-1]

    yield browse
    for browser in browsers:
        browser.close()
        assert browser.faults == []
        assert {url.split(":")[0] for url in browser.requests} == {"file"}


def number_of_row(browser):
    """The number of the selected cue, counted from 1 as on the page."""
    return int(browser.get("document.querySelector('[aria-current] td').textContent"))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look at the page with")
class TestInABrowser:
    def test_the_list_starts_with_the_worst_and_is_walked_by_keys(self, browse, report):
        browser = browse(report)
        cues = json.loads(dump_report(report))["cues"]
        sure = {cue["index"]: 1 - cue["signed"] if cue["dropped"] else cue["probability"] for cue in cues}
        order = [index + 1 for index in sorted(sure, key=sure.get)]
        assert f"Check {len(report['verdict']['check'])} cues" in browser.get("document.title")
        assert (
            browser.get("[...document.querySelectorAll('#rows tr')].map((row) => +row.cells[0].textContent)") == order
        )
        assert number_of_row(browser) == order[0]
        browser.press("j", "ArrowDown", "j", "k")
        assert number_of_row(browser) == order[2]
        assert browser.get("document.activeElement === document.querySelector('[aria-current]')")
        assert f"Cue {order[2]} " in browser.get("$('detail').textContent")
        start = report["cues"][order[2] - 1]["aligned"][0]
        assert browser.get(f"timeAt(0) < {start} && {start} < timeAt(width())")
        browser.press("End")
        assert number_of_row(browser) == order[-1]

    def test_keys_zoom_and_filter(self, browse, report):
        browser = browse(report)
        scale = browser.get("scale")
        browser.press("+")
        assert browser.get("scale") == pytest.approx(1.5 * scale)
        browser.press("0")
        assert browser.get("timeAt(width()) - timeAt(0)") == pytest.approx(browser.get("seconds"), rel=1e-3)
        browser.press("/", "n", "o", "o", "n")
        noon = [cue["index"] for cue in report["cues"] if "noon" in cue["text"].lower()]
        assert sorted(browser.get("shown.map((cue) => cue.index)")) == noon
        assert browser.get("$('count').textContent") == f"{len(noon)} of {len(report['cues'])} cues"
        browser.press("Escape", "j")
        assert browser.get("shown.indexOf(selected)") == 1

    def test_dropped_or_doubtful_cues_alone(self, browse, report):
        browser = browse(report)
        browser.get("$('dropped').click()")
        dropped = [cue["index"] for cue in report["cues"] if cue["dropped"]]
        assert sorted(browser.get("shown.map((cue) => cue.index)")) == dropped
        browser.get("$('dropped').click(); $('below').value = 60; list()")
        doubtful = [c["index"] for c in report["cues"] if not c["dropped"] and c["probability"] < 0.6]
        assert sorted(browser.get("shown.map((cue) => cue.index)")) == doubtful

    def test_a_click_selects_and_centers_and_pointing_explains(self, browse, report):
        browser = browse(report)
        whole = "({item, start, end}) => item !== selected && start > timeAt(0) && end < timeAt(width())"
        cue = browser.get(f"deliveredAt(timeAt(0), timeAt(width())).find({whole}).item.index")
        time = sum(report["cues"][cue]["delivered"]) / 2
        place = browser.get("(({left, top}) => [left, top])(timeline.getBoundingClientRect())")
        x = place[0] + browser.get(f"({time} - timeAt(0)) * scale")
        y = place[1] + browser.get("LANES.delivered[0] + 5")
        browser.mouse("mouseMoved", x, y)
        assert f"Cue {cue + 1} " in browser.get("$('detail').textContent")
        assert number_of_row(browser) != cue + 1
        browser.click(x, y)
        assert number_of_row(browser) == cue + 1
        middle = sum(report["cues"][cue]["aligned"]) / 2
        assert browser.get("timeAt(width() / 2)") == pytest.approx(middle, abs=0.05)
        browser.mouse("mouseMoved", *browser.get("(({x, y}) => [x + 9, y + 60])($('list').getBoundingClientRect())"))
        assert f"Cue {cue + 1} " not in browser.get("$('detail').textContent")
        browser.press("j", "j", "j")  # the mouse rests where it is
        assert f"Cue {number_of_row(browser)} " in browser.get("$('detail').textContent")

    def test_what_looks_wrong_about_the_signs_is_said_and_shown_on_a_click(self, browse, report):
        browser = browse(report)
        words = browser.get("$('summary').innerText")
        assert "120 bouts, 2.4 a second of signing; 71 % of the time is signing" in words
        assert "1 place where the signs may be wrong" in words
        assert "up to 0.4 s: 31" in browser.get("document.querySelector('.spoken').textContent")
        (place,) = report["segmentation"]["suspicious"]
        assert place["reason"] in words
        browser.get("document.querySelector('#summary button').click()")
        middle = (place["start"] + place["end"]) / 2
        assert browser.get("timeAt(width() / 2)") == pytest.approx(middle, abs=0.05)

    def test_the_costs_of_a_cue_are_summed_and_a_pinned_cue_says_so(self, browse, report):
        sure = next(cue for cue in report["cues"] if not cue["dropped"])
        costs = {"start": 1.0, "end": 0.5, "similarity": -3.25, "skip": 0.0}
        cues = [{**sure, "terms": costs, "probability": 0.2}, {**sure, "pinned": True, "probability": 1.0}]
        browser = browse({**report, "cues": cues})
        words = browser.get("$('detail').innerText")
        assert "Cost \u22121.75" in words
        assert "similarity" in words
        assert "skip" not in words  # nothing was skipped
        assert "Lag" in words
        browser.press("j")
        assert "pinned" in browser.get("$('detail').innerText")
        assert "1 pinned" in browser.get("$('summary').innerText")

    def test_a_drag_scrolls_and_selects_nothing(self, browse, report):
        browser = browse(report)
        before = browser.get("scroller.scrollLeft"), number_of_row(browser)
        x, y = browser.get(
            "(({left, top}) => [left + 600, top + LANES.aligned[0] + 5])(timeline.getBoundingClientRect())"
        )
        browser.mouse("mousePressed", x, y, 1)
        browser.mouse("mouseMoved", x + 100, y, 1)
        browser.mouse("mouseReleased", x + 100, y)
        assert browser.get("scroller.scrollLeft") == pytest.approx(before[0] - 100)
        assert number_of_row(browser) == before[1]

    def test_markup_in_a_text_does_nothing_and_arabic_runs_from_the_right(self, browse, report):
        texts = [*HOSTILE, "أمطار غزيرة الليلة"]
        cues = [{**cue, "text": text, "why": text} for cue, text in zip(report["cues"], texts, strict=False)]
        browser = browse(
            {**report, "cues": cues, "warnings": texts, "verdict": {"verdict": "good", "reason": texts[0]}}
        )
        browser.press(*"jjjjjjj")
        assert "Good" in browser.get("document.title")
        assert browser.get("document.images.length") == 0
        assert texts[0] in browser.get("document.body.innerText")
        directions = browser.get("cues.map((cue) => getComputedStyle(rowOf.get(cue).querySelector('bdi')).direction)")
        assert directions == ["ltr"] * len(HOSTILE) + ["rtl"]

    def test_a_script_that_got_in_all_the_same_is_refused(self, browse, report):
        browser = browse(report)
        browser.get("document.body.append(Object.assign(document.createElement('b'), {id: 'bad'}))")
        assert browser.get("(() => { try { $('bad').innerHTML = '<i>' } catch { return true } })()")
        assert browser.get("fetch('http://127.0.0.1:9/').then(() => false, () => true)")
        assert len(browser.faults) >= 2  # the browser says what it refused
        browser.faults.clear()

    def test_what_is_unknown_is_a_dash(self, browse, report):
        bare = {"index": 0, "id": None, "text": None, "delivered": [1.0, 0.5], "aligned": None, "dropped": False}
        unknown = {key: None for key in report["cues"][0] if key not in bare}
        hollow = {"delivered": {"overlaps": 0, "on_signing": None, "starts_on_sign": None}, "joined": None}
        browser = browse({"schema": SCHEMA, "cues": [bare | unknown, {**bare, "index": 1}], "baselines": hollow})
        browser.press("j", "+", "0")
        assert "unknown" in browser.get("$('detail').textContent")
        assert "NaN" not in browser.get("document.body.innerText")
        assert "undefined" not in browser.get("document.body.innerText")

    def test_an_empty_report_opens(self, browse):
        browser = browse({})
        browser.press("j", "k", "+", "0", "/")
        assert "No verdict" in browser.get("document.title")

    def test_an_hour_stays_fluid(self, browse):
        browser = browse(planted.report(3680.0))
        clock = (
            "const start = performance.now(); for (let i = 0; i < 20; i++) %s; return (performance.now() - start) / 20"
        )
        for keys in ("", "0"):
            browser.press(*keys)
            for work in ("draw()", "step(1), document.body.offsetHeight"):
                assert (
                    browser.get(f"(() => {{ {clock % work} }})()") < 50
                )  # milliseconds; 3 to 9 where nobody else works
