"""Items are found by what is said of them, and by nothing that an expression could do besides."""

import sqlite3

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch, item_table_writer

ITEMS = [
    {"id": "a", "text": "a red dog", "category": "dog", "price": 5, "labels": ["red", "old"], "seen": True},
    {"id": "b", "text": "it's a cat", "category": "cat", "price": 7.5, "labels": ["red"], "seen": False},
    {"id": 3, "text": "nothing known", "Category": "of another case"},
    {"id": "d", "text": "a shoe", "category": "shoe", "price": None, "size of it": 42, "big": 2**70, "row": 1},
]
EMBEDDINGS = np.float32([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]])


@pytest.fixture
def index(tmp_path):
    """Four items in one segment, then one more that brings a column of its own, and one that was removed."""
    IndexWriter("space").write(tmp_path / "index", ITEMS, image_embeddings=EMBEDDINGS)
    editor = IndexEditor(tmp_path / "index")
    more = [{"id": "gone", "text": "a red dog", "category": "dog"}, {"id": "e", "text": "E", "weight": 3, "price": 6}]
    editor.add([ItemBatch(more, {"image": EMBEDDINGS[:2]})])
    editor.remove(["gone"])
    return EmbeddingIndex(tmp_path / "index")


@pytest.mark.parametrize(
    ("expression", "ids"),
    [
        ("category = 'dog'", ["a"]),
        ("category IN ('dog', 'cat') AND price > 5", ["b"]),
        ("price BETWEEN 5 AND 7", ["a", "e"]),
        ("price IS NULL", [3, "d"]),
        ("text LIKE '%it''s%'", ["b"]),
        ("seen", ["a"]),
        ("id = 3", [3]),
        ("id = '3'", [3]),
        ("weight > 1", ["e"]),  # a column that the first segment lacks
        ("weight IS NULL", ["a", "b", 3, "d"]),
        ('"size of it" = 42', ["d"]),
        ("big > 1e21", ["d"]),
        ("row = 1", ["d"]),
        ("EXISTS (SELECT 1 FROM json_each(labels) WHERE value = 'old')", ["a"]),
        ("labels LIKE '%red%' -- those", ["a", "b"]),
        ("1", ["a", "b", 3, "d", "e"]),
        ("0", []),
        ("id IN (SELECT id FROM item WHERE price = 5)", ["a"]),
    ],
)
def test_an_expression_finds_items(index, expression, ids):
    rows = index.where(expression)
    assert rows.dtype == np.int64
    assert [index.item(row)["id"] for row in rows.tolist()] == ids
    (results,) = index.search([[0.6, 0.8]], "image", 10, where=expression)
    order = {3: 0, "e": 1, "b": 1, "d": 3, "a": 4}  # b and e have one embedding, and b stands first
    assert [result.item["id"] for result in results] == sorted(ids, key=lambda item: (order[item], item == "e"))


def test_columns_are_named(index):
    own = ("text", "category", "price", "labels", "seen", "size of it", "big", "row", "weight")
    assert index.columns == ("id", *own)  # Category differs in its case only


@pytest.mark.parametrize(
    "expression",
    [
        "prise > 3",
        "price >",
        "",
        "1) OR (1",
        "1; DROP TABLE items",
        "1) UNION SELECT name FROM sqlite_master WHERE (1",
        "EXISTS (SELECT name FROM sqlite_master)",
        "load_extension('x')",
        "length(randomblob(1000000000)) > 1",
        "EXISTS (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c WHERE x < 0)",
        "EXISTS (SELECT file FROM pragma_database_list)",
        "text = '\ud800'",
        "\0",
    ],
)
def test_an_expression_that_does_more_is_refused_and_the_columns_named(index, expression):
    if expression == "1) OR (1":
        assert len(index.where(expression)) == 5  # odd, and harmless
        return
    with pytest.raises(MmkerasError, match="Expected an expression over id, text, category, price, labels, seen"):
        index.where(expression)
    assert index.where("price = 5").tolist() == [0]


@pytest.mark.parametrize("kept", [1, 30, 400, 4999, 5000])
def test_a_filtered_search_is_an_exact_one_of_what_is_kept(tmp_path, kept):
    random = np.random.default_rng(0)
    values = random.standard_normal((5000, 8)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    items = [{"id": str(row), "text": "", "number": int(number)} for row, number in enumerate(random.permutation(5000))]
    IndexWriter("space").write(tmp_path / "index", items, image_embeddings=values)
    index = EmbeddingIndex(tmp_path / "index")
    rows = np.array([row for row, item in enumerate(items) if item["number"] < kept])
    assert index.where(f"number < {kept}").tolist() == rows.tolist()
    for query, results in zip(values[:5], index.search(values[:5], "image", 7, f"number < {kept}"), strict=True):
        order = rows[np.argsort(-(values[rows].astype(np.float64) @ query), kind="stable")[:7]]
        assert [result.item["id"] for result in results] == [str(row) for row in order]


def test_a_damaged_table_is_told(index, tmp_path):
    file = tmp_path / "index" / "segment-1" / "items.sqlite"
    whole = file.read_bytes()
    for damage in (b"no database", b"", whole[:100]):
        file.unlink()
        file.write_bytes(damage)
        with pytest.raises(MmkerasError, match=r"items.sqlite is damaged"):
            EmbeddingIndex(tmp_path / "index")
    file.unlink()
    with pytest.raises(MmkerasError, match=r"items.sqlite is damaged"):
        EmbeddingIndex(tmp_path / "index")
    assert index.where("price = 5").tolist() == [0]  # was opened before


def test_keys_beyond_a_thousand_have_no_column(tmp_path, monkeypatch):
    monkeypatch.setattr(item_table_writer, "MOST_COLUMNS", 4)
    item = {"id": "a", "text": "", "one": 1, "two": 2, "three": 3}
    IndexWriter("space").write(tmp_path / "index", [item], image_embeddings=[[1, 0]])
    index = EmbeddingIndex(tmp_path / "index")
    assert index.columns == ("id", "text", "one", "two")
    assert index.items == [item]


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    writer = item_table_writer.ItemTableWriter(tmp_path / "items.sqlite")
    writer._connection.execute("PRAGMA max_page_count = 4")
    with pytest.raises(OSError, match="database or disk is full"):
        writer.append([{"id": str(row), "text": "x" * 1000} for row in range(100)])
        writer.close()
    writer.discard()
    assert sqlite3.sqlite_version_info >= (3, 38)  # json_each is part of it from there on
