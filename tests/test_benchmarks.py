"""Benchmarks that are small enough to be run here: their rows are what they say."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import bert_text_encoder, vit_image_encoder
from mmkeras.on_device import ModelFile


@pytest.fixture
def benchmark(repository, monkeypatch):
    """Import a module of scripts/benchmarks by its name."""
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_search_is_measured_beside_float32(benchmark):
    rows = {row["what"]: row for row in benchmark("search").measure([1], items=600, dimension=32, rounds=3)}
    name = "600 x 32"
    times = [rows[f"search: {precision}, {name}, 1 thread"] for precision in ("float32", "float16", "int8")]
    assert times[0]["ratio"] == 1 and all(row["value"] > 0 and row["unit"] == "ms" for row in times)
    size = rows[f"search: int8, {name}, embeddings"]
    assert size["value"] == pytest.approx((600 * 32 + 600 * 4 + 2 * 128) / 1e6)
    assert size["yardstick"] == pytest.approx((600 * 32 * 4 + 128) / 1e6)
    assert rows[f"search: float16, {name}, recall@10"]["value"] > 0.98
    assert rows[f"search: int8, {name}, recall@10"]["value"] > 0.93
    assert len(rows) == 7


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which only Linux has")
def test_a_large_index_is_opened_searched_and_changed(benchmark, tmp_path):
    pytest.importorskip("faiss", reason="approximate search needs faiss: pip install 'mmkeras[ann]'")
    features = np.random.default_rng(0).standard_normal((400, 300), dtype=np.float32)
    np.savez(tmp_path / "features.npz", features=features)
    rows = benchmark("large_index").measure(tmp_path / "features.npz", tmp_path, items=3000, rounds=2)
    found = {row["what"].removesuffix(", 3,000 x 256"): row for row in rows}
    assert len(found) == len(rows) == 16
    assert found["recall@10"]["value"] > 0.95
    assert found["opening"]["value"] < 1
    assert found["memory of an open index"]["value"] < 50


def test_memory_of_a_text_encoder(benchmark, tiny_device, litert, tmp_path):
    module = benchmark("resident_memory")
    file = tiny_device / "text_encoder_dynamic_ids.tflite"
    (tmp_path / "bare.tflite").write_bytes(ModelFile(file).network)
    rows = module.measure([("bare", "litert", tmp_path / "bare.tflite"), ("ours", "text_encoder", file)])
    if not Path("/proc/self/status").exists():
        assert rows == []
        return
    assert [row["what"] for row in rows] == ["bare", "ours"]
    for row in rows:
        assert 0 < row["added"] < 50 < 10 * row["whole"] and row["added"] < row["whole"]


@pytest.mark.slow
def test_a_step_by_parts_and_one_computed_again_take_less_memory(benchmark):
    rows = benchmark("training_memory").measure(96, 8, ("plain", "recomputed", "by parts"), depth=3)
    plain, again, parts = (row["value"] for row in rows)
    assert parts < 0.7 * plain and again < 0.9 * plain
    assert rows[1]["loss"] == pytest.approx(rows[0]["loss"], rel=1e-4)  # the same numbers are dropped


def test_arithmetic_of_towers_is_that_of_their_matrix_products(benchmark):
    module, arithmetic = benchmark("towers"), benchmark("arithmetic")
    assert module.forward_gflop()[0] == pytest.approx(2 * 17.6, rel=0.005)  # the G multiply-adds of ViT-B/16
    sizes = {"depth": 1, "heads": module.HEADS, "embedding_dim": module.EMBEDDING}
    towers = [
        (vit_image_encoder(module.SIZE, module.SIZE, **sizes), tf.zeros((1, module.SIZE, module.SIZE, 3))),
        (bert_text_encoder(9, module.LENGTH, class_id=None, **sizes), tf.ones((1, module.LENGTH), "int32")),
    ]
    for (tower, batch), counted in zip(towers, module.forward_gflop(depth=1), strict=False):
        assert arithmetic.count_gflop(tower, batch) == pytest.approx(counted, rel=0.01), tower.name


@pytest.mark.slow
def test_embedding_is_measured_beside_direct_calls(benchmark):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mmkeras[parquet]'")
    one, two, memory = benchmark("embedding").measure(pictures=600, sizes=(128, 512), rounds=3)
    assert "processes: 1" in one["what"] and "processes: 2" in two["what"]
    for row in (one, two):
        assert row["unit"] == "images/s" and row["value"] > 0 and row["ratio"] > 0
    assert memory["unit"] == "bytes a picture" and memory["value"] < 300_000  # two points near each other are noise
