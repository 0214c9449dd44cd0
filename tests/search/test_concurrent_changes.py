"""Readers and writers of one index at a time: who is killed, who is refused, and what is found meanwhile."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch


def unit(rows, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, 8)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def state(folder):
    """The bytes of every file but the lock."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.fixture
def folder(tmp_path):
    items = [{"id": f"i{row}", "text": ""} for row in range(20)]
    IndexWriter("space").write(tmp_path / "index", items, unit(20))
    return tmp_path / "index"


def run(program, *arguments):
    code = "import sys\n" + textwrap.dedent(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True
    )


WRITER = """
import time
import numpy as np
from mmkeras.search import IndexEditor, ItemBatch
def batches():
    values = np.eye(8, dtype=np.float32)
    yield ItemBatch([{"id": f"new {row}", "text": ""} for row in range(8)], {"image": values})
    print("half way", flush=True)
    time.sleep(60)
IndexEditor(sys.argv[1]).add(batches())
"""


def test_a_killed_writer_and_one_that_is_refused(folder):
    before = state(folder)
    writer = run(WRITER, folder)
    try:
        assert writer.stdout.readline() == "half way\n"
        with pytest.raises(MmkerasError, match=rf"being changed by process {writer.pid} on .*Nothing was changed"):
            IndexEditor(folder).remove(["i1"])
        assert EmbeddingIndex(folder).count == 20
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    left = {path.name for path in folder.iterdir()}
    assert left == {"index.json", "segment-1", "segment-2", ".lock"}
    (folder / ".tmp-0123456789abcdef.json").write_text("{")
    assert EmbeddingIndex(folder).count == 20
    assert IndexEditor(folder).remove([]) == 0  # the next writer cleans up
    assert state(folder) == before
    assert IndexEditor(folder).add([ItemBatch([{"id": "x", "text": ""}], {"image": unit(1)})]) == (1, 0)
    assert EmbeddingIndex(folder).count == 21


READER = """
import json, numpy as np
from mmkeras.search import EmbeddingIndex
index = EmbeddingIndex(sys.argv[1])
query = np.eye(1, 8, dtype=np.float32)
seen, wrong = set(), []
while True:
    index = index.refreshed()
    ids = [result.item["id"] for result in index.search(query, "image", 1000)[0]]
    seen.add(index.generation)
    expected = json.loads(index.item(index.count - 1)["text"])  # which items there are in this generation
    if sorted(ids) != expected or [index.item(row)["id"] for row in index.where("number >= 0")] != index.ids:
        wrong.append((index.generation, sorted(ids), expected))
    if "end" in ids:
        break
print(json.dumps({"generations": len(seen), "wrong": wrong}))
"""


def test_every_answer_while_an_index_changes_is_that_of_one_generation(tmp_path):
    """A process and a thread search while items are added, replaced and removed, and all is compacted in between."""

    def item(name, there):
        return {"id": name, "text": json.dumps(sorted(there)), "number": 1}

    folder, there = tmp_path / "index", ["state", "a"]
    items = [item("a", []), item("state", there)]
    IndexWriter("space").write_batches(folder, [ItemBatch(items, {"image": unit(2)})])
    reader = run(READER, folder)
    wrong, ended = [], threading.Event()

    def read():
        index = EmbeddingIndex(folder)
        while not ended.is_set():
            index = index.refreshed()
            ids = sorted(result.item["id"] for result in index.search(unit(1), "image", 1000)[0])
            if ids != json.loads(index.item(index.count - 1)["text"]):
                wrong.append((index.generation, ids))

    thread = threading.Thread(target=read)
    thread.start()
    editor, random = IndexEditor(folder), np.random.default_rng(0)
    try:
        for round_ in range(60):
            new = [f"item {round_} {number}" for number in range(random.integers(1, 4))]
            again = [name for name in there[1:] if random.random() < 0.2]
            there = ["state", *sorted({*there[1:], *new})]
            items = [item(name, []) for name in [*again, *new]] + [item("state", there)]
            editor.add([ItemBatch(items, {"image": unit(len(items), round_)})], replace=True)
            if round_ % 4 == 3:
                editor.compact()
        items = [item("end", []), item("state", [*there, "end"])]
        editor.add([ItemBatch(items, {"image": unit(2)})], replace=True)
        told = json.loads(reader.communicate(timeout=60)[0])
    finally:
        ended.set()
        thread.join()
        reader.kill()
        reader.wait()
        reader.stdout.close()
    assert told["wrong"] == wrong == []
    assert told["generations"] > 1
