"""`IndexWriter`: the whole index or nothing."""

import errno
import json
import zipfile

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search import EmbeddingIndex, IndexWriter

ITEMS = [{"id": "a", "text": "snowman ☃", "picture": "a.png"}, {"id": "b", "text": "line\u2028break", "count": 3}]
EMBEDDINGS = np.float32([[1, 0, 0], [0, 0.6, 0.8]])
PICTURES = {"a.png": b"bytes of a"}


def write(folder, **changes):
    settings = {"items": ITEMS, "image_embeddings": EMBEDDINGS, "pictures": PICTURES}
    IndexWriter("space").write(folder, **(settings | changes))


def names(folder):
    """The files below a folder, relative to it."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_layout(tmp_path):
    write(tmp_path / "index", text_embeddings=-EMBEDDINGS)
    always = {"items.jsonl", "items.offsets.npy", "items.sqlite", "pictures.zip"}
    segment = tmp_path / "index" / "segment-1"
    assert names(segment) == always | {"image_embeddings.npy", "text_embeddings.npy"}
    assert names(tmp_path / "index") == {"index.json", *(f"segment-1/{name}" for name in names(segment))}
    info = json.loads((tmp_path / "index" / "index.json").read_text())
    assert info == {
        "format": 2,
        "count": 2,
        "space_id": "space",
        "dim": 3,
        "modalities": ["image", "text"],
        "segments": [{"name": "segment-1", "count": 2}],
        "precision": "float32",
        "kind": "exact",
        "approximate": {},
        "generation": 1,
        "before": [],
    }
    assert EmbeddingIndex(tmp_path / "index").items == ITEMS
    assert np.array_equal(np.load(segment / "text_embeddings.npy"), -EMBEDDINGS)
    # An item is read by its place alone, as another language would.
    offsets = np.load(segment / "items.offsets.npy")
    assert json.loads((segment / "items.jsonl").read_bytes()[offsets[1] : offsets[2]]) == ITEMS[1]


def test_only_what_there_is(tmp_path):
    items = [{"id": 1, "text": "x"}]
    write(tmp_path / "index", items=items, image_embeddings=None, text_embeddings=np.eye(1, 4), pictures=None)
    segment = tmp_path / "index" / "segment-1"
    assert names(segment) == {"items.jsonl", "items.offsets.npy", "items.sqlite", "text_embeddings.npy"}
    assert np.load(segment / "text_embeddings.npy").dtype == np.float32


def test_equal_items_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name)
    for file in names(tmp_path / "one"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("ids", [("a", "b", "a"), (1, 2, "1")])
def test_two_items_of_one_id(tmp_path, ids):
    items = [{"id": item, "text": ""} for item in ids]
    with pytest.raises(MmkerasError, match=rf"an id of its own for each item. Received: '{ids[0]}' in rows 0 and 2"):
        write(tmp_path / "index", items=items, image_embeddings=np.eye(3))
    assert list(tmp_path.iterdir()) == []


def test_unpacked_pictures_can_be_read(tmp_path):
    write(tmp_path / "index")
    with zipfile.ZipFile(tmp_path / "index" / "segment-1" / "pictures.zip") as pictures:
        assert [entry.external_attr >> 16 for entry in pictures.infolist()] == [0o644]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_embeddings": None}, "An index needs items, and image_embeddings or text_embeddings"),
        ({"items": [], "image_embeddings": np.zeros((0, 3))}, "An index needs items"),
        ({"image_embeddings": EMBEDDINGS[:1]}, r"image_embeddings of shape \(2, D\), .* Received: shape \(1, 3\)"),
        ({"image_embeddings": EMBEDDINGS[0]}, r"image_embeddings of shape \(2, D\), .* Received: shape \(3,\)"),
        ({"image_embeddings": np.float32(1)}, r"Received: shape \(\)"),
        ({"text_embeddings": np.ones((2, 4))}, r"text_embeddings of shape \(2, D\), .* Received: shape \(2, 4\)"),
        ({"text_embeddings": [[0, 0, 1], [0, np.nan, 0]]}, "text_embeddings: row 1 holds NaN or infinity"),
        ({"items": [ITEMS[0], {"id": "b"}]}, "Item 1 needs an id and a text. Received: {'id': 'b'}"),
        ({"pictures": None}, r"Item 0 \(a\): its picture a.png is missing"),
        ({"pictures": {"b.png": b""}}, r"Item 0 \(a\): its picture a.png is missing"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_written(tmp_path, changes, message):
    with pytest.raises(MmkerasError, match=message):
        write(tmp_path / "index", **changes)
    assert list(tmp_path.iterdir()) == []


def test_an_index_is_never_overwritten(tmp_path):
    write(tmp_path / "index")
    before = (tmp_path / "index" / "segment-1" / "image_embeddings.npy").read_bytes()
    with pytest.raises(MmkerasError, match="index exists already; nothing was overwritten"):
        write(tmp_path / "index", image_embeddings=-EMBEDDINGS)
    assert (tmp_path / "index" / "segment-1" / "image_embeddings.npy").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "broken", ["mmkeras.search.array_writer.ArrayWriter.append", "zipfile.ZipFile.writestr", "json.dumps"]
)
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, broken):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(broken, full)
    with pytest.raises(MmkerasError, match="index could not be written: No space left on device"):
        write(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_an_item_that_is_no_json_leaves_nothing(tmp_path):
    with pytest.raises(MmkerasError, match="items of strings, numbers and lists. Received: <object"):
        write(tmp_path / "index", items=[ITEMS[0], {"id": "b", "text": "x", "value": object()}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("norm", "row"), [(8.58, 1), (0.0, 0), (0.98, 2)])
def test_rows_that_are_not_of_unit_norm_are_refused(tmp_path, norm, row):
    values = np.eye(3, dtype=np.float32)
    values[row] *= norm
    items = [{"id": str(row), "text": "t"} for row in range(3)]
    with pytest.raises(
        MmkerasError, match=rf"image_embeddings of unit norm. Received: a norm of {norm:.4g} in row {row}"
    ):
        IndexWriter("space").write(tmp_path / "index", items, image_embeddings=values)
    assert not (tmp_path / "index").exists()
    values[row] = np.eye(3)[row] * 1.001  # as half precision leaves it
    IndexWriter("space").write(tmp_path / "index", items, image_embeddings=values)


def test_items_may_hold_numbers_of_numpy(tmp_path):
    items = [{"id": np.int64(7), "text": "t", "size": np.float32(0.5), "seen": np.bool_(True), "box": np.arange(2)}]
    IndexWriter("space").write(tmp_path / "index", items, image_embeddings=np.ones((1, 1)))
    assert EmbeddingIndex(tmp_path / "index").items == [
        {"id": 7, "text": "t", "size": 0.5, "seen": True, "box": [0, 1]}
    ]
    with pytest.raises(MmkerasError, match="items of strings, numbers and lists. Received: <object"):
        IndexWriter("space").write(
            tmp_path / "other", [{"id": 1, "text": "t", "x": object()}], image_embeddings=np.ones((1, 1))
        )
    assert not (tmp_path / "other").exists()
