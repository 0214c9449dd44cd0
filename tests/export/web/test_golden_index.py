"""The layout of an index for devices and the formula of its scores: a golden one, which two small readers read too."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch

GOLDEN = Path(__file__).parent / "golden"
DIM, K = 8, 5
# What a reader of another language reads; items.sqlite is for expressions, and SQLite's version is in it.
READ = ("image_embeddings.npy", "image_scales.npy", "items.jsonl", "items.offsets.npy")


def vectors(count, seed):
    """Vectors of unit norm whose numbers are the same on every machine."""
    state, numbers = seed, []
    for _ in range(count * DIM):
        state = (1103515245 * state + 12345) % 2**31
        numbers.append(state / 2**30 - 1)
    rows = np.array(numbers, np.float64).reshape(count, DIM)
    return (rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))).astype(np.float32)


def items(first, last):
    return [
        {"id": f"{number}.png", "text": f"caption {number}, é 日本\n", "page": number} for number in range(first, last)
    ]


def write_index(folder):
    """Two segments, equal embeddings in both, and two rows removed."""
    first, second = vectors(9, 1), vectors(4, 2)
    second[3] = first[2]
    IndexWriter("golden" * 10, "int8").write(folder, items(0, 9), image_embeddings=first)
    IndexEditor(folder).add([ItemBatch(items(9, 13), {"image": second})])
    IndexEditor(folder).remove(["4.png", "11.png"])


def queries():
    return np.concatenate([vectors(3, 3), vectors(9, 1)[2:3]])


def answers(index):
    return [
        [{"id": one.item["id"], "score": one.score} for one in found] for found in index.search(queries(), "image", K)
    ]


def write_golden():
    """Writes the golden files anew: python -c "from tests.export.web.test_golden_index import *; write_golden()"."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    write_index(GOLDEN / "index")
    (GOLDEN / "index" / ".lock").unlink()
    found = answers(EmbeddingIndex(GOLDEN / "index"))
    told = [{"query": query.tolist(), "results": one} for query, one in zip(queries(), found, strict=True)]
    (GOLDEN / "answers.json").write_text(json.dumps(told, indent=1) + "\n")


@pytest.fixture(scope="module")
def golden():
    return json.loads((GOLDEN / "answers.json").read_text())


def test_what_is_written_is_the_golden_index(tmp_path):
    write_index(tmp_path / "index")
    manifest = json.loads((GOLDEN / "index" / "index.json").read_text())
    assert json.loads((tmp_path / "index" / "index.json").read_text()) == manifest
    read = [f"{segment['name']}/{name}" for segment in manifest["segments"] for name in READ]
    read += [segment["removed"] for segment in manifest["segments"] if "removed" in segment]
    assert len(read) == 10
    for name in read:
        assert (tmp_path / "index" / name).read_bytes() == (GOLDEN / "index" / name).read_bytes(), name


def test_the_golden_answers_are_those_of_the_index(golden):
    assert answers(EmbeddingIndex(GOLDEN / "index")) == [one["results"] for one in golden]
    assert [one["id"] for one in golden[-1]["results"][:2]] == ["2.png", "12.png"]  # equal scores, in their order
    assert golden[-1]["results"][0]["score"] == golden[-1]["results"][1]["score"]


@pytest.mark.parametrize("reader", ["read_index.py", "read_index.mjs"])
def test_a_reader_of_thirty_lines_gives_the_golden_answers(repository, tmp_path, golden, reader):
    program = sys.executable if reader.endswith(".py") else shutil.which("node")
    if program is None:
        pytest.skip("needs node, which is not installed")
    file = repository / "scripts" / "examples" / reader
    for one in golden:
        (tmp_path / "query.json").write_text(json.dumps(one["query"]))
        command = [program, file, GOLDEN / "index", tmp_path / "query.json", str(K)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert [json.loads(line) for line in done.stdout.splitlines()] == one["results"]
