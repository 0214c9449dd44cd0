"""`IndexEditor`: a change is a new generation, or did not happen; who reads goes on reading."""

import errno
import os

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch, index_editor

DIM = 8


def unit(rows, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def batch(ids, seed, pictures=(), **more):
    items = [{"id": name, "text": f"text of {name}", **more} for name in ids]
    for item in items:
        if item["id"] in pictures:
            item["picture"] = f"{item['id']}.png"
    content = {f"{name}.png": f"{name} {seed}".encode() for name in pictures}
    return ItemBatch(items, {"image": unit(len(items), seed)}, content)


def names(start, end):
    return [f"i{number}" for number in range(start, end)]


@pytest.fixture(params=["float32", "int8"])
def folder(tmp_path, request):
    """Items i0 to i19, i3 with a picture."""
    IndexWriter("space", request.param).write_batches(
        tmp_path / "index", [batch(names(0, 12), 1, pictures=["i3"]), batch(names(12, 20), 2, price=7)]
    )
    return tmp_path / "index"


def files(folder):
    return {path.name for path in folder.iterdir()} - {".lock"}


def state(folder):
    """The bytes of every file but the lock."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def check_whole(index, expected):
    """What an index has, seen from every side; `expected` maps ids to embeddings, in order."""
    assert index.count == len(index) == len(expected)
    assert index.ids == [item["id"] for item in index.items] == list(expected)
    values = np.array(list(expected.values()))
    tolerance = 0.02 if index.precision == "int8" else 0
    np.testing.assert_allclose(index.embeddings("image"), values, atol=tolerance)
    assert index.rows_of([*expected, "nobody"]) == {name: row for row, name in enumerate(expected)}
    stored = index.embeddings("image")
    for results, query in zip(index.search(values, "image", 3), values, strict=True):
        order = np.argsort(-(stored.astype(np.float64) @ query), kind="stable")[:3]
        assert [result.item["id"] for result in results] == [list(expected)[row] for row in order]


def whole(*parts):
    return {name: row for ids, seed in parts for name, row in zip(ids, unit(len(ids), seed), strict=True)}


def test_items_are_added_removed_replaced_and_compacted(folder):
    editor = IndexEditor(folder)
    expected = whole((names(0, 12), 1), (names(12, 20), 2))
    check_whole(EmbeddingIndex(folder), expected)
    assert editor.add([batch(names(20, 23), 3), batch(names(23, 30), 4)]) == (10, 0)
    expected |= whole((names(20, 23), 3), (names(23, 30), 4))
    check_whole(EmbeddingIndex(folder), expected)
    assert editor.remove(["i0", "i19", "i25", "i0"]) == 3
    expected = {name: row for name, row in expected.items() if name not in ("i0", "i19", "i25")}
    check_whole(EmbeddingIndex(folder), expected)
    # i0 was removed and may come again; i3 and i4 are replaced, and stand at the end.
    assert editor.add([batch(["i4", "i0", "i3"], 5, pictures=["i3"])], replace=True) == (1, 2)
    expected = {name: row for name, row in expected.items() if name not in ("i3", "i4")} | whole(
        (["i4", "i0", "i3"], 5)
    )
    index = EmbeddingIndex(folder)
    check_whole(index, expected)
    assert index.generation == 4
    assert index.picture(index.items[-1]) == b"i3 5"
    assert len(index.segments) == 3
    before = index.embeddings("image").tobytes()
    assert editor.compact()
    index = EmbeddingIndex(folder)
    check_whole(index, expected)
    assert (len(index.segments), len(index.gone), index.generation) == (1, 0, 5)
    assert index.embeddings("image").tobytes() == before  # nothing is rounded twice
    assert index.picture(index.items[-1]) == b"i3 5"
    assert not editor.compact()
    assert EmbeddingIndex(folder).generation == 5


def test_an_index_may_lose_all_items_and_gain_others(folder):
    editor = IndexEditor(folder)
    assert editor.remove(names(0, 20)) == 20
    empty = EmbeddingIndex(folder)
    assert (empty.count, empty.items, empty.ids) == (0, [], [])
    assert empty.search(unit(2), "image") == [[], []]
    assert empty.embeddings("image").shape == (0, DIM)
    with pytest.raises(MmkerasError, match="of which all were removed"):
        editor.compact()
    editor.add([batch(["i3"], 9)])
    check_whole(EmbeddingIndex(folder), whole((["i3"], 9)))


def test_nothing_to_add_is_no_change(folder):
    before = state(folder)
    assert IndexEditor(folder).add([]) == (0, 0)
    assert IndexEditor(folder).remove([]) == 0
    assert state(folder) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.add([batch(["x", "i4", "i7"], 1)]), "ids that .* does not have yet.* Received: 'i4' and 1 others"),
        (lambda e: e.add([batch(["x"], 1), batch(["x"], 2)]), "an id of its own .* Received: 'x' in rows 0 and 1"),
        (lambda e: e.add([ItemBatch([{"id": "x", "text": ""}], {"image": np.eye(1, 4, dtype=np.float32)})]), "of 4"),
        (
            lambda e: e.add([ItemBatch([{"id": "x", "text": ""}], {"text": unit(1)})]),
            "image embeddings.* Received: text",
        ),
        (lambda e: e.add([ItemBatch([{"id": "x"}], {"image": unit(1)})]), "needs an id and a text"),
        (lambda e: e.add([batch(["x"], 1), ItemBatch([{"id": "y", "text": ""}], {"image": unit(1) * 3})]), "norm of 3"),
        (lambda e: e.remove(["i1", "nobody", "i2", "none"]), "items in .* Received: 'nobody' and 1 others"),
        (lambda e: e.merge(EmbeddingIndex(e.folder)), "Expected another index"),
        (lambda e: e.compact(kind="tree"), "Expected one of auto, exact, ivf, hnsw. Received: kind='tree'"),
    ],
)
def test_a_mistake_changes_nothing(folder, change, message):
    before = state(folder)
    with pytest.raises(MmkerasError, match=message):
        change(IndexEditor(folder))
    assert state(folder) == before


def test_another_index_is_merged_with_its_pictures(folder, tmp_path):
    IndexWriter("space").write_batches(tmp_path / "other", [batch(["a", "i3", "b"], 7, pictures=["i3"], colour="red")])
    IndexEditor(tmp_path / "other").remove(["b"])
    other, editor = EmbeddingIndex(tmp_path / "other"), IndexEditor(folder)
    with pytest.raises(MmkerasError, match="other: expected ids that .* Received: 'i3'"):
        editor.merge(other)
    assert editor.merge(other, replace=True) == (1, 1)
    index = EmbeddingIndex(folder)
    assert index.ids == [*names(0, 3), *names(4, 20), "a", "i3"]
    assert index.picture(index.items[-1]) == b"i3 7"
    assert index.where("colour = 'red'").tolist() == [19, 20]
    IndexWriter("elsewhere").write_batches(tmp_path / "foreign", [batch(["c"], 7)])
    with pytest.raises(MmkerasError, match="an index of the space space, .*foreign of the space elsewhere"):
        editor.merge(EmbeddingIndex(tmp_path / "foreign"))


def test_a_reader_goes_on_with_what_it_opened(folder):
    editor, expected = IndexEditor(folder), whole((names(0, 12), 1), (names(12, 20), 2))
    reader = EmbeddingIndex(folder)
    assert reader.refreshed() is reader
    editor.remove(["i0"])
    editor.add([batch(["x"], 3)])
    editor.compact()
    editor.add([batch(["y"], 4)])  # the files that the reader has open are deleted by now
    assert not (folder / "segment-1").exists()
    check_whole(reader, expected)
    assert reader.picture(reader.items[3]) == b"i3 1"
    assert reader.where("price = 7").tolist() == list(range(12, 20))
    now = reader.refreshed()
    assert now.ids == [*names(1, 20), "x", "y"]
    assert now.refreshed() is now
    reader.close()


def test_files_stay_for_one_generation(folder):
    editor = IndexEditor(folder)
    (folder / "notes.txt").write_text("mine")
    editor.compact()
    assert files(folder) == {"index.json", "notes.txt", "segment-1"}
    editor.add([batch(["x"], 3)])
    editor.compact()
    assert files(folder) == {"index.json", "notes.txt", "segment-1", "segment-2", "segment-3"}
    editor.remove(["x"])
    assert files(folder) == {"index.json", "notes.txt", "segment-3", "removed-4-0.npy"}
    editor.remove(["i1"])
    assert files(folder) == {"index.json", "notes.txt", "segment-3", "removed-4-0.npy", "removed-5-0.npy"}


def test_many_segments_are_compacted(folder, monkeypatch):
    monkeypatch.setattr(index_editor, "MOST_SEGMENTS", 3)
    editor = IndexEditor(folder)
    seen = []
    for number in range(6):
        editor.add([batch([f"x{number}"], number)])
        seen.append(len(EmbeddingIndex(folder).segments))
    assert seen == [2, 3, 1, 2, 3, 1]
    assert EmbeddingIndex(folder).ids == [*names(0, 20), *(f"x{number}" for number in range(6))]


@pytest.mark.parametrize(
    "broken",
    [
        "mmkeras.search.array_writer.ArrayWriter.append",
        "mmkeras.search.array_writer.ArrayWriter.close",
        "mmkeras.search.item_table_writer.ItemTableWriter.close",
        "zipfile.ZipFile.writestr",
        "os.replace",
    ],
)
def test_a_full_disk_changes_nothing(folder, monkeypatch, broken):
    before = state(folder)

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(broken, full)
    for change in (
        lambda: IndexEditor(folder).add([batch(["x", "i3"], 3, pictures=["x"])], replace=True),
        lambda: IndexEditor(folder).compact(kind="exact") or IndexEditor(folder).add([batch(["y"], 1, pictures=["y"])]),
    ):
        with pytest.raises(MmkerasError, match="index.* could not be (changed|written): No space left on device"):
            change()
        assert state(folder) == before
    monkeypatch.undo()
    assert IndexEditor(folder).add([batch(["x"], 3)]) == (1, 0)


def test_removing_on_a_full_disk(folder, monkeypatch):
    before = state(folder)

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numpy.save", full)
    with pytest.raises(MmkerasError, match="could not be changed: No space left on device. It is as it was"):
        IndexEditor(folder).remove(["i1"])
    assert state(folder) == before


def test_a_full_disk_of_sqlites_own_is_told_too(folder, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("this machine has no /dev/full, a device that is always full")
    before = state(folder)
    opened = open

    def on_full(file, mode="r", *arguments, **keywords):
        name = os.fspath(file) if not isinstance(file, int) else ""
        return opened("/dev/full" if "segment-2" in str(name) and "w" in mode else file, mode, *arguments, **keywords)

    monkeypatch.setattr("builtins.open", on_full)
    with pytest.raises(MmkerasError, match="could not be changed: No space left on device. It is as it was"):
        IndexEditor(folder).add([batch(names(100, 20_000), 3)])
    monkeypatch.undo()
    assert state(folder) == before


@pytest.mark.parametrize("rows", [None, b"", [0, 0], [1, 0], [0], [0, 20], [-1, 0], [0.0, 1.0]])
def test_damaged_rows_of_removed_items_are_told(folder, rows):
    IndexEditor(folder).remove(["i0", "i1"])
    file = folder / "removed-2-0.npy"
    file.unlink()
    if isinstance(rows, bytes):
        file.write_bytes(rows)
    elif rows is not None:
        np.save(file, np.array(rows))
    with pytest.raises(MmkerasError, match=r"removed-2-0.npy is damaged"):
        EmbeddingIndex(folder)


def test_an_index_in_a_folder_of_any_name(folder, tmp_path):
    odd = folder.rename(tmp_path / "an index?mode=rw#%41 ☃")
    IndexEditor(odd).add([batch(["x"], 3)])
    assert EmbeddingIndex(odd).where("id = 'x'").tolist() == [20]


def test_what_an_index_names_is_on_the_disk_before_it_is_named(folder, monkeypatch):
    """The bytes of each new file were brought there before those of `index.json`, and its old ones are whole."""
    synced = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    IndexEditor(folder).add([batch(["x", "i3"], 3, pictures=["x"])], replace=True)
    new = [*(folder / "segment-2").iterdir(), folder / "removed-2-0.npy", folder / "index.json"]
    assert len(new) == 7 + (folder / "segment-1" / "image_scales.npy").exists()
    assert set(synced[:-1]) == {file.stat().st_ino for file in new[:-1]}
    assert synced[-1] == new[-1].stat().st_ino
