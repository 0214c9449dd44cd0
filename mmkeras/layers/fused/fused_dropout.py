"""Dropout by a factor, of half a random word a number."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from mmkeras.layers.replicas import replica_count
from mmkeras.tensors import Tensor, TensorLike

BITS = 16  # of randomness a number: a rate is met to 1 / 65536


@keras.saving.register_keras_serializable("mmkeras")
class FusedDropout(keras.layers.Dropout):
    """Keras' dropout, as one multiplication each way.

    TensorFlow's draws 32 bits a number, and chooses between the numbers and 0, forward and back, in a kernel that takes
    several times as long as a product. Here 16 bits become a factor, 0 or 1 / (1 - rate), that both passes multiply by,
    and a step of `soft_mask_glyphs` takes .95 of the time (docs/performance.md). What is dropped is another draw than
    Keras' of the same seed; all else is Keras' layer, `noise_shape` included, with which its own draws are used. Each
    device of a step drops other numbers.

    Args:
        rate: in [0, 1].
        **kwargs: see `keras.layers.Dropout`.

    Call arguments:
        inputs: float, of any shape.
        training: bool.

    Returns:
        Of the inputs' shape.

    Example:
        >>> dropped = FusedDropout(0.1, seed=0)(tokens, training=True)

    Reference:
        Srivastava et al. 2014 (JMLR 15), section 4.
    """

    def call(self, inputs: TensorLike, training: bool = False) -> Tensor:
        if not (training and 0 < self.rate < 1 and self.noise_shape is None):
            return super().call(inputs, training=training)
        inputs = ops.convert_to_tensor(inputs)
        size, shape = tf.size(inputs), tf.shape(inputs)
        seed = tf.cast(self.seed_generator.next(), "int64")
        if replica_count() > 1:  # whose states are the same
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            seed = tf.random.fold_in(seed, tf.cast(replica, "int64"))
        words = tf.random.stateless_uniform([(size + 1) // 2], seed, minval=None, maxval=None, dtype="uint32")
        draws = tf.reshape(tf.reshape(tf.bitcast(words, "uint16"), [-1])[:size], shape)
        kept = draws >= tf.constant(min(round(self.rate * 2**BITS), 2**BITS - 1), "uint16")
        return inputs * (tf.cast(kept, inputs.dtype) * tf.cast(1 / (1 - self.rate), inputs.dtype))
