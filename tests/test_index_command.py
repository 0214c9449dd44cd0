"""`mmkeras index`: from Parquet files to an index that is searched, changed and told about."""

import json
import re

import numpy as np
import pytest

from mmkeras.cli import main
from mmkeras.search import EmbeddingIndex, IndexWriter

pa = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow: pip install 'mmkeras[parquet]'")
from pyarrow import parquet  # noqa: E402

SPACE = "s" * 64


def write_embeddings(folder, rows, space=SPACE, dim=4):
    """A part with ids, an axis each and prices; an axis of None is an item that could not be embedded."""
    folder.mkdir(exist_ok=True)
    ids, axes, prices = zip(*rows, strict=True)
    table = {
        "id": pa.array(ids, pa.string()),
        "embedding": pa.array([None if a is None else np.eye(dim)[a].tolist() for a in axes], pa.list_(pa.float32())),
        "text": pa.array([f"text of {name}" for name in ids], pa.string()),
        "price": pa.array(prices, pa.int64()),
    }
    told = {"mmkeras.format": "1", "mmkeras.space_id": space, "mmkeras.dim": str(dim), "mmkeras.modality": "image"}
    told |= {f"mmkeras.{key}": value for key, value in (("signature", "encode_image"), ("model", "photos"))}
    told |= {"mmkeras.version": "1", "mmkeras.source": "r" * 64}
    parquet.write_table(pa.table(table).replace_schema_metadata(told), folder / "part-00000-of-00001.parquet")
    return folder


@pytest.fixture
def index(tmp_path, capsys):
    """a, b, c and d along the axes 0 to 3, with prices 1 to 4."""
    rows = [("a", 0, 1), ("b", 1, 2), ("broken", None, None), ("c", 2, 3), ("d", 3, 4)]
    embeddings = write_embeddings(tmp_path / "embeddings", rows)
    assert main(["index", "build", str(embeddings), "--to", str(tmp_path / "index")]) == 0
    said = capsys.readouterr().out
    assert "Left out, since they could not be embedded: 1 of 5 rows" in said
    assert re.search(r"Built: .*index, 4 items, exact\n", said)
    return tmp_path / "index"


def run(capsys, *arguments, code=0):
    assert main(["index", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def ids(folder):
    return EmbeddingIndex(folder).ids


def test_an_index_lives(index, tmp_path, capsys):
    more = write_embeddings(tmp_path / "more", [("e", 0, 9)])
    said = run(capsys, "add", index, more)
    assert re.search(r"Added: 1 items, and replaced 0; .*index has 5\n", said)
    changed = write_embeddings(tmp_path / "changed", [("a", 1, 1), ("f", 2, 5)])
    assert "ids that" in run(capsys, "add", index, changed, code=2)
    assert "Added: 1 items, and replaced 1" in run(capsys, "update", index, changed)
    assert ids(index) == ["b", "c", "d", "e", "a", "f"]
    assert re.search(r"Removed: 1 items of .*, which has 5\n", run(capsys, "remove", index, "b"))
    assert "Removed: 2 items" in run(capsys, "remove", index, "c", "--where", "price BETWEEN 3 AND 4")
    (tmp_path / "ids").write_text("f\n")
    assert "Removed: 1 items" in run(capsys, "remove", index, "--ids-from", tmp_path / "ids")
    assert ids(index) == ["e", "a"]
    other = tmp_path / "other"
    run(capsys, "build", write_embeddings(tmp_path / "of other", [("a", 3, 0), ("z", 3, 0)]), "--to", other)
    assert "Received: 'a'" in run(capsys, "merge", index, other, code=2)
    assert "Added: 1 items of" in run(capsys, "merge", index, other, "--replace")
    assert ids(index) == ["e", "a", "z"]
    told = json.loads(run(capsys, "info", index, "--json"))
    assert (told["items"], told["kind"], told["columns"]) == (3, "exact", ["id", "text", "price"])
    assert told["removed"] > 0 and told["segments"] > 1
    assert "Compacted" in run(capsys, "compact", index)
    assert "in one piece already; nothing to do" in run(capsys, "compact", index)
    told = json.loads(run(capsys, "info", index, "--json"))
    assert (told["removed"], told["segments"], told["space_id"]) == (0, 1, SPACE)
    said = run(capsys, "info", index)
    for fact in ("3", "image, 4 numbers, float32", "exact", SPACE[:12], "id, text, price"):
        assert fact in said


def test_what_is_like_an_item(index, capsys):
    found = json.loads(run(capsys, "search", index, "--id", "b", "-k", "3", "--json"))
    assert (found["query"], [item["id"] for item in found["results"]]) == ("b", ["a", "c", "d"])
    assert [item["rank"] for item in found["results"]] == [1, 2, 3]
    found = json.loads(run(capsys, "search", index, "--id", "b", "--where", "price > 2", "--k", "9", "--json"))
    assert [item["id"] for item in found["results"]] == ["c", "d"]
    assert "text of d" in run(capsys, "search", index, "--id", "b", "--exact")


def test_a_compact_index_is_searched_by_its_items(tmp_path, capsys):
    values = np.random.default_rng(0).standard_normal((300, 16))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    items = [{"id": row, "text": ""} for row in range(300)]
    IndexWriter(SPACE, "int8").write(tmp_path / "index", items, values)
    assert len(json.loads(run(capsys, "search", tmp_path / "index", "--id", "7", "--json"))["results"]) == 5


def test_faiss_is_chosen_and_what_it_finds_told(index, tmp_path, capsys):
    pytest.importorskip("faiss", reason="approximate search needs faiss: pip install 'mmkeras[ann]'")
    embeddings = write_embeddings(tmp_path / "embeddings", [(str(row), row, row) for row in range(200)], dim=200)
    said = run(capsys, "build", embeddings, "--to", tmp_path / "ivf", "--kind", "ivf", "--precision", "float16")
    recall = r"search of image embeddings found [01]\.\d{3} of the 10 nearest when it was built, asked by 200 image"
    assert re.search(recall, said)
    assert "200 items, ivf" in said
    said = run(capsys, "compact", tmp_path / "ivf", "--kind", "hnsw")
    assert re.search(recall, said)
    told = json.loads(run(capsys, "info", tmp_path / "ivf", "--json"))
    assert (told["kind"], told["precision"], [*told["approximate"]]) == ("hnsw", "float16", ["image"])
    assert "found" in run(capsys, "info", tmp_path / "ivf")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build", "embeddings", "--to", "index"], "index exists already"),
        (["build", "nothere", "--to", "new"], "Expected a folder of Parquet files, as mmkeras embed writes it"),
        (
            ["add", "index", "foreign"],
            r"of the space ssssssssssss.*foreign.*part-00000-of-00001.parquet of the space t",
        ),
        (["update", "index", "narrow"], "part-00000-of-00001.parquet: expected image embeddings of 4 dimensions"),
        (["add", "nothere", "embeddings"], "nothere is no index"),
        (["remove", "index"], "Expected ids of items, --ids-from FILE or --where EXPRESSION"),
        (["remove", "index", "nobody"], "Received: 'nobody'"),
        (["remove", "index", "--ids-from", "nothere"], "nothere could not be read"),
        (["remove", "index", "--where", "prise > 3"], r"over id, text, price.*no such column: prise"),
        (["merge", "index", "embeddings"], "embeddings is no index"),
        (["info", "embeddings"], "embeddings is no index"),
        (["search", "index", "--id", "nobody"], "There is no item 'nobody' in"),
        (["search", "index", "--id", "a", "--in", "text"], "Expected --in image, of which .* Received: --in text"),
        (["search", "index", "--id", "a", "-k", "-1"], "k as a whole number of 1 or more"),
        (["search", "index", "--text", " "], "The text is empty"),
        (["search", "index", "--picture", "nothere.png"], "There is no picture nothere.png"),
        (["search", "index", "--text", "a dog"], "Which model?"),
    ],
)
def test_mistakes_are_told_and_change_nothing(index, tmp_path, capsys, monkeypatch, arguments, told):
    write_embeddings(tmp_path / "foreign", [("x", 0, 0)], space="t" * 64)
    write_embeddings(tmp_path / "narrow", [("x", 0, 0)], dim=3)
    monkeypatch.chdir(tmp_path)
    before = (index / "index.json").read_bytes()
    said = run(capsys, *arguments, code=2)
    assert said.startswith("mmkeras: error: ")
    assert re.search(told, said)
    assert (index / "index.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embeddings", "foreign", "index", "narrow"]
