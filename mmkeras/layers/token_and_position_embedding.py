"""Token embedding plus learnt position embedding."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Array, Shape, Tensor


@keras.saving.register_keras_serializable("mmkeras")
class TokenAndPositionEmbedding(ConfigFromSignature, keras.layers.Layer):
    """Sum of a token's, its position's and, if asked, its segment type's learnt vectors.

    Args:
        vocabulary_size: token ids are 0 to `vocabulary_size` - 1.
        sequence_length: the longest sequence, L.
        width: W.
        types: segment types that there is a vector for, 0 or more. All tokens are of the first one: one text is one
            segment. BERT has two.

    Call arguments:
        token_ids: int (B, l), l <= L.

    Returns:
        (B, l, W).

    Raises:
        ValueError: a size below 1, a negative number of types, or a sequence longer than L where its length is known
            beforehand.

    Reference:
        BERT, Devlin et al. 2019 (arXiv 1810.04805), section 3.
    """

    def __init__(self, vocabulary_size: int, sequence_length: int, width: int, types: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(vocabulary_size, sequence_length, width) < 1:
            raise ValueError(
                "Expected sizes of 1 or more. "
                f"Received: vocabulary_size={vocabulary_size}, sequence_length={sequence_length}, width={width}"
            )
        if types < 0:
            raise ValueError(f"Expected 0 types or more. Received: types={types}")
        self.vocabulary_size = vocabulary_size
        self.sequence_length = sequence_length
        self.width = width
        self.types = types
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size, width, _initializer(), dtype=self.dtype_policy, name="token_embedding"
        )

    def build(self, token_ids_shape: Shape) -> None:
        self.token_embedding.build(token_ids_shape)
        self.position_embedding = self.add_weight(
            shape=(self.sequence_length, self.width), initializer=_initializer(), name="position_embedding"
        )
        if self.types:
            self.type_embedding = self.add_weight(
                shape=(self.types, self.width), initializer=_initializer(), name="type_embedding"
            )

    def call(self, token_ids: Array) -> Tensor:
        length = token_ids.shape[1]
        if length is not None and length > self.sequence_length:
            raise ValueError(f"Expected at most {self.sequence_length} token ids a row. Received: {length}")
        added = self.position_embedding[: ops.shape(token_ids)[1]]  # (l, W)
        if self.types:
            added = added + self.type_embedding[0]
        return self.token_embedding(token_ids) + ops.cast(added, self.compute_dtype)


def _initializer():
    # 0.02 is BERT's; Keras' default of uniform 0.05 starts attention sharper than a short training can undo.
    return keras.initializers.TruncatedNormal(stddev=0.02)
