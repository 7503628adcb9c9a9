"""`embed-signs`, `embed-text` and `align --embedder`: what a person does with them, and does wrong."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import seasign
from commands import run
from seasign import checkpoints
from seasign.cli import jobs
from seasign.formats.npz import read_embeddings, write_embeddings
from seasign.synthesis import Stress, synthesize
from seasign.types import Cue, Embeddings, InputError, Poses, Sign

GOLDEN = Path(__file__).parent / "golden" / "signclip_tiny"


@pytest.fixture
def story(tmp_path):
    """An episode whose signs carry glosses: story.csv and story.vtt."""
    episode = synthesize(1, duration=120.0, fps=None, stress=Stress(wobble=2.0))
    seasign.write(tmp_path / "story.csv", episode.signs)
    seasign.write(tmp_path / "story.vtt", sorted(episode.cues, key=lambda cue: cue.start))
    seasign.write(tmp_path / "truth.vtt", sorted(episode.reference, key=lambda cue: cue.start))
    return tmp_path


def ok(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def refused(*arguments, code=1):
    """The line that is said; nothing was written."""
    before = files()
    result = run(*arguments)
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert files() == before, "nothing is half-written"
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning:")]
    if code == 1:
        assert len(lines) == 1, result.stderr
    return lines[-1]


def files():
    return sorted(str(path) for path in Path().rglob("*") if "cache" not in path.parts)


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEASIGN_CACHE", str(tmp_path / "cache"))


def test_embedded_by_commands_is_compared_as_embedded_while_aligning(story):
    ok("embed-signs", pose("signer.pose"), "--signs", "story.csv", "--embedder", "gloss-text", "-o", "signs.npz")
    ok("embed-text", "story.vtt", "--embedder", "gloss-text", "-o", "cues.npz")
    given = ("--cue-embeddings", "cues.npz", "--sign-embeddings", "signs.npz", "--force", "--report", "two.json")
    ok("align", "story.csv", "story.vtt", "-o", "two.vtt", *given)
    one = ok("align", "story.csv", "story.vtt", "-o", "one.vtt", "--embedder", "gloss-text", "--force")
    ok("align", "story.csv", "story.vtt", "-o", "time.vtt", "--force")
    assert Path("one.vtt").read_bytes() == Path("two.vtt").read_bytes() != Path("time.vtt").read_bytes()
    assert "by gloss-text:4096:3-4-5" in one.stdout
    assert json.loads(Path("two.json").read_text())["settings"]["embeddings"] == "gloss-text:4096:3-4-5"
    score = {
        name: json.loads(ok("evaluate", "truth.vtt", f"{name}.vtt", "--json").stdout)["f1@0.50"]
        for name in ("one", "time")
    }
    assert score["one"] > score["time"]


def test_an_archive_of_embeddings_says_what_they_are_of(story):
    done = ok("embed-text", "story.vtt", "--embedder", "gloss-text", "-o", "cues.npz", "--json")
    embeddings, cues = seasign.read_embeddings("cues.npz")
    delivered = seasign.read_cues("story.vtt").cues
    assert json.loads(done.stdout) == {
        "cues": len(delivered), "dimensions": 4096, "space": "gloss-text:4096:3-4-5", "output": "cues.npz",
    }  # fmt: skip
    assert [(cue.start, cue.end, cue.text, cue.id) for cue in cues] == [
        (cue.start, cue.end, cue.text, cue.id) for cue in delivered
    ]
    assert embeddings.space == "gloss-text:4096:3-4-5"
    assert embeddings.vectors.shape == (len(cues), 4096)


def test_markup_is_no_text():
    Path("a.vtt").write_text("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<i>rain</i> &amp; sun\n")
    ok("embed-text", "a.vtt", "--embedder", "gloss-text", "-o", "a.npz")
    assert read_embeddings(Path("a.npz"))[1][0].text == "rain & sun"


@pytest.mark.parametrize(
    "items",
    [
        (Sign(0, 1.25, "HOUSE"), Sign(1.25, 2.5)),
        (Cue(0, 1, "", "7"), Cue(1, 2, "zwei\nZeilen")),
        (),
    ],
)
def test_embeddings_are_read_back_as_they_were_written(tmp_path, items):
    rng = np.random.default_rng(0)
    vectors = Embeddings(rng.normal(size=(len(items), 3)).astype(np.float32), "drawn", {"model": "none"})
    seasign.write(tmp_path / "a.npz", vectors, of=items)
    read, of = seasign.read_embeddings(tmp_path / "a.npz")
    assert of == items
    np.testing.assert_array_equal(read.vectors, vectors.vectors)
    assert (read.space, read.provenance) == ("drawn", {"model": "none"})


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"space": np.array("a")}, "no vectors with the name of their space"),
        ({"xyz": np.zeros((1, 2, 3))}, "holds poses"),
        ({"vectors": np.zeros((2, 2)), "space": np.array("a"), "items": np.array("cues")}, "2 vectors have 0 times"),
        ({"vectors": np.full((2, 2), np.nan), "space": np.array("a")}, "expected finite numbers"),
        ({"vectors": np.zeros(2), "space": np.array("a")}, r"vectors are float64 \(2,\)"),
        ({"vectors": np.array([["a"]]), "space": np.array("a")}, "expected finite numbers"),
        ({"vectors": np.array([[{}]]), "space": np.array("a")}, "damaged or holds objects"),
        ({"vectors": np.zeros((1, 2)), "space": np.array("a"), "provenance": np.array("{")}, "provenance is not JSON"),
    ],
)
def test_archives_that_are_no_embeddings_are_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=says) as error:
        seasign.read_embeddings(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


def test_poses_and_embeddings_are_not_taken_for_each_other(story):
    ok("embed-text", "story.vtt", "--embedder", "gloss-text", "-o", "cues.npz")
    assert "holds embeddings; expected poses" in refused("segment", "cues.npz", "-o", "signs.csv")


def moved(path, by):
    embeddings, items = seasign.read_embeddings(path)
    seasign.write(path, embeddings, of=[replace(item, start=item.start + by) for item in items])


def said_otherwise(path):
    embeddings, items = seasign.read_embeddings(path)
    seasign.write(path, embeddings, of=[replace(items[0], text="Something else."), *items[1:]])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: moved("signs.npz", 0.5), "sign 1 was embedded at"),
        (lambda: said_otherwise("cues.npz"), "cue 1 was 'Something else.', and is now"),
        (lambda: shutil.copy("signs.npz", "cues.npz"), "cues.npz: holds signs"),
        (lambda: shutil.copy("cues.npz", "signs.npz"), "signs.npz: holds texts"),
        (lambda: np.save("signs.npy", np.ones((9, 4096))), "cannot compare 'gloss-text:4096:3-4-5' with 'given'"),
        (lambda: Path("signs.npz").write_bytes(b"PK"), "not an .npz, or cut short"),
    ],
)
def test_embeddings_of_something_else_are_refused(story, change, says):
    ok("embed-signs", pose("signer.pose"), "--signs", "story.csv", "--embedder", "gloss-text", "-o", "signs.npz")
    ok("embed-text", "story.vtt", "--embedder", "gloss-text", "-o", "cues.npz")
    change()
    signs = "signs.npy" if Path("signs.npy").exists() else "signs.npz"
    given = ("--cue-embeddings", "cues.npz", "--sign-embeddings", signs)
    assert says in refused("align", "story.csv", "story.vtt", "-o", "out.vtt", *given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--embedder", "gloss-text", "--similarity", "s.npy"), "give --embedder, or --similarity"),
        (("--embedder", "gloss-text", "--tags", "en,bfi"), "--tags go with SignCLIP"),
        (
            ("--embedder", "gloss-text", "--embedder", "pose-descriptor", "--tags", "en,bfi"),
            "pose-descriptor know none",
        ),
        (("--tags", "en,bfi"), "--tags and --cache go with --embedder"),
        (("--embedder", "gloss-text", "--tags", "en"), "is not a written and a signed language"),
        (("--embedder", "gloss-text", "--tags", "en,<bfi>"), "is not a written and a signed language"),
    ],
)
def test_options_that_contradict_are_wrong_usage(story, given, says):
    assert says in refused("align", "story.csv", "story.vtt", "-o", "out.vtt", *given, code=2)


@pytest.mark.parametrize(
    ("embedder", "says"),
    [
        ("nothing", "nothing: no such embedder; give gloss-text, pose-descriptor, dictionary:FOLDER, "),
        ("cslr2:nothing", "nothing: no such checkpoint; give its FOLDER"),
        ("dictionary:nothing", "nothing: no such folder"),
        ("dictionary:.", "there is no clip in it"),
        ("sentence-text:.", "no sentence encoder; expected a folder with config.json"),
        ("signclip-bsl", "run: seasign checkpoints pull signclip-bsl"),
    ],
)
def test_an_embedder_that_is_not_there_is_named(story, embedder, says):
    pytest.importorskip("torch")
    line = refused("align", "story.csv", "story.vtt", "-o", "out.vtt", "--embedder", embedder)
    assert says in line
    assert "e4s" not in line, "which finds signs"


def test_signs_without_glosses_have_no_letters(story):
    Path("bare.csv").write_text("start,end\n1,2\n3,4\n")
    line = refused("align", "bare.csv", "story.vtt", "-o", "out.vtt", "--embedder", "gloss-text")
    assert "none of 2 signs has a gloss" in line


# SignCLIP -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signclip(tmp_path_factory):
    """A tiny checkpoint."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    given = tmp_path_factory.mktemp("given")
    shutil.copy(GOLDEN / "model.safetensors", given)
    settings = {"heads": 4, "max_frames": 40, "max_tokens": 24}
    with pytest.warns(seasign.InputWarning, match="not exact in 16 bits"):
        checkpoints.convert(
            given / "model.safetensors", given / "tiny", settings=settings, vocabulary=GOLDEN / "vocab.txt"
        )
    return given / "tiny"


def signer(frames=200, seed=0, share=1.0, face=True, start=None):
    """Somebody who moves at random, 100 pixels between the shoulders; or `share` of them."""
    from seasign.models.signclip_embedder import LAYOUTS

    names = LAYOUTS["reduced-face" if face else "body-and-hands"]
    xyz = np.random.default_rng(seed).normal(0, (30, 30, 0.1), (frames, len(names), 3)).astype(np.float32)
    for side, x in (("RIGHT", 100), ("LEFT", 200)):
        xyz[:, names.index(f"POSE_LANDMARKS.{side}_SHOULDER")] = (x, 150, 0)
    xyz *= np.array([share, share, 1], np.float32)
    provenance = None if start is None else {"start": start}
    return Poses(xyz, np.ones(xyz.shape[:2], np.float32), Fraction(25), names, provenance)


def pose(path, **kind):
    seasign.write(path, signer(**kind))
    return path


SIGNS, CUES = "start,end\n0.4,1.2\n1.2,2.0\n5,5\n", "start,end,text\n0,1,House\n1,2,\n4,6,The sun!\n"


@pytest.fixture
def clip():
    Path("signs.csv").write_text(SIGNS)
    Path("cues.csv").write_text(CUES)
    return pose("signer.pose")


def test_signs_and_text_are_embedded_by_a_checkpoint(clip, signclip):
    ok("embed-signs", clip, "--signs", "signs.csv", "--embedder", signclip, "-o", "signs.npz")
    ok("embed-text", "cues.csv", "--embedder", signclip, "--tags", "en,bsl", "-o", "cues.npz")
    (signs, spans), (cues, _) = read_embeddings(Path("signs.npz")), read_embeddings(Path("cues.npz"))
    embedder = checkpoints.load_embedder(signclip)
    assert signs.space == cues.space == f"signclip:{checkpoints.verify(signclip)[:12]},max_frames=40"
    assert signs.provenance["weights_sha256"] == checkpoints.verify(signclip)
    assert cues.provenance["tags"] == ["en", "bfi"]
    tagged = replace(embedder, inputs=replace(embedder.inputs, tags=("en", "bfi")))
    np.testing.assert_array_equal(cues.vectors, tagged.text(["House", "", "The sun!"]).vectors)
    assert not np.allclose(cues.vectors, embedder.text(["House", "", "The sun!"]).vectors)
    np.testing.assert_array_equal(signs.vectors, embedder.signs(signer(), spans).vectors)
    assert np.isfinite(signs.vectors).all(), "of one frame, too"


def test_signs_are_seconds_of_the_video_where_poses_begin_later(clip, signclip):
    ok("embed-signs", clip, "--signs", "signs.csv", "--embedder", signclip, "-o", "signs.npz")
    later = pose("later.pose", start=60.0)
    Path("later.csv").write_text("start,end\n60.4,61.2\n61.2,62.0\n65,65\n")
    ok("embed-signs", later, "--signs", "later.csv", "--embedder", signclip, "-o", "later.npz")
    (one, _), (other, spans) = read_embeddings(Path("signs.npz")), read_embeddings(Path("later.npz"))
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5)
    assert spans[0].start == 60.4


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ({"share": 1 / 640}, "landmarks that are shares of the picture have to be multiplied"),
        ({"face": False}, "the poses have no FACE_LANDMARKS"),
    ],
)
def test_poses_that_a_network_cannot_see_are_refused(clip, signclip, kind, says):
    other = pose("other.pose", **kind)
    assert says in refused("embed-signs", other, "--signs", "signs.csv", "--embedder", signclip, "-o", "signs.npz")
    given = ("--signs", "signs.csv", "--embedder", signclip)
    assert says in refused("align", other, "cues.csv", "-o", "out.csv", *given)


def test_what_is_longer_than_the_context_is_said(clip, signclip):
    Path("signs.csv").write_text("start,end\n0,4\n4,5\n")
    done = ok("embed-signs", clip, "--signs", "signs.csv", "--embedder", signclip, "-o", "signs.npz")
    assert "1 of 2 signs are longer than the 40 frames" in done.stderr
    Path("cues.csv").write_text(f"start,end,text\n0,1,{'house ' * 30}\n")
    done = ok("embed-text", "cues.csv", "--embedder", signclip, "-o", "cues.npz")
    assert "1 of 1 texts have more than the 21 tokens" in done.stderr


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("embed-signs", "signer.pose", "--signs", "signs.csv", "-o", "a.npy"), "cannot write embeddings there"),
        (("embed-signs", "news.mp4", "--signs", "signs.csv", "-o", "a.npz"), "for a video: seasign estimate-poses"),
        (("embed-signs", "none.pose", "--signs", "signs.csv", "-o", "a.npz"), "none.pose"),
        (("embed-signs", "signer.pose", "--signs", "none.csv", "-o", "a.npz"), "none.csv"),
        (("embed-text", "none.vtt", "-o", "a.npz"), "none.vtt"),
        (("embed-text", "cues.csv", "-o", "no/a.npz"), "there is no folder"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(clip, signclip, given, says):
    assert says in refused(*given, "--embedder", signclip)


def test_only_signs_cannot_be_looked_at(clip, signclip):
    line = refused("align", "signs.csv", "cues.csv", "-o", "out.csv", "--embedder", signclip)
    assert "there are only signs: give poses or a video" in line


def test_a_segmenter_is_no_embedder_and_an_embedder_finds_no_signs(clip, signclip, tmp_path):
    weights = Path(__file__).parents[2] / "shared" / "models" / "segmenter-2023" / "weights.safetensors"  # shared data
    line = refused("align", clip, "cues.csv", "-o", "out.csv", "--segmenter", signclip)
    assert "finds no signs: give it as an embedder" in line
    if weights.exists():
        line = refused("align", clip, "cues.csv", "-o", "out.csv", "--embedder", weights)
        assert "finds signs, and embeds none: give it as a segmenter" in line


def test_segment_embed_and_align_in_one_go_and_only_once(signclip, monkeypatch):
    episode = synthesize(3, duration=40.0)
    face = signer(frames=len(episode.poses.xyz))
    column = {name: number for number, name in enumerate(face.landmarks)}
    xyz = face.xyz.copy()
    for number, name in enumerate(episode.poses.landmarks):
        if name in column:
            xyz[:, column[name]] = episode.poses.xyz[:, number] * np.array([1, 1, 0.001], np.float32)
    poses = replace(face, xyz=xyz, confidence=np.isfinite(xyz).all(axis=2).astype(np.float32), fps=episode.poses.fps)
    seasign.write("signer.npz", poses)
    seasign.write("news.vtt", episode.cues)
    command = ("align", "signer.npz", "news.vtt", "-o", "out.vtt", "--embedder", signclip, "--force", "--lag", 2)
    first = ok(*command)
    assert f"by signclip:{checkpoints.verify(signclip)[:12]}" in first.stdout
    assert "overlaps" in first.stdout
    kept = sorted(Path("cache/embeddings").iterdir())
    assert len(kept) == 2, "texts and signs"
    written = Path("out.vtt").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("seasign.embed_text", None)  # nothing is embedded again
        patch.setattr("seasign.embed_signs", None)
        ok(*command)
    assert Path("out.vtt").read_bytes() == written
    kept[0].write_bytes(kept[0].read_bytes()[:-30])
    again = ok(*command)
    assert "it is made anew" in again.stderr
    assert Path("out.vtt").read_bytes() == written
    assert "made anew" not in ok(*command).stderr
    ok(*command, "--tags", "en,bfi")
    assert len(list(Path("cache/embeddings").iterdir())) == 3, "other tags, other texts"
    Path("file").touch()
    assert "cannot be kept there" in ok(*command, "--cache", "file").stderr


# What is kept ---------------------------------------------------------------------------------------------------------


def test_a_fingerprint_changes_with_anything(tmp_path):
    array = np.arange(6, dtype=np.float32)
    prints = {
        jobs.fingerprint(*parts)
        for parts in (
            (array,), (array.reshape(2, 3),), (array.astype(np.float64),), (array + 1,), (array, "a"), ("a", array),
            ("ab",), ("a", "b"), (["ab"],), (1,), ("1",),
        )
    }  # fmt: skip
    assert len(prints) == 11
    assert jobs.fingerprint(array.reshape(2, 3).T) == jobs.fingerprint(array.reshape(2, 3).T.copy())


def test_what_is_kept_in_another_space_is_made_anew(tmp_path):
    made = Embeddings(np.ones((1, 2), np.float32), "b")
    write_embeddings(tmp_path / "key.npz", Embeddings(np.zeros((1, 2), np.float32), "a"))
    with pytest.warns(seasign.InputWarning, match="is of 'a', not 'b'; it is made anew"):
        assert jobs.cached(tmp_path, "key", "b", lambda: made) is made
    assert jobs.cached(tmp_path, "key", "b", lambda: 1 / 0).space == "b"
