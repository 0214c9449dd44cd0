"""Rows of a source: one a picture or one a text, each with an id of its own."""

import json
import os

import pytest

from mmkeras.embeddings.corpus import Corpus
from mmkeras.errors import MmkerasError

from .conftest import encoded


@pytest.fixture
def place(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(0))
    return tmp_path


def write(place, *records):
    file = place / "c.jsonl"
    file.write_text("\n".join(map(json.dumps, records)))
    return file


def test_a_picture_is_one_row_whatever_names_it(place):
    file = write(
        place,
        {"image": "a.png", "captions": ["one", "two"], "split": "val", "label": "x", "price": 1, "id": 7},
        {"image": "./a.png", "captions": ["three"], "price": 2},
        {"image": "b.png"},
    )
    corpus = Corpus(file)
    a, b = corpus
    assert (a.id, a.picture, a.text, a.error) == ("a.png", "a.png", "one", None)
    assert a.place == ["file", str(place / "a.png")] and a.size == os.path.getsize(place / "a.png")
    assert a.metadata == {"split": "val", "label": "x", "price": 1}
    assert b.place is None and "the picture b.png is missing" in b.error and b.text is None
    assert corpus.missing == 1 and corpus.left_out == 0


def test_a_text_is_a_row_with_its_records_id_where_that_is_new(place):
    file = write(place, {"captions": ["one", " ", "two"], "id": "r1"}, {"text": "three"}, {"text": "four", "id": "r1"})
    rows = list(Corpus(file, modality="text"))
    assert [(row.id, row.text) for row in rows] == [
        ("r1", "one"),
        ("r1#1", "two"),
        ("text-2", "three"),
        ("r1#3", "four"),
    ]
    assert {row.picture for row in rows} == {None} and {row.place is None for row in rows} == {True}
    (place / "t.csv").write_text("id,text,lang\n9,hello,en\n")
    (row,) = Corpus(place / "t.csv", modality="text")
    assert (row.id, row.metadata) == ("9", {"lang": "en"})


def test_columns_that_are_called_as_ours_are_kept_under_another_name(place):
    (place / "t.csv").write_text("file,id,error,Text\na.png,9,none,hello\n")
    (row,) = Corpus(place / "t.csv")
    assert row.metadata == {"source_id": "9", "source_error": "none"} and row.text == "hello"


def test_records_that_are_none_are_counted_and_told(place):
    file = place / "c.jsonl"
    file.write_text('{"image": "a.png"}\nnot json\n{"image": "https://x.org/a.png"}\n{"image": 3}\n')
    corpus = Corpus(file)
    assert len(list(corpus)) == 1
    assert corpus.left_out == 3
    assert [f"line {number}:" in problem for number, problem in zip((2, 3, 4), corpus.problems, strict=True)] == 3 * [
        True
    ]


def test_where_no_picture_is_there_nothing_is_embedded(place):
    (place / "photos").mkdir()
    (place / "photos" / "b.png").write_bytes(encoded(1))
    with pytest.raises(MmkerasError, match=r"None of the 1 pictures is there: .*give --images .*photos"):
        list(Corpus(write(place, {"image": "b.png"}), images=place))
    with pytest.raises(
        MmkerasError, match="expected at least one text. Received: 1 other records. The first: .*line 1"
    ):
        list(Corpus(write(place, {"image": "a.png"}), modality="text"))


def test_names_lead_out_of_the_folder_only_where_that_is_allowed(place):
    (place / "in").mkdir()
    file = write(place / "in", {"image": "../a.png"}, {"image": str(place / "a.png")})
    with pytest.raises(MmkerasError, match="lies outside of"):
        list(Corpus(file))
    assert [row.error for row in Corpus(file, outside=True)] == [None, None]


def test_a_name_that_is_no_text_can_be_read_and_written(place):
    raw = os.fsencode(str(place)) + b"/\xff.png"
    try:
        with open(raw, "wb") as stream:
            stream.write(encoded(2))
    except OSError:
        pytest.skip("this file system takes no names that are no UTF-8")
    rows = {row.id: row for row in Corpus(place)}
    assert set(rows) == {"a.png", "\\udcff.png"}
    row = rows["\\udcff.png"]
    assert type(row).of_json(row.to_json()) == row
    assert os.path.getsize(row.place[1]) == row.size
