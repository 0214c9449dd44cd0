"""The examples of scripts/examples run as they stand, on the files that an index is made of."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from mmkeras.cli import main

pa = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow: pip install 'mmkeras[parquet]'")
from pyarrow import parquet  # noqa: E402


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    """60 items in two parts, two of which could not be embedded."""
    folder = tmp_path_factory.mktemp("embeddings")
    values = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    told = {"format": "1", "space_id": "s" * 64, "dim": "16", "modality": "image"}
    told |= {"signature": "encode_image", "model": "photos", "version": "1", "source": "r" * 64}
    for part in (0, 1):
        rows = range(30 * part, 30 * part + 30)
        table = pa.table(
            {
                "id": [f"{row}.jpg" for row in rows],
                "embedding": pa.array(
                    [None if row in (3, 40) else values[row].tolist() for row in rows], pa.list_(pa.float32())
                ),
                "text": [f"caption {row}" for row in rows],
            }
        )
        table = table.replace_schema_metadata({f"mmkeras.{key}": value for key, value in told.items()})
        parquet.write_table(table, folder / f"part-{part:05}-of-00002.parquet")
    return folder


@pytest.mark.parametrize("database", ["duckdb", "qdrant_client"])
def test_a_database_finds_what_an_index_finds(repository, embeddings, tmp_path, capsys, database):
    if importlib.util.find_spec(database) is None:
        pytest.skip(f"{database} is not installed: pip install {database.replace('_', '-')}")
    script = repository / "scripts" / "examples" / f"search_in_{database.removesuffix('_client')}.py"
    command = [sys.executable, str(script), str(embeddings), "7.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [line.split("  ") for line in done.stdout.splitlines()]
    assert main(["index", "build", str(embeddings), "--to", str(tmp_path / "index")]) == 0
    capsys.readouterr()
    assert main(["index", "search", str(tmp_path / "index"), "--id", "7.jpg", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)["results"]
    assert [name for _, name, _ in found] == [result["id"] for result in ours]
    assert [text for _, _, text in found] == [result["text"] for result in ours]
    np.testing.assert_allclose([float(score) for score, _, _ in found], [r["score"] for r in ours], atol=2e-4)
