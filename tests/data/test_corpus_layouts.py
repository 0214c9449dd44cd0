"""Layouts that are read to be embedded: other columns travel, captions may be left out, pictures say where they lie."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from mmkeras.data.layouts import find_layout
from mmkeras.data.stores import OpenPlaces, open_store
from mmkeras.errors import MmkerasError


@pytest.fixture
def photo():
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def rows_of(source, corpus=True):
    return [(row.fields, dict(row.metadata)) for row in find_layout(source, corpus).rows()]


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_columns_that_say_nothing_to_a_training_are_metadata_of_a_corpus(tmp_path, photo):
    a, b = {"price": 12.5, "tags_of_shop": ["x", "y"]}, {"price": 3, "tags_of_shop": None}
    lines = [json.dumps({"image": "a.png", "text": "one", **a}), json.dumps({"image": "b.png", **b})]
    said = [({"image": "a.png", "captions": ["one"]}, a), ({"image": "b.png"}, b)]
    assert rows_of(write(tmp_path / "l.jsonl", "\n".join(lines))) == said
    assert rows_of(write(tmp_path / "l.json", f"[{','.join(lines)}]")) == [
        said[0],
        ({"image": "b.png"}, b),
    ]
    assert rows_of(write(tmp_path / "t.csv", "file,caption,price\na.png,one,12.5\nb.png,,")) == [
        ({"image": "a.png", "captions": ["one"]}, {"price": "12.5"}),
        ({"image": "b.png", "captions": []}, {"price": ""}),
    ]
    folder = tmp_path / "folder"
    write(folder / "train" / "metadata.csv", "file_name,text,price\na.png,one,1\n")
    ((fields, metadata),) = rows_of(folder)
    assert (fields["image"], fields["captions"], metadata) == ("train/a.png", ["one"], {"price": "1"})


def test_a_training_is_not_given_what_it_does_not_read(tmp_path):
    table = write(tmp_path / "t.csv", "file,caption,price\na.png,one,12.5\n")
    assert rows_of(table, corpus=False) == [({"image": "a.png", "captions": ["one"]}, {})]
    with pytest.raises(MmkerasError, match="expected the names of columns"):
        rows_of(write(tmp_path / "bare.csv", "image,price\na.png,1\n"), corpus=False)


def test_pictures_alone_and_texts_alone_are_a_corpus(tmp_path, photo):
    assert rows_of(write(tmp_path / "p.csv", "image,price\na.png,1\n")) == [({"image": "a.png"}, {"price": "1"})]
    assert rows_of(write(tmp_path / "t.csv", "text,id\nhello,7\n")) == [({"captions": ["hello"]}, {"id": "7"})]
    with pytest.raises(MmkerasError, match="expected the names of columns"):
        rows_of(write(tmp_path / "n.csv", "price,id\n1,2\n"))
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    for name in ("b.png", "2024/c.png"):
        (tmp_path / "photos" / name).write_bytes(photo)
    write(tmp_path / "photos" / "b.json", '{"caption": "two", "price": 2}')
    assert rows_of(tmp_path / "photos") == [
        ({"image": "b.png", "split": None, "captions": ["two"]}, {"price": 2}),
        ({"image": "2024/c.png", "split": None}, {}),
    ]


def test_tars_without_captions_and_with_more_than_these(tmp_path, photo):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        said = b'{"caption": "one", "width": 4}'
        for name, content in (("1.png", photo), ("1.txt", b"a text"), ("1.json", said), ("2.png", photo)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert rows_of(tmp_path / "0.tar") == [
        ({"image": "1.png", "captions": ["a text"]}, {"width": 4}),
        ({"image": "2.png"}, {}),
    ]


def test_parquet_hands_on_what_a_row_can_say(tmp_path, photo):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'mmkeras[parquet]'")
    table = pytest.importorskip("pyarrow").table(
        {"image": [photo], "price": [1.5], "words": [["a", "b"]], "blob": [b"x"], "vector": [[0.5]], "title": ["t"]}
    )
    parquet.write_table(table, tmp_path / "p.parquet")
    assert rows_of(tmp_path / "p.parquet") == [
        ({"image": "p.parquet/0", "captions": ["t"]}, {"price": 1.5, "words": ["a", "b"]})
    ]
    layout = find_layout(tmp_path / "p.parquet")
    picture = layout.store(None).find("p.parquet/0")
    assert OpenPlaces().read(json.loads(json.dumps(picture.place()))) == photo
    assert picture.own_size() is None


@pytest.mark.parametrize("kind", ["file", "zip", "part"])
def test_a_place_is_read_by_a_process_that_knows_nothing_else(tmp_path, monkeypatch, photo, kind):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(photo)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, tarfile.open(tmp_path / "a.tar", "w") as tar:
        archive.write(tmp_path / "photos" / "a.png", "in/a.png")
        tar.add(tmp_path / "photos" / "a.png", "a.png")
    monkeypatch.chdir(tmp_path)
    store = open_store({"file": "photos", "zip": "a.zip/in", "part": "a.tar"}[kind])
    picture = store.find("a.png")
    place = json.loads(json.dumps(picture.place()))
    assert place[0] == kind and picture.own_size() == len(photo)
    monkeypatch.chdir("/")
    assert OpenPlaces().read(place) == photo


def test_a_place_that_is_gone_is_an_error_that_names_it(tmp_path):
    for place in (
        ["file", f"{tmp_path}/a.png"],
        ["part", f"{tmp_path}/a.tar", "a.png", 0, 4],
        ["zip", f"{tmp_path}/a.zip", "a.png"],
    ):
        with pytest.raises(MmkerasError, match=rf"{tmp_path}/a\."):
            OpenPlaces().read(place)
    with pytest.raises(MmkerasError, match="Received: 'ftp'"):
        OpenPlaces().read(["ftp", "x"])
