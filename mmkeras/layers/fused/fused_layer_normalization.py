"""Layer normalisation with a derivative of few operations."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from mmkeras.tensors import Array, Tensor


@keras.saving.register_keras_serializable("mmkeras")
class FusedLayerNormalization(keras.layers.LayerNormalization):
    """Keras' layer normalisation, in training with its derivative written out.

        y = gamma n + beta,    n = (x - mean) / sqrt(variance + epsilon)
        dx = (gamma dy - <gamma dy> - n <gamma dy n>) / sqrt(variance + epsilon),    <> the mean over a row

    TensorFlow differentiates Keras' composition operation by operation, in some twenty that read and write as many
    numbers as x has. These are nine, and a step of `soft_mask_glyphs` takes .90 of the time (docs/performance.md).
    Outputs, gradients and weights are Keras' own up to rounding, and so is all else: inference, other axes than the
    last, no scale or no offset, a weight that is no float32.

    Args:
        **kwargs: see `keras.layers.LayerNormalization`.

    Call arguments:
        inputs: (..., W).
        training: bool.

    Returns:
        (..., W), in the compute dtype.

    Example:
        >>> normalised = FusedLayerNormalization(epsilon=1e-6)(tokens, training=True)

    Reference:
        Ba et al. 2016 (arXiv 1607.06450), equation 4.
    """

    def call(self, inputs: Array, training: bool | None = None) -> Tensor:
        if not (training and self._is_plain(len(inputs.shape))):
            return super().call(inputs)
        inputs = ops.cast(inputs, "float32")  # also under mixed precision, as Keras computes it
        gamma, beta = (tf.convert_to_tensor(weight) for weight in (self.gamma, self.beta))  # read, in eager code too
        return ops.cast(_normalized(inputs, gamma, beta, self.epsilon), self.compute_dtype)

    def _is_plain(self, rank):
        last = self.axis in ([-1], [rank - 1])
        return last and self.scale and self.center and not self.rms_scaling and self.variable_dtype == "float32"


def _normalized(x, gamma, beta, epsilon):
    @tf.custom_gradient
    def normalize(x, gamma, beta):
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        inverse = tf.math.rsqrt(variance + epsilon)  # (..., 1)
        normal = centred * inverse

        def gradient(slope):
            steep = slope * normal
            of_gamma, of_beta = (tf.raw_ops.BiasAddGrad(out_backprop=each) for each in (steep, slope))
            # Means over a row of what is multiplied by gamma: a product with gamma / W.
            share = gamma[:, None] / gamma.shape[0]  # (W, 1)
            level, tilt = (tf.tensordot(each, share, 1) for each in (slope, steep))  # (..., 1)
            return (slope * gamma - level - normal * tilt) * inverse, of_gamma, of_beta

        return normal * gamma + beta, gradient

    return normalize(x, gamma, beta)
