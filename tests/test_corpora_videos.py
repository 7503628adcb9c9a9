"""Videos as folders and tables list them: what is of one name is of one video, and nothing else matters to it."""

import pytest

import seasign
from seasign.corpora.videos import read_folder, read_manifest, read_one
from seasign.types import InputError, Sign


def test_one_video_does_not_depend_on_its_neighbours(tmp_path):
    (tmp_path / "ada").mkdir()
    seasign.write(tmp_path / "news.signs.eaf", {"SIGN": [Sign(0, 1, "RAIN")]})
    (tmp_path / "news.vtt").write_text("WEBVTT\n")
    for name in "other.eaf", "ada/news.eaf":
        seasign.write(tmp_path / name, {"SIGN": []})
    seasign.write(tmp_path / "other.csv", [Sign(0, 1, "RAIN")])
    one = read_one(tmp_path / "news.signs.eaf")
    assert (one.name, one.signs, one.subtitles) == (
        "news.signs.eaf",
        tmp_path / "news.signs.eaf",
        tmp_path / "news.vtt",
    )
    for read, path in (read_folder, tmp_path), (read_one, tmp_path / "other.eaf"):
        with pytest.raises(InputError, match=r"other.eaf: is of the same video as other.csv; keep one of them"):
            read(path)
    with pytest.raises(InputError, match="there is no such file"):
        read_one(tmp_path / "none.eaf")


def test_a_cell_without_a_suffix_names_no_file(tmp_path):
    (tmp_path / "all.csv").write_text("video\nstory\n")
    with pytest.raises(
        InputError, match=r"all.csv:2: 'story' names no file; write it with its suffix, such as story.mp4"
    ):
        read_manifest(tmp_path / "all.csv")
