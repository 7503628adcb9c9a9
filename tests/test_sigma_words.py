"""Which pieces are one word, and tokenizers that do not know a language."""

import json
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from seasign.models.sigma_words import END, PAD, UNKNOWN, Pieces, find_words
from seasign.types import InputError, InputWarning

GOLDEN = json.loads((Path(__file__).parent / "golden" / "sigma" / "sigma_expected.json").read_text())


def said(pieces, lexicon=()):
    return ["".join(pieces[first:stop]).replace("\u2581", " ").strip() for first, stop in find_words(pieces, lexicon)]


@pytest.mark.parametrize("case", GOLDEN["clusters"], ids=lambda case: case["text"])
def test_words_are_whole_where_the_released_code_cuts_them(case):
    """Its pieces, its lexicon: it drops the first piece of an entity, and finds "or" but not "sun"."""
    words = " ".join(case["text"].split()).replace("good morning", "good_morning").split()
    expected = [word.replace("_", " ") for word in words]
    assert said(case["pieces"][:-1], GOLDEN["entities"]) == expected


def test_the_longest_entry_wins_in_any_case_and_only_at_the_edges_of_words():
    pieces = ["\u2581New", "\u2581York", "\u2581City", "\u2581is", "\u2581ne", "w"]
    assert said(pieces, ["new york", "New York City", "york city is", "y"]) == ["New York City", "is", "new"]
    assert said(["\u2581sun", "day"], ["sun"]) == ["sunday"]


def test_scripts_without_spaces_are_parted_by_pieces_and_joined_by_the_lexicon():
    pieces = ["\u2581", "今天", "天", "气", "很", "好"]
    assert said(pieces) == ["今天", "天", "气", "很", "好"]
    assert said(pieces, ["天气"]) == ["今天", "天气", "很", "好"]


def test_punctuation_is_no_word_but_apostrophes_are_within_one():
    assert said(["\u2581don", "'", "t", ",", "\u2581go", "!"]) == ["don't", "go"]


def test_word_pieces_are_read_too():
    assert said(["rain", "##y", "day"]) == ["rain##y", "day"]
    assert find_words(["rain", "##y", "day"], ["rainy day"]) == [(0, 3)]


def test_nothing_is_no_word():
    assert find_words([]) == []


@pytest.fixture(scope="module")
def pieces():
    return Pieces.learn(["heavy rain tonight", "good morning", "Translate"], 60, most=12)


def test_a_small_tokenizer_writes_what_it_read_and_is_the_same_again(pieces):
    ids = pieces.ids("heavy rain tonight")
    assert ids[-1] == END
    assert pieces.say([*ids, PAD, PAD]) == "heavy rain tonight"
    again = Pieces.parse(pieces.text, most=12)
    assert again.ids("good morning") == pieces.ids("good morning")
    assert again.text == pieces.text == Pieces.learn(["heavy rain tonight", "good morning", "Translate"], 60).text


def test_a_long_text_is_cut_and_still_ends(pieces):
    ids = pieces.ids("good morning heavy rain " * 9)
    assert len(ids) == 12
    assert ids[-1] == END


def test_every_piece_knows_its_word(pieces):
    ids = [*pieces.ids("heavy rain"), PAD]
    words = pieces.words(ids).tolist()
    assert words[-2:] == [-1, -1]
    assert set(words[:-2]) == {0, 1}
    assert set(pieces.words(pieces.ids("heavy rain"), ["heavy rain"])[:-1]) == {0}


def test_text_of_punctuation_alone_is_one_word():
    marks = Pieces.learn(["?!"], 10)
    assert set(marks.words(marks.ids("?!"))[:-1]) == {0}


def test_an_empty_text_and_a_foreign_one_are_refused_in_a_line(pieces):
    with pytest.raises(InputError, match="the text ' ' is empty"):
        pieces.check(["rain", " "], "English")
    with pytest.raises(InputError, match=r"2 of 3 pieces of the Chinese texts \('你', '好'\): take one that was made"):
        pieces.check(["你好"], "Chinese")
    with pytest.raises(InputError, match="is empty"):
        pieces.ids("")


def test_a_character_here_and_there_is_warned_of(pieces):
    with pytest.warns(InputWarning, match="does not know 1 of"):
        pieces.check(["good morning good morning heavy rain tonight"] * 4 + ["rain ☔"], "English")
    assert UNKNOWN in pieces.ids("☔")


def test_what_is_no_tokenizer_of_an_mt5_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        Pieces.parse("{}")
    import tokenizers

    other = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "<unk>": 1}, unk_token="<unk>"))
    with pytest.raises(InputError, match=r"begins with .*<s>.*, where that of an mT5 has <pad>"):
        Pieces.parse(other.to_str())
    with pytest.raises(InputError, match="no tokenizer of an mT5"):
        Pieces.read(tmp_path)


def test_the_sentencepiece_of_an_mt5_is_read_from_a_folder(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("transformers")
    texts = tmp_path / "texts.txt"
    texts.write_text("heavy rain tonight\ngood morning\nnew york city\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(texts), model_prefix=str(tmp_path / "spiece"), vocab_size=24, model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", minloglevel=2,
    )  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mt5"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer", "extra_ids": 0}))
    read = Pieces.read(tmp_path)
    assert read.say(read.ids("heavy rain")) == "heavy rain"
    assert read.ids("heavy rain")[-1] == END
    assert set(read.words(read.ids("new york rain"), ["new york"])[:-1]) == {0, 1}
    trimmed, kept = read.trim(["good"])
    assert kept[:3] == [0, 1, 2]
    assert len(trimmed) == len(kept) < len(read)
    for text in ("good", "rain"):
        assert trimmed.say(trimmed.ids(text)) == text
    assert [kept[token] for token in trimmed.ids("good")] == read.ids("good")


def test_what_learned_its_pieces_here_needs_no_trimming(pieces):
    with pytest.raises(InputError, match="only tokenizers of the kind Unigram can be trimmed"):
        pieces.trim(["rain"])
