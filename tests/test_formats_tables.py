import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seasign.formats import tables
from seasign.types import Cue, InputError, InputWarning, Sign, Span

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

times = st.integers(-10_000, 20_000_000).map(lambda milliseconds: milliseconds / 1000)
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(' ,;\t"\r\n'), max_size=8
)
names = st.none() | texts.filter(bool)
scores = st.none() | st.floats(allow_nan=False, allow_infinity=False)
signs = st.lists(st.builds(Sign, times, times, names, scores), max_size=6).map(tuple)
cues = st.lists(st.builds(Cue, times, times, texts, names, names), min_size=1, max_size=6).map(tuple)
suffixes = st.sampled_from([".csv", ".json"])


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@QUICK
@given(spans=signs | cues, suffix=suffixes)
def test_what_is_written_is_read_back_in_the_same_order(tmp_path, spans, suffix):
    path = tmp_path / f"x{suffix}"
    tables.write(path, spans)
    assert tables.read(path) == spans


@QUICK
@given(time=st.floats(-1e5, 1e5), suffix=suffixes)
def test_seconds_keep_their_microseconds(tmp_path, time, suffix):
    path = tmp_path / f"x{suffix}"
    tables.write(path, [Span(time, 1)])
    assert tables.read(path) == (Sign(round(time, 6), 1),)


def test_files_are_plain_to_the_eye(tmp_path):
    spans = [Sign(14.899, 15.0 + 1e-9, "HOUSE"), Sign(16, 17.25, 'A,"B"', 0.5)]
    tables.write(tmp_path / "x.csv", spans)
    assert (tmp_path / "x.csv").read_text() == ('start,end,gloss,score\n14.899,15.0,HOUSE,\n16.0,17.25,"A,""B""",0.5\n')
    tables.write(tmp_path / "x.csv", [Cue(1, 2.5, "Rain.", settings="line:0")])
    assert (tmp_path / "x.csv").read_text() == "start,end,text,id,settings\n1.0,2.5,Rain.,,line:0\n"
    tables.write(tmp_path / "x.json", spans[:1])
    item = {"start": 14.899, "end": 15.0, "gloss": "HOUSE", "score": None}
    assert json.loads((tmp_path / "x.json").read_text()) == {"signs": [item]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("start,end\n1,2\n", (Sign(1, 2),)),
        ("start,end", ()),
        ("start,end,gloss,score\n\n", ()),
        ("\ufeffstart;end;gloss\r\n1.5;2;A,B\r\n", (Sign(1.5, 2, "A,B"),)),
        ("start\tend\tscore\n1\t2\t.5\n", (Sign(1, 2, None, 0.5),)),
        ("Video, Start ,END,gloss\nv, 1 ,2,\n", (Sign(1, 2),)),
        ("end,start,gloss\n2,1,A\n,,\n4,3\n", (Sign(1, 2, "A"), Sign(3, 4))),
        ("start,end,gloss\n5,4,A\n1,1,B\n0,9,C", (Sign(5, 4, "A"), Sign(1, 1, "B"), Sign(0, 9, "C"))),
        ('start,end,text\n1,2,"two\nlines, ""quoted"""\n3,4,\n', (Cue(1, 2, 'two\nlines, "quoted"'), Cue(3, 4, ""))),
        ("start,end,text,id,settings\n1,2,A,7,line:0\n", (Cue(1, 2, "A", "7", "line:0"),)),
    ],
)
def test_csv_files_of_others_are_read(tmp_path, content, expected):
    assert tables.read(put(tmp_path / "x.csv", content)) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[]", ()),
        ('{"signs": [], "video": "v.mp4"}', ()),
        ('{"cues": []}', ()),
        ('\ufeff[{"start": 1, "end": 2}]', (Sign(1, 2),)),
        ('[{"start": 3, "end": 2, "gloss": "", "score": 0.5, "hand": "R"}]', (Sign(3, 2, None, 0.5),)),
        ('[{"start": 1, "end": 2, "text": "A"}]', (Cue(1, 2, "A"),)),
        ('{"cues": [{"start": 1, "end": 2, "text": "", "id": null}]}', (Cue(1, 2, ""),)),
    ],
)
def test_json_files_of_others_are_read(tmp_path, content, expected):
    assert tables.read(put(tmp_path / "x.json", content)) == expected


@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".csv", "start;end;text\r\n1.5;2;Café\r\n"), (".json", '[{"start": 1.5, "end": 2, "text": "Café"}]')],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_tables_from_a_spreadsheet_are_read_in_its_encoding(tmp_path, suffix, content, codec):
    path = put(tmp_path / f"x{suffix}", content.encode(codec))
    if codec == "cp1252":
        with pytest.warns(InputWarning, match="read as cp1252"):
            assert tables.read(path) == (Cue(1.5, 2, "Café"),)
    else:
        assert tables.read(path) == (Cue(1.5, 2, "Café"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"x\.csv: the file is empty"),
        (" \r\n\n", r"x\.csv: empty file"),
        (b"\xff\xfe\x00", r"x\.csv: begins with the mark of utf-16-le but is not valid"),
        (b"start,end\x00\n1,2\n", r"x\.csv: is not text"),
        ("begin,end\n1,2\n", r"x\.csv:1: no column 'start' in \['begin', 'end'\]: name the columns"),
        ("\nstart\n1\n", r"x\.csv:2: no column 'end'"),
        ("1.0,2.0\n", r"x\.csv:1: no column 'start'"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n", r"x\.csv:1: no column 'start'"),
        ('start,end,text\n1,2,"a\nb"\nx,2,c\n', r"x\.csv:4: start: 'x' is not a finite number"),
        ("start,end\n1,nan\n", r"x\.csv:2: end: 'nan' is not a finite number"),
        ("start,end\n1,-inf\n", r"x\.csv:2: end: '-inf' is not"),
        ("start,end\n1,1e999\n", r"x\.csv:2: end: '1e999' is not"),
        ("start;end\n1,5;2\n", r"x\.csv:2: start: '1,5' has a decimal comma: export with points, like 1\.5$"),
        ('start,end\n0,"2,25"\n', r"x\.csv:2: end: '2,25' has a decimal comma: export with points, like 2\.25$"),
        ("start;end\n1,5,0;2\n", r"x\.csv:2: start: '1,5,0' is not a finite number: write it like 12\.345"),
        ("start,end\n00:01,2\n", r"x\.csv:2: start: '00:01' is not"),
        ("start,end\n1\n", r"x\.csv:2: end: None is not"),
        ("start,end\n1,\n", r"x\.csv:2: end: '' is not"),
        ("start,end,score\n1,2,high\n", r"x\.csv:2: score: 'high' is not"),
        ("start,end,text\n1,2,Rain, heavy\n", r"x\.csv:2: 4 cells below 3 columns: put a cell with a ',' into"),
        ('start,end,text\n1,2,"cut of', r"x\.csv:2: not a whole CSV file"),
    ],
)
def test_what_is_no_csv_table_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as refusal:
        tables.read(put(tmp_path / "x.csv", content))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"x\.json: the file is empty"),
        (b"\xff\x00", r"x\.json: is not text"),
        ("[" * 100_000, r"x\.json: too many lists within lists"),
        ('[{"start": 1,\n "end": 2}', r"x\.json:2: not a whole JSON file"),
        ("start,end\n1,2\n", r"x\.json:1: not a whole JSON file"),
        ("3", r"x\.json: the document is not a list"),
        ('{"signs": 3}', r"x\.json: signs is not a list"),
        ('{"words": []}', r"x\.json: has the keys \['words'\]: expected one of 'signs' and 'cues'"),
        ('{"signs": [], "cues": []}', r"expected one of 'signs' and 'cues'"),
        ("[1]", r"x\.json: \[0\]: 1 is not an object"),
        ('{"signs": [{"start": 1, "end": 2}, {"start": 1}]}', r"x\.json: signs\[1\]: has no 'end'"),
        ('{"cues": [{"start": 1, "end": 2}]}', r"x\.json: cues\[0\]: has no 'text'"),
        ('[{"start": 1, "end": 2, "text": "A"}, {"start": 1, "end": 2}]', r"x\.json: \[1\]: has no 'text'"),
        ('{"signs": [{"start": NaN, "end": 2}]}', r"x\.json: signs\[0\]\.start: nan is not a finite number"),
        ('{"signs": [{"start": 1, "end": Infinity}]}', r"signs\[0\]\.end: inf is not"),
        ('{"signs": [{"start": null, "end": 2}]}', r"signs\[0\]\.start: None is not"),
        ('{"signs": [{"start": true, "end": 2}]}', r"signs\[0\]\.start: True is not"),
        ('{"signs": [{"start": [1], "end": 2}]}', r"signs\[0\]\.start: \[1\] is not"),
        ('{"signs": [{"start": 1' + "0" * 400 + ', "end": 2}]}', r"signs\[0\]\.start: 10+ is not"),
        ('{"signs": [{"start": 1, "end": 2, "gloss": 7}]}', r"signs\[0\]\.gloss: 7 is not a text"),
        ('{"signs": [{"start": 1, "end": 2, "score": {}}]}', r"signs\[0\]\.score: {} is not"),
    ],
)
def test_what_is_no_json_table_is_refused_with_its_item(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as refusal:
        tables.read(put(tmp_path / "x.json", content))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("sign", [Sign(float("nan"), 1), Sign(0, float("inf")), Sign(0, 1, None, float("nan"))])
def test_a_number_that_is_not_finite_is_never_written(tmp_path, suffix, sign):
    with pytest.raises(ValueError, match="cannot write"):
        tables.write(tmp_path / f"x{suffix}", [sign])
    assert list(tmp_path.iterdir()) == []


def test_pins_are_read_as_they_were_written_and_count_from_one(tmp_path):
    pins = {4: (12.5, 13.25), 0: (1.0, 2.0005)}
    tables.write_pins(tmp_path / "pins.csv", pins)
    assert (tmp_path / "pins.csv").read_text() == "cue,start,end\n1,1.000,2.001\n5,12.500,13.250\n"
    assert tables.read_pins(tmp_path / "pins.csv", 5) == {0: (1.0, 2.001), 4: (12.5, 13.25)}
    with pytest.raises(InputError, match="there is no cue 5; they count from 1 to 4"):
        tables.read_pins(tmp_path / "pins.csv", 4)
