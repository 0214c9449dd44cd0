"""`TokenBag`: a text as the weighted sum of what its tokens stand for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Shape, Tensor, TensorLike

LEAST = 1e-6  # length of a text without a token that counts


@keras.saving.register_keras_serializable("mmkeras")
class TokenBag(ConfigFromSignature, keras.layers.Layer):
    """A text as the sum of its tokens' rows of a table, whatever their order, the rarer ones with more weight.

    A token weighs its inverse document frequency, a text's weights are scaled to length `scale`. The table has rows for
    the tokens that `adapt` has found in most texts; others, among them those that stand in every text, as [CLS] does,
    count nothing. Until `adapt` none counts, and what is returned are zeros.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1; 0 is padding.
        rows: tokens that have a row at most.
        width: length of a row, D.
        least_texts: texts that a token must stand in to have a row.
        rate: share of a text's tokens that are hidden in training, in [0, 1).
        scale: length of a text's weights, which says how fast the table learns beside other layers.

    Call arguments:
        token_ids: int (B, L).

    Returns:
        float32 (B, D), under any dtype policy.

    Raises:
        ValueError: a rate or a count outside its range.

    Example:
        >>> bag = TokenBag(vocabulary_size=30522, rows=4000, width=512)
        >>> bag.adapt(training_ids)
        >>> bag(token_ids).shape
        (8, 512)

    Reference:
        Spärck Jones 1972 (Journal of Documentation 28(1)) for the weights.
    """

    def __init__(
        self,
        vocabulary_size: int,
        rows: int,
        width: int,
        least_texts: int = 3,
        rate: float = 0.5,
        scale: float = 20.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        if not (0 <= rate < 1 and min(rows, width, least_texts, vocabulary_size) >= 1 and scale > 0):
            raise ValueError(
                "Expected rows, width, least_texts and vocabulary_size of 1 or more, a scale above 0, and a rate in "
                f"[0, 1). Received: rows={rows}, width={width}, least_texts={least_texts}, "
                f"vocabulary_size={vocabulary_size}, scale={scale}, rate={rate}"
            )
        self.vocabulary_size, self.rows, self.width = vocabulary_size, rows, width
        self.least_texts, self.rate, self.scale = least_texts, rate, scale
        self._dropout = keras.layers.Dropout(rate, dtype="float32", name="hidden")

    def build(self, ids_shape: Shape) -> None:
        size = (self.vocabulary_size,)
        self.places = self.add_weight(shape=size, dtype="int32", initializer="zeros", trainable=False, name="places")
        self.weights_of_ids = self.add_weight(shape=size, initializer="zeros", trainable=False, name="frequency")
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight(shape=(self.rows, self.width), initializer=normal, name="table")

    def adapt(self, token_ids: ArrayLike) -> None:
        """Give rows to the tokens that stand in most texts, and weights to them.

        Args:
            token_ids: int (N, L), those of the training's texts.
        """
        ids = np.sort(np.asarray(token_ids), axis=1)
        first = np.diff(ids, axis=1, prepend=-1) != 0  # of equal ids in one text
        texts = np.bincount(ids[first], minlength=self.vocabulary_size)
        texts[0] = 0
        frequency = np.log(len(ids) / np.maximum(texts, 1)) * (texts >= self.least_texts)
        order = np.argsort(-texts * (frequency > 0), kind="stable")[: self.rows]
        order = order[frequency[order] > 0]
        places, weights = np.zeros(self.vocabulary_size, np.int32), np.zeros(self.vocabulary_size, np.float32)
        places[order] = np.arange(len(order))
        weights[order] = frequency[order]
        self.places.assign(places)
        self.weights_of_ids.assign(weights)

    def call(self, token_ids: TensorLike, training: bool | None = None) -> Tensor:
        ids = ops.cast(token_ids, "int32")
        weights = ops.take(self.weights_of_ids, ids)  # (B, L)
        length = ops.sqrt(ops.sum(ops.square(weights), axis=1, keepdims=True))
        weights = self._dropout(weights * self.scale / ops.maximum(length, LEAST), training=training)
        rows = ops.take(self.table, ops.take(self.places, ids), axis=0)  # (B, L, D)
        return ops.squeeze(ops.matmul(weights[:, None, :], rows), axis=1)

    def compute_output_shape(self, ids_shape: Shape) -> Shape:
        return ids_shape[0], self.width
