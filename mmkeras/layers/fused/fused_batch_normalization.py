"""Batch normalisation of feature maps by TensorFlow's fused kernel."""

from __future__ import annotations

import keras
from keras import ops

from mmkeras.layers.fused.normalize_by_batch import normalize_by_batch
from mmkeras.tensors import Array, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation, in training one kernel each way in place of a dozen.

    Keras composes it of a mean, a variance and elementwise operations, each of which reads the whole map from memory:
    a quarter of a small convolutional encoder's training step; with the kernel that step is 1.22 times as fast
    (docs/performance.md). Outputs, gradients, weights and
    moving statistics are Keras' own up to rounding, and so is all that the kernel does not do: inference, inputs of
    another rank than 4, another axis than the last, masks, no scale or no offset, `renorm`, weights that are no
    float32. Where several devices compute a step, the kernel's statistics are those of the whole batch, with
    `synchronized` or not.

    Args:
        **kwargs: see `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: (B, H, W, C).
        training: bool; heeded while `trainable` is set.
        mask: bool, see `keras.layers.BatchNormalization`.

    Returns:
        (B, H, W, C), in the compute dtype.

    Example:
        >>> normalised = FusedBatchNormalization(momentum=0.9)(feature_map, training=True)

    Reference:
        Ioffe & Szegedy 2015 (arXiv 1502.03167), algorithm 1.
    """

    def call(self, inputs: Array, training: bool | None = None, mask: TensorLike | None = None) -> Tensor:
        if not (training and self.trainable and mask is None and self._fusible(len(inputs.shape))):
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, "float32")  # also under mixed precision, as Keras computes it
        outputs, mean, variance = normalize_by_batch(inputs, self.gamma, self.beta, self.epsilon)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)

    def _fusible(self, rank):
        plain = self.scale and self.center and not self.renorm
        return rank == 4 and self.axis in (-1, 3) and plain and self.variable_dtype == "float32"
