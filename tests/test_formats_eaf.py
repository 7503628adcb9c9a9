import codecs
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from seasign.formats import eaf
from seasign.types import Cue, InputError, InputWarning, Sign, Span

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "elan_samples"  # shared data
SAMPLE_NAMES = ("ncslgr_asl_story.eaf", "ns21_ksl_weather_001.eaf", "ns21_ksl_weather_002.eaf")
QUICK = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Everything a careless editor loses: quotes, wrapped and odd white space, comments, CDATA, <X></X>, vocabularies,
# links, slots without a value, every stereotype.
FOREIGN = """<?xml version='1.0' encoding='UTF-8' standalone="yes"?>
<!-- <ANNOTATION_DOCUMENT> kept by hand -->
<ANNOTATION_DOCUMENT AUTHOR='Ann "A" O&apos;Tator' DATE="2020-01-01T00:00:00+00:00"
\tFORMAT="3.0" VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
\txsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
\t<LICENSE LICENSE_URL="https://example.org/&#228;"></LICENSE>
\t<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
\t\t<MEDIA_DESCRIPTOR MEDIA_URL="file:///v/a.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="40"/>
\t\t<LINKED_FILE_DESCRIPTOR LINK_URL="file:///v/a.tsv" MIME_TYPE="unknown"/>
\t\t<PROPERTY NAME="lastUsedAnnotationId">40</PROPERTY>
\t\t<PROPERTY NAME="note">5 &gt; 4 <![CDATA[<TIER>]]></PROPERTY>
\t</HEADER>
\t<TIME_ORDER>
\t\t<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"   />
\t\t<TIME_SLOT TIME_SLOT_ID="ts2"/>
\t\t<!-- between -->
\t\t<TIME_SLOT TIME_SLOT_ID="ts3"></TIME_SLOT>
\t\t<TIME_SLOT TIME_SLOT_ID='ts4' TIME_VALUE='900'/>
\t\t<TIME_SLOT TIME_SLOT_ID="ts5" TIME_VALUE="1000"/>
\t\t<TIME_SLOT TIME_SLOT_ID="ts6" TIME_VALUE="2000"/>
\t\t<TIME_SLOT TIME_SLOT_ID="ts7" TIME_VALUE="2000"/>
\t\t<TIME_SLOT TIME_SLOT_ID="ts8" TIME_VALUE="2500"/>
\t</TIME_ORDER>
\t<TIER LINGUISTIC_TYPE_REF="utterance" TIER_ID="Übersetzung &amp; mehr" PARTICIPANT="S1" LANG_REF="de">
\t\t<ANNOTATION>
\t\t\t<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts4" CVE_REF="cve1" SVG_REF="x">
\t\t\t\t<ANNOTATION_VALUE>Es  regnet.\nStark\u2028!</ANNOTATION_VALUE>
\t\t\t</ALIGNABLE_ANNOTATION>
\t\t</ANNOTATION>
\t\t<ANNOTATION>
\t\t\t<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts5" TIME_SLOT_REF2="ts7">
\t\t\t\t<ANNOTATION_VALUE></ANNOTATION_VALUE>
\t\t\t</ALIGNABLE_ANNOTATION>
\t\t</ANNOTATION>
\t</TIER>
\t<TIER LINGUISTIC_TYPE_REF="words" TIER_ID="words" PARENT_REF="Übersetzung &amp; mehr">
\t\t<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"
\t\t><ANNOTATION_VALUE>es</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
\t\t<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3"
\t\t><ANNOTATION_VALUE>regnet</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
\t\t<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a5" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4"
\t\t><ANNOTATION_VALUE>stark</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
\t</TIER>
\t<TIER LINGUISTIC_TYPE_REF="parts" TIER_ID="morphemes" PARENT_REF="words">
\t\t<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a7" ANNOTATION_REF="a4" PREVIOUS_ANNOTATION="a6"
\t\t><ANNOTATION_VALUE>t</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
\t\t<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a6" ANNOTATION_REF="a4"
\t\t><ANNOTATION_VALUE>regne</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
\t</TIER>
\t<TIER LINGUISTIC_TYPE_REF="gloss" TIER_ID="category" PARENT_REF="morphemes">
\t\t<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a8" ANNOTATION_REF="a7"
\t\t><ANNOTATION_VALUE>ending</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
\t</TIER>
\t<TIER LINGUISTIC_TYPE_REF="within" TIER_ID="mouth" PARENT_REF="Übersetzung &amp; mehr">
\t\t<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a9" TIME_SLOT_REF1="ts5" TIME_SLOT_REF2="ts6"
\t\t><ANNOTATION_VALUE>o</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
\t</TIER>
\t<TIER LINGUISTIC_TYPE_REF="utterance" TIER_ID="SIGN" ANNOTATOR="someone">
\t\t<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a10" TIME_SLOT_REF1="ts6" TIME_SLOT_REF2="ts8"
\t\t><ANNOTATION_VALUE>OLD</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
\t</TIER>
\t<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="utterance" TIME_ALIGNABLE="true" CONTROLLED_VOCABULARY_REF="moods"/>
\t<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="words" TIME_ALIGNABLE="true" CONSTRAINTS="Time_Subdivision"/>
\t<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="parts" TIME_ALIGNABLE="false" CONSTRAINTS="Symbolic_Subdivision"/>
\t<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="gloss" TIME_ALIGNABLE="false" CONSTRAINTS="Symbolic_Association"/>
\t<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="within" TIME_ALIGNABLE="true" CONSTRAINTS="Included_In"/>
\t<LOCALE LANGUAGE_CODE="de"/>
\t<LANGUAGE LANG_ID="de" LANG_LABEL="German"/>
\t<CONSTRAINT STEREOTYPE="Included_In" DESCRIPTION="x"/>
\t<CONTROLLED_VOCABULARY CV_ID="moods">
\t\t<CV_ENTRY_ML CVE_ID="cve1"><CVE_VALUE LANG_REF="de">froh</CVE_VALUE></CV_ENTRY_ML>
\t</CONTROLLED_VOCABULARY>
\t<EXTERNAL_REF EXT_REF_ID="er1" TYPE="ecv" VALUE="file:///v/x.ecv"/>
</ANNOTATION_DOCUMENT>
<!-- the end -->"""


def put(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def bare(path, ours):
    """The document in canonical form without our tiers, their time slots, our linguistic type and the id counter."""
    root = etree.fromstring(path.read_bytes(), etree.XMLParser(remove_blank_text=True))
    tiers = [tier for tier in root.iter("TIER") if tier.get("TIER_ID") in ours]
    slots = {a.get(slot) for tier in tiers for a in tier.iter("ALIGNABLE_ANNOTATION") for slot in a.attrib}
    used = {
        a.get(slot)
        for t in root.iter("TIER")
        if t not in tiers
        for a in t.iter("ALIGNABLE_ANNOTATION")
        for slot in a.attrib
    }
    unwanted = [slot for slot in root.iter("TIME_SLOT") if slot.get("TIME_SLOT_ID") in slots - used]
    unwanted += tiers + root.xpath("LINGUISTIC_TYPE[@LINGUISTIC_TYPE_ID='seasign']")
    unwanted += root.xpath("HEADER/PROPERTY[@NAME='lastUsedAnnotationId']")
    for element in unwanted:
        element.getparent().remove(element)
    for element in root.iter("*"):
        element.text, element.tail = ((text or "").strip() for text in (element.text, element.tail))
    return etree.tostring(root.getroottree(), method="c14n")


seconds = st.integers(0, 40).map(lambda tenths: tenths / 10)
values = st.none() | st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r"),
    min_size=1,
    max_size=8,
)


@st.composite
def tidy_signs(draw):
    """Signs as ELAN allows them: in order, whole milliseconds, no overlap."""
    edges = sorted(draw(st.sets(st.integers(0, 4_000_000), max_size=12)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return tuple(Sign(start / 1000, end / 1000, draw(values)) for start, end in pairs)


@st.composite
def documents(draw):
    """A foreign document: alignable tiers, subdivided and annotated, with slots that are shared or without a value."""
    slots, tiers, count = [], [], 0

    def slot(value):
        slots.append((value, f"ts{len(slots) + 1}"))
        return slots[-1][1]

    def annotation(kind, attributes):
        nonlocal count
        count += 1
        tag = f'{kind}_ANNOTATION ANNOTATION_ID="a{count}" {attributes}'
        return (
            f"a{count}",
            f"<ANNOTATION><{tag}><ANNOTATION_VALUE>v{count}</ANNOTATION_VALUE></{kind}_ANNOTATION></ANNOTATION>",
        )

    for number in range(draw(st.integers(0, 3))):
        parents, parts, notes = [], [], []
        edges = sorted(draw(st.sets(st.integers(0, 9000), max_size=6)))
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            pieces = draw(st.integers(0, 4))
            chain = [slot(start), *(slot((start, end)) for _ in range(pieces - 1)), slot(end)]
            name, text = annotation("ALIGNABLE", f'TIME_SLOT_REF1="{chain[0]}" TIME_SLOT_REF2="{chain[-1]}"')
            parents.append(text)
            if pieces:
                for one, two in pairwise(chain):
                    parts.append(annotation("ALIGNABLE", f'TIME_SLOT_REF1="{one}" TIME_SLOT_REF2="{two}"')[1])
            previous = ""
            for _ in range(draw(st.integers(0, 3))):
                note, text = annotation("REF", f'ANNOTATION_REF="{name}"{previous}')
                notes.append(text)
                previous = f' PREVIOUS_ANNOTATION="{note}"'
        top = f"tier {number}"
        for kind, name, content in (
            ("top", top, parents),
            ("sub", f"{top} parts", parts),
            ("sym", f"{top} notes", notes),
        ):
            above = "" if kind == "top" else f' PARENT_REF="{top}"'
            content = "\n".join(draw(st.permutations(content)) if kind == "sym" else content)
            tiers.append(f'<TIER TIER_ID="{name}"{above} LINGUISTIC_TYPE_REF="{kind}">{content}</TIER>')
    slots.sort(key=lambda slot: slot[0] if isinstance(slot[0], int) else slot[0][0] + 0.5)
    order = "".join(
        f'  <TIME_SLOT TIME_SLOT_ID="{name}"' + (f' TIME_VALUE="{value}"/>\n' if isinstance(value, int) else "/>\n")
        for value, name in slots
    )
    types = "".join(
        f'<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="{name}"{constraint}/>'
        for name, constraint in (
            ("top", ""),
            ("sub", ' CONSTRAINTS="Time_Subdivision"'),
            ("sym", ' CONSTRAINTS="Symbolic_Subdivision"'),
        )
    )
    tiers = "\n".join(tiers)
    head = '<HEADER TIME_UNITS="milliseconds"/>' if draw(st.booleans()) else "<HEADER></HEADER>"
    order = f"<TIME_ORDER>\n{order}</TIME_ORDER>" if order else "<TIME_ORDER/>"
    lead = draw(st.sampled_from(["", "\n", "\n  "]))
    text = f"<ANNOTATION_DOCUMENT>{lead}{head}{order}\n{tiers}{types}</ANNOTATION_DOCUMENT>"
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


# Reading


def test_annotations_come_in_order_of_time_with_values_as_glosses(tmp_path):
    signs = eaf.read(put(tmp_path / "x.eaf", FOREIGN))
    assert list(signs) == ["Übersetzung & mehr", "words", "morphemes", "category", "mouth", "SIGN"]
    assert signs["Übersetzung & mehr"] == (Sign(0, 0.9, "Es  regnet.\nStark\u2028!"), Sign(1, 2))
    assert signs["SIGN"] == (Sign(2, 2.5, "OLD"),)


def test_names_are_those_of_the_tiers_in_the_order_of_the_file(tmp_path):
    path = put(tmp_path / "x.eaf", FOREIGN)
    assert eaf.names(path) == tuple(eaf.read(path))


def test_slots_without_a_value_share_the_time_between_their_neighbours(tmp_path):
    words = eaf.read(put(tmp_path / "x.eaf", FOREIGN), ["words"])["words"]
    assert words == (Sign(0, 0.3, "es"), Sign(0.3, 0.6, "regnet"), Sign(0.6, 0.9, "stark"))


def test_reference_annotations_share_the_time_of_their_ancestor_in_the_order_of_their_chain(tmp_path):
    signs = eaf.read(put(tmp_path / "x.eaf", FOREIGN), ["morphemes", "category"])
    assert signs["morphemes"] == (Sign(0.3, 0.45, "regne"), Sign(0.45, 0.6, "t"))
    assert signs["category"] == (Sign(0.45, 0.6, "ending"),)


def test_a_parent_tier_without_values_times_its_children(tmp_path):
    text = FOREIGN.replace('PARENT_REF="words"', 'PARENT_REF="inner"').replace(
        'ANNOTATION_REF="a4"', 'ANNOTATION_REF="a20"'
    )
    inner = """<TIER LINGUISTIC_TYPE_REF="words" TIER_ID="inner" PARENT_REF="words">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a20" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts20"/></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a21" TIME_SLOT_REF1="ts20" TIME_SLOT_REF2="ts3"/></ANNOTATION>
        </TIER><LINGUISTIC_TYPE"""
    text = text.replace("<LINGUISTIC_TYPE", inner, 1).replace("<!-- between -->", '<TIME_SLOT TIME_SLOT_ID="ts20"/>')
    path = put(tmp_path / "x.eaf", text)
    signs = eaf.read(path, ["inner", "morphemes"])
    assert signs["inner"] == (Sign(0.3, 0.45), Sign(0.45, 0.6))
    assert [(sign.start, sign.end) for sign in signs["morphemes"]] == [(0.3, 0.375), (0.375, 0.45)]
    assert eaf.validate(path) == []


def test_a_slot_without_a_value_matters_only_in_a_tier_that_is_read(tmp_path):
    path = put(tmp_path / "x.eaf", FOREIGN.replace(' TIME_VALUE="2500"', ""))
    assert len(eaf.read(path, ["words", "mouth"])) == 2
    with pytest.raises(InputError, match=r"x\.eaf:\d+: annotation 'a10' of tier 'SIGN' has no time \(time slot 'ts8'"):
        eaf.read(path, ["SIGN"])
    with pytest.raises(InputError, match="'a10'"):
        eaf.read(path)


def test_overlapping_reversed_and_empty_annotations_are_read_as_they_are(tmp_path):
    text = FOREIGN.replace(
        '"a10" TIME_SLOT_REF1="ts6" TIME_SLOT_REF2="ts8"', '"a10" TIME_SLOT_REF1="ts8" TIME_SLOT_REF2="ts6"'
    )
    assert eaf.read(put(tmp_path / "x.eaf", text), ["SIGN"])["SIGN"] == (Sign(2.5, 2, "OLD"),)


def test_a_missing_tier_is_an_error_that_lists_the_tiers(tmp_path):
    with pytest.raises(InputError, match=r"no tier 'GLOSS': choose one of 'Übersetzung & mehr', 'words', 'morphemes'"):
        eaf.read(put(tmp_path / "x.eaf", FOREIGN), ["GLOSS"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (FOREIGN, "", r"x\.eaf: empty file"),
        (FOREIGN, " \n", r"x\.eaf: empty file"),
        (FOREIGN[2000:], "", r"x\.eaf:\d+: not whole XML"),
        (FOREIGN, "WEBVTT\n\n00:00.000 --> 00:01.000\nA", r"x\.eaf:1: not whole XML"),
        (FOREIGN, "PK\x03\x04\x00", r"x\.eaf:1: not whole XML"),
        (FOREIGN, "<tt/>", r"x\.eaf:1: <tt> is not an ELAN document"),
        ('"milliseconds"', '"PAL-frames"', r"x\.eaf:7: times are in PAL-frames"),
        ('TIER_ID="words"', 'TIER_ID="mouth"', r"x\.eaf:\d+: a second tier 'mouth'"),
        ('"2500"', '"2.5"', r"annotation 'a10' of tier 'SIGN' has no time \(time slot 'ts8' has no value"),
        ('_REF2="ts8"', '_REF2="ts99"', r"annotation 'a10' of tier 'SIGN' has no time \(time slot 'ts99'"),
        ('ANNOTATION_REF="a7"', 'ANNOTATION_REF="a77"', r"'a8' of tier 'category' has no time \('a77'"),
        (
            'ANNOTATION_ID="a6" ',
            'ANNOTATION_ID="a6" PREVIOUS_ANNOTATION="a7" ',
            r"'a7' of tier 'morphemes' has no time",
        ),
        (' PARENT_REF="words"', ' PARENT_REF="category"', r"of tier 'morphemes' has no time"),
        (' PARENT_REF="morphemes"', "", r"annotation 'a8' of tier 'category' has no time \('a7'"),
        (' TIME_SLOT_REF2="ts8"', "", r"annotation 'a10' of tier 'SIGN' has no time \(time slot None"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, old, new, message):
    assert old in FOREIGN
    path = put(tmp_path / "x.eaf", FOREIGN.replace(old, new))
    with pytest.raises(InputError, match=message) as refusal:
        eaf.read(path)
    assert "\n" not in str(refusal.value)


def test_entities_are_refused_and_nothing_outside_the_file_is_opened(tmp_path):
    put(tmp_path / "secret", "secret")
    doctype = f'<!DOCTYPE ANNOTATION_DOCUMENT [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    path = put(tmp_path / "x.eaf", f"{doctype}<ANNOTATION_DOCUMENT><HEADER/>&x;</ANNOTATION_DOCUMENT>")
    for use in (eaf.read, eaf.validate, lambda path: eaf.write(tmp_path / "y.eaf", {}, like=path)):
        with pytest.raises(InputError, match="DOCTYPE"):
            use(path)
    assert not (tmp_path / "y.eaf").exists()


# Writing


@QUICK
@given(signs=tidy_signs(), more=tidy_signs())
def test_what_is_written_is_read_back(tmp_path, signs, more):
    path = tmp_path / "x.eaf"
    cues = tuple(Cue(sign.start, sign.end, sign.gloss or "") for sign in more)
    spans = tuple(Span(sign.start, sign.end) for sign in more)
    eaf.write(path, {"SIGN": signs, "SUBTITLE": cues, "PHRASE": spans})
    plain = tuple(Sign(span.start, span.end) for span in spans)
    assert eaf.read(path) == {"SIGN": signs, "SUBTITLE": more, "PHRASE": plain}
    assert eaf.validate(path) == []


@QUICK
@given(document=documents(), signs=tidy_signs(), again=tidy_signs())
def test_a_foreign_document_keeps_everything_else(tmp_path, document, signs, again):
    path, edited, twice = put(tmp_path / "x.eaf", document), tmp_path / "y.eaf", tmp_path / "z.eaf"
    assert eaf.validate(path) == []
    before = eaf.read(path)
    eaf.write(edited, {}, like=path)
    assert edited.read_bytes() == path.read_bytes()

    ours = {"SIGN": signs, "PHRASE": again}
    eaf.write(edited, ours, like=path)
    assert eaf.validate(edited) == []
    assert eaf.read(edited) == before | ours
    assert bare(edited, ours) == bare(path, ours)

    eaf.write(twice, {"SIGN": again}, like=edited)
    assert eaf.validate(twice) == []
    assert eaf.read(twice) == before | {"SIGN": again, "PHRASE": again}
    assert bare(twice, ours) == bare(path, ours)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "iso-8859-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_bytes_that_need_no_change_stay(tmp_path, encoding, newline):
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    declared = encoding.removesuffix("-sig").removesuffix("-le").removesuffix("-be")
    text = FOREIGN.replace("UTF-8", declared).replace("\u2028", "&#8232;").replace("\n", newline)
    path, edited = tmp_path / "x.eaf", tmp_path / "y.eaf"
    path.write_bytes(mark + text.encode(encoding))
    eaf.write(edited, {}, like=path)
    assert edited.read_bytes() == path.read_bytes()

    eaf.write(edited, {"PHRASE": [Sign(0.5, 1.5, "é\u4e00")]}, like=path)
    codec = encoding.removesuffix("-sig")
    old, new = (file.read_bytes().decode(codec).split("\n") for file in (path, edited))
    added = iter(new)
    counter = '<PROPERTY NAME="lastUsedAnnotationId">'
    assert all(line in added for line in old if counter not in line)  # and in this order
    assert len(new) == len(old) + 2 + 7 + 1  # slots, tier, linguistic type
    assert eaf.read(edited, ["PHRASE"])["PHRASE"] == (Sign(0.5, 1.5, "é\u4e00"),)
    assert eaf.validate(edited) == []


def test_a_replaced_tier_stays_where_it_stands_with_its_attributes_and_leaves_no_slots_behind(tmp_path):
    path = put(tmp_path / "x.eaf", FOREIGN)
    eaf.write(path, {"SIGN": [Sign(0.2, 0.4, "NEW")]}, like=path)
    text = path.read_text()
    assert eaf.read(path, ["SIGN"])["SIGN"] == (Sign(0.2, 0.4, "NEW"),)
    assert '<TIER LINGUISTIC_TYPE_REF="seasign" TIER_ID="SIGN" ANNOTATOR="someone">' in text
    assert '"ts8"' not in text  # was the old annotation's alone
    assert '"ts6"' in text  # is mouth's as well
    assert 'ANNOTATION_ID="a41"' in text
    assert '"lastUsedAnnotationId">41<' in text
    assert bare(path, ["SIGN"]) == bare(put(tmp_path / "y.eaf", FOREIGN), ["SIGN"])


def test_a_dependent_tier_that_is_replaced_depends_no_more(tmp_path):
    path = put(tmp_path / "x.eaf", FOREIGN)
    eaf.write(path, {"mouth": [Sign(3, 4, "u")]}, like=path)
    assert eaf.validate(path) == []
    assert 'TIER_ID="mouth">' in path.read_text()


def test_new_slots_go_between_their_neighbours_and_slots_without_a_value_stay_in_place(tmp_path):
    path = put(tmp_path / "x.eaf", FOREIGN)
    eaf.write(path, {"PHRASE": [Span(0.1, 0.9), Span(0.95, 5)]}, like=path)
    slots = [slot.get("TIME_VALUE") for slot in etree.parse(str(path)).iter("TIME_SLOT")]
    assert slots == ["0", None, None, "100", "900", "900", "950", "1000", "2000", "2000", "2500", "5000"]


def test_time_slots_out_of_order_are_sorted(tmp_path):
    path = put(tmp_path / "x.eaf", FOREIGN.replace('"2500"', '"2100"').replace('"1000"', '"2200"'))
    assert any("stands after" in fault for fault in eaf.validate(path))
    signs = eaf.read(path)
    eaf.write(path, {"PHRASE": [Span(0, 1)]}, like=path)
    assert not any("stands after" in fault for fault in eaf.validate(path))
    assert eaf.read(path) == signs | {"PHRASE": (Sign(0, 1),)}


@pytest.mark.parametrize("name", ["words", "Übersetzung & mehr", "morphemes"])
def test_a_tier_that_others_depend_on_is_not_replaced(tmp_path, name):
    path = put(tmp_path / "x.eaf", FOREIGN)
    with pytest.raises(InputError, match=r"x\.eaf:\d+: tier .* cannot be replaced: it is the parent of '.*'"):
        eaf.write(path, {name: ()}, like=path)
    assert path.read_text() == FOREIGN
    eaf.write(path, {"words": (), "morphemes": (), "category": ()}, like=path)  # all of the family is
    assert eaf.validate(path) == []


def test_a_tier_that_links_refer_to_is_not_replaced(tmp_path):
    link = '<REF_LINK_SET LINK_SET_ID="l"><CROSS_REF_LINK REF_LINK_ID="k" REF1="a1" REF2="a10"/></REF_LINK_SET>'
    path = put(tmp_path / "x.eaf", FOREIGN.replace("\t<EXTERNAL_REF", link + "\t<EXTERNAL_REF"))
    with pytest.raises(InputError, match="a link refers to annotation 'a10'"):
        eaf.write(path, {"SIGN": ()}, like=path)
    eaf.write(path, {"PHRASE": ()}, like=path)


# --- pins -------------------------------------------------------------------------------------------------------------

CUES = [Cue(1, 2, "Rain."), Cue(3, 4, "<i>Heavy</i> rain\ntonight."), Cue(5, 6, "Rain."), Cue(7, 8, "Sun.")]
ALIGNED = [Cue(2, 3, "Rain."), Cue(4, 5, "Heavy rain\ntonight."), Cue(6, 7, "Rain."), Cue(8, 9, "[not signed] Sun.")]


def marked(tmp_path, *pins, aligned=ALIGNED):
    path = tmp_path / "marked.eaf"
    tiers = {"PINNED": [Sign(start, end, value) for start, end, value in pins]}
    eaf.write(path, tiers | ({"SUBTITLE_ALIGNED": aligned} if aligned else {}))
    return path


@pytest.mark.parametrize(
    ("pin", "cue"),
    [
        ((20, 21, "2"), 1),
        ((20, 21, " 4 "), 3),
        ((4.2, 5.1, "Heavy rain tonight."), 1),
        ((4.2, 5.1, "<i>Heavy</i> rain\ntonight."), 1),
        ((8, 9.5, "[not signed] Sun."), 3),
        ((8, 9.5, "Sun."), 3),
        ((4.1, 5.0, None), 1),
        ((8.2, 9.1, None), 3),
        ((2.1, 3.0, "Rain."), 0),
        ((6.1, 7.0, "Rain."), 2),
        ((5.9, 7.0, None), 2),
    ],
)
def test_a_pin_names_its_cue_by_number_by_text_or_by_lying_on_it(tmp_path, pin, cue):
    assert eaf.pins(marked(tmp_path, pin), CUES) == {cue: pin[:2]}


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ([(1, 2, "5")], "annotation at 1.00 s of tier 'PINNED': there is no cue 5; they count from 1 to 4"),
        ([(1, 2, "0")], "there is no cue 0"),
        ([(1, 2, "Snow.")], "'Snow.' is neither the number nor the text of a cue"),
        ([(30, 31, None)], "has no value and lies on no cue; write the number"),
        ([(4.6, 5.6, None)], "has no value and lies on no cue"),
        ([(1, 2, "2"), (4, 5, "Heavy rain tonight.")], "at 4.00 s of tier 'PINNED': cue 2 is pinned twice"),
    ],
)
def test_a_pin_that_names_no_cue_is_refused(tmp_path, pins, message):
    with pytest.raises(InputError, match=message):
        eaf.pins(marked(tmp_path, *pins), CUES)


def test_cues_with_one_text_need_their_place_or_a_number(tmp_path):
    with pytest.raises(InputError, match=r"2 cues have that text \(1, 3\); write the number of one"):
        eaf.pins(marked(tmp_path, (1, 2, "Rain."), aligned=()), CUES)
    with pytest.raises(InputError, match="2 cues have that text"):
        eaf.pins(marked(tmp_path, (2, 3, "Rain."), aligned=ALIGNED[:2]), CUES)  # the other one was left out


def test_pins_need_their_tier(tmp_path):
    eaf.write(tmp_path / "bare.eaf", {"SIGN": [Sign(1, 2)]})
    with pytest.raises(InputError, match="no tier 'PINNED': mark the cues that are right"):
        eaf.pins(tmp_path / "bare.eaf", CUES)
    eaf.write(tmp_path / "none.eaf", {"PINNED": []})
    assert eaf.pins(tmp_path / "none.eaf", CUES) == {}


def test_a_fresh_document_is_valid_and_links_its_media(tmp_path):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "x.eaf"
    media = [tmp_path / "out" / "my news.mp4", tmp_path / "video" / "n.mov", tmp_path / "out" / "n.xyz"]
    eaf.write(path, {"SIGN": [Sign(0, 1, "A")]}, media=media)
    assert eaf.validate(path) == []
    root = etree.parse(str(path)).getroot()
    assert [child.tag for child in root] == ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE"]
    assert (root.get("FORMAT"), root.get("VERSION")) == ("3.0", "3.0")
    assert [tuple(medium.attrib.values()) for medium in root.iter("MEDIA_DESCRIPTOR")] == [
        (f"file://{media[0].as_posix()}", "video/mp4", "./my news.mp4"),
        (f"file://{media[1].as_posix()}", "video/quicktime", "../video/n.mov"),
        (f"file://{media[2].as_posix()}", "unknown", "./n.xyz"),
    ]


def written(path, spans):
    """What is read back, and the warnings on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        eaf.write(path, {"SIGN": spans})
    assert {warning.category for warning in caught} <= {InputWarning}
    assert eaf.validate(path) == []
    signs = eaf.read(path)["SIGN"]
    assert len(signs) == len(spans)
    return [(sign.start, sign.end, sign.gloss) for sign in signs], [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("spans", "expected", "warning"),
    [
        ([Sign(1, 1, "A")], [(1, 1.001, "A")], "1 of 1 annotations ended before or where they start"),
        ([Sign(2, 1, "A"), Sign(0, 1)], [(0, 1, None), (2, 2.001, "A")], "1 of 2 annotations ended before or where"),
        ([Sign(0, 3, "A"), Sign(1, 2, "B")], [(0, 1, "A"), (1, 2, "B")], "1 of 2 annotations overlapped"),
        ([Sign(1, 2, "A"), Sign(1, 4, "B")], [(1, 1.001, "A"), (1.001, 4, "B")], "1 of 2 annotations overlapped"),
        ([Sign(-1, 0.5, "A")], [(0, 0.5, "A")], "1 of 1 annotations had a negative time"),
        ([Sign(-2, -1, "A")], [(0, 0.001, "A")], "1 of 1 annotations had a negative time"),
        ([Sign(3, 4, "B"), Sign(1, 2, "A")], [(1, 2, "A"), (3, 4, "B")], None),
        ([Sign(0, 1, "A"), Sign(1, 2, "B")], [(0, 1, "A"), (1, 2, "B")], None),
    ],
)
def test_what_elan_does_not_allow_is_fitted_and_warned_of_once(tmp_path, spans, expected, warning):
    signs, caught = written(tmp_path / "x.eaf", spans)
    assert signs == expected
    assert len(caught) == (warning is not None)
    assert not warning or caught[0].startswith(f"{tmp_path / 'x.eaf'}: tier 'SIGN': {warning}")


@QUICK
@given(st.lists(st.builds(Sign, seconds, seconds.map(lambda s: s - 0.5), st.sampled_from("ABC")), max_size=8))
def test_no_annotation_is_lost_whatever_its_times(tmp_path, spans):
    signs, _ = written(tmp_path / "x.eaf", spans)
    assert [gloss for _, _, gloss in signs] == [span.gloss for span in sorted(spans, key=lambda span: span.start)]


@pytest.mark.parametrize(
    ("time", "read"), [(1.0004, 1.0), (1.0005, 1.001), (14.899, 14.899), (59.9996, 60.0), (4.0015, 4.002)]
)
def test_times_are_rounded_half_up_to_milliseconds(tmp_path, time, read):
    eaf.write(tmp_path / "x.eaf", {"SIGN": [Sign(0, time), Sign(time, 100)]})
    assert eaf.read(tmp_path / "x.eaf")["SIGN"] == (Sign(0, read), Sign(read, 100))


@pytest.mark.parametrize(("ids", "lost"), [(("rain", None), 1), (("1", "2"), 0), ((None, None), 0), (("2", "x"), 2)])
def test_identifiers_of_cues_are_counted_where_they_are_lost(tmp_path, ids, lost):
    cues = [Cue(second, second + 1, "x", name) for second, name in enumerate(ids)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        eaf.write(tmp_path / "x.eaf", {"SUBTITLE": cues, "SUBTITLE_ALIGNED": cues})
    assert [f"{lost} identifiers of cues are left out" in str(warning.message) for warning in caught] == [True] * bool(
        lost
    )


def test_media_on_another_drive_are_linked_without_a_relative_path(tmp_path, monkeypatch):
    def relpath(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(eaf.os.path, "relpath", relpath)
    eaf.write(tmp_path / "x.eaf", {"SIGN": [Sign(0, 1)]}, media=[tmp_path / "x.mp4"])
    (medium,) = etree.parse(tmp_path / "x.eaf").iter("MEDIA_DESCRIPTOR")
    assert medium.get("MEDIA_URL").endswith("/x.mp4")
    assert "RELATIVE_MEDIA_URL" not in medium.attrib
    assert eaf.validate(tmp_path / "x.eaf") == []


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_a_time_that_is_not_finite_is_never_written(tmp_path, time):
    with pytest.raises(ValueError, match="cannot write"):
        eaf.write(tmp_path / "x.eaf", {"SIGN": [Sign(0, time)]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "gloss"), [("SIGN", "A\x00"), ("SIGN", "A\x0b"), ("SI\x01GN", "A")])
def test_characters_that_xml_cannot_hold_are_refused(tmp_path, name, gloss):
    with pytest.raises(InputError, match=r"x\.eaf: tier .* holds a character that XML cannot"):
        eaf.write(tmp_path / "x.eaf", {name: [Sign(0, 1, gloss)]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        FOREIGN[:3000],
        "<ANNOTATION_DOCUMENT/>",
        "<ANNOTATION_DOCUMENT><HEADER/></ANNOTATION_DOCUMENT>",
        FOREIGN.replace('TIER_ID="words"', 'TIER_ID="SIGN"'),
    ],
)
def test_a_document_that_cannot_be_edited_is_refused_and_nothing_written(tmp_path, text):
    path = put(tmp_path / "x.eaf", text)
    with pytest.raises(InputError, match=r"x\.eaf"):
        eaf.write(tmp_path / "y.eaf", {"SIGN": ()}, like=path)
    assert path.read_text() == text
    assert not (tmp_path / "y.eaf").exists()


def test_pympi_reads_what_we_write(tmp_path):
    elan = pytest.importorskip("pympi.Elan")
    path = put(tmp_path / "x.eaf", FOREIGN)
    eaf.write(path, {"SIGN": [Sign(0.2, 0.4, "A&B"), Sign(0.4, 1.5, None)], "PHRASE": [Span(0.2, 1.5)]}, like=path)
    other = elan.Eaf(str(path))
    assert sorted(other.get_annotation_data_for_tier("SIGN")) == [(200, 400, "A&B"), (400, 1500, "")]
    assert other.get_annotation_data_for_tier("PHRASE") == [(200, 1500, "")]


def test_we_read_and_accept_what_pympi_writes(tmp_path):
    elan = pytest.importorskip("pympi.Elan")
    other = elan.Eaf(author="")
    other.add_linguistic_type("sub", "Symbolic_Association", timealignable=False)
    other.add_tier("gloss")
    other.add_tier("note", ling="sub", parent="gloss")
    for start in (0, 1000, 2500):
        other.add_annotation("gloss", start, start + 700, f"G{start}")
        other.add_ref_annotation("note", "gloss", start + 1, f"N{start}")
    path = tmp_path / "x.eaf"
    other.to_file(str(path))
    assert eaf.validate(path) == []
    eaf.write(path, {"SIGN": [Sign(0.5, 1)]}, like=path)
    assert eaf.validate(path) == []
    expected = tuple((start / 1000, (start + 700) / 1000) for start in (0, 1000, 2500))
    for tier in ("gloss", "note"):
        assert tuple((sign.start, sign.end) for sign in eaf.read(path, [tier])[tier]) == expected


# Checking


def test_the_rich_document_has_no_faults(tmp_path):
    assert eaf.validate(put(tmp_path / "x.eaf", FOREIGN)) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('ANNOTATION_ID="a9"', 'ANNOTATION_ID="a2"', "ANNOTATION_ID 'a2' is given twice"),
        ('TIME_SLOT_ID="ts7"', 'TIME_SLOT_ID="ts6"', "TIME_SLOT_ID 'ts6' is given twice"),
        ('TIME_SLOT_ID="ts7"', 'TIME_SLOT_ID="a1"', "ANNOTATION_ID 'a1' is given twice"),
        (' ANNOTATION_ID="a9"', "", "<ALIGNABLE_ANNOTATION> has no ANNOTATION_ID"),
        ('TIER_ID="mouth"', 'TIER_ID="SIGN"', "TIER_ID 'SIGN' is given twice"),
        ("1000", "2100", "time slot 'ts6' at 2000 ms stands after one at 2100 ms"),
        ("2500", "-1", "'-1' is not a whole number"),
        ("2500", "2.5", "'2.5' is not a whole number"),
        ('_REF2="ts8"', '_REF2="ts9"', "annotation 'a10' refers to time slot 'ts9', which does not exist"),
        ('"ts8" TIME_VALUE="2500"', '"ts8"', "annotation 'a10' has no time"),
        ('REF1="ts6" TIME_SLOT_REF2="ts8"', 'REF1="ts8" TIME_SLOT_REF2="ts6"', "'a10' ends before or where it starts"),
        ("1000", "800", "'a2' (0.800 to 2.000 s) overlaps 'a1' (0.000 to 0.900 s)"),
        ('ANNOTATION_REF="a7"', 'ANNOTATION_REF="a3"', "'a8' refers to 'a3', which is not in the parent tier"),
        ('PREVIOUS_ANNOTATION="a6"', 'PREVIOUS_ANNOTATION="a8"', "'a7' follows 'a8', which is not in its tier"),
        ('"a4" PREVIOUS', '"a3" PREVIOUS', "'a7' follows 'a6', which has another parent annotation"),
        ('"a6" ANN', '"a6" PREVIOUS_ANNOTATION="a7" ANN', "'a6' follows itself in a circle"),
        ('PARENT_REF="words"', 'PARENT_REF="wrods"', "tier 'morphemes': there is no parent tier 'wrods'"),
        ('PARENT_REF="words"', 'PARENT_REF="category"', "tier 'morphemes': is its own ancestor"),
        (' PARENT_REF="words"', "", "tier 'morphemes': Symbolic_Subdivision needs a parent tier"),
        ('REF="utterance" TIER_ID="SIGN"', 'REF="utter" TIER_ID="SIGN"', "'SIGN': there is no linguistic type 'utter'"),
        (
            'TIER_ID="SIGN"',
            'PARENT_REF="words" TIER_ID="SIGN"',
            "'SIGN': has the parent tier 'words', but its linguistic",
        ),
        ('"Included_In"/>', '"Symbolic_Association"/>', "'a9' is of the kind ALIGNABLE_ANNOTATION; the tier's"),
        ('"Included_In"/>', '"Inside"/>', "tier 'mouth': unknown stereotype 'Inside'"),
        ('"Included_In"/>', '"Time_Subdivision"/>', None),
        (
            '"mouth" PARENT_REF="Übersetzung &amp; mehr"',
            '"mouth" PARENT_REF="category"',
            "Included_In needs a parent tier",
        ),
        (
            '"a9" TIME_SLOT_REF1="ts5"',
            '"a9" TIME_SLOT_REF1="ts4"',
            "'a9' (0.900 to 2.000 s) is not inside an annotation",
        ),
        (
            '"a5" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4"',
            '"a5" TIME_SLOT_REF1="ts5" TIME_SLOT_REF2="ts6"',
            "has no time",
        ),
        ('"gloss" TIME_ALIGNABLE="false" CONSTRAINTS="Symbolic_A', '"gloss" CONSTRAINTS="Symbolic_A', None),
        (
            'CONSTRAINTS="Symbolic_Subdivision"',
            'CONSTRAINTS="Symbolic_Association"',
            "'a6' is another one associated with",
        ),
        ('CVE_REF="cve1"', 'CVE_REF="cve2"', "'a1' refers to 'cve2', which is not in the tier's controlled vocabulary"),
        ('VOCABULARY_REF="moods"', 'VOCABULARY_REF="mood"', "'utterance': there is no controlled vocabulary 'mood'"),
        ('CV_ID="moods"', 'CV_ID="moods" EXT_REF="er1"', None),
        (
            "<LOCALE",
            "<TIER TIER_ID='late' LINGUISTIC_TYPE_REF='utterance'/><LOCALE",
            "<TIER> stands after <LINGUISTIC_TYPE>",
        ),
        ("<LOCALE", "<LOCAL/><LOCALE", "<LOCAL> does not belong below ANNOTATION_DOCUMENT"),
        ("<LOCALE", "<HEADER/><LOCALE", "2 elements <HEADER> instead of one"),
        ('Id">40<', 'Id">9<', "lastUsedAnnotationId is '9', but there is an annotation 'a10'"),
    ],
)
def test_a_fault_is_found_and_located(tmp_path, old, new, fault):
    assert old in FOREIGN
    text = FOREIGN.replace(old, new)
    faults = eaf.validate(put(tmp_path / "x.eaf", text))
    assert (faults == []) if fault is None else any(fault in found for found in faults), faults
    for found in faults:
        line = found.removeprefix(f"{tmp_path / 'x.eaf'}:").split(":")[0]
        assert 1 <= int(line) <= text.count("\n") + 1


def test_a_gap_in_a_time_subdivision_is_a_fault(tmp_path):
    slots = '<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="300"/><TIME_SLOT TIME_SLOT_ID="ts9" TIME_VALUE="400"/>'
    text = FOREIGN.replace('<TIME_SLOT TIME_SLOT_ID="ts2"/>', slots)
    text = text.replace('"a4" TIME_SLOT_REF1="ts2"', '"a4" TIME_SLOT_REF1="ts9"')
    (fault,) = eaf.validate(put(tmp_path / "x.eaf", text))
    assert "tier 'words': annotation 'a4' leaves a gap (0.300 to 0.400 s) in its parent" in fault


def test_a_schema_is_used_when_one_is_given(tmp_path):
    path = put(tmp_path / "x.eaf", FOREIGN)
    schema = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="{}"/></xs:schema>'
    assert eaf.validate(path, put(tmp_path / "a.xsd", schema.format("ANNOTATION_DOCUMENT"))) == []
    (fault,) = eaf.validate(path, put(tmp_path / "b.xsd", schema.format("OTHER")))
    assert fault.startswith(f"{path}:5: ")  # where the start tag ends
    with pytest.raises(InputError, match=r"x\.eaf: not an XML schema"):
        eaf.validate(path, path)


# Real files


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_real_files_keep_every_byte_that_is_not_ours(tmp_path, name):
    if not (path := SAMPLES / name).exists():
        pytest.skip("needs shared data")
    edited = tmp_path / name
    eaf.write(edited, {}, like=path)
    assert edited.read_bytes() == path.read_bytes()
    ours = {"SIGN": (Sign(0.5, 1.5, "A"), Sign(1.5, 2)), "PHRASE": (Sign(0.5, 2),)}
    eaf.write(edited, ours, like=path)
    assert eaf.read(edited) == eaf.read(path) | ours
    assert [f.split(": ", 1)[1] for f in eaf.validate(edited)] == [f.split(": ", 1)[1] for f in eaf.validate(path)]
    added = iter(edited.read_text().split("\n"))
    assert all(line in added for line in path.read_text().split("\n") if "lastUsedAnnotationI" not in line)


def test_real_files_are_valid_but_for_overlaps_that_are_really_there():
    if not SAMPLES.exists():
        pytest.skip("needs shared data")
    story, *weather = (SAMPLES / name for name in SAMPLE_NAMES)
    assert [eaf.validate(path) for path in weather] == [[], []]
    faults = eaf.validate(story)
    assert len(faults) == 71
    assert all(" overlaps " in fault for fault in faults)
    overlaps = sum(
        any(other.start <= sign.start < other.end for other in signs[:i])
        for signs in eaf.read(story).values()
        for i, sign in enumerate(signs)
    )
    assert overlaps == len(faults)


def test_the_story_has_the_signs_and_sentences_it_is_known_for():
    if not SAMPLES.exists():
        pytest.skip("needs shared data")
    signs = eaf.read(SAMPLES / "ncslgr_asl_story.eaf", ["main gloss", "English translation"])
    assert {name: len(tier) for name, tier in signs.items()} == {"main gloss": 361, "English translation": 37}
    assert signs["main gloss"][0].gloss == "IX-1p"
