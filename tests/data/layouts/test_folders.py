"""Folders of pictures: with metadata, of classes, with a text beside each picture; and folders that say nothing."""

import errno
import json
import os

import pytest

from mmkeras.data import read
from mmkeras.errors import MmkerasError
from tests.picture_files import records_of, write_files

CSV = "file_name,text\na.png,one\nin/b.png,two\n"
JSONL = "\n".join(
    json.dumps({"file_name": name, "text": text}) for name, text in (("a.png", "one"), ("in/b.png", "two"))
)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_imagefolder_with_metadata_at_its_root(tmp_path, name):
    write_files(tmp_path, "a.png", "in/b.png", files={name: CSV if name.endswith("csv") else JSONL})
    if name.endswith("parquet"):
        pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        table = pyarrow.table({"file_name": ["a.png", "in/b.png"], "text": ["one", "two"]})
        pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / name)
    for source in (tmp_path, tmp_path / name):
        data = read(source)
        assert records_of(data) == [("a.png", ["one"], None), ("in/b.png", ["two"], None)]
        assert data.missing == {} and len(data.pictures) == 2


def test_imagefolder_with_metadata_in_each_split(tmp_path):
    splits = {"train": "train", "validation": "dev", "test": "test"}
    pictures = [f"{folder}/{name}" for folder in splits for name in ("a.png", "in/b.png")]
    write_files(tmp_path, *pictures, files={f"{folder}/metadata.csv": CSV for folder in splits})
    data = read(tmp_path)
    assert data.counts == {"train": 2, "dev": 2, "test": 2} and data.missing == {} and not data.drawn
    assert {(record.image, record.split) for record in data.records if "b.png" in record.image} == {
        (f"{folder}/in/b.png", split) for folder, split in splits.items()
    }


def test_imagefolder_with_folders_of_splits_below_its_metadata(tmp_path):
    text = "file_name,text\ntrain/a.png,one\ntest/b.png,two\nbroken\n"
    write_files(tmp_path, "train/a.png", "test/b.png", files={"metadata.csv": text})
    data = read(tmp_path, skip_unreadable=0.5)
    assert records_of(data) == [("train/a.png", ["one"], "train"), ("test/b.png", ["two"], "test")]
    assert data.left_out[0].startswith(f"{tmp_path}, metadata.csv, line 4: expected")


def test_metadata_that_say_the_same_twice_are_read_once(tmp_path):
    write_files(tmp_path, "a.png", "in/b.png", files={"metadata.csv": CSV, "metadata.jsonl": JSONL})
    assert records_of(read(tmp_path)) == [("a.png", ["one"], None), ("in/b.png", ["two"], None)]


def test_folders_of_classes(tmp_path):
    write_files(tmp_path, "golden_retriever/1.JPG", "golden_retriever/more/images/2.png", "001.Laysan-Albatross/3.webp")
    write_files(tmp_path, files=dict.fromkeys(("golden_retriever/Thumbs.db", ".DS_Store", "readme.md"), ""))
    write_files(tmp_path, ".hidden/4.png", "__MACOSX/golden_retriever/1.png", "golden_retriever/._1.png")
    data = read(tmp_path, targets="category")
    assert records_of(data) == [
        ("001.Laysan-Albatross/3.webp", ["Laysan Albatross"], None),
        ("golden_retriever/1.JPG", ["golden retriever"], None),
        ("golden_retriever/more/images/2.png", ["more"], None),
    ]
    assert [record.labels for record in data.records] == [("001.Laysan-Albatross",), ("golden_retriever",), ("more",)]


def test_folders_of_classes_in_folders_of_splits(tmp_path):
    write_files(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "TEST/dog/images/1.png")
    data = read(tmp_path)
    assert data.counts == {"train": 2, "dev": 1, "test": 1}
    assert [record.captions for record in data.records] == [["dog"], ["cat"], ["dog"], ["cat"]]


def test_one_split_alone_holds_nothing_back_and_is_no_class(tmp_path):
    write_files(tmp_path, "train/cat/1.png", "train/dog/1.png")
    data = read(tmp_path)
    assert data.drawn and [record.captions for record in data.records] == [["cat"], ["dog"]]
    write_files(tmp_path, "other/1.png")
    assert [record.captions for record in read(tmp_path).records] == [["other"], ["cat"], ["dog"]]


def test_a_picture_in_no_class_is_told(tmp_path):
    write_files(tmp_path, "cat/1.png", "dog/1.png", "loose.png")
    data = read(tmp_path, skip_unreadable=0.4)
    assert len(data.records) == 2 and "loose.png: expected CLASS/1.jpg" in data.left_out[0]


def test_links_in_a_circle_end(tmp_path):
    write_files(tmp_path, "cat/1.png")
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    assert records_of(read(tmp_path)) == [("cat/1.png", ["cat"], None)]


def test_a_text_beside_each_picture(tmp_path):
    files = {
        "a.txt": "one\r\n\r\ntwo\n",
        "b.b.txt": "\ufeffthree",
        "d.txt": "",
        "e.txt": b"\xff\xfe\xff",
        "notes.txt": "no",
    }
    write_files(tmp_path, "a.png", "b.b.jpg", "c.png", "d.png", "e.png", files=files)
    data = read(tmp_path, skip_unreadable=0.6)
    assert records_of(data) == [("a.png", ["one", "two"], None), ("b.b.jpg", ["three"], None)]
    told = "\n".join(data.left_out)
    assert "c.png: expected CLASS/1.jpg, or 1.txt beside 1.jpg. Received: 'no text beside it'" in told
    assert "d.txt: expected an image name and a list of captions" in told and "e.txt: expected" in told


def test_a_link_in_a_circle_costs_no_other_picture_of_its_folder(tmp_path):
    write_files(tmp_path, "cats/a.png", "dogs/b.png")
    (tmp_path / "cats" / "loop.png").symlink_to("loop.png")
    assert [record.image for record in read(tmp_path).records] == ["cats/a.png", "cats/loop.png", "dogs/b.png"]


def test_a_folder_that_cannot_be_opened_is_told(tmp_path, monkeypatch):
    write_files(tmp_path, "cats/a.png", "dogs/b.png")
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("cats"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(
        MmkerasError, match="cats: expected .*Received: 'a folder that cannot be opened: Permission den"
    ):
        read(tmp_path)
    assert [record.image for record in read(tmp_path, skip_unreadable=0.5).records] == ["dogs/b.png"]


def test_the_files_of_img2dataset(tmp_path):
    said = json.dumps({"caption": "from json", "url": "http://example.org", "key": "000000001"})
    files = {"00000/000000000.txt": "from txt", "00000/000000000.json": said, "00000/000000001.json": said}
    files |= {"00000_stats.json": "{}", "00000.parquet": b"PAR1"}
    write_files(tmp_path, "00000/000000000.jpg", "00000/000000001.jpg", files=files)
    data = read(tmp_path)
    assert [record.captions for record in data.records] == [["from txt"], ["from json"]] and data.missing == {}


def test_pictures_without_captions(tmp_path):
    write_files(tmp_path, "a.png", "b.png")
    with pytest.raises(MmkerasError, match="holds 2 pictures and no captions. Expected CLASS/1.jpg, or 1.txt beside"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("x.tar.gz", b"\x1f\x8b", "a compressed tar, .* Unpack it: `gunzip"),
        ("x.csv.gz", b"\x1f\x8b", "compressed. Unpack it first: gunzip"),
        ("x.zip", b"PK", "an archive. Unpack its captions"),
        ("x.tfrecord", b"", "a file of TFRecord"),
        ("train.tfrecord-00000-of-00002", b"", "a file of TFRecord"),
        ("x.xlsx", b"PK", "a spreadsheet. Save it as CSV"),
        ("x.pkl", b"", "a pickle, which could run any code"),
        ("x.h5", b"", "an HDF5 file"),
        ("x.lmdb", b"", "a file of LMDB"),
        ("x.arrow", b"", "an Arrow file, .* save_to_disk"),
        ("urls.txt", b"https://example.org/a.jpg\nhttps://example.org/b.jpg\n", "a list of URLs.* img2dataset fetches"),
        ("names.txt", b"a.jpg\nb.jpg\n", "a text without names of pictures. Expected a heading"),
        ("d/data.mdb", b"", "a folder of LMDB"),
        ("d/x-train.arrow", b"", "a cache of `datasets`"),
        ("d/x.tfrecord-00000-of-00002", b"", "a folder of TFRecord"),
        ("d/00000.tar.gz", b"", "a folder of compressed tars, as 00000.tar.gz"),
        ("d/captions_val2017.json", b"", "Give one of its files captions_"),
        ("d/train.csv", b"", "Give one of its files, as train.csv"),
        ("d/sub/x", b"", "Expected data to be glyphs"),
    ],
)
def test_what_is_known_and_not_read_is_named(tmp_path, path, content, told):
    write_files(tmp_path, files={path: content})
    source = tmp_path / path.partition("/")[0]
    with pytest.raises(MmkerasError, match=told) as caught:
        read(source)
    assert str(source) in str(caught.value)


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.tar", "x.parquet", "nothing"])
def test_what_is_not_there(tmp_path, name):
    with pytest.raises(MmkerasError, match="There is no captions file" if "." in name else "Received: .*nothing$"):
        read(tmp_path / name)


def test_an_empty_folder(tmp_path):
    with pytest.raises(MmkerasError, match="is an empty folder"):
        read(tmp_path)
