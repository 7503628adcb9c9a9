"""Subtitle files keep every byte but the times: WebVTT, SubRip, TTML."""

import encodings.aliases
import re
import warnings
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seasign.formats import srt, ttml, vtt
from seasign.formats.timed_text import format_stamp, parse_stamp, plain, prefixed, whole_milliseconds, without
from seasign.types import Cue, InputError, InputWarning, Subtitles

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
MODULES = {".vtt": vtt, ".srt": srt, ".ttml": ttml}
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

VTT = """WEBVTT - news of the day
Kind: captions
Language: de
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000

STYLE
::cue(.yellow) { color: yellow }

REGION
id:bottom
width:40%

NOTE one line

NOTE
two lines, and an arrow -->

1
00:01.000 --> 00:02.500 align:start position:10%
<v.loud Bob>Hello <i>world</i></v> &amp; all

intro 2
00:00:02.500\t-->  00:00:04.000
- two <c.yellow>lines</c>
- <00:00:03.000>karaoke <ruby>kan<rt>ji</rt></ruby> <lang en>ok</lang>


100:00:05.000 --> 100:00:06.250\x20
no identifier, more than 99 hours
00:59:59.500 --> 01:00:00.500 line:0
right below, without an empty line

SOMETHING new
in a later version

01:00:01.000 --> 01:00:02.000

01:00:03.000 --> 01:00:04.000
no line end"""

SRT = """1
00:00:01,000 --> 00:00:02,000
{\\an8}Hello <font color="#fff">there</font>

3
00:00:02.500 --> 00:00:03.500  X1:100 X2:200 Y1:10 Y2:20
first part

after an empty line
1984

00:00:04,000 --> 00:00:05,000
no number --> here

7\x20
0:00:06,000 --> 0:00:07,000


8
00:00:08,000 --> 00:00:09,000
no line end"""

TTML = """<?xml version='1.0' encoding="utf-8"?>
<!-- made by hand -->
<tt:tt xmlns:tt="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
  ttp:frameRate="25" ttp:tickRate="1000" xml:lang="de">
 <tt:head><tt:layout><tt:region xml:id="r" begin="9s"/></tt:layout></tt:head>
 <tt:body>
  <tt:div begin="10s">
   <tt:p xml:id='a' region="r" end='00:00:02.500' begin = '00:00:01'>Hello <tt:span begin="0.5s">you</tt:span><tt:br/>
     &amp; you &#8212; <![CDATA[<all>]]></tt:p>
   <tt:p begin="75f" dur="1000t"><tt:metadata>not said</tt:metadata>frames and ticks</tt:p>
   <tt:p><tt:span begin="4000ms" end="5.5s">one</tt:span> <tt:span begin="6s" dur="0.1m">two</tt:span></tt:p>
   <tt:p begin="00:00:13:05" end="0.005h"/>
  </tt:div>
  <tt:div begin="1m" end="70s"><tt:p xml:id="heir">inherited</tt:p></tt:div>
  <tt:div><tt:p>always there</tt:p></tt:div>
 </tt:body>
</tt:tt>
"""
FILES = {".vtt": VTT, ".srt": SRT, ".ttml": TTML}
TIMES = {
    ".vtt": [(1, 2.5), (2.5, 4), (360005, 360006.25), (3599.5, 3600.5), (3601, 3602), (3603, 3604)],
    ".srt": [(1, 2), (2.5, 3.5), (4, 5), (6, 7), (8, 9)],
    ".ttml": [(11, 12.5), (13, 14), (14, 15.5), (16, 22), (23.2, 28), (60, 70)],
}


def spans_of(subtitles):
    return [(cue.start, cue.end) for cue in subtitles.cues]


def shifted(subtitles, seconds):
    cues = tuple(replace(cue, start=cue.start + seconds, end=cue.end + seconds) for cue in subtitles.cues)
    return replace(subtitles, cues=cues)


def read_quietly(path, **how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        return MODULES[path.suffix].read(path, **how)


def written(path, subtitles):
    MODULES[path.suffix].write(path, subtitles)
    return path.read_bytes()


@pytest.fixture
def file(tmp_path):
    def make(suffix, content, codec="utf-8"):
        path = tmp_path / f"news{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(codec))
        return path

    return make


# Every byte but the times


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "bom utf-16-le", "bom utf-16-be"])
@pytest.mark.parametrize("suffix", MODULES)
def test_an_unchanged_file_is_written_byte_for_byte(file, suffix, codec, newline):
    content = FILES[suffix].replace("\n", newline)
    mark, codec = ("\ufeff", codec[4:]) if codec.startswith("bom") else ("", codec)
    path = file(suffix, mark + content, codec)
    before = path.read_bytes()
    subtitles = read_quietly(path)
    assert spans_of(subtitles) == TIMES[suffix]
    document = subtitles.document
    assert len(document.between) == len(document.stamps) + 1 == 2 * len(subtitles.cues) + 1
    joined = document.between[0] + "".join(a + b for a, b in zip(document.stamps, document.between[1:], strict=True))
    assert joined.encode(document.encoding) == before
    assert written(path, subtitles) == before


@pytest.mark.parametrize("suffix", MODULES)
def test_a_shift_changes_the_times_and_no_other_byte(file, suffix):
    path = file(suffix, FILES[suffix])
    subtitles = read_quietly(path)
    text = written(path, shifted(subtitles, 1.5)).decode()
    again = read_quietly(path)
    assert spans_of(again) == [(start + 1.5, end + 1.5) for start, end in TIMES[suffix]]
    assert [replace(cue, start=0, end=0) for cue in again.cues] == [
        replace(cue, start=0, end=0) for cue in subtitles.cues
    ]
    if suffix == ".ttml":  # inherited times are written into the cue, and the <div> makes room
        times = r"""\s(begin|end|dur)\s*=\s*("[^"]*"|'[^']*')"""
        assert re.sub(times, "", text) == re.sub(times, "", TTML)
    else:
        assert again.document.between == subtitles.document.between


def test_stamps_keep_their_style(file):
    path = file(".srt", SRT)
    written(path, shifted(read_quietly(path), 0.25))
    assert read_quietly(path).document.stamps[2:8] == (
        *("00:00:02.750", "00:00:03.750", "00:00:04,250", "00:00:05,250", "0:00:06,250", "0:00:07,250"),
    )
    path = file(".vtt", "WEBVTT\n\n00:01.000 --> 59:59.000\nx\n")
    assert b"00:02.500 --> 01:00:00.500" in written(path, shifted(vtt.read(path), 1.5))


def test_one_moved_cue_leaves_the_others_as_they_are(file):
    path = file(".vtt", VTT)
    subtitles = read_quietly(path)
    moved = replace(subtitles.cues[1], start=2.6001, end=4)
    cues = (subtitles.cues[0], moved, *subtitles.cues[2:])
    assert written(path, replace(subtitles, cues=cues)).decode() == VTT.replace(
        "00:00:02.500\t-->", "00:00:02.600\t-->"
    )


def test_vtt_reads_what_browsers_read(file):
    cues = read_quietly(file(".vtt", VTT)).cues
    assert [cue.id for cue in cues] == ["1", "intro 2", None, None, None, None]
    assert [cue.settings for cue in cues] == ["align:start position:10%", None, None, "line:0", None, None]
    assert [cue.text.count("\n") for cue in cues] == [0, 1, 0, 0, 0, 0]
    assert cues[0].text == "<v.loud Bob>Hello <i>world</i></v> &amp; all"
    assert cues[4].text == ""


def test_srt_reads_what_is_found_in_the_wild(file):
    cues = read_quietly(file(".srt", SRT)).cues
    assert [cue.id for cue in cues] == ["1", "3", None, "7", "8"]
    assert cues[1].settings == "X1:100 X2:200 Y1:10 Y2:20"
    assert [cue.text for cue in cues[1:4]] == ["first part\n\nafter an empty line\n1984", "no number --> here", ""]
    assert cues[0].text == '{\\an8}Hello <font color="#fff">there</font>'


def test_srt_times_with_fewer_decimals_are_decimals_and_stay_as_written(file):
    text = "1\n00:00:01,5 --> 00:00:02.50\na\n\n2\n00:00:03,005 --> 0:00:04,05\nb\n"
    with pytest.warns(InputWarning, match=r"3 times have fewer than three decimals; 00:00:01,5 is read as 1\.5 s"):
        subtitles = srt.read(file(".srt", text))
    assert [(cue.start, cue.end) for cue in subtitles.cues] == [(1.5, 2.5), (3.005, 4.05)]
    first, second = subtitles.cues
    out = file(".srt", "")
    srt.write(out, replace(subtitles, cues=(first, replace(second, start=3.1, end=4.15))))
    assert out.read_text() == text.replace("00:00:03,005", "00:00:03,100").replace("0:00:04,05", "0:00:04,150")
    with pytest.raises(InputError, match=r"expected .start --> end., found .00:01\.5 --> 00:02\.500"):
        vtt.read(file(".vtt", "WEBVTT\n\n00:01.5 --> 00:02.500\na\n"))


def test_ttml_reads_text_ids_and_nested_times(file):
    cues = ttml.read(file(".ttml", TTML)).cues
    assert [cue.text for cue in cues] == [
        *("Hello you\n& you \u2014 <all>", "frames and ticks", "one", "two", "", "inherited"),
    ]
    assert [cue.id for cue in cues] == ["a", None, None, None, None, "heir"]


@pytest.mark.parametrize("video", sorted((SHARED_DATA / "how2sign" / "vtt").glob("*.vtt")) or [None])
def test_real_files_come_out_as_they_went_in(tmp_path, video):
    if video is None:
        pytest.skip("needs the shared data")
    subtitles, path = vtt.read(video), tmp_path / "out.vtt"
    assert written(path, subtitles) == video.read_bytes()
    written(path, shifted(subtitles, 2.0))
    assert written(path, shifted(vtt.read(path), -2.0)) == video.read_bytes()


# Generated files

TIME = st.integers(0, 400_000_000)
WORDS = st.text(st.sampled_from("ab 1.,:<>&;\u00e4\u2028\x85"), max_size=8).filter(lambda text: text.strip())


@st.composite
def generated_files(draw, suffix):
    """The file as text, and its times in ms."""
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    times, lines = [], []
    for i in range(draw(st.integers(1, 5))):
        start, end = draw(TIME), draw(TIME)
        times += [start, end]
        if suffix == ".ttml":
            values = [
                draw(st.sampled_from([format_stamp(time), f"{time}ms", f"{time / 1000}s"])) for time in times[-2:]
            ]
            words = draw(WORDS).replace("&", "&amp;").replace("<", "&lt;")
            lines.append(
                f"<p{draw(st.sampled_from([' ', newline]))}begin='{values[0]}' end=\"{values[1]}\">{words}</p>"
            )
            continue
        like = draw(st.sampled_from(["00:00:00.000", "0:00:00.000", "000:00:00.000", "00:00.000"]))
        stamps = [format_stamp(time, like.replace(".", "," if suffix == ".srt" else ".")) for time in times[-2:]]
        head = [str(i)] if draw(st.booleans()) else []
        tail = draw(st.sampled_from(["", "  align:start" if suffix == ".vtt" else " X1:1 X2:2 Y1:3 Y2:4"]))
        body = [line for line in draw(st.lists(WORDS, max_size=3)) if suffix == ".vtt" or not line.strip().isdigit()]
        lines += [*head, f"{stamps[0]} --> {stamps[1]}{tail}", *body, *[""] * draw(st.integers(1, 2))]
    if suffix == ".vtt":
        lines = ["WEBVTT", "", *draw(st.sampled_from([[], ["NOTE x", "y", ""], ["STYLE", "::cue{}", ""]])), *lines]
    elif suffix == ".ttml":
        lines = ['<tt xmlns="http://www.w3.org/ns/ttml"><body><div>', *lines, "</div></body></tt>"]
    return newline.join(lines) + newline * draw(st.integers(0, 1)), times


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16-le"])
@pytest.mark.parametrize("suffix", MODULES)
@MANY
@given(data=st.data())
def test_generated_files_keep_their_bytes_and_take_a_shift(file, suffix, codec, data):
    text, times = data.draw(generated_files(suffix))
    path = file(suffix, text, codec)
    before = path.read_bytes()
    subtitles = read_quietly(path)
    assert [whole_milliseconds(time) for span in spans_of(subtitles) for time in span] == times
    assert written(path, subtitles) == before
    shift = data.draw(st.integers(0, 10_000_000))
    written(path, shifted(subtitles, shift / 1000))
    again = read_quietly(path)
    assert again.document.between == subtitles.document.between
    assert [whole_milliseconds(time) for span in spans_of(again) for time in span] == [time + shift for time in times]


@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
@MANY
@given(data=st.data())
def test_without_some_cues_the_others_and_all_around_them_stay(file, suffix, data):
    text, _ = data.draw(generated_files(suffix))
    if data.draw(st.booleans()):
        text = FILES[suffix]
    path = file(suffix, text)
    subtitles = read_quietly(path)
    gone = data.draw(
        st.sets(st.integers(0, len(subtitles.cues) - 1), max_size=len(subtitles.cues) - (suffix == ".srt"))
    )
    if len(gone) == len(subtitles.cues) and suffix == ".srt":
        gone = set(sorted(gone)[1:])  # a file without times is no SubRip
    kept = tuple(cue for i, cue in enumerate(subtitles.cues) if i not in gone)
    written(path, Subtitles(kept, without(subtitles.document, subtitles.cues, gone)))
    again = read_quietly(path)
    assert again.cues == kept
    if suffix == ".vtt":
        blocks = ("STYLE", "REGION", "NOTE", "SOMETHING new")
        assert [path.read_text().count(name) for name in blocks] == [text.count(name) for name in blocks]


@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
@MANY
@given(data=st.data())
def test_a_mark_goes_before_the_text_and_nothing_else_changes(file, suffix, data):
    text, _ = data.draw(generated_files(suffix))
    path = file(suffix, text)
    subtitles = read_quietly(path)
    marked = data.draw(st.sets(st.integers(0, len(subtitles.cues) - 1)))
    document = prefixed(subtitles.document, subtitles.cues, marked, "[not signed]")
    expected = tuple(
        replace(cue, text=f"[not signed]{' ' * (cue.text != '')}{cue.text}") if i in marked else cue
        for i, cue in enumerate(subtitles.cues)
    )
    after = written(path, Subtitles(expected, document)).decode()
    assert read_quietly(path).cues == expected
    unmarked = after.replace("[not signed] ", "")
    assert [line for line in unmarked.splitlines() if line != "[not signed]"] == text.splitlines()


def cue_lists(suffix):
    ids = st.integers(0, 999).map(str) if suffix == ".srt" else st.none() | st.sampled_from(["a", "b 2", "1", "-->"])
    line = st.text(st.sampled_from("ab 1.,:\u00e4"), min_size=1, max_size=8).map(lambda text: f"x{text}y")
    line = line.map(lambda text: " ".join(text.split()))
    text = st.lists(line, max_size=3).map("\n".join)
    time = TIME.map(lambda milliseconds: milliseconds / 1000)
    settings = st.none() | st.just("X1:1 X2:2 Y1:3 Y2:4" if suffix == ".srt" else "align:start")
    return st.lists(st.builds(Cue, time, time, text, ids, st.none() if suffix == ".ttml" else settings), min_size=1)


@pytest.mark.parametrize("suffix", MODULES)
@MANY
@given(data=st.data())
def test_a_new_file_reads_as_what_was_written(tmp_path, suffix, data):
    cues = tuple(data.draw(cue_lists(suffix)))
    path = tmp_path / f"new{suffix}"
    written(path, Subtitles(cues))
    if suffix == ".vtt":
        cues = tuple(replace(cue, id=cue.id and re.sub("--+>", "->", cue.id)) for cue in cues)
    assert read_quietly(path).cues == cues


@pytest.mark.parametrize("suffix", MODULES)
@MANY
@given(
    texts=st.lists(
        st.lists(
            st.sampled_from(["a", " ", "\n", "\r\n", "<", ">", "&", "--", "-->", "<i>", "</b>", "]]>", "\x07", "\0"])
        ).map("".join),
        min_size=1,
        max_size=4,
    )
)
def test_nasty_text_stays_inside_its_cue(tmp_path, suffix, texts):
    path = tmp_path / f"new{suffix}"
    written(path, Subtitles(tuple(Cue(i, i + 1, text) for i, text in enumerate(texts))))
    again = read_quietly(path)
    assert spans_of(again) == [(i, i + 1) for i in range(len(texts))]

    def words(text):
        """SubRip shortens an arrow, unless a tag stands in it."""
        return (re.sub("--+>", "->", text) if suffix == ".srt" else text).split()

    kept = [plain(cue.text) if suffix != ".ttml" else cue.text for cue in again.cues]
    assert [words(text) for text in kept] == [words(plain(text)) for text in texts]


@pytest.mark.filterwarnings("ignore:.* identifiers are lost:seasign.types.InputWarning")
@pytest.mark.parametrize("target", MODULES)
@pytest.mark.parametrize("source", MODULES)
def test_every_format_becomes_every_other(file, tmp_path, source, target):
    subtitles = read_quietly(file(source, FILES[source]))
    path = tmp_path / f"new{target}"
    written(path, subtitles)
    assert spans_of(read_quietly(path)) == TIMES[source]


@pytest.mark.filterwarnings("ignore:.* identifiers are lost:seasign.types.InputWarning")
def test_conversion_keeps_what_the_target_knows(file, tmp_path):
    out = {suffix: tmp_path / f"out{suffix}" for suffix in MODULES}
    subtitles = read_quietly(file(".vtt", VTT))
    converted = written(out[".srt"], subtitles).decode()
    assert converted.startswith("1\n00:00:01,000 --> 00:00:02,500\nHello <i>world</i> & all\n\n2\n")
    assert "\n00:00:02,500 --> 00:00:04,000\n- two lines\n- karaoke kanji ok\n\n3\n" in converted
    assert b'<p cue:id="1" begin="00:00:01.000" end="00:00:02.500">Hello world &amp; all</p>' in written(
        out[".ttml"], subtitles
    )
    subtitles = read_quietly(file(".srt", SRT.replace("there", "<I>R&D</I> < all")))
    converted = written(out[".vtt"], subtitles).decode()
    assert converted.startswith("WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\nHello <i>R&amp;D</i> &lt; all\n\n3\n")
    assert "X1" not in converted
    assert "first part\nafter an empty line\n1984\n\n00:00:04.000" in converted
    subtitles = ttml.read(file(".ttml", TTML))
    assert (
        written(out[".vtt"], subtitles)
        .decode()
        .startswith("WEBVTT\n\na\n00:00:11.000 --> 00:00:12.500\nHello you\n&amp; you \u2014 &lt;all>\n")
    )


# Times


@pytest.mark.parametrize(
    ("seconds", "stamp"),
    [(59.9996, "00:01:00.000"), (59.9994, "00:00:59.999"), (3599.9999, "01:00:00.000"), (0.0005, "00:00:00.001")],
)
def test_rounding_carries(tmp_path, seconds, stamp):
    text = written(tmp_path / "new.vtt", Subtitles((Cue(seconds, 4000, "x"),))).decode()
    assert f"{stamp} --> 01:06:40.000" in text


TTML_HEAD = '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" {}><body><div>'


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        (1.0005, 1001),  # 1.0005 * 1000 is 1000.4999999999999
        (4.0015, 4002),
        (0.0005, 1),
        (-0.0005, 0),
        (-0.0015, -1),
        (1.0004999, 1000),
        (0.00049999999, 0),
        (Fraction(1, 2000), 1),
        (Fraction(-1, 2000), 0),
        (np.float64(2.0005), 2001),
        (3, 3000),
        (1e15 + 0.5, 1_000_000_000_000_000_500),
    ],
)
def test_halves_are_rounded_up_as_they_stand_there(seconds, milliseconds):
    assert whole_milliseconds(seconds) == milliseconds


@pytest.mark.parametrize("suffix", MODULES)
@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_a_time_that_is_not_finite_is_never_written(tmp_path, suffix, time):
    with pytest.raises(ValueError, match="cannot write"):
        written(tmp_path / f"new{suffix}", Subtitles((Cue(0, time, "x"),)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ids", "lost"),
    [
        (("rain", None, "sun"), 2),
        (("7", "2", "b"), 2),
        (("1", "2", "3"), 0),
        (("7", "8", "9"), 0),
        ((None, None, None), 0),
    ],
)
def test_identifiers_that_numbers_cannot_hold_are_counted(tmp_path, ids, lost):
    cues = Subtitles(tuple(Cue(second, second + 1, "x", name) for second, name in enumerate(ids)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        written(tmp_path / "new.srt", cues)
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path / 'new.srt'}: {lost} of 3 identifiers are lost; SubRip has numbers only"
    ] * bool(lost)


@pytest.mark.parametrize(
    "begin",
    ["1000000000:00:00.000", "9999999999999999999s", "1000000000h", f"{'9' * 5000}:00:00", "0." + "1" * 5000 + "s"],
)
def test_absurd_times_are_broken_cues(file, begin):
    path = file(".ttml", TTML_HEAD.format("") + f'<p begin="{begin}" end="00:00:09.000">x</p></div></body></tt>')
    with pytest.raises(InputError, match=":1: expected a time, found begin="):
        ttml.read(path)


@pytest.mark.parametrize("rate", ["1e-999999999", "1e-300", "-1", "0", "x", "9" * 5000])
def test_absurd_rates_are_refused(file, rate):
    path = file(".ttml", TTML_HEAD.format(f'ttp:tickRate="{rate}"') + '<p begin="1t" end="2t">x</p></div></body></tt>')
    with pytest.raises(InputError, match="is not a rate"):
        ttml.read(path)


def test_a_nearly_absurd_time_is_read(file):
    path = file(
        ".ttml", TTML_HEAD.format("") + '<p begin="999999999:00:00" end="999999999:00:01">x</p></div></body></tt>'
    )
    assert ttml.read(path).cues[0].start == 3600.0 * 999_999_999


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("codec", ["idna", *sorted({*encodings.aliases.aliases.values()})])
def test_whatever_encoding_is_declared_a_file_is_read_or_refused(file, codec):
    path = file(".ttml", f'<?xml version="1.0" encoding="{codec}"?>{TTML_HEAD.format("")}a..b</div></body></tt>')
    if codec == "idna":  # decodes what it does not encode
        with pytest.raises(InputError, match="would not write it back unchanged"):
            ttml.read(path)
    else:
        with suppress(InputError):
            ttml.read(path)


@given(TIME)
def test_milliseconds_survive_division(milliseconds):
    assert whole_milliseconds(milliseconds / 1000) == milliseconds
    assert parse_stamp(format_stamp(milliseconds)) == milliseconds


@pytest.mark.parametrize("suffix", MODULES)
def test_times_before_zero_become_zero_and_are_counted(file, suffix):
    path = file(suffix, FILES[suffix])
    subtitles = read_quietly(path)
    early = sum(start < 12 for start, _ in TIMES[suffix])
    with pytest.warns(InputWarning, match=f"{early} of {len(subtitles.cues)} cues begin or end before zero"):
        written(path, shifted(subtitles, -12))
    assert spans_of(read_quietly(path)) == [(max(start - 12, 0), max(end - 12, 0)) for start, end in TIMES[suffix]]


@pytest.mark.parametrize("suffix", MODULES)
def test_reversed_and_overlapping_cues_are_written_as_they_are(file, suffix):
    path = file(suffix, FILES[suffix].replace('dur="1000t"', 'end="4s"').replace('dur="0.1m"', 'end="12s"'))
    subtitles = read_quietly(path)
    cues = tuple(Cue(20 - i, 15.5, cue.text) for i, cue in enumerate(subtitles.cues))
    written(path, replace(subtitles, cues=cues))
    assert spans_of(read_quietly(path)) == [(20 - i, 15.5) for i in range(len(cues))]


def tt(body, attributes=""):
    namespace = "http://www.w3.org/ns/ttml"
    return f'<tt xmlns="{namespace}" xmlns:ttp="{namespace}#parameter" {attributes}>{body}</tt>'


NTSC = 'ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001"'


@pytest.mark.parametrize(
    ("attributes", "old", "read", "shift", "new"),
    [
        ("", "00:00:01.5", 1.5, 0.5, "00:00:02.0"),
        ("", "00:00:01", 1, 1, "00:00:02"),
        ("", "00:00:01", 1, 0.25, "00:00:01.25"),
        ("", "000:00:01.50000", 1.5, 3600, "001:00:01.50000"),
        ("", "1.50s", 1.5, 0.123, "1.623s"),
        ("", "500ms", 0.5, 60, "60500ms"),
        ("", "1.5m", 90, 3, "1.55m"),
        ("", "1.5m", 90, 0.001, "00:01:30.001"),
        ("", "0.5h", 1800, 3600, "1.5h"),
        ("", "15f", 0.5, 0.5, "30f"),
        ("", "15f", 0.5, 0.001, "00:00:00.501"),
        ("", "3t", 3, 1, "4t"),
        ('ttp:frameRate="25"', "00:00:01:12", 1.48, 0.52, "00:00:02:00"),
        ('ttp:frameRate="25"', "00:00:01:12", 1.48, 0.01, "00:00:01.490"),
        ('ttp:frameRate="25"', "50t", 2, 0.04, "51t"),
        ('ttp:tickRate="10000000"', "15000000t", 1.5, 0.001, "15010000t"),
        (NTSC, "00:00:01:15", 1.501, 1, "00:00:02:15"),
        (NTSC, "30f", 1.001, 1.001, "60f"),
        (NTSC + ' ttp:timeBase="smpte"', "00:01:00:00", 60.06, 0.033, "00:01:00:01"),
        (NTSC + ' ttp:timeBase="smpte" ttp:dropMode="dropNTSC"', "00:00:59:29", 60.027, 0.033, "00:01:00:02"),
        (NTSC + ' ttp:timeBase="smpte" ttp:dropMode="dropNTSC"', "01:00:00:00", 3599.996, 540, "01:09:00:02"),
        ('ttp:frameRate="25" ttp:timeBase="smpte"', "00:00:01:00", 1, 0.049, "00:00:01:01"),
    ],
)
def test_ttml_times_keep_their_style_where_it_can_say_them(file, attributes, old, read, shift, new):
    path = file(".ttml", tt(f'<body><div><p begin="{old}" end="9h">x</p></div></body>', attributes))
    subtitles = ttml.read(path)
    assert subtitles.cues[0].start == read
    cue = replace(subtitles.cues[0], start=read + shift)
    assert f'begin="{new}" end="9h"'.encode() in written(path, replace(subtitles, cues=(cue,)))


@MANY
@given(frame=st.integers(0, 5_000_000), drop=st.sampled_from(["nonDrop", "dropNTSC", "dropPAL"]))
def test_smpte_labels_name_every_frame(frame, drop):
    clock = ttml._Clock(smpte=True, drop=drop)
    label = clock._label(frame / clock.rate)
    assert clock.seconds(label) == frame / clock.rate


def test_ttml_widens_a_div_that_would_cut_a_cue_off(file):
    body = (
        '<body><div begin="10s" end="20s"><p begin="1s" end="2s">a</p><p begin="5s" dur="5s">b</p><p>c</p></div></body>'
    )
    path = file(".ttml", tt(body))
    subtitles = read_quietly(path)
    assert spans_of(subtitles) == [(11, 12), (15, 20), (10, 20)]
    cues = (replace(subtitles.cues[0], start=4, end=6), replace(subtitles.cues[1], end=23), subtitles.cues[2])
    assert written(path, replace(subtitles, cues=cues)).decode() == tt(
        '<body><div begin="4s" end="23s"><p begin="0s" end="2s">a</p><p begin="11s" dur="8s">b</p>'
        '<p begin="00:00:06.000" end="00:00:16.000">c</p></div></body>'
    )
    assert spans_of(read_quietly(path)) == [(4, 6), (15, 23), (10, 20)]


def test_ttml_warns_where_a_duration_would_be_negative(file):
    path = file(".ttml", tt('<body><div><p begin="1s" dur="2s" end="9s">a</p></div></body>'))
    subtitles = ttml.read(path)
    assert spans_of(subtitles) == [(1, 3)]
    with pytest.warns(InputWarning, match="1 cues end before they start"):
        written(path, replace(subtitles, cues=(replace(subtitles.cues[0], start=5),)))
    assert spans_of(read_quietly(path)) == [(5, 3)]


# Encodings


@pytest.mark.parametrize(
    ("letters", "codec"), [(b"Stra\xdfe \x80", "cp1252"), (b"\x81 \xe4", "latin-1"), (b"\xe4\x1a", "cp1252")]
)
@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
def test_legacy_bytes_are_kept_and_the_codec_is_named(file, suffix, letters, codec):
    path = file(suffix, FILES[suffix].replace("no line end", "LETTERS").encode().replace(b"LETTERS", letters))
    before = path.read_bytes()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        subtitles = MODULES[suffix].read(path)
    assert [str(warning.message) for warning in caught if "UTF-8" in str(warning.message)] == [
        f"{path}: is not UTF-8; read as {codec}"
    ]
    assert letters.decode(codec).strip() in subtitles.cues[-1].text + "\x1a"
    assert written(path, subtitles) == before


@pytest.mark.parametrize("codec", ["iso-8859-1", "windows-1250", "utf-16", "shift_jis", "koi8-r", "cp037x"])
def test_ttml_is_read_in_the_encoding_it_declares(file, codec):
    word = {"koi8-r": "\u043c\u0438\u0440", "shift_jis": "\u624b\u8a71"}.get(codec, "Gebärde")
    text = TTML.replace('encoding="utf-8"', f'encoding="{codec}"').replace("frames and ticks", word)
    if codec == "cp037x":
        with pytest.raises(InputError, match="declares the encoding 'cp037x', which is unknown; save it as UTF-8"):
            ttml.read(file(".ttml", text))
        return
    path = file(".ttml", text, codec)
    before = path.read_bytes()
    subtitles = ttml.read(path)
    assert subtitles.cues[1].text == word
    assert written(path, subtitles) == before
    assert word in written(path, shifted(subtitles, 1)).decode(codec)


def test_utf_16_declared_in_an_8_bit_file_is_not_believed(file):
    path = file(".ttml", TTML.replace('"utf-8"', '"utf-16"'))
    assert len(ttml.read(path).cues) == len(TIMES[".ttml"])


# Bad input

SRT_TEXT = "1\n00:00:01,000 --> 00:00:02,000\nx\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".vtt", "", "{path}: the file is empty; export it again"),
        (".srt", "", "{path}: the file is empty; export it again"),
        (".ttml", "", "{path}: the file is empty; export it again"),
        (".vtt", PNG, "{path}: is not text; choose another file"),
        (".srt", PNG, "{path}: is not text; choose another file"),
        (".ttml", PNG, "{path}: is not text; choose another file"),
        (".srt", SRT_TEXT + "\0", "{path}: is not text; choose another file"),
        (".vtt", b"\xff\xfeW", "{path}: begins with the mark of utf-16-le but is not valid; save it as UTF-8"),
        (".vtt", b"\xef\xbb\xbf", "{path}:1: expected WEBVTT, found ''; is it WebVTT?"),
        (".vtt", "Hello\n", "{path}:1: expected WEBVTT, found 'Hello'; is it WebVTT?"),
        (".vtt", "\nWEBVTT\n", "{path}:1: expected WEBVTT, found ''; is it WebVTT?"),
        (".vtt", "WEBVTTX\n", "{path}:1: expected WEBVTT, found 'WEBVTTX'; is it WebVTT?"),
        (".vtt", SRT_TEXT, "{path}: this is SubRip, not WebVTT; rename it to news.srt"),
        (".vtt", TTML, "{path}: this is TTML, not WebVTT; rename it to news.ttml"),
        (".srt", VTT, "{path}: this is WebVTT, not SubRip; rename it to news.vtt"),
        (".srt", TTML, "{path}: this is TTML, not SubRip; rename it to news.ttml"),
        (".ttml", VTT, "{path}: this is WebVTT, not TTML; rename it to news.vtt"),
        (".ttml", SRT_TEXT, "{path}: this is SubRip, not TTML; rename it to news.srt"),
        (".srt", "Hello\n", "{path}: no times such as '00:00:01,000 --> 00:00:02,500' were found; is it SubRip?"),
        (".ttml", "Hello\n", "{path}:1: not well-formed XML (syntax error); export it again"),
        (".ttml", TTML[:-5], "{path}:17: not well-formed XML (unclosed token); export it again"),
        (".ttml", "<html/>", "{path}:1: expected <tt>, found <html>; is it TTML?"),
        (".ttml", tt("<body><div><p>a</p></div></body>"), "{path}: no <p> has times; export it with times"),
        (
            ".ttml",
            '<!DOCTYPE tt [\n<!ENTITY e SYSTEM "file:///etc/hostname">]><tt>&e;</tt>',
            "{path}:2: declares the entity 'e', which is refused; export it without",
        ),
        (
            ".ttml",
            tt('<body timeContainer="seq"/>'),
            '{path}:1: timeContainer="seq" is not supported; export it without',
        ),
        (".ttml", tt('<body begin="soon"/>'), "{path}:1: expected a time, found begin='soon'; correct it"),
        (
            ".ttml",
            tt("", 'ttp:frameRate="0"'),
            "{path}: frameRate, frameRateMultiplier or tickRate of <tt> is not a rate; correct it",
        ),
    ],
)
def test_unusable_files_are_refused_in_one_line(file, suffix, content, message):
    path = file(suffix, content)
    with pytest.raises(InputError) as caught:
        MODULES[suffix].read(path)
    assert str(caught.value) == message.format(path=path)


@pytest.mark.parametrize(
    ("suffix", "good", "bad", "line"),
    [
        (".vtt", "00:59:59.500 --> 01:00:00.500", "00:59:59.500 --> 01:00:00", 30),
        (".vtt", "00:59:59.500 --> 01:00:00.500", "00:59:59.500 -> 01:00:00.500", 30),
        (".vtt", "00:59:59.500 --> 01:00:00.500", "00:59:60.500 --> 01:00:00.500", 30),
        (".srt", "0:00:06,000 --> 0:00:07,000", "9999999999:00:06,000 --> 0:00:07,000", 16),
        (".srt", "0:00:06,000 --> 0:00:07,000", "garbage --> garbage", 16),
        (".srt", "0:00:06,000 --> 0:00:07,000", "0:00:06,000 -->", 16),
        (".srt", "0:00:06,000 --> 0:00:07,000", "0:00:06,000 0:00:07,000", 16),
        (".ttml", 'begin="75f"', 'begin="75 f"', 10),
        (".ttml", 'begin="75f"', 'begin="00:00:01:25"', 10),
        (".ttml", 'dur="1000t"', "", 10),
    ],
)
def test_a_broken_cue_is_refused_with_its_line_or_skipped(file, suffix, good, bad, line):
    assert good in FILES[suffix]
    path = file(suffix, FILES[suffix].replace(good, bad))
    before = path.read_bytes()
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}:{line}: expected .*; correct it, or leave"):
        MODULES[suffix].read(path)
    with pytest.warns(InputWarning) as caught:
        subtitles = MODULES[suffix].read(path, skip_broken=True)
    assert f"{path}: 1 broken cue left as they are, the first at line {line} " in str(caught[0].message)
    assert len(subtitles.cues) == len(TIMES[suffix]) - 1
    assert written(path, subtitles) == before
    written(path, shifted(subtitles, 5))
    assert bad in path.read_text()
    assert spans_of(read_quietly(path, skip_broken=True)) == [
        (start + 5, end + 5) for start, end in spans_of(subtitles)
    ]


@pytest.mark.parametrize("suffix", MODULES)
def test_odd_times_are_read_and_counted_by_kind(tmp_path, suffix):
    path = tmp_path / f"odd{suffix}"
    spans = [(5, 9), (1, 2), (6, 7), (8, 3), (20, 20), (30, 31), (30.5, 32)]
    written(path, Subtitles(tuple(Cue(start, end, "x") for start, end in spans)))
    with pytest.warns(InputWarning) as caught:
        subtitles = MODULES[suffix].read(path)
    assert spans_of(subtitles) == spans
    assert [str(warning.message) for warning in caught] == [
        f"{path}: 1 of 7 cues end before they start; kept as they are",
        f"{path}: 1 of 7 cues last no time; kept as they are",
        f"{path}: 1 of 7 cues start before the one above; kept as they are",
        f"{path}: 3 of 7 cues overlap an earlier one; kept as they are",
    ]


@pytest.mark.parametrize(
    ("suffix", "content"), [(".vtt", "WEBVTT"), (".vtt", "WEBVTT\n\nNOTE none\n"), (".ttml", tt("<body/>"))]
)
def test_a_file_without_cues_is_read_and_written(file, suffix, content):
    path = file(suffix, content)
    with pytest.warns(InputWarning, match="there are no cues in it"):
        subtitles = MODULES[suffix].read(path)
    assert subtitles.cues == ()
    assert written(path, subtitles) == content.encode()


@pytest.mark.parametrize("suffix", MODULES)
def test_cues_that_do_not_fit_their_document_are_refused(file, suffix):
    path = file(suffix, FILES[suffix])
    before, subtitles = path.read_bytes(), read_quietly(path)
    with pytest.raises(InputError, match=f"cues do not fit a document of {len(subtitles.cues)}; keep all of them"):
        written(path, replace(subtitles, cues=subtitles.cues[1:]))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_unwritable_output_leaves_nothing_behind(tmp_path):
    with pytest.raises(OSError, match="missing"):
        written(tmp_path / "missing" / "new.vtt", Subtitles((Cue(0, 1, "x"),)))
    assert list(tmp_path.iterdir()) == []
