"""A token before every text."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class PrependToken(ConfigFromSignature, keras.layers.Layer):
    """Put one id before every row of token ids.

    Args:
        token_id: int, the id, 0 or more.

    Call arguments:
        token_ids: int (B, L).

    Returns:
        int (B, 1 + L), of the dtype of `token_ids`.

    Raises:
        ValueError: a negative id.

    Example:
        >>> PrependToken(2)(np.array([[7, 9, 0]]))
        [[2, 7, 9, 0]]
    """

    def __init__(self, token_id: int, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if token_id < 0:
            raise ValueError(f"Expected an id of 0 or more. Received: token_id={token_id}")
        self.token_id = token_id

    def call(self, token_ids: TensorLike) -> Tensor:
        return ops.pad(token_ids, ((0, 0), (1, 0)), constant_values=self.token_id)
