"""CSV, TSV and JSON lines as spreadsheets, Kaggle and Windows write them; a bad row costs no other."""

import codecs

import pytest

from mmkeras.data import read
from mmkeras.errors import MmkerasError
from tests.picture_files import records_of, write_files

TWO = [("a.png", ["one, two"], None), ("b.png", ['said "x"\nnext'], None)]


@pytest.fixture
def load(tmp_path):
    """A function that reads a file of some text or bytes beside three pictures."""
    write_files(tmp_path, "a.png", "b.png", "c.png")

    def load(name, content, **options):
        write_files(tmp_path, files={name: content})
        return read(tmp_path / name, **options)

    return load


QUOTED = 'image{0}caption\na.png{0}"one, two"\nb.png{0}"said ""x""\nnext"\n'


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "X.CSV"])
def test_separators_quotes_and_line_breaks_within_them(load, separator, name):
    data = load(name, QUOTED.format(separator))
    assert records_of(data) == TWO and data.unused == []
    assert data.records[1].where == "line 3"


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ],
)
def test_byte_order_marks(load, encode):
    assert records_of(load("x.csv", encode(QUOTED.format(",")))) == TWO
    line = '{"file_name": "a.png", "text": "\u00e4"}\n'
    assert records_of(load("x.jsonl", encode(line))) == [("a.png", ["\u00e4"], None)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(load, end):
    data = load("x.csv", end.join(["image,caption", "a.png,one", "", "b.png,two"]).encode())
    assert records_of(data) == [("a.png", ["one"], None), ("b.png", ["two"], None)]
    assert data.records[1].where == "line 4"
    lines = end.join(['{"image": "a.png", "caption": "one\u2028two"}', '{"image": "b.png", "caption": "two"}'])
    assert [record.captions for record in load("x.jsonl", lines.encode()).records] == [["one\u2028two"], ["two"]]


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("FilePath , Title", "a.png, a dog"),
        ("filename,sentence,width", "a.png,a dog,7"),
        ("img;Alt Text", "a.png;a dog"),
        ("caption_1,image,caption_2", "a dog,a.png,"),
    ],
)
def test_names_of_columns_as_users_write_them(load, heading, row):
    data = load("x.csv", f"{heading}\n{row}\n")
    assert records_of(data) == [("a.png", ["a dog"], None)]
    assert data.unused == (["width"] if "width" in heading else [])


def test_numbered_columns_splits_and_labels(load):
    text = "image,caption_1,caption 2,split,label\na.png,one,two,val,cat\nb.png,three,,train,dog\n"
    data = load("x.csv", text, targets="category")
    assert records_of(data) == [("a.png", ["one", "two"], "dev"), ("b.png", ["three"], "train")]
    assert [record.labels for record in data.records] == [("cat",), ("dog",)]


def test_a_blank_before_a_quote(load):
    assert load("x.csv", 'image, caption\na.png, "one, two"\n').records[0].captions == ["one, two"]


def test_three_bad_rows_cost_no_other(load):
    text = 'image,caption\na.png,one\nb.png\nb.png,"open, quote\n,nameless\nb.png,two\nc.png,"three"\n'
    with pytest.raises(MmkerasError) as caught:
        load("x.csv", text)
    message = str(caught.value)
    assert "line 3: expected columns such as image,caption (and split, label). Received: '1 cells in place" in message
    assert "line 4: expected columns" in message and "is a quote left open?" in message
    assert "line 5: expected" in message and "3 of 6 cannot be read; skip_unreadable=0.5 leaves them out" in message
    data = load("x.csv", text, skip_unreadable=0.5)
    assert records_of(data) == [("a.png", ["one"], None), ("b.png", ["two"], None), ("c.png", ["three"], None)]
    lines = '{"image": "a.png", "caption": "one"}\n{\n[]\n{"image": "b.png"}\n{"image": "b.png", "caption": "two"}\n'
    data = load("x.jsonl", lines, skip_unreadable=0.6)
    assert records_of(data) == [("a.png", ["one"], None), ("b.png", ["two"], None)] and len(data.left_out) == 3


def test_quotes_between_tabs_may_be_no_quotes(load):
    data = load("x.tsv", 'image\tcaption\na.png\t"Hello" he said\nb.png\t"open\nc.png\tthe "end"\n')
    assert [record.captions for record in data.records] == [['"Hello" he said'], ['"open'], ['the "end"']]


def test_many_open_quotes_take_time_in_proportion(load):
    """Each line that cannot be read is passed over alone, whatever the parser swallows behind it."""
    text = "image,caption\n" + 'a.png,"one"x\n' * 20_000 + "a.png,one\n"
    assert len(load("x.csv", text, skip_unreadable=1.0).records) == 1


def test_a_nul_is_told_in_a_name_and_kept_in_a_caption(load):
    data = load("x.csv", "image,caption\na\0.png,one\nb.png,t\0wo\n")
    assert list(data.missing) == ["a\0.png"] and data.records[1].captions == ["t\0wo"]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_an_empty_table_or_one_without_its_heading(load, name):
    for content in (b"", "a.png,a dog\nb.png,a cat\n", "image,width\na.png,3\n"):
        with pytest.raises(MmkerasError, match=f"{name}, line 1: expected the names of columns"):
            load(name, content)


def test_a_heading_without_end(load):
    with pytest.raises(MmkerasError, match="x.csv, line 1: expected the names of columns"):
        load("x.csv", "image" * 100_000)


@pytest.mark.parametrize(("name", "content"), [("x.csv", "image,caption\n"), ("x.jsonl", ""), ("x.json", "[]")])
def test_a_file_without_records(load, name, content):
    with pytest.raises(MmkerasError, match="it has no records"):
        load(name, content).split("train")


@pytest.mark.parametrize(
    ("heading", "told"), [("url,caption", "img2dataset fetches them"), ("ImageID,caption", "as in Open Images")]
)
def test_what_is_there_in_place_of_names_is_told(load, heading, told):
    with pytest.raises(MmkerasError, match=told):
        load("x.csv", f"{heading}\nhttp://example.org/a.png,a dog\n")


def test_kaggles_files(tmp_path):
    """Flickr8k's `captions.txt` beside `Images`, Flickr30k's `results.csv` with its blanks and its broken row."""
    write_files(
        tmp_path, "Images/a.png", "Images/b.png", files={"captions.txt": 'image,caption\na.png,"A dog , ran ."'}
    )
    data = read(tmp_path / "captions.txt")
    assert records_of(data) == [("a.png", ["A dog , ran ."], None)] and data.missing == {}
    rows = (
        'image_name| comment_number| comment\na.png| 0| " Two dogs , run .\na.png| 1| A "dog" .\nb.png| 4   A dog .\n'
    )
    write_files(tmp_path, "flickr30k_images/a.png", files={"results.csv": rows})
    data = read(tmp_path / "results.csv", skip_unreadable=0.4)
    assert [record.captions for record in data.records] == [['" Two dogs , run .'], ['A "dog" .']]
    assert "line 4: " in data.left_out[0] and "2 cells in place of 3" in data.left_out[0]
    assert data.unused == ["comment_number"] and data.missing == {}


@pytest.mark.parametrize("head", ["image,caption,caption", "image,caption,caption_2", "image,caption1,caption2"])
def test_a_second_column_of_captions_is_not_lost(load, head):
    data = load("x.csv", f"{head}\na.png,one,two\n")
    assert records_of(data) == [("a.png", ["one", "two"], None)] and data.unused == []


def test_another_kind_of_numbered_column_is_none_of_captions(load):
    data = load("x.csv", "image,caption,text_1,image\na.png,one,two,b.png\n")
    assert records_of(data) == [("a.png", ["one"], None)] and data.unused == ["text_1", "image_2"]


@pytest.mark.parametrize("above", ["sep=;\r\n", "\n", " \n\nsep=;\n"])
def test_what_stands_above_the_names_of_columns_is_passed_over(load, above):
    data = load("x.csv", f"{above}image;caption\na.png;one\nb.png;two;three\n", skip_unreadable=1)
    assert records_of(data) == [("a.png", ["one"], None)]
    (told,) = data.left_out
    assert f"line {len(above.splitlines()) + 3}: " in told and "3 cells in place of 2 (no quotes?): b.png" in told


def test_a_missing_line_of_names_is_told(load):
    with pytest.raises(MmkerasError, match="a line of names is missing: write image,caption above the first one"):
        load("x.csv", "a.png,one\nb.png,two\n")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("image,caption\na.png,one\n".encode("utf-16-le"), "`iconv -f UTF-16LE -t UTF-8 'my caps.csv' > 'my caps-utf8"),
        ("image,caption\na.png,one\n".encode("utf-16-be"), "`iconv -f UTF-16BE"),
        ("image,caption\na.png,caf\xe9\n".encode("cp1252"), "in line 2. Expected UTF-8; if it was saved by Win"),
        (b"\x89PNG\r\n\x1a\n\0\0" + bytes(range(1, 256)), "it is no text"),
    ],
)
def test_a_file_in_another_encoding_is_told_with_what_makes_utf_8_of_it(tmp_path, content, told):
    (tmp_path / "my caps.csv").write_bytes(content)
    with pytest.raises(MmkerasError) as caught:
        read(tmp_path / "my caps.csv")
    assert told in str(caught.value)
