import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from mmkeras.errors import MmkerasError
from mmkeras.metrics import centroid_gap, distributions, effective_rank, frechet_distance, mmd2


def slow_mmd2(x, y):
    """The three means, a pair at a time."""
    rows = [*x, *y]
    median = np.median([np.sum((a - b) ** 2) for a, b in itertools.combinations(rows, 2)])

    def k(a, b):
        return np.mean([np.exp(-np.sum((a - b) ** 2) / (2 * factor * median)) for factor in (0.25, 0.5, 1, 2, 4)])

    def within(cloud):
        pairs = [k(cloud[i], cloud[j]) for i in range(len(cloud)) for j in range(len(cloud)) if i != j]
        return sum(pairs) / (len(cloud) * (len(cloud) - 1))

    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


def normal(rows, dimensions, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, dimensions))


def test_mmd2_is_the_double_loop():
    x, y = normal(7, 3), normal(11, 3, seed=1) + 0.5
    assert mmd2(x, y)[0] == pytest.approx(slow_mmd2(x, y), rel=1e-10)
    assert mmd2(y, x)[0] == pytest.approx(mmd2(x, y)[0], rel=1e-10)
    assert mmd2(100 * x + 9, 100 * y + 9)[0] == pytest.approx(slow_mmd2(x, y), rel=1e-9)  # bandwidths go with the data


def test_mmd2_by_hand():
    """0 and 1 against 0 and 1: distances 1, 0, 1, 1, 0, 1; median 1; both within and half of those between are k."""
    k = np.mean(np.exp([-2, -1, -0.5, -0.25, -0.125]))
    assert mmd2([[0.0], [1.0]], [[0.0], [1.0]])[0] == pytest.approx(k + k - 2 * (1 + k) / 2)


def test_mmd2_is_unbiased_and_its_p_value_uniform():
    found = np.array([mmd2(*normal(40, 3, seed).reshape(2, 20, 3), permutations=99, seed=seed) for seed in range(300)])
    value, p = found.T
    assert abs(value.mean()) < 3 * value.std() / np.sqrt(300)
    assert 0.3 < np.mean(value < 0) < 0.8
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01
    assert p.min() >= 1 / 100


def test_mmd2_finds_a_gap():
    x, y = normal(100, 5), normal(100, 5, seed=1) + 1
    value, p = mmd2(x, y, permutations=199)
    assert value > 0.05
    assert p == 1 / 200
    assert mmd2(x, y, permutations=0) == (pytest.approx(value), 1.0)
    spread = mmd2(x, 3 * normal(100, 5, seed=1))  # equal means, other variances
    assert spread[0] > 0.05 and spread[1] < 0.01


def test_p_counts_as_a_literal_loop_does():
    x, y = normal(4, 2), normal(3, 2, seed=1) + 0.7
    rows = np.concatenate([x, y])
    every = []
    for chosen in itertools.combinations(range(7), 4):
        others = [row for row in range(7) if row not in chosen]
        every.append(slow_mmd2(rows[list(chosen)], rows[others]))
    exact = np.mean(np.array(every) >= slow_mmd2(x, y) - 1e-12)  # over all 35 splits
    assert mmd2(x, y, permutations=4000)[1] == pytest.approx(exact, abs=0.03)


def test_mmd2_of_points_and_ties():
    assert mmd2(np.ones((5, 2)), np.ones((6, 2))) == (0.0, 1.0)
    noise = 1e-8 * normal(10, 4).astype(np.float32)
    assert mmd2(0.5 + noise[:5], 0.5 + noise[5:]) == (0.0, 1.0)  # float32's rounding of one point
    value, p = mmd2(np.zeros((6, 1)), [[0.0]] * 5 + [[1.0]])  # the median distance is 0
    assert np.isfinite(value)
    assert p == 1.0  # the odd one is always in one of two equal samples


def test_rows_are_drawn_where_there_are_more():
    x, y = normal(300, 2), normal(200, 2, seed=1) + 2
    assert mmd2(x, y, rows=50)[0] == pytest.approx(mmd2(x, y)[0], rel=0.3)
    assert mmd2(x, y, rows=50) == mmd2(x, y, rows=50)
    assert mmd2(x, y, rows=50) != mmd2(x, y, rows=50, seed=1)


def test_numbers_out_of_range_are_told():
    with pytest.raises(MmkerasError, match="rows to be at least 2. Received: rows=1"):
        mmd2(normal(4, 2), normal(4, 2), rows=1)
    with pytest.raises(MmkerasError, match="permutations to be at least 0"):
        mmd2(normal(4, 2), normal(4, 2), permutations=-1)


def test_a_shift_of_known_length():
    x = normal(50, 4)
    shifted = x + np.array([3.0, 0, 4.0, 0])
    assert centroid_gap(x, shifted) == pytest.approx(5)
    assert frechet_distance(x, shifted) == pytest.approx(25)


def with_moments(mean, covariance, rows=40):
    """Rows whose sample mean and covariance are these exactly."""
    rows = normal(rows, len(mean))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(scipy.linalg.sqrtm(np.cov(rows.T)))
    return rows @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_gaussians_that_commute():
    """(2 - 1)^2 + (3 - 5)^2 for the axes, and |(1, -1)|^2 = 2 for the means."""
    x = with_moments([0.0, 0.0], np.diag([4.0, 9.0]))
    y = with_moments([1.0, -1.0], np.diag([1.0, 25.0]))
    assert frechet_distance(x, y) == pytest.approx(1 + 4 + 2)


def test_frechet_is_the_same_in_blocks(monkeypatch):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 5)), random.normal(size=(30, 5)) * [1, 2, 3, 4, 5] + 1
    whole = frechet_distance(x, y)
    for rows in (3, 7, 29):
        monkeypatch.setattr(distributions, "ROWS", rows)
        assert frechet_distance(x, y) == pytest.approx(whole, rel=1e-9)


def test_frechet_is_the_matrix_square_root():
    x, y = normal(30, 5) @ normal(5, 5, seed=1), normal(50, 5, seed=2) @ normal(5, 5, seed=3) + 1
    covariances = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(covariances[0] + covariances[1] - 2 * root.real)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y))


def test_fewer_rows_than_dimensions():
    x = normal(5, 64)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(x, -x) == pytest.approx(4 * np.sum(x.mean(axis=0) ** 2), rel=1e-6)
    half = np.hstack([normal(4, 3), np.zeros((4, 3))])  # no direction in common: all variance counts
    other = np.hstack([np.zeros((4, 3)), normal(4, 3)])
    variances = half.var(axis=0, ddof=1).sum() + other.var(axis=0, ddof=1).sum()
    assert frechet_distance(half, other) == pytest.approx(variances + centroid_gap(half, other) ** 2)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_effective_rank_of_k_equal_directions(k):
    rows = np.zeros((2 * k, 8))
    rows[np.arange(k), np.arange(k)], rows[np.arange(k) + k, np.arange(k)] = 1, -1
    rotation = np.linalg.qr(normal(8, 8))[0]
    assert effective_rank(rows @ rotation + 5) == pytest.approx(k)
    assert effective_rank(7 * rows) == pytest.approx(k)


def test_effective_rank():
    assert effective_rank(normal(5000, 6)) == pytest.approx(6, abs=0.02)
    # Variances 3 : 1, entropy of (3/4, 1/4).
    rows = np.array([[3**0.5, 0], [-(3**0.5), 0], [0, 1], [0, -1]])
    assert effective_rank(rows) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))
    assert effective_rank(normal(4, 100)) <= 3  # four rows span no more
    assert effective_rank(normal(4, 100)) == pytest.approx(effective_rank(np.pad(normal(4, 100), ((0, 0), (0, 9)))))
    assert effective_rank(np.full((9, 3), 0.57735, np.float32)) == 0.0
    assert effective_rank(0.5 + 1e-8 * normal(9, 3)) == 0.0


@pytest.mark.parametrize("function", [mmd2, centroid_gap, frechet_distance])
def test_mistakes_are_named(function):
    with pytest.raises(MmkerasError, match="at least 2 rows of y. Received: 1"):
        function(np.zeros((3, 2)), np.zeros((1, 2)))
    with pytest.raises(MmkerasError, match="same dimension. Received: 2 and 4"):
        function(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(MmkerasError, match="x finite. .* 1 of 3 rows, first in row 2"):
        function([[0.0], [1.0], [np.inf]], np.zeros((3, 1)))
    with pytest.raises(MmkerasError, match="x as real numbers"):
        function([["a"], ["b"]], np.zeros((3, 1)))
    with pytest.raises(MmkerasError, match=r"shape \(0, 2\)"):
        function(np.zeros((0, 2)), np.zeros((3, 2)))
