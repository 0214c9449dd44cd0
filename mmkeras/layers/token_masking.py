"""Hiding words of a text, for a model to guess and to learn not to lean on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.replicas import own_rows, total_rows
from mmkeras.tensors import Shape, Tensor, TensorLike

IGNORED = -1  # the target of a position at which nothing is hidden


@keras.saving.register_keras_serializable("mmkeras")
class TokenMasking(ConfigFromSignature, keras.layers.Layer):
    """Choose words of each text, hide most of them behind the mask id, and tell what stood there.

    Each ordinary token is chosen by itself with probability `rate`. Of those chosen a share of `mask_share` becomes
    `mask_id`, one of `random_share` an ordinary id drawn at random, and the others stay as they are: a model cannot
    know which of the words before it are the text's own.

    Draws come from a `keras.random.SeedGenerator`, whose state is one of the model's variables: a checkpoint holds it.

    Args:
        vocabulary_size: token ids are 0 to `vocabulary_size` - 1.
        mask_id: the id that stands for a hidden word.
        special_ids: ids that are never chosen nor drawn: padding, and what else is no word. `mask_id` always is one.
        rate: probability that a token is chosen, in [0, 1].
        mask_share: share of those chosen that is hidden behind `mask_id`, in [0, 1].
        random_share: share that becomes another token, in [0, 1]; with `mask_share` 1 at most.
        seed: int.

    Call arguments:
        token_ids: int (B, L).

    Returns:
        Pair of int32 (B, L): the ids with words hidden, and the targets, the word's id where it was chosen and -1
        elsewhere. A row may have no target, a short one often.

    Raises:
        ValueError: no `mask_id`, a share outside [0, 1], shares of more than 1 together, an id outside the vocabulary,
            or a vocabulary of special ids alone.

    Example:
        >>> masking = TokenMasking(vocabulary_size=8000, mask_id=3, special_ids=(0, 1, 2, 3))
        >>> masked_ids, targets = masking(token_ids)

    Reference:
        Devlin et al. 2019 (BERT), section 3.1, task 1.
    """

    def __init__(
        self,
        vocabulary_size: int,
        mask_id: int | None,
        special_ids: Sequence[int] = (0,),
        rate: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (0 <= rate <= 1 and mask_share >= 0 and random_share >= 0 and mask_share + random_share <= 1):
            raise ValueError(
                "Expected rate, mask_share and random_share in [0, 1], the last two 1 at most together. "
                f"Received: rate={rate}, mask_share={mask_share}, random_share={random_share}"
            )
        if mask_id is None:
            raise ValueError("Expected mask_id, the id that hides a word. Received: None, of a vocabulary without one")
        special = sorted({mask_id, *special_ids})
        if special[0] < 0 or special[-1] >= vocabulary_size:
            raise ValueError(
                f"Expected ids from 0 to {vocabulary_size - 1}. Received: mask_id={mask_id}, special_ids={special_ids}"
            )
        self._ordinary = np.setdiff1d(np.arange(vocabulary_size, dtype="int32"), special)
        if not len(self._ordinary):
            raise ValueError(f"Expected ids besides the special ones. Received: vocabulary_size={vocabulary_size}")
        self.vocabulary_size = vocabulary_size
        self.mask_id = mask_id
        self.special_ids = tuple(special_ids)
        self.rate = rate
        self.mask_share = mask_share
        self.random_share = random_share
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def build(self, token_ids_shape: Shape) -> None:
        self.built = True

    def is_word(self, token_ids: TensorLike) -> Tensor:
        """Which tokens are words that may be hidden: no special id, no mask. Bool, of the shape of `token_ids`."""
        ordinary = np.zeros(self.vocabulary_size, "bool")
        ordinary[self._ordinary] = True
        return ops.take(ops.convert_to_tensor(ordinary), token_ids, axis=0)

    def call(self, token_ids: TensorLike) -> tuple[Tensor, Tensor]:
        token_ids = ops.cast(token_ids, "int32")
        rows, length = ops.shape(token_ids)
        shape = total_rows(rows), length
        draw = own_rows(keras.random.uniform((2, *shape), dtype="float32", seed=self.seed_generator), rows, axis=1)
        chosen = ops.logical_and(self.is_word(token_ids), draw[0] < self.rate)
        which = keras.random.randint(shape, 0, len(self._ordinary), dtype="int32", seed=self.seed_generator)
        which = own_rows(which, rows)
        other = ops.take(ops.convert_to_tensor(self._ordinary), which, axis=0)
        hidden = ops.where(draw[1] < self.mask_share + self.random_share, other, token_ids)
        hidden = ops.where(draw[1] < self.mask_share, self.mask_id, hidden)
        return ops.where(chosen, hidden, token_ids), ops.where(chosen, token_ids, IGNORED)

    def compute_output_spec(self, token_ids: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        return tuple(keras.KerasTensor(token_ids.shape, "int32") for _ in range(2))
