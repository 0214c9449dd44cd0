"""Compact embeddings: what rounding changes, by how much, and that an index of them finds what an exact one finds."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search import EmbeddingIndex, IndexWriter
from mmkeras.search.agreement import recall_of_rounded
from mmkeras.search.precision import cosines, rounded


def unit(rows, dim, seed=0):
    values = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_bytes_by_hand():
    values, scales = rounded(np.float32([[1, -0.5, 0], [0.25, 0.125, -0.25], [0, 0, 0]]), "int8")
    assert values.tolist() == [[127, -64, 0], [127, 64, -127], [0, 0, 0]]
    np.testing.assert_allclose(scales, [1 / 127, 0.25 / 127, 1])
    np.testing.assert_allclose(cosines(np.float32([[1, 1, 0]]), values, scales)[0], [63 / 127, 0.25 * 191 / 127, 0])


def test_halves_are_numpys_own_for_every_finite_half():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = np.concatenate([halves[np.isfinite(halves)], np.zeros(2048, np.float16)])
    column = halves[:, np.newaxis]
    received = cosines(np.float32([[1]]), column)[0]
    # A processor may take the smallest float32 for zeros; a half that small is 6e-5 at most.
    np.testing.assert_allclose(received, halves.astype(np.float32), rtol=1e-6, atol=6.2e-5)
    large = np.abs(halves) >= 6.2e-5
    np.testing.assert_array_equal(received[large], halves.astype(np.float32)[large])


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-6), ("float16", 1e-3), ("int8", 0.01)])
def test_scores_are_close_to_exact_ones(precision, error):
    embeddings, queries = unit(2500, 32), unit(3, 32, seed=1)  # more rows than a block
    values, scales = rounded(embeddings, precision)
    np.testing.assert_allclose(cosines(queries, values, scales), queries @ embeddings.T, atol=error)


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("float16", 2), ("int8", 1)])
def test_an_index_is_written_and_read(tmp_path, precision, size):
    embeddings = unit(50, 16)
    items = [{"id": str(row), "text": ""} for row in range(50)]
    IndexWriter("a" * 64, precision).write(tmp_path / "i", items, image_embeddings=embeddings)
    index = EmbeddingIndex(tmp_path / "i")
    assert index.precision == precision
    assert (tmp_path / "i" / "segment-1" / "image_embeddings.npy").stat().st_size == 128 + size * 50 * 16
    found = index.search(embeddings[:7], "image", k=1)
    assert [results[0].item["id"] for results in found] == [str(row) for row in range(7)]
    np.testing.assert_allclose([results[0].score for results in found], 1, atol=0.01)


def test_damage_is_told(tmp_path):
    with pytest.raises(MmkerasError, match="Expected one of float32, float16, int8"):
        IndexWriter("a", "int4")
    items = [{"id": "0", "text": ""}]
    IndexWriter("a", "int8").write(tmp_path / "i", items, image_embeddings=unit(1, 4))
    (tmp_path / "i" / "segment-1" / "image_scales.npy").unlink()
    with pytest.raises(MmkerasError, match=r"image_scales.npy is damaged"):
        EmbeddingIndex(tmp_path / "i")
    info = tmp_path / "i" / "index.json"
    info.write_text(info.read_text().replace('"int8"', '"int3"'))
    with pytest.raises(MmkerasError, match="holds embeddings as int3"):
        EmbeddingIndex(tmp_path / "i")


def test_recall_of_rounded_by_hand():
    embeddings = np.float32([[1, 0], [0.9999, 0.0141], [0, 1]])
    assert recall_of_rounded(embeddings, np.float32([[0, 1]]), "int8", k=1) == 1
    assert recall_of_rounded(embeddings, unit(5, 2), "float32", k=2) == 1
    with pytest.raises(MmkerasError, match="k from 1 to 3"):
        recall_of_rounded(embeddings, embeddings, "int8", k=4)


def test_recall_against_exact_search():
    embeddings, queries = unit(2000, 64), unit(40, 64, seed=1)
    assert recall_of_rounded(embeddings, queries, "float16") > 0.98
    assert recall_of_rounded(embeddings, queries, "int8") > 0.93
