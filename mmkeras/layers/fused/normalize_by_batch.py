"""Normalisation by the statistics of a batch, one kernel each way."""

from __future__ import annotations

import tensorflow as tf
from keras import ops

from mmkeras.tensors import Array, Tensor, TensorLike


def normalize_by_batch(x: Array, gamma: TensorLike, beta: TensorLike, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise feature maps or rows by their own mean and variance.

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    TensorFlow's fused kernel does it at once; composed of a mean, a variance and elementwise operations, each of these
    reads x from memory. No gradient flows through the mean and the variance returned, which are for moving averages.

    Args:
        x: float32 (B, H, W, C), or (B, C).
        gamma: scale, float32 (C,).
        beta: offset, float32 (C,).
        epsilon: added to the variance.

    Returns:
        y, like x; the mean, and the variance (the squares over n, and not over n - 1): float32 (C,) each.
    """
    rows = len(x.shape) == 2
    maps = ops.reshape(x, (-1, 1, 1, x.shape[-1])) if rows else x
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=maps, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    # The kernel returns the sum of squares over n - 1, of n cells.
    cells = ops.cast(ops.prod(ops.shape(maps)[:-1]), "float32")
    outputs = ops.reshape(outputs, (-1, x.shape[-1])) if rows else outputs
    return outputs, mean, variance * ((cells - 1) / cells)
