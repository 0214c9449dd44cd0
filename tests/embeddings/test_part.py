"""Parquet files of embeddings: what is in them, who reads them, and what is said of those that are none."""

import numpy as np
import pytest

from mmkeras.embeddings import PartInfo, list_parts, read_info, read_part
from mmkeras.embeddings.corpus_row import CorpusRow
from mmkeras.embeddings.part import count_rows, first_error, writing_part
from mmkeras.errors import MmkerasError

from ..export.test_full_disk import files_of_at_most

INFO = PartInfo("s" * 64, 4, "image", "encode_image", "photos", "2", "d" * 64)
COLUMNS = {"price": "double", "stock": "int64", "shop": "string", "fresh": "bool", "labels": "strings"}


def write(file, count=5, failed=(2,), thumbnails=None):
    embeddings = np.eye(4, dtype=np.float32)[np.arange(count) % 4]
    rows = [
        CorpusRow(f"{row}.png", f"{row}.png", text=f"text {row}", metadata={"price": row / 2, "labels": ["a", "b"]})
        for row in range(count)
    ]
    errors = ["no picture" if row in failed else None for row in range(count)]
    with writing_part(file, INFO, COLUMNS, thumbnails is not None) as part:
        part.add(rows[:2], embeddings[:2], errors[:2], thumbnails and thumbnails[:2])
        part.add(rows[2:], embeddings[2:], errors[2:], thumbnails and thumbnails[2:])
    return embeddings


def test_a_file_says_what_the_hand_over_promises(tmp_path, parquet):
    file = tmp_path / "part-00000-of-00001.parquet"
    embeddings = write(file)
    table = parquet.read_table(file)  # as anybody reads it, nulls among the embeddings
    assert table.schema.names == ["id", "embedding", "error", "text", "picture", *COLUMNS]
    assert not table.schema.field("id").nullable
    assert [str(table.schema.field(name).type) for name in COLUMNS] == [
        *("double", "int64", "string", "bool"),
        "list<element: string>",
    ]
    assert table.schema.metadata == {
        b"mmkeras.format": b"1",
        b"mmkeras.space_id": b"s" * 64,
        b"mmkeras.dim": b"4",
        b"mmkeras.modality": b"image",
        b"mmkeras.signature": b"encode_image",
        b"mmkeras.model": b"photos",
        b"mmkeras.version": b"2",
        b"mmkeras.source": b"d" * 64,
    }
    assert table["embedding"].to_pylist() == [None if row == 2 else embeddings[row].tolist() for row in range(5)]
    assert table["error"].to_pylist() == [None, None, "no picture", None, None]
    assert table.slice(1, 1).drop_columns(["embedding"]).to_pylist() == [
        {"id": "1.png", "error": None, "text": "text 1", "picture": "1.png", "price": 0.5, "stock": None}
        | {"shop": None, "fresh": None, "labels": ["a", "b"]}
    ]
    assert read_info(file) == INFO
    assert count_rows(file) == (5, 1) and first_error(file) == "2.png: no picture"
    (batch,) = read_part(file, ["id", "embedding"])
    assert (
        batch["embedding"].drop_null().flatten().to_numpy().reshape(-1, 4).tolist() == embeddings[[0, 1, 3, 4]].tolist()
    )


def test_a_database_reads_it(tmp_path, parquet):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: pip install duckdb")
    write(tmp_path / "part-00000-of-00001.parquet")
    cosine = "array_cosine_similarity(embedding::float[4], [0, 1, 0, 0]::float[4])"
    found = duckdb.sql(
        f"select id, {cosine} as score from '{tmp_path}/*.parquet' "
        "where embedding is not null and price > 0 order by score desc limit 1"
    ).fetchall()
    assert found == [("1.png", 1.0)]


def test_many_rows_are_groups_and_thumbnails_a_column(tmp_path, parquet):
    file = tmp_path / "part-00000-of-00001.parquet"
    write(file, 2500, failed=range(0, 2500, 10), thumbnails=[b"jpeg", None] * 1250)
    assert count_rows(file) == (2500, 250)
    assert sum(len(batch) for batch in read_part(file)) == 2500
    assert parquet.read_table(file)["thumbnail"].null_count == 1250
    write(file, 3, failed=range(3))
    assert count_rows(file) == (3, 3) and parquet.read_table(file)["embedding"].null_count == 3


def test_what_is_no_such_file_is_named(tmp_path, parquet):
    import pyarrow

    file = tmp_path / "part-00000-of-00001.parquet"
    write(file)
    whole = file.read_bytes()
    for content in (whole[:-7], whole[: len(whole) // 2], b""):
        file.write_bytes(content)
        with pytest.raises(MmkerasError, match=f"{file} is no readable Parquet file; remove it"):
            read_info(file)
    parquet.write_table(pyarrow.table({"id": ["a"]}), file)
    with pytest.raises(MmkerasError, match=f"{file}: expected embeddings as .* Received: another Parquet file"):
        read_info(file)
    later = {**INFO.to_metadata(), b"mmkeras.format": b"2"}
    with pytest.raises(MmkerasError, match="Received: format 2"):
        PartInfo.of_metadata(file, later)


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("space_id", "t" * 64, r"another space: expected space_id='s{12}\.\.\.'. Received: 't{12}\.\.\.'"),
        ("signature", "encode_text", "another signature: expected signature='encode_image'. Received: 'encode_text'"),
        ("version", "3", "another version of the model: expected version='2'. Received: '3'"),
        ("source", "e" * 64, "other rows of the source"),
    ],
)
def test_a_file_of_something_else_is_told(key, value, what):
    other = PartInfo(**{**INFO.__dict__, key: value})
    with pytest.raises(MmkerasError, match=f"^here is of {what}.*Nothing was overwritten"):
        other.check("here", INFO)
    PartInfo(**{**INFO.__dict__, "model": "renamed"}).check("here", INFO)


def test_files_of_two_divisions_do_not_go_together(tmp_path):
    assert list_parts(tmp_path / "nowhere") == []
    for name in ("part-00001-of-00002.parquet", "part-00000-of-00002.parquet", "part-0.parquet", ".tmp-1.parquet"):
        (tmp_path / name).touch()
    assert [file.name for file in list_parts(tmp_path)] == [
        "part-00000-of-00002.parquet",
        "part-00001-of-00002.parquet",
    ]
    (tmp_path / "part-00000-of-00003.parquet").touch()
    with pytest.raises(MmkerasError, match=r"one number of shards. Received: .*-00002.parquet and .*-00003.parquet"):
        list_parts(tmp_path)


def test_a_full_disk_leaves_nothing_half_written(tmp_path, parquet):
    file = tmp_path / "part-00000-of-00001.parquet"
    with pytest.raises(MmkerasError, match=f"{file} could not be written: .*too large"), files_of_at_most(2000):
        write(file, 3000)
    assert list(tmp_path.iterdir()) == []
    write(file, 3000)
    assert count_rows(file) == (3000, 1)
