"""Embeddings in Parquet files: what is in them becomes an index, and what does not fit is named by its file."""

import sys

import numpy as np
import pytest

from mmkeras.embeddings import ParquetEmbeddings
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.search import EmbeddingIndex, IndexWriter

pa = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow: pip install 'mmkeras[parquet]'")
from pyarrow import parquet  # noqa: E402

JPEG, PNG = b"\xff\xd8 a picture", b"\x89PNG a picture"


def write_part(folder, part, of, rows, dim=4, columns=None, **metadata):
    """A file with an embedding along one axis a row; a row is an id, or None and the id of what has none."""
    folder.mkdir(exist_ok=True)
    ids = [row[1] if isinstance(row, tuple) else row for row in rows]
    axes = [None if isinstance(row, tuple) else np.eye(dim)[number % dim].tolist() for number, row in enumerate(rows)]
    table = {
        "id": pa.array(ids, pa.string()),
        "embedding": pa.array(axes, pa.list_(pa.float32())),
        "error": pa.array(["unreadable" if axis is None else None for axis in axes], pa.string()),
        "text": pa.array([f"text of {name}" if name != "a.jpg" else None for name in ids], pa.string()),
        **(columns or {}),
    }
    told = {"format": "1", "space_id": "s" * 64, "dim": str(dim), "modality": "image", "signature": "encode_image"}
    told |= {"model": "photos", "version": "1", "source": "r" * 64}
    told = {f"mmkeras.{key}": value for key, value in (told | metadata).items() if value is not None}
    file = folder / f"part-{part:05}-of-{of:05}.parquet"
    parquet.write_table(pa.table(table).replace_schema_metadata(told), file)
    return file


def indexed(embeddings, folder):
    IndexWriter(embeddings.space_id).write_batches(folder, embeddings.batches())
    return EmbeddingIndex(folder)


def test_parts_become_an_index(tmp_path):
    write_part(tmp_path / "e", 0, 2, ["a.jpg", (None, "broken.jpg"), "b.jpg"])
    write_part(tmp_path / "e", 1, 2, ["c.jpg"])
    embeddings = ParquetEmbeddings(tmp_path / "e")
    assert (embeddings.space_id, embeddings.dim, embeddings.modality, embeddings.rows) == ("s" * 64, 4, "image", 4)
    index = indexed(embeddings, tmp_path / "index")
    assert index.items == [
        {"id": "a.jpg", "text": ""},
        {"id": "b.jpg", "text": "text of b.jpg"},
        {"id": "c.jpg", "text": "text of c.jpg"},
    ]
    assert index.embeddings("image").tolist() == np.eye(4)[[0, 2, 0]].tolist()
    assert embeddings.left_out == 1
    assert (index.space_id, index.modalities) == ("s" * 64, ("image",))


def test_columns_of_the_source_and_thumbnails_come_along(tmp_path):
    columns = {
        "picture": pa.array(["a.jpg", "in/b.png", None], pa.string()),
        "thumbnail": pa.array([JPEG, PNG, None], pa.binary()),
        "price": pa.array([1.5, None, 3], pa.float64()),
        "labels": pa.array([["red", "old"], [], None], pa.list_(pa.string())),
        "split": pa.array(["train", "dev", None]).dictionary_encode(),
    }
    file = write_part(tmp_path / "e", 0, 64, ["a.jpg", "b", "c"], columns=columns)
    index = indexed(ParquetEmbeddings(file), tmp_path / "index")  # a part by its own path, of 64
    assert index.items == [
        {"id": "a.jpg", "text": "", "picture": "a.jpg", "price": 1.5, "labels": ["red", "old"], "split": "train"},
        {
            "id": "b",
            "text": "text of b",
            "picture_in_source": "in/b.png",
            "picture": "b.png",
            "labels": [],
            "split": "dev",
        },
        {"id": "c", "text": "text of c", "price": 3.0},
    ]
    assert [index.picture(item) for item in index.items] == [JPEG, PNG, None]
    assert index.where("price > 1 AND split = 'train'").tolist() == [0]


@pytest.mark.parametrize("size", [-1, 4], ids=["list", "list of fixed size"])
def test_more_rows_than_a_batch(tmp_path, size):
    axes = pa.array(np.eye(4)[np.arange(10_000) % 4].tolist(), pa.list_(pa.float32(), size))
    write_part(tmp_path / "e", 0, 1, [f"{row}" for row in range(10_000)], columns={"embedding": axes})
    index = indexed(ParquetEmbeddings(tmp_path / "e"), tmp_path / "index")
    assert index.ids == [f"{row}" for row in range(10_000)]
    assert np.array_equal(index.embeddings("image"), np.eye(4)[np.arange(10_000) % 4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space_id": "t" * 64}, "part-00001-of-00002.parquet: expected space_id ssssssssssss, as in part-00000"),
        ({"modality": "text"}, "part-00001-of-00002.parquet: expected modality image"),
        ({"modality": "sound"}, "part-00001-of-00002.parquet: expected embeddings .*Received: format 1, damaged"),
        ({"space_id": None}, "part-00001-of-00002.parquet: expected embeddings .*Received: format 1, damaged"),
        ({"format": "9"}, "part-00001-of-00002.parquet: expected embeddings .*in format 1. Received: format 9"),
        (
            {"format": None},
            "part-00001-of-00002.parquet: expected embeddings .*Received: another Parquet file",
        ),
        ({"dim": 5}, "part-00001-of-00002.parquet: expected dim 4"),
    ],
)
def test_a_part_that_does_not_fit_the_others_is_named(tmp_path, change, message):
    write_part(tmp_path / "e", 0, 2, ["a"])
    write_part(tmp_path / "e", 1, 2, ["b"], **change)
    with pytest.raises(MmkerasError, match=message):
        ParquetEmbeddings(tmp_path / "e")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(0, 3), (2, 3)], "expected 3 parts. Received: 2; part 1 is missing"),
        ([(0, 1), (0, 2), (1, 2)], "the parts of one whole. Received: parts of 1 and of 2"),
        ([], "Expected a folder of Parquet files"),
    ],
)
def test_a_folder_that_is_not_whole(tmp_path, parts, message):
    (tmp_path / "e").mkdir()
    for part, of in parts:
        write_part(tmp_path / "e", part, of, [f"{part} of {of}"])
    with pytest.raises(MmkerasError, match=message):
        ParquetEmbeddings(tmp_path / "e")


@pytest.mark.parametrize("damage", ["empty", "cut", "end", "middle"])
def test_a_damaged_file_is_named_and_no_index_written(tmp_path, damage):
    write_part(tmp_path / "e", 0, 2, [f"{row}" for row in range(5000)])
    file = write_part(tmp_path / "e", 1, 2, [f"b{row}" for row in range(5000)])
    whole = bytearray(file.read_bytes())
    if damage == "middle":
        whole[20 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - 20)
    file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "end": whole[:-3], "middle": whole}[damage])
    with pytest.raises(MmkerasError, match=r"part-00001-of-00002.parquet (is no readable|cannot be read)"):
        indexed(ParquetEmbeddings(tmp_path / "e"), tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_rows_that_are_no_items_are_named_by_their_file(tmp_path):
    file = write_part(tmp_path / "e", 0, 1, ["a", "b", "a"])
    with pytest.raises(MmkerasError, match="an id of its own for each item. Received: 'a' in rows 0 and 2"):
        indexed(ParquetEmbeddings(file), tmp_path / "index")
    write_part(tmp_path / "e", 0, 1, [(None, "a")])
    with pytest.raises(MmkerasError, match="An index needs items. Received: none that have an embedding"):
        indexed(ParquetEmbeddings(file), tmp_path / "index")
    write_part(
        tmp_path / "e", 0, 1, ["a"], columns={"embedding": pa.array([[3.0, 0, 0, 0]], pa.list_(pa.float32(), 4))}
    )
    with pytest.raises(MmkerasError, match=r"part-00000-of-00001.parquet: Expected image_embeddings of unit norm"):
        indexed(ParquetEmbeddings(file), tmp_path / "index")
    write_part(tmp_path / "e", 0, 1, ["a"], columns={"embedding": pa.array([[1.0, 0]], pa.list_(pa.float32()))})
    with pytest.raises(MmkerasError, match=r"part-00000-of-00001.parquet: expected embeddings of 4 numbers each"):
        indexed(ParquetEmbeddings(file), tmp_path / "index")


def test_without_pyarrow(tmp_path, monkeypatch):
    write_part(tmp_path / "e", 0, 1, ["a"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPartError, match=r"need pyarrow: pip install 'mmkeras(-client)?\[parquet\]'"):
        ParquetEmbeddings(tmp_path / "e")
