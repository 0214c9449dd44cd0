"""A text pooled at the id that ends it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Array, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class EndTokenPooling(ConfigFromSignature, keras.layers.Layer):
    """The token at which a text ends: what a causal transformer has seen all of the text at, and nothing behind it.

    A row without the id is pooled at its first token, as CLIP does; tokenizers put one into every row.

    Args:
        end_id: the id, 0 or more, whose first place in a row counts; `None` takes the first place of the row's highest
            id, which CLIP's end of text is among its own ids.

    Call arguments:
        tokens: (B, L, W).
        token_ids: int (B, L).

    Returns:
        (B, W).

    Raises:
        ValueError: a negative id.

    Reference:
        Radford et al. 2021 (CLIP, arXiv 2103.00020), section 2.4.
    """

    def __init__(self, end_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if end_id is not None and end_id < 0:
            raise ValueError(f"Expected an id of 0 or more, or None. Received: end_id={end_id}")
        self.end_id = end_id

    def call(self, tokens: Array, token_ids: TensorLike) -> Tensor:
        return ops.take_along_axis(tokens, self._end(token_ids)[:, None, None], axis=1)[:, 0]

    def mask_of(self, token_ids: Array) -> Tensor:
        """Return which tokens are of the text, its end among them: bool (B, L).

        Args:
            token_ids: int (B, L).
        """
        token_ids = ops.convert_to_tensor(token_ids)
        return ops.arange(ops.shape(token_ids)[1])[None] <= self._end(token_ids)[:, None]

    def _end(self, token_ids):
        """Where each text ends: int32 (B,)."""
        ranked = token_ids if self.end_id is None else ops.cast(ops.equal(token_ids, self.end_id), "int32")
        return ops.cast(ops.argmax(ranked, axis=1), "int32")
