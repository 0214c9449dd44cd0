"""`begin_linearly`: a training begins with the weights of a regularised canonical correlation analysis."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray

from mmkeras.data.paired import PairedData
from mmkeras.encoders.embedding_head import FeatureNorm
from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.masked_pooling import MaskedMeanPooling
from mmkeras.models.image_text_model import ImageTextModel

# Of each covariance, times its mean eigenvalue: of more pairs covariances are known better. Of 1,600 pairs 3 and 10
# gave the same on held-out pairs, 1 and 30 less; of 8,000 pairs 3 gave more than 10 and 1.
RIDGE, RIDGE_PAIRS, RIDGE_POWER = 10.0, 1_600, -0.65
DIRECTIONS = 128
POWER = 0.75  # of the correlation by which a direction counts
LEAST_VARIANCE = 1e-12  # below it there is but the rounding of equal ones
BLOCK = 1024  # pictures that are in memory in float64
SCALE = 0.03  # deviation of the weights, about that of random ones, so that optimizers move them as those


def begin_linearly(model: ImageTextModel, data: PairedData) -> None:
    """Give a model's projections the best linear map between pictures' features and bags of tokens.

    Canonical correlation analysis finds directions of both modalities that agree on the training pairs. Each covariance
    is regularised by a ridge, tokens are weighted by their inverse document frequency, and a direction counts by its
    correlation. Of a few thousand pairs, what such a map finds on held-out data a network does not reach from random
    weights, since it learns the pairs by heart first (scripts/studies/photos.py). The directions are rotated so that
    each dimension of the embedding carries the same share of them: the batch normalisation that follows changes no
    angle then.

    Args:
        model: `ImageTextModel` whose image encoder projects features of a frozen network without hidden layers, and
            whose text encoder is of kind `bag_of_tokens`. Its weights are changed.
        data: `PairedData` of the training, with features of pictures.

    Raises:
        MmkerasError: another model, data without pairs, or features or texts that are all equal.

    Reference:
        Hardoon, Szedmak & Shawe-Taylor 2004 (Neural Computation 16(12)), section 3, with the regularisation of 4.
    """
    encoders = model.given_encoders()
    image_side, text_side = _image_side(encoders["image_encoder"]), _text_side(encoders["text_encoder"])
    if np.ndim(data.images) != 2 or not len(data.pairs) or data.text_features:
        raise MmkerasError(f"Expected pairs of features and texts to begin linearly. Received: {data.name}")
    ids = keras.ops.convert_to_numpy(model.batch_encoder.tokenize(list(data.texts)))
    counts = _counts(ids, text_side["embedding"].input_dim)
    frequency = _inverse_document_frequency(counts)
    pictures, texts, shared = _moments(image_side["inputs"], data, counts)
    weighted = _Moments(texts.mean * frequency, texts.square.multiply(frequency).multiply(frequency[:, None]).tocsr())
    for what, moments in (("features", pictures), ("texts", weighted)):
        if not moments.variance > LEAST_VARIANCE:
            raise MmkerasError(f"Expected {what} that differ, to begin linearly. Received: {data.name}, all equal")
    image_map, text_map = _canonical_maps(pictures, weighted, shared * frequency, ridge_of(len(data.pairs)))
    dim, width = image_side["projection"].units, text_side["embedding"].output_dim
    directions = min(DIRECTIONS, dim, width, image_map.shape[1])
    image_map, text_map = image_map[:, :directions], text_map[:, :directions]
    spread = _orthonormal(directions, dim)
    rotation = _rotation(pictures.covariance(image_map), weighted.covariance(text_map))
    inner = _orthonormal(directions, width)
    _fill(image_side, pictures, image_map @ rotation @ spread)
    tokens = frequency[:, None] * (text_map @ rotation @ inner)
    tokens *= SCALE / tokens.std()
    text_side["embedding"].embeddings.assign(tokens)
    _fill(text_side, texts, inner.T @ spread, tokens)


def ridge_of(pairs: int) -> float:
    """Return the ridge for so many pairs, in mean eigenvalues."""
    return RIDGE * (pairs / RIDGE_PAIRS) ** RIDGE_POWER


class _Moments(NamedTuple):
    """The mean of vectors, (F,), and the mean of their outer products, (F, F), dense or sparse."""

    mean: NDArray[np.float64]
    square: NDArray[np.float64] | scipy.sparse.csr_matrix

    @property
    def variance(self) -> float:
        """The mean of the variances of the F numbers."""
        return float(np.mean(self.square.diagonal() - self.mean**2))

    def covariance(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The covariance (R, R) of the vectors' products with a matrix (F, R)."""
        mean = self.mean @ matrix
        return matrix.T @ (self.square @ matrix) - np.outer(mean, mean)


def _image_side(encoder: Encoder):
    """What the projection of features takes, as a model, and its layers."""
    named = {layer.name: layer for layer in encoder.layers}
    projection, norm = named.get("projection"), named.get("projection_norm")
    normed = next((layer for layer in encoder.layers if isinstance(layer, FeatureNorm)), None)
    hidden = [name for name in named if name.startswith("dense_")]
    if projection is None or norm is None or normed is None or hidden:
        raise MmkerasError(
            "Expected an image encoder that projects features of a frozen network, with hidden = [], to begin "
            f"linearly. Received: {', '.join(named)}"
        )
    return {"inputs": keras.Model(normed.input, normed.output), "projection": projection, "norm": norm}


def _text_side(encoder: Encoder):
    named = {layer.name: layer for layer in encoder.layers}
    of_means = isinstance(named.get("pooling"), MaskedMeanPooling) and set(named) - {"not_equal"} == {
        *("token_ids", "embedding", "token_dropout", "pooling", "dropout"),
        *("projection", "projection_norm", "unit_norm"),
    }
    if not of_means:
        raise MmkerasError(
            "Expected a text encoder of kind bag_of_tokens to begin linearly. "
            f"Received: one with the layers {', '.join(named)}"
        )
    return {"embedding": named["embedding"], "projection": named["projection"], "norm": named["projection_norm"]}


def _counts(ids, vocabulary) -> scipy.sparse.csr_matrix:
    """The share of each token in each text, (T, V); padding is none."""
    rows, columns = np.nonzero(ids)
    shares = 1 / np.maximum((ids > 0).sum(axis=1), 1)
    return scipy.sparse.csr_matrix((shares[rows], (rows, ids[rows, columns])), shape=(len(ids), vocabulary))


def _inverse_document_frequency(counts):
    texts = np.asarray((counts > 0).sum(axis=0)).ravel()
    return np.where(texts > 0, np.log(counts.shape[0] / np.maximum(texts, 1)), 0.0)


def _moments(inputs, data, counts):
    """The moments of both sides over the pairs, and the mean of pictures (F,) times texts (V,), an array (F, V).

    A picture counts as often as it has pairs. All is added up in blocks of pictures: a copy for each pair, in float64,
    would take many times what the features do.
    """
    pairs = len(data.pairs)
    shape = len(data.images), len(data.texts)
    of_pairs = scipy.sparse.csr_matrix((np.ones(pairs), (data.pairs[:, 0], data.pairs[:, 1])), shape=shape)
    text_weight, picture_weight = (np.asarray(of_pairs.sum(axis=axis)).ravel() for axis in (0, 1))
    texts = _Moments(counts.T @ text_weight / pairs, counts.T @ scipy.sparse.diags(text_weight / pairs) @ counts)
    texts_of_picture = of_pairs @ counts
    total: Any = [0.0, 0.0, 0.0]
    for start in range(0, shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        block = keras.ops.convert_to_numpy(inputs(data.images[rows], training=False)).astype(np.float64)
        weighted = block * picture_weight[rows, None]
        total[0] += weighted.sum(axis=0)
        total[1] += weighted.T @ block
        total[2] += (texts_of_picture[rows].T @ block).T
    mean, square, shared = (one / pairs for one in total)
    return _Moments(mean, square), texts, shared


def _canonical_maps(pictures: _Moments, texts: _Moments, shared: NDArray[np.float64], ridge: float):
    """The maps of both sides, (F, R) and (V, R), the directions weighted by their correlation."""
    image_root, text_root = (
        _root(side.mean, square, ridge)
        for side, square in ((pictures, pictures.square), (texts, texts.square.toarray()))
    )
    # A root is any square root of a covariance: the directions do not depend on which.
    agreed = scipy.linalg.solve_triangular(image_root, shared - np.outer(pictures.mean, texts.mean), lower=True)
    agreed = scipy.linalg.solve_triangular(text_root, agreed.T, lower=True).T
    squares, left = scipy.linalg.eigh(agreed @ agreed.T)
    correlation = np.sqrt(np.maximum(squares[::-1], 1e-12))
    left = left[:, ::-1]
    right = agreed.T @ left / correlation
    weight = correlation**POWER
    return (
        scipy.linalg.solve_triangular(image_root.T, left) * weight,
        scipy.linalg.solve_triangular(text_root.T, right) * weight,
    )


def _root(mean, square, ridge):
    """The lower triangular root of a covariance with its ridge."""
    covariance = square - np.outer(mean, mean)
    covariance[np.diag_indices_from(covariance)] += ridge * np.trace(covariance) / len(covariance)
    # Symmetric: its transpose is itself, in the order in which LAPACK writes over it.
    return scipy.linalg.cholesky(covariance.T, lower=True, overwrite_a=True)


def _rotation(*covariances):
    """The axes along which neither side's directions are correlated, as far as both can be: orthogonal (R, R)."""
    _, axes = scipy.linalg.eigh(sum(covariance / np.trace(covariance) for covariance in covariances))
    return axes


def _orthonormal(rows, columns):
    """A matrix of orthonormal rows whose columns are of equal length where `columns` is a power of two."""
    if columns & (columns - 1) == 0:
        return scipy.linalg.hadamard(columns)[:rows] / np.sqrt(columns)
    drawn = np.random.default_rng(0).normal(size=(columns, rows))
    return np.linalg.qr(drawn)[0].T


def _fill(side, moments, kernel, before=None):
    """Set a projection, and the statistics that the normalisation behind it has gathered by the end of a training.

    Its inputs are vectors of these moments, times a matrix `before` where there is one.
    """
    kernel = kernel * (SCALE / kernel.std())
    whole = kernel if before is None else before @ kernel
    side["projection"].kernel.assign(kernel)
    side["norm"].moving_mean.assign(moments.mean @ whole)
    side["norm"].moving_variance.assign(np.diag(moments.covariance(whole)))
