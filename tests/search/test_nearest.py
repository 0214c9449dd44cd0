"""Equal rows are equally near. `tests/test_blas_kernels.py` runs these facts on every kernel it can have."""

import numpy as np
import pytest

from mmkeras.search.agreement import recall_of_rounded
from mmkeras.search.nearest import nearest
from mmkeras.search.precision import rounded


def unit(random, *shape):
    array = random.normal(size=shape).astype(np.float32)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize(("rows", "dimension"), [(1, 1), (67, 5), (555, 64), (1203, 100), (601, 257)])
def test_copies_of_points_stand_in_order_with_one_score(precision, rows, dimension):
    random = np.random.default_rng(rows)
    points = 1 if rows == 1 else 5
    of_row = random.integers(0, points, rows)
    embeddings, scales = rounded(unit(random, points, dimension), precision)
    queries = unit(random, 270 if rows == 67 else 20, dimension)  # once more than are held at a time
    exact = embeddings.astype(np.float64) * (1 if scales is None else scales[:, None])
    given = embeddings[of_row], None if scales is None else scales[of_row]
    for query, (found, scores) in zip(queries, nearest(queries, [given], rows), strict=True):
        expected = (exact @ query.astype(np.float64)).astype(np.float32)[of_row]
        np.testing.assert_allclose(scores, expected[found], rtol=1e-6, atol=1e-7)
        assert len(np.unique(scores)) <= points
        for point in range(points):
            own = found[of_row[found] == point]
            assert own.tolist() == np.flatnonzero(of_row == point).tolist()
            assert len(np.unique(scores[of_row[found] == point])) <= 1
    for k in {1, rows // 3 + 1, rows}:
        whole = nearest(queries, [given], rows)
        for (some, some_scores), (found, scores) in zip(nearest(queries, [given], k), whole, strict=True):
            assert some.tolist() == found[:k].tolist()
            assert some_scores.tolist() == scores[:k].tolist()


def test_a_copy_at_the_last_place_is_no_disagreement():
    embeddings = np.repeat(unit(np.random.default_rng(0), 3, 60), 100, 0)
    assert recall_of_rounded(embeddings, embeddings[::50], "float32", k=7) == 1
    assert recall_of_rounded(embeddings, embeddings[::50], "int8", k=7) == 1
