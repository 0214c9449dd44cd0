"""Token embedding plus learnt position embedding."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mmkeras")
class TokenAndPositionEmbedding(keras.layers.Layer):
    """Sum of a token's and its position's learnt vectors (BERT, Devlin et al. 2019, section 3).

    Args:
        vocabulary_size: token ids are 0 to `vocabulary_size` - 1.
        sequence_length: the longest sequence, L.
        width: W.

    Call arguments:
        token_ids: int (B, l), l <= L.

    Returns:
        (B, l, W).

    Raises:
        ValueError: a size below 1, or a sequence longer than L where its length is known beforehand.
    """

    def __init__(self, vocabulary_size, sequence_length, width, **kwargs):
        super().__init__(**kwargs)
        if min(vocabulary_size, sequence_length, width) < 1:
            raise ValueError(
                "Expected sizes of 1 or more. "
                f"Received: vocabulary_size={vocabulary_size}, sequence_length={sequence_length}, width={width}"
            )
        self.vocabulary_size = vocabulary_size
        self.sequence_length = sequence_length
        self.width = width
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size, width, _initializer(), dtype=self.dtype_policy, name="token_embedding"
        )

    def build(self, token_ids_shape):
        self.token_embedding.build(token_ids_shape)
        self.position_embedding = self.add_weight(
            shape=(self.sequence_length, self.width), initializer=_initializer(), name="position_embedding"
        )

    def call(self, token_ids):
        length = token_ids.shape[1]
        if length is not None and length > self.sequence_length:
            raise ValueError(f"Expected at most {self.sequence_length} token ids a row. Received: {length}")
        positions = ops.cast(self.position_embedding[: ops.shape(token_ids)[1]], self.compute_dtype)
        return self.token_embedding(token_ids) + positions

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "sequence_length": self.sequence_length,
            "width": self.width,
        }


def _initializer():
    # 0.02 is BERT's; Keras' default of uniform 0.05 starts attention sharper than a short training can undo.
    return keras.initializers.TruncatedNormal(stddev=0.02)
