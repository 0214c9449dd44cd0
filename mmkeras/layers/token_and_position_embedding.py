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
    """

    def __init__(self, vocabulary_size, sequence_length, width, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.sequence_length = sequence_length
        self.width = width
        # 0.02 is BERT's; Keras' default of uniform 0.05 starts attention sharper than a short training can undo.
        normal = keras.initializers.TruncatedNormal(stddev=0.02)
        self.token_embedding = keras.layers.Embedding(vocabulary_size, width, normal, dtype=self.dtype_policy)
        self.position_embedding = self.add_weight(
            shape=(sequence_length, width), initializer=normal, name="position_embedding"
        )

    def call(self, token_ids):
        positions = ops.cast(self.position_embedding[: ops.shape(token_ids)[1]], self.compute_dtype)
        return self.token_embedding(token_ids) + positions

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "sequence_length": self.sequence_length,
            "width": self.width,
        }
