"""Two clouds of embeddings compared as distributions: MMD, centroids, Fréchet distance, effective rank."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import squareform

from mmkeras.errors import MmkerasError

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the kernels, as multiples of the median squared distance
ROWS = 8192  # of a decomposition, at a time
POINT = 1e-12  # of the mean squared norm: a variance below it is float32's rounding of one point


def mmd2(x: ArrayLike, y: ArrayLike, permutations: int = 500, seed: int = 0, rows: int = 1000) -> tuple[float, float]:
    """Squared maximum mean discrepancy of two samples, unbiased, with the p-value of a permutation test.

        MMD^2 = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean over i, j of k(x_i, y_j)

    k is the mean of Gaussian kernels exp(-|a - b|^2 / (2 s)), with s = 1/4, 1/2, 1, 2 and 4 times the median squared
    distance of all rows together (where more than half of the pairs are equal, of those that are not). All rows the
    same gives 0 with p = 1.

    The test takes all rows to be independent; pictures and their own texts are not (`modality_gap_metrics` sees to
    that).

    Args:
        x: float array (N, D), finite, N at least 2.
        y: float array (M, D), finite, M at least 2.
        permutations: how often the rows are dealt anew to the two samples, for the p-value; its resolution
            is 1 / (permutations + 1).
        seed: decides the permutations, and which rows are drawn.
        rows: most rows of each sample, at least 2; of more, so many are drawn. Memory is about 40 bytes x (2 rows)^2
            and 24 bytes x 2 rows x `permutations`.

    Returns:
        Two floats: MMD^2, around 0 (and as often below it) where both samples have one distribution, 2 at most; and the
        p-value (1 + number of permutations with at least this MMD^2) / (1 + permutations), in (0, 1].

    Raises:
        MmkerasError: on shapes that do not fit, too few rows, a row that is not finite, or a number out of range.

    Example:
        >>> distance, p = mmd2(image_embeddings, text_embeddings)

    Reference:
        Gretton et al., A kernel two-sample test, JMLR 2012, lemma 6 and section 8 (the median heuristic).
    """
    for name, value, least in (("permutations", permutations, 0), ("rows", rows, 2)):
        if value < least:
            raise MmkerasError(f"Expected {name} to be at least {least}. Received: {name}={value}")
    generator = np.random.default_rng(seed)
    x, y = check_clouds("x", x, "y", y)
    x, y = (cloud[generator.permutation(len(cloud))[:rows]] if len(cloud) > rows else cloud for cloud in (x, y))
    kernel = _mixture_kernel(np.concatenate([x, y]))
    if kernel is None:
        return 0.0, 1.0
    n, m = len(x), len(y)
    # Column 0 is the split as it is, the others permute it; 1 marks the first sample.
    split = np.zeros((n + m, 1 + permutations))
    split[:n] = 1
    split[:, 1:] = generator.permuted(split[:, 1:], axis=0)
    within_x = np.einsum("np,np->p", split, kernel @ split)
    of_x = kernel.sum(axis=1) @ split  # within x, and between
    between = of_x - within_x
    within_y = kernel.sum() - of_x - between
    statistic = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)
    as_large = np.sum(statistic[1:] >= statistic[0] - 1e-12)  # a tie that rounding parts is a tie
    return float(statistic[0]), float((1 + as_large) / (1 + permutations))


def centroid_gap(x: ArrayLike, y: ArrayLike) -> float:
    """Distance between the means of two clouds.

    Args:
        x: float array (N, D), finite.
        y: float array (M, D), finite.

    Returns:
        A float, 0 or more; at most 2 for embeddings of unit norm.

    Raises:
        MmkerasError: on shapes that do not fit, fewer than 2 rows, or a row that is not finite.

    Example:
        >>> centroid_gap([[0.0, 1.0], [0.0, 3.0]], [[3.0, 2.0], [3.0, 2.0]])
        3.0

    Reference:
        Liang et al., Mind the gap, NeurIPS 2022, arXiv 2203.02053.
    """
    x, y = check_clouds("x", x, "y", y)
    return float(np.linalg.norm(x.mean(axis=0) - y.mean(axis=0)))


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two clouds, as in the FID.

        |mean_x - mean_y|^2 + trace(C_x + C_y - 2 (C_x C_y)^(1/2))

    No root of a matrix is taken: with X'X = C_x for the scaled, centred rows X, the trace of the root is the sum of the
    singular values of X Y', so that fewer rows than dimensions do no harm. Two samples of one distribution come out
    above 0, by the more the fewer rows there are for the dimensions: compare figures of equal numbers of rows only.

    Args:
        x: float array (N, D), finite, N at least 2.
        y: float array (M, D), finite, M at least 2.

    Returns:
        A float, 0 or more.

    Raises:
        MmkerasError: on shapes that do not fit, too few rows, or a row that is not finite.

    Example:
        >>> frechet_distance([[0.0], [2.0]], [[5.0], [7.0]])
        25.0

    Reference:
        Dowson & Landau, Journal of Multivariate Analysis 1982; Heusel et al., NIPS 2017, arXiv 1706.08500.
    """
    x, y = check_clouds("x", x, "y", y)
    roots = [_root(cloud) for cloud in (x, y)]
    spread = sum(float(np.sum(root**2)) for root in roots)
    overlap = float(np.sum(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False)))
    return float(np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)) + max(0.0, spread - 2 * overlap)


def _root(cloud):
    """R of X = QR, which stands for the scaled, centred rows X: R'R = X'X. It is made of some rows after the others."""
    mean, scale = cloud.mean(axis=0), np.sqrt(len(cloud) - 1)
    root = np.empty((0, cloud.shape[1]))
    for start in range(0, len(cloud), ROWS):
        root = np.linalg.qr(np.concatenate([root, (cloud[start : start + ROWS] - mean) / scale]), mode="r")
    return root


def effective_rank(x: ArrayLike) -> float:
    """How many directions a cloud uses: exp of the entropy of its covariance's eigenvalues, as shares of their sum.

    Args:
        x: float array (N, D), finite, N at least 2.

    Returns:
        A float in [1, min(N - 1, D)]; k where the variance is equal in k directions and 0 in the others. 0 where all
        rows are one point: the encoder has collapsed.

    Raises:
        MmkerasError: on another shape, too few rows, or a row that is not finite.

    Example:
        >>> effective_rank([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
        2.0

    Reference:
        Roy & Vetterli, The effective rank, EUSIPCO 2007, with eigenvalues of the covariance for the
        singular values.
    """
    x = check_cloud("x", x)
    centred = x - x.mean(axis=0)
    gram = centred.T @ centred if x.shape[1] <= len(x) else centred @ centred.T  # of equal eigenvalues, but for zeros
    if np.trace(gram) <= POINT * np.sum(x**2):
        return 0.0
    share = np.clip(np.linalg.eigvalsh(gram), 0, None)
    share = share[share > 0] / np.sum(share)
    return float(np.exp(-np.sum(share * np.log(share))))


def check_cloud(name: str, given: ArrayLike, least: int = 2) -> NDArray[np.float64]:
    """Return the cloud as float64 (rows, D).

    Args:
        name: the argument's name, for the error.
        given: array, or what makes one.
        least: how many rows there must be.

    Raises:
        MmkerasError: another shape, another kind of numbers, too few rows, or a row that is not finite.
    """
    array = np.asarray(given)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise MmkerasError(
            f"Expected {name} as real numbers of shape (rows, D), neither zero. "
            f"Received: shape {array.shape}, dtype {array.dtype}"
        )
    if len(array) < least:
        raise MmkerasError(f"Expected at least {least} rows of {name}. Received: {len(array)}")
    array = array.astype(np.float64, copy=False)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise MmkerasError(
            f"Expected {name} finite. Received: NaN or infinity in {len(bad)} of {len(array)} rows, "
            f"first in row {bad[0]}"
        )
    return array


def check_clouds(
    first_name: str, first: ArrayLike, second_name: str, second: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both clouds as float64, of one dimension; errors as `check_cloud`."""
    clouds = check_cloud(first_name, first), check_cloud(second_name, second)
    if clouds[0].shape[1] != clouds[1].shape[1]:
        raise MmkerasError(
            f"Expected {first_name} and {second_name} of the same dimension. "
            f"Received: {clouds[0].shape[1]} and {clouds[1].shape[1]}"
        )
    return clouds


def _mixture_kernel(rows):
    """Gaussian kernels of all pairs, averaged, with a zero diagonal (N, N); `None` where all rows are one point."""
    largest = np.mean(np.sum(rows**2, axis=1))
    rows = rows - rows.mean(axis=0)  # distances stay, and lose less to rounding
    norm = np.sum(rows**2, axis=1)
    distance = norm[:, None] + norm - 2 * rows @ rows.T  # (N, N), squared
    distance[distance <= POINT * largest] = 0
    np.fill_diagonal(distance, 0)
    pairs = squareform(distance, checks=False)
    median = np.median(pairs) or (np.median(pairs[pairs > 0]) if pairs.any() else 0)
    if not median:
        return None
    kernel = sum(np.exp(distance / (-2 * factor * median)) for factor in BANDWIDTHS) / len(BANDWIDTHS)
    np.fill_diagonal(kernel, 0)
    return kernel
