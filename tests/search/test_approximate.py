"""Approximate search: enough is found, scores are exact, removed and filtered items stay away."""

import json

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch, approximate_building, searching
from mmkeras.search.approximate_building import chosen_kind, least_effort, number_of_lists

pytest.importorskip("faiss", reason="approximate search needs faiss: pip install 'mmkeras[ann]'")
KINDS = ("ivf", "hnsw")


def clusters(rows, seed=0, dim=32):
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((50, dim))
    values = centres[random.integers(0, 50, rows)] + 0.7 * random.standard_normal((rows, dim))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def batch(start, end, seed):
    items = [{"id": f"i{row}", "text": "", "third": row % 3} for row in range(start, end)]
    return ItemBatch(items, {"image": clusters(end - start, seed)})


@pytest.fixture(params=KINDS)
def folder(tmp_path, request, monkeypatch):
    monkeypatch.setattr(searching, "_FEW_ROWS", 100)
    IndexWriter("space", kind=request.param).write_batches(tmp_path / "index", [batch(0, 3000, 1)])
    return tmp_path / "index"


def recall(index, queries, k=10, where=None):
    exact = index.search(queries, "image", k, where, exact=True)
    found = index.search(queries, "image", k, where)
    shared = 0
    for best, one in zip(exact, found, strict=True):
        scores = {result.item["id"]: result.score for result in best}
        assert len(one) == len(best)
        assert [result.rank for result in one] == list(range(1, len(one) + 1))
        assert all(scores.get(result.item["id"], result.score) == result.score for result in one)  # to the bit
        assert sorted((result.score for result in one), reverse=True) == [result.score for result in one]
        shared += len(scores.keys() & {result.item["id"] for result in one})
    return shared / sum(map(len, exact))


def test_enough_is_found_and_the_index_says_how_much(folder):
    index = EmbeddingIndex(folder)
    settings = index.manifest.approximate["image"]
    assert settings["recall"] >= 0.98
    assert settings["queries"] == "400 image embeddings with noise"
    assert (settings["recall_at"], settings["file"]) == (10, "image-1.faiss")
    assert recall(index, clusters(100, 3)) > 0.95
    assert index.kind in KINDS


def test_an_item_of_each_change_is_found_and_removed_ones_are_not(folder):
    editor = IndexEditor(folder)
    editor.add([batch(3000, 3300, 2)])
    index = EmbeddingIndex(folder)
    new = clusters(300, 2)
    firsts = [results[0].item["id"] for results in index.search(new, "image", 1)]
    assert np.mean([first == f"i{row}" for row, first in enumerate(firsts, 3000)]) > 0.98
    assert recall(index, clusters(100, 3)) > 0.95
    editor.remove([f"i{row}" for row in range(3000, 3300, 2)])
    index = index.refreshed()
    found = {result.item["id"] for results in index.search(new, "image", 10) for result in results}
    assert not found & {f"i{row}" for row in range(3000, 3300, 2)}
    assert recall(index, clusters(100, 3)) > 0.95
    editor.compact()
    index = index.refreshed()
    assert (index.count, index.kind, len(index.segments)) == (3150, EmbeddingIndex(folder).kind, 1)
    assert index.manifest.approximate["image"]["recall"] >= 0.98
    assert recall(index, clusters(100, 3)) > 0.95


@pytest.mark.parametrize("where", ["third = 1", "third = 1 AND CAST(substr(id, 2) AS INTEGER) < 200", "third < 2"])
def test_a_filter_is_kept_to(folder, where):
    index = EmbeddingIndex(folder)
    kept = {index.item(row)["id"] for row in index.where(where).tolist()}
    for results in index.search(clusters(20, 3), "image", 10, where):
        assert {result.item["id"] for result in results} <= kept
    assert recall(index, clusters(100, 3), where=where) > 0.95


@pytest.mark.parametrize("k", [1, 10, 2990, 3000, 5000])
def test_as_many_are_found_as_were_asked_for(folder, k):
    index = EmbeddingIndex(folder)
    assert [len(results) for results in index.search(clusters(3, 3), "image", k)] == [min(k, 3000)] * 3


def test_both_modalities_are_searched_and_asked_by_each_other(tmp_path):
    items = [{"id": row, "text": ""} for row in range(500)]
    values = clusters(500)
    IndexWriter("space", kind="ivf").write(tmp_path / "index", items, values, values)
    index = EmbeddingIndex(tmp_path / "index")
    assert {key: one["queries"] for key, one in index.manifest.approximate.items()} == {
        "image": "400 text embeddings",
        "text": "400 image embeddings",
    }
    assert index.search(values[9:10], "text", 1)[0][0].item["id"] == 9


def test_a_reader_keeps_what_it_read(folder):
    index = EmbeddingIndex(folder)
    index.search(clusters(1), "image")
    read = index._approximate["image"]
    IndexEditor(folder).remove(["i5"])
    assert index.refreshed()._approximate["image"] is read
    IndexEditor(folder).add([batch(3000, 3001, 2)])
    assert index.refreshed()._approximate["image"] is not read
    IndexEditor(folder).compact()
    IndexEditor(folder).remove(["i6"])
    reader = EmbeddingIndex(folder)
    IndexEditor(folder).compact()
    IndexEditor(folder).remove(["i7"])
    assert recall(reader, clusters(10, 3)) > 0.9  # its file is deleted, and is read now


@pytest.mark.parametrize("damage", [b"", b"no index of faiss", None])
def test_a_damaged_file_is_told(folder, damage):
    file = folder / "image-1.faiss"
    file.write_bytes(file.read_bytes()[:5000] if damage is None else damage)
    index = EmbeddingIndex(folder)
    with pytest.raises(MmkerasError, match=r"image-1.faiss is damaged"):
        index.search(clusters(1), "image")
    assert len(index.search(clusters(1), "image", exact=True)[0]) == 10
    with pytest.raises(MmkerasError, match=r"image-1.faiss is damaged"):
        IndexEditor(folder).add([batch(3000, 3001, 2)])
    assert EmbeddingIndex(folder).generation == 1
    assert IndexEditor(folder).compact(kind="exact")
    assert len(EmbeddingIndex(folder).search(clusters(1), "image")[0]) == 10
    file.unlink(missing_ok=True)


def test_a_file_that_is_gone_or_of_another_index_is_told(folder, tmp_path):
    file = folder / "image-1.faiss"
    info = json.loads((folder / "index.json").read_text())
    IndexWriter("space", kind=info["kind"]).write_batches(tmp_path / "other", [batch(0, 500, 1)])
    file.write_bytes((tmp_path / "other" / "image-1.faiss").read_bytes())
    with pytest.raises(MmkerasError, match="image-1.faiss: expected 3000 rows. Received: 500"):
        EmbeddingIndex(folder).search(clusters(1), "image")
    file.unlink()
    with pytest.raises(MmkerasError, match=r"image-1.faiss is damaged: .*No such file"):
        EmbeddingIndex(folder)


def test_the_kind_is_chosen_from_the_size(tmp_path, monkeypatch):
    assert [chosen_kind("auto", count) for count in (1, 200_000, 200_001)] == ["exact", "exact", "ivf"]
    assert chosen_kind("hnsw", 5) == "hnsw"
    monkeypatch.setattr(approximate_building, "LARGE_INDEX", 100)
    IndexWriter("space").write_batches(tmp_path / "large", [batch(0, 101, 1)])
    IndexWriter("space").write_batches(tmp_path / "small", [batch(0, 100, 1)])
    assert (EmbeddingIndex(tmp_path / "large").kind, EmbeddingIndex(tmp_path / "small").kind) == ("ivf", "exact")
    IndexEditor(tmp_path / "small").add([batch(100, 120, 2)])
    assert IndexEditor(tmp_path / "small").compact(kind="auto")
    assert EmbeddingIndex(tmp_path / "small").kind == "ivf"
    assert not IndexEditor(tmp_path / "small").compact(kind="auto")


def test_without_faiss_only_an_exact_search_is_left(folder, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    monkeypatch.setattr(approximate_building.importlib.util, "find_spec", lambda name: None)
    assert chosen_kind("auto", 10**6) == "exact"
    with pytest.raises(MissingPartError, match=r"needs faiss: pip install 'mmkeras(-client)?\[ann\]'"):
        IndexWriter("space", kind="ivf")
    index = EmbeddingIndex(folder)
    with pytest.raises(MissingPartError, match="needs faiss"):
        index.search(clusters(1), "image")
    assert len(index.search(clusters(1), "image", exact=True)[0]) == 10
    with pytest.raises(MissingPartError, match="needs faiss"):
        IndexEditor(folder).add([batch(3000, 3001, 2)])
    assert index.refreshed() is index
    IndexEditor(folder).compact(kind="exact")
    assert len(index.refreshed().search(clusters(1), "image")[0]) == 10


@pytest.mark.parametrize(("wanted", "effort"), [(0.0, 1), (0.5, 50), (0.98, 98), (1.0, 100), (2.0, 100)])
def test_the_least_effort_is_found(wanted, effort):
    found, share = least_effort(lambda effort: (effort / 100, effort / 100), 100, wanted)
    assert effort <= found <= min(100, effort + max(1, effort // 16))
    assert share == found / 100


def test_what_is_wanted_is_found_surely():
    effort, share = least_effort(lambda effort: (effort / 100, effort / 100 - 0.1), 100, 0.5)
    assert (effort, share) in [(effort, effort / 100) for effort in (60, 61, 62, 63)]


def test_lists():
    assert [number_of_lists(count) for count in (1, 59, 100, 3000, 1_000_000)] == [1, 1, 3, 100, 2048]


def test_a_full_disk_leaves_the_index_as_it_was(folder, monkeypatch):
    import faiss

    def full(*arguments):
        raise RuntimeError("Error in write: No space left on device")

    monkeypatch.setattr(faiss, "write_index", full)
    with pytest.raises(MmkerasError, match="could not be changed: .*No space left on device"):
        IndexEditor(folder).add([batch(3000, 3001, 2)])
    assert {path.name for path in folder.iterdir()} == {"index.json", "segment-1", "image-1.faiss", ".lock"}
