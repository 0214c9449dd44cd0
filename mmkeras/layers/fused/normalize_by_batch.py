"""Normalisation by the statistics of a batch, one kernel each way."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from keras import ops

from mmkeras.layers.replicas import replica_count, sum_over_replicas
from mmkeras.tensors import Array, Tensor, TensorLike


def normalize_by_batch(x: Array, gamma: TensorLike, beta: TensorLike, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise feature maps or rows by their own mean and variance.

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    TensorFlow's fused kernel does it at once; composed of a mean, a variance and elementwise operations, each of these
    reads x from memory. No gradient flows through the mean and the variance returned, which are for moving averages.
    Where several devices compute a step, mean and variance are those of the whole batch.

    Args:
        x: float32 (B, H, W, C), or (B, C).
        gamma: scale, float32 (C,).
        beta: offset, float32 (C,).
        epsilon: added to the variance.

    Returns:
        y, like x; the mean, and the variance (the squares over n, and not over n - 1): float32 (C,) each.
    """
    if replica_count() > 1:
        return _normalize_by_all(x, gamma, beta, epsilon)
    rows = len(x.shape) == 2
    maps = ops.reshape(x, (-1, 1, 1, x.shape[-1])) if rows else x
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=maps, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    # The kernel returns the sum of squares over n - 1, of n cells.
    cells = ops.cast(ops.prod(ops.shape(maps)[:-1]), "float32")
    outputs = ops.reshape(outputs, (-1, x.shape[-1])) if rows else outputs
    return outputs, mean, variance * ((cells - 1) / cells)


def _normalize_by_all(x, gamma, beta, epsilon):
    mean, variance = moments_of_all(x, list(range(len(x.shape) - 1)))
    outputs = (x - mean) * (tf.math.rsqrt(variance + epsilon) * gamma) + beta
    return outputs, tf.stop_gradient(mean), tf.stop_gradient(variance)


def moments_of_all(x: Array, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a batch that several devices share, with gradients.

    Keras' `synchronized` takes the mean of the squares less the square of the mean, in which a small variance loses its
    digits.

    Args:
        x: float32, this device's rows.
        axes: what they are taken over, the batch among them.

    Returns:
        Pair of float32 tensors of what axes are left.
    """
    cells = tf.size(x, "int64") // tf.maximum(tf.size(tf.reduce_sum(x, axes), "int64"), 1)
    cells, total = sum_over_replicas([tf.cast(cells, "float32"), tf.reduce_sum(x, axes, keepdims=True)])
    mean = total / cells
    variance = sum_over_replicas(tf.reduce_sum(tf.square(x - mean), axes)) / cells
    return tf.squeeze(mean, axes), variance
