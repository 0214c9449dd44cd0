"""`EmbeddingIndex`: exact search, and parts that do not fit together are told."""

import json
import subprocess
import sys

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search import EmbeddingIndex, IndexWriter, SearchResult


def unit(rows, dim, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def items_of(count):
    return [{"id": f"item {row}", "text": f"text {row}", "seen": row % 2 == 0} for row in range(count)]


@pytest.fixture
def folder(tmp_path):
    """An index of 50 items with both modalities and one picture."""
    items = items_of(50)
    items[3]["picture"] = "three.png"
    IndexWriter("space-a").write(
        tmp_path / "index",
        items,
        image_embeddings=unit(50, 8, seed=1),
        text_embeddings=unit(50, 8, seed=2),
        pictures={"three.png": b"PNG of three"},
    )
    return tmp_path / "index"


def write_embeddings(tmp_path, image_embeddings):
    """An index with the given image embeddings only."""
    values = np.asarray(image_embeddings, np.float32)
    IndexWriter("space-a").write(tmp_path / "index", items_of(len(values)), image_embeddings=values)
    return EmbeddingIndex(tmp_path / "index")


def rows_of(results):
    return [int(result.item["id"].split()[1]) for result in results]


def test_what_was_written_is_read(folder):
    index = EmbeddingIndex(folder)
    assert (index.space_id, index.dim, index.count, len(index)) == ("space-a", 8, 50, 50)
    assert index.items[3] == {"id": "item 3", "text": "text 3", "seen": False, "picture": "three.png"}


@pytest.mark.parametrize("modality", ["image", "text"])
@pytest.mark.parametrize("k", [1, 7, 50])
def test_search_equals_brute_force(folder, modality, k):
    queries, gallery = unit(300, 8, seed=9), unit(50, 8, seed=1 if modality == "image" else 2)  # more than one block
    scores = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = EmbeddingIndex(folder).search(queries, modality, k)
    assert [rows_of(results) for results in found] == expected.tolist()
    for query, results in enumerate(found):
        assert [result.rank for result in results] == list(range(1, k + 1))
        assert [result.score for result in results] == pytest.approx(scores[query, expected[query]].tolist(), abs=1e-6)


def test_an_item_finds_itself_first(folder):
    index = EmbeddingIndex(folder)
    (results,) = index.search(unit(50, 8, seed=1)[17:18], "image", 3)
    assert results[0] == SearchResult(1, results[0].score, index.items[17])
    assert results[0].score == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 9])
def test_equal_scores_stand_in_the_items_order_at_the_last_place_too(tmp_path, k):
    axes = np.eye(2)[[1, 0, 1, 0, 0, 1, 0, 0, 1]]
    (results,) = write_embeddings(tmp_path, axes).search(np.float32([[1, 0]]), "image", k)
    assert rows_of(results) == [1, 3, 4, 6, 7, 0, 2, 5, 8][:k]


def test_more_results_than_items(folder):
    assert len(EmbeddingIndex(folder).search(unit(1, 8), "text", 1000)[0]) == 50


def test_no_queries(folder):
    assert EmbeddingIndex(folder).search(np.zeros((0, 8)), "image") == []


def test_one_item(tmp_path):
    assert rows_of(write_embeddings(tmp_path, [[1, 0]]).search([[0, 1]], "image", 5)[0]) == [0]


@pytest.mark.parametrize(
    ("queries", "modality", "k", "message"),
    [
        (np.zeros((1, 7)), "image", 1, r"Expected queries of shape \(Q, 8\). Received: shape \(1, 7\)"),
        (np.zeros(8), "image", 1, r"Received: shape \(8,\)"),
        (np.zeros((1, 8)), "sound", 1, "a modality of this index, image or text. Received: modality='sound'"),
        (np.eye(1, 8), "image", 0, "a whole number of 1 or more. Received: k=0"),
        (np.full((2, 8), [[0], [np.nan]]), "image", 1, "NaN or infinity in row 1"),
    ],
)
def test_a_search_that_cannot_be(folder, queries, modality, k, message):
    with pytest.raises(MmkerasError, match=message):
        EmbeddingIndex(folder).search(queries, modality, k)


def test_a_modality_that_was_not_written(tmp_path):
    with pytest.raises(MmkerasError, match="a modality of this index, image. Received: modality='text'"):
        write_embeddings(tmp_path, [[1, 0]]).search([[1, 0]], "text")


def test_another_space(folder):
    index = EmbeddingIndex(folder)
    index.check_space("space-a")
    with pytest.raises(MmkerasError, match="made in the space space-a, the model answers in space-b"):
        index.check_space("space-b")


def test_pictures(folder):
    index = EmbeddingIndex(folder)
    assert index.picture(index.items[3]) == b"PNG of three"
    assert index.picture(index.items[4]) is None
    with pytest.raises(MmkerasError, match="the picture four.png could not be read"):
        index.picture({"picture": "four.png"})
    file = folder / "segment-1" / "pictures.zip"
    file.write_bytes(b"no zip")
    with pytest.raises(MmkerasError, match="pictures.zip: the picture three.png could not be read"):
        EmbeddingIndex(folder).picture(index.items[3])
    file.unlink()
    with pytest.raises(MmkerasError, match="pictures.zip"):
        EmbeddingIndex(folder).picture(index.items[3])


def test_embeddings_are_mapped_not_loaded(folder):
    index = EmbeddingIndex(folder)
    for modality in ("image", "text"):
        embeddings = index.embeddings(modality)
        assert isinstance(embeddings, np.memmap)
        assert embeddings.mode == "r"


@pytest.mark.parametrize("name", ["image_embeddings.npy", "text_embeddings.npy"])
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:40], lambda b: b[:-4], lambda b: b"\0" * len(b)])
def test_damaged_embeddings(folder, name, damage):
    file = folder / "segment-1" / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(MmkerasError, match=f"{name} is damaged"):
        EmbeddingIndex(folder)


@pytest.mark.parametrize(
    "values", [np.zeros((50, 9), np.float32), np.zeros((49, 8), np.float32), np.zeros((50, 8), np.float64)]
)
def test_embeddings_that_do_not_fit(folder, values):
    np.save(folder / "segment-1" / "image_embeddings.npy", values)
    with pytest.raises(MmkerasError, match=r"expected float32 of shape \(50, 8\)"):
        EmbeddingIndex(folder)


def test_no_embeddings(folder):
    for file in folder.glob("segment-1/image_embeddings.npy"):
        file.unlink()
    with pytest.raises(MmkerasError, match="image_embeddings.npy is damaged"):
        EmbeddingIndex(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "format 1. This version reads 2"),
        ({"format": None}, "format None"),
        ({"count": 49}, "index.json is damaged"),
        ({"kind": "tree"}, "is searched by tree"),
        ({"modalities": ["sound"]}, "index.json is damaged"),
        ({"segments": [{"name": "../elsewhere", "count": 50}]}, "index.json is damaged"),
        ({"segments": [{"name": "segment-1"}]}, "index.json is damaged"),
        ({"colour": "blue"}, "index.json is damaged"),
        ({"dim": "8"}, "index.json is damaged"),
        ({"space_id": 3}, "index.json is damaged"),
        ({"modalities": []}, "index.json is damaged"),
        ({"segments": [{"name": "segment-1", "count": "50"}]}, "index.json is damaged"),
        ({"segments": {"name": "segment-1", "count": 50}}, "index.json is damaged"),
        ({"kind": "ivf"}, "index.json is damaged"),
        ({"kind": "ivf", "approximate": {"image": {"file": "image-1.faiss"}}}, "index.json is damaged"),
        ({"kind": "ivf", "approximate": {"image": {"file": "../image", "effort": 1}}}, "index.json is damaged"),
        ({"segments": [{"name": "segment-1", "count": 49}], "count": 49}, "expected"),
    ],
)
def test_an_index_of_another_kind(folder, change, message):
    info = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(info | change))
    with pytest.raises(MmkerasError, match=message):
        EmbeddingIndex(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 2, "space_id": "a", "dim": 8}'])
def test_a_damaged_description(folder, text):
    (folder / "index.json").write_text(text)
    with pytest.raises(MmkerasError, match="index"):
        EmbeddingIndex(folder)


def test_no_index(tmp_path):
    with pytest.raises(MmkerasError, match=f"{tmp_path} is no index"):
        EmbeddingIndex(tmp_path)


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: text + '{"id": 1}\n', None])
def test_damaged_items(folder, damage):
    file = folder / "segment-1" / "items.jsonl"
    if damage:
        file.write_text(damage(file.read_text()))
    else:
        file.unlink()
    with pytest.raises(MmkerasError, match="items.jsonl"):
        EmbeddingIndex(folder).search(unit(1, 8), "image")


def test_no_tensorflow(folder, repository):
    code = f"""
import sys
import numpy as np
from mmkeras.search import EmbeddingIndex, IndexWriter
print(len(EmbeddingIndex({str(folder)!r}).search(np.eye(1, 8), "image", 3)[0]))
print(sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["3", "[]"]


@pytest.mark.parametrize("k", [0, -1, True, 2.5, "3", None, np.float32(2)])
def test_an_odd_number_of_results_is_refused(folder, k):
    with pytest.raises(MmkerasError, match="k as a whole number of 1 or more"):
        EmbeddingIndex(folder).search(unit(1, 8), "image", k)


def test_a_number_of_numpy_is_one(folder):
    assert len(EmbeddingIndex(folder).search(unit(1, 8), "image", np.int64(3))[0]) == 3


def test_queries_that_are_not_of_unit_norm_are_refused(folder):
    with pytest.raises(MmkerasError, match="queries of unit norm. Received: a norm of 3 in row 1"):
        EmbeddingIndex(folder).search(unit(2, 8) * [[1], [3]], "image", 3)
