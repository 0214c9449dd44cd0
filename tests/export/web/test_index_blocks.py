"""An index laid out for a host of files: what `index_reader.js` finds in it is what `EmbeddingIndex` finds."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mmkeras.export.web.index_blocks import ITEMS_OF_BLOCK, PICTURE_BLOCK, write_blocks
from mmkeras.search import EmbeddingIndex, IndexWriter
from mmkeras.search.column_facts import column_facts, keeps_pictures

COUNT, DIM, K = 1100, 24, 40
READER = "mmkeras/search_page/browser/index_reader.js"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """1,100 items, some alike, every tenth without a picture, one picture larger than a block."""
    chosen = np.random.default_rng(0)
    embeddings = chosen.standard_normal((COUNT, DIM)).astype(np.float32)
    embeddings[500:520] = embeddings[0]
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    items, pictures = [], {}
    for row in range(COUNT):
        items.append({"id": f"{row}.png", "text": f"caption {row} \u2028 é \ud83d", "page": row % 7})
        if row % 10:
            items[-1]["picture"] = f"{row}.png"
            pictures[f"{row}.png"] = chosen.bytes(PICTURE_BLOCK + 5 if row == 501 else int(chosen.integers(1, 3000)))
    folder = tmp_path_factory.mktemp("index") / "index"
    IndexWriter("s" * 64, "int8").write(folder, items, image_embeddings=embeddings, pictures=pictures)
    return EmbeddingIndex(folder)


@pytest.fixture(scope="module")
def blocks(index, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks") / "index"
    write_blocks(index, folder, {"7.png": ["one", "two"]})
    return folder


@pytest.fixture(scope="module")
def found(repository, index, blocks, tmp_path_factory):
    """What JavaScript finds for the embedding that many items have."""
    if shutil.which("node") is None:
        pytest.skip("needs node, which is not installed")
    query = tmp_path_factory.mktemp("query") / "query.json"
    query.write_text(json.dumps(index.embeddings("image")[0].tolist()))
    script = Path(__file__).parent / "search_index.mjs"
    command = ["node", script, repository / READER, blocks, query, str(K)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_found_is_what_python_finds(index, found):
    query = index.embeddings("image")[:1]
    expected = index.search(query, "image", K)[0]
    assert [item["id"] for item in found["items"]] == [one.item["id"] for one in expected]
    assert [row for row, _ in found["results"][:21]] == [0, *range(500, 520)]  # equal scores, in their order
    scores = [score for _, score in found["results"]]
    np.testing.assert_allclose(scores, [one.score for one in expected], rtol=1e-6)
    assert len(set(scores[:21])) == 1
    assert found["total"] == COUNT and found["missing"] == -1
    some = index.search(query, "image", K, "CAST(id AS INTEGER) % 100 = 3")[0]
    assert [f"{row}.png" for row in found["some"]] == [one.item["id"] for one in some] and len(some) == 11


def test_items_and_pictures_are_whole(index, found):
    for item, picture in zip(found["items"], found["pictures"], strict=True):
        assert item == json.loads(json.dumps(index.item(index.rows_of([item["id"]])[item["id"]])))
        assert base64.b64decode(picture) == (index.picture(item) or b"")
    assert sum(bool(picture) for picture in found["pictures"]) > 20


def test_an_item_finds_what_is_like_it_but_not_itself(index, found):
    row = index.rows_of(["7.png"])["7.png"]
    expected = index.search(index.embeddings("image")[row : row + 1], "image", 4)[0][1:]
    assert [f"{row}.png" for row, _ in found["like"]] == [one.item["id"] for one in expected]
    np.testing.assert_allclose([score for _, score in found["like"]], [one.score for one in expected], rtol=1e-6)


def test_nothing_is_read_before_it_is_asked_for(blocks, found):
    names = ["index.json", "layout.json", "segment-1/image_embeddings.npy", "segment-1/image_scales.npy"]
    assert sorted(found["opened"]) == names
    sizes = [file.stat().st_size for file in (blocks / "segment-1").glob("pictures-*.bin")]
    assert len(sizes) > 30 and sorted(sizes)[-2] <= PICTURE_BLOCK < max(sizes)
    assert len(list((blocks / "segment-1").glob("items-*.jsonl"))) == -(-COUNT // ITEMS_OF_BLOCK)


def test_an_item_of_several_captions_has_them_all(blocks):
    lines = [json.loads(line) for line in (blocks / "segment-1" / "items-0.jsonl").read_text().splitlines()]
    assert [line.get("captions") for line in lines[6:9]] == [None, ["one", "two"], None]


def test_columns_are_told_with_their_most_frequent_values(index):
    assert keeps_pictures(index)
    (column,) = column_facts(index)
    assert (column["name"], column["kind"]) == ("page", "number") and column["values"][:1] == [0]
    assert sorted(column["values"]) == list(range(7))
