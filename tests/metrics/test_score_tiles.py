"""Equal embeddings have equal scores. `tests/test_blas_kernels.py` runs these facts on every kernel it can have."""

import numpy as np
import pytest

from mmkeras.evaluation.measuring.relevance import best_ranks
from mmkeras.metrics import mean_average_precision, ranks, reranked_metrics, retrieval_metrics
from mmkeras.metrics.score_tiles import score_blocks


def unit(random, *shape):
    array = random.normal(size=shape).astype(np.float32)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


SIZES = [(2, 3, 1), (67, 71, 5), (311, 1555, 64), (203, 997, 100), (513, 601, 257)]


@pytest.mark.parametrize(("images", "texts", "dimension"), SIZES)
@pytest.mark.parametrize("chunk_size", [64, 200, 2048])
def test_collapsed_modalities_rank_last(images, texts, dimension, chunk_size):
    random = np.random.default_rng(images)
    image_id, text_id = np.arange(images), random.permutation(np.arange(texts) % images)
    own = np.bincount(text_id)
    point, other = unit(random, 2, dimension)
    one_image, one_text = np.repeat(point[None], images, 0), np.repeat(other[None], texts, 0)
    both = retrieval_metrics(one_image, one_text, image_id, text_id, chunk_size=chunk_size)
    assert both["image_to_text_mean_rank"] == pytest.approx(np.mean(texts - own + 1), rel=1e-12)
    assert both["text_to_image_mean_rank"] == images
    # One modality alone: its items tie for every query of the other.
    distinct = unit(random, texts, dimension)
    assert ranks(distinct, one_image, text_id, image_id, chunk_size).tolist() == [images] * texts
    distinct = unit(random, images, dimension)
    assert ranks(distinct, one_text, image_id, text_id, chunk_size).tolist() == (texts - own + 1).tolist()
    some = np.arange(min(images, 100))
    chance = mean_average_precision(distinct[some], one_image, some, image_id, chunk_size=chunk_size)
    assert chance == pytest.approx(1 / images)
    multi_hot = np.eye(images, dtype=bool)
    assert best_ranks(distinct[some], one_image, multi_hot[some], multi_hot).tolist() == [images] * len(some)


def copies(random, points, rows, dimension, ids):
    """A few points, as many rows that are copies of them, and the rows' ids, which the copies do not share."""
    of_row = random.permutation(np.arange(rows) % points)
    return unit(random, points, dimension), of_row, random.permutation(np.arange(rows) % ids)


def expected_ranks(scores, query_id, gallery_id):
    relevant = query_id[:, None] == gallery_id
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + np.sum(~relevant & (scores >= best), axis=1)


@pytest.mark.parametrize(("rows", "columns", "dimension"), SIZES[1:])
@pytest.mark.parametrize(("points", "ids"), [((1, 7), 50), ((9, 7), 40), ((9, 140), 13), ((67, 12), 1), ((130, 9), 60)])
@pytest.mark.parametrize("kept_bytes", [0, 2**28])
def test_copies_of_some_points_tie_under_any_ids(monkeypatch, rows, columns, dimension, points, ids, kept_bytes):
    monkeypatch.setattr("mmkeras.metrics.score_tiles._KEPT_BYTES", kept_bytes)
    random = np.random.default_rng([rows, ids])
    row_points, of_row, row_id = copies(random, points[0], rows, dimension, ids)
    column_points, of_column, column_id = copies(random, points[1], columns, dimension, ids)
    point_scores = row_points.astype(np.float64) @ column_points.T.astype(np.float64)
    gaps = [np.diff(np.sort(point_scores, axis=axis), axis=axis).min(initial=1) for axis in (0, 1)]
    assert min(gaps) > 5e-7  # rounding cannot change the order of the points
    scores = point_scores[of_row][:, of_column]
    given = row_points[of_row], column_points[of_column]
    by_row, by_column = expected_ranks(scores, row_id, column_id), expected_ranks(scores.T, column_id, row_id)
    assert ranks(*given, row_id, column_id, chunk_size=64).tolist() == by_row.tolist()
    assert ranks(*given[::-1], column_id, row_id, chunk_size=128).tolist() == by_column.tolist()
    metrics = retrieval_metrics(*given, row_id, column_id, chunk_size=64)
    assert metrics["image_to_text_mean_rank"] == pytest.approx(by_row.mean(), rel=1e-12)
    assert metrics["text_to_image_mean_rank"] == pytest.approx(by_column.mean(), rel=1e-12)


def test_a_few_copies_among_many_distinct_rows_tie():
    # Every text has a copy of another id: what comes first for its own image is never alone.
    random = np.random.default_rng(1)
    images = unit(random, 300, 50)
    texts, ids = np.concatenate([images, images]), np.arange(300)
    metrics = retrieval_metrics(images, texts, ids, np.concatenate([ids, np.roll(ids, 1)]), chunk_size=64)
    assert metrics["image_to_text_median_rank"] == metrics["image_to_text_mean_rank"] == 2
    once = retrieval_metrics(images, texts[:450], ids, np.concatenate([ids, np.roll(ids, 1)[:150]]), chunk_size=64)
    assert once["image_to_text_mean_rank"] == 1.5


@pytest.mark.parametrize(("rows", "columns", "dimension"), SIZES)
@pytest.mark.parametrize("chunk_size", [1, 50, 128])
def test_blocks_hold_one_score_for_equal_rows(rows, columns, dimension, chunk_size):
    random = np.random.default_rng(2)
    of_row, of_column = random.integers(0, rows // 2 + 1, rows), random.integers(0, columns // 2 + 1, columns)
    queries, gallery = unit(random, rows, dimension)[of_row], unit(random, columns, dimension)[of_column]
    gallery[of_column == 0] = 0.0
    gallery[np.flatnonzero(of_column == 0)[1:]] = -0.0
    scores, seen = np.full((rows, columns), np.nan, np.float32), []
    for indices, block in score_blocks(queries, gallery, chunk_size):
        assert len(indices) <= chunk_size
        scores[indices] = block
        seen += indices.tolist()
    assert sorted(seen) == list(range(rows))
    np.testing.assert_allclose(scores, queries.astype(np.float64) @ gallery.T.astype(np.float64), atol=1e-6)
    first_row = np.array([np.flatnonzero(of_row == one)[0] for one in of_row])
    first_column = np.array([np.flatnonzero(of_column == one)[0] for one in of_column])
    np.testing.assert_array_equal(scores, scores[first_row][:, first_column])


def test_rows_of_equal_sums_that_differ_are_told_apart():
    # The sum of a row's bits, by which equal rows are found, is the same for any order of its numbers.
    gallery = np.float32([[1, 2, 3], [3, 2, 1], [2, 1, 3], [3, 2, 1]])
    ((_, scores),) = score_blocks(np.float32([[1, 10, 100]]), gallery, 4)
    assert scores.tolist() == [[321, 123, 312, 123]]


def test_a_collapsed_model_ranks_last_after_reranking_too():
    random = np.random.default_rng(3)
    images, texts = np.repeat(unit(random, 1, 77), 90, 0), np.repeat(unit(random, 1, 77), 270, 0)
    pairs = [(np.arange(90), np.repeat(np.arange(90), 3))]
    [metrics] = reranked_metrics(images, texts, lambda image, text: np.zeros(len(image)), pairs, k_test=5)
    assert metrics["image_to_text_mean_rank"] == 268
    assert metrics["text_to_image_mean_rank"] == 90
