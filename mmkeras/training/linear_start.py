"""`begin_linearly`: a training begins with the weights of a regularised canonical correlation analysis."""

from __future__ import annotations

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

RIDGE = 10.0  # of each covariance, times its mean eigenvalue
DIRECTIONS = 128
POWER = 0.75  # of the correlation by which a direction counts
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
        MmkerasError: another model, or data without pairs.

    Reference:
        Hardoon, Szedmak & Shawe-Taylor 2004 (Neural Computation 16(12)), section 3, with the regularisation of 4.
    """
    encoders = model.given_encoders()
    image_side, text_side = _image_side(encoders["image_encoder"]), _text_side(encoders["text_encoder"])
    if np.ndim(data.images) != 2 or not len(data.pairs) or data.text_features:
        raise MmkerasError(f"Expected pairs of features and texts to begin linearly. Received: {data.name}")
    pictures = np.asarray(image_side["inputs"].predict(data.images, batch_size=1024, verbose=0), np.float64)
    ids = keras.ops.convert_to_numpy(model.batch_encoder.tokenize(list(data.texts)))
    bags, weights = _bags(ids, text_side["embedding"].input_dim)
    image_rows, text_rows = data.pairs[:, 0], data.pairs[:, 1]
    image_map, text_map = _canonical_maps(pictures[image_rows], bags[text_rows])
    dim, width = image_side["projection"].units, text_side["embedding"].output_dim
    directions = min(DIRECTIONS, dim, width, image_map.shape[1])
    image_map, text_map = image_map[:, :directions], text_map[:, :directions]
    spread = _orthonormal(directions, dim)
    rotation = _rotation(pictures[image_rows] @ image_map, bags[text_rows] @ text_map)
    inner = _orthonormal(directions, width)
    _fill(image_side, pictures[image_rows], image_map @ rotation @ spread)
    tokens = weights[:, None] * (text_map @ rotation @ inner)
    tokens *= SCALE / tokens.std()
    text_side["embedding"].embeddings.assign(tokens)
    means = _counts(ids, len(tokens)) @ tokens
    _fill(text_side, means[text_rows], inner.T @ spread)


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


def _bags(ids, vocabulary):
    """Means of tokens weighted by their inverse document frequency, (T, V), and these weights (V,)."""
    counts = _counts(ids, vocabulary)
    texts = np.asarray((counts > 0).sum(axis=0)).ravel()
    weights = np.where(texts > 0, np.log(len(ids) / np.maximum(texts, 1)), 0.0)
    return counts @ scipy.sparse.diags(weights), weights


def _canonical_maps(pictures: NDArray[np.float64], bags: scipy.sparse.csr_matrix):
    """The maps of both sides, (F, R) and (V, R), the directions weighted by their correlation."""
    count = len(pictures)
    image_mean, text_mean = pictures.mean(axis=0), np.asarray(bags.mean(axis=0)).ravel()
    image_covariance = pictures.T @ pictures / count - np.outer(image_mean, image_mean)
    text_covariance = (bags.T @ bags / count).toarray() - np.outer(text_mean, text_mean)
    shared = (bags.T @ pictures / count).T - np.outer(image_mean, text_mean)
    image_root, text_root = _root(image_covariance), _root(text_covariance)
    # A root is any square root of a covariance: the directions do not depend on which.
    agreed = scipy.linalg.solve_triangular(image_root, shared, lower=True)
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


def _root(covariance):
    """The lower triangular root of a covariance with its ridge."""
    ridge = RIDGE * max(np.trace(covariance) / len(covariance), 1e-12)
    return scipy.linalg.cholesky(covariance + ridge * np.eye(len(covariance)), lower=True)


def _rotation(pictures, bags):
    """The axes along which neither side's directions are correlated, as far as both can be: orthogonal (R, R)."""
    covariances = [np.cov(np.asarray(side), rowvar=False) for side in (pictures, bags)]
    _, axes = scipy.linalg.eigh(sum(covariance / np.trace(covariance) for covariance in covariances))
    return axes


def _orthonormal(rows, columns):
    """A matrix of orthonormal rows whose columns are of equal length where `columns` is a power of two."""
    if columns & (columns - 1) == 0:
        return scipy.linalg.hadamard(columns)[:rows] / np.sqrt(columns)
    drawn = np.random.default_rng(0).normal(size=(columns, rows))
    return np.linalg.qr(drawn)[0].T


def _fill(side, inputs, kernel):
    """Set a projection, and the statistics that the normalisation behind it has gathered by the end of a training."""
    kernel = kernel * (SCALE / kernel.std())
    projected = inputs @ kernel
    side["projection"].kernel.assign(kernel)
    side["norm"].moving_mean.assign(projected.mean(axis=0))
    side["norm"].moving_variance.assign(projected.var(axis=0))
