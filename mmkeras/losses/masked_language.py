"""Masked language modelling: the hidden words of a text, and what a teacher thinks they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.tensors import Tensor, TensorLike

IGNORED = -1  # the target of a position at which nothing is to be told


def masked_language_crossentropy(
    targets: TensorLike, logits: TensorLike, teacher_logits: TensorLike | None = None, alpha: TensorLike = 0.0
) -> Tensor:
    """Cross-entropy of the hidden words, to a share with the teacher's answer in place of the word.

    At a position with a target t, and with q = softmax(teacher_logits),

        loss = - (1 - alpha) log p_t - alpha sum_v q_v log p_v

    Args:
        targets: int (B, L), the hidden word's id; -1 where none is to be told.
        logits: (B, L, V).
        teacher_logits: (B, L, V), of the momentum model on the same masked text. No gradient reaches them. Without
            them `alpha` has no meaning.
        alpha: the teacher's share, in [0, 1]; a number or a scalar tensor.

    Returns:
        float32 (B, L), 0 where there is no target.

    Reference:
        Devlin et al. 2019 (BERT), section 3.1; with a teacher Li et al. 2021 (ALBEF, arXiv 2107.07651), equation 7.
    """
    targets = ops.cast(targets, "int32")
    wanted = ops.not_equal(targets, IGNORED)
    log_probability = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    word = ops.expand_dims(ops.where(wanted, targets, 0), -1)
    loss = -ops.squeeze(ops.take_along_axis(log_probability, word, axis=-1), axis=-1)
    if teacher_logits is not None:
        teacher = ops.stop_gradient(ops.softmax(ops.cast(teacher_logits, "float32"), axis=-1))
        alpha = ops.cast(alpha, "float32")
        loss = (1 - alpha) * loss - alpha * ops.sum(teacher * log_probability, axis=-1)
    return ops.where(wanted, loss, 0.0)


@keras.saving.register_keras_serializable("mmkeras")
class MaskedLanguageCrossentropy(keras.losses.Loss):
    """`masked_language_crossentropy` as a Keras loss: the mean over the positions with a target.

    Call arguments:
        y_true: targets, int (B, L), -1 where none is to be told.
        y_pred: logits (B, L, V), or tuple of them, the teacher's logits (B, L, V) and alpha.
        sample_weight: (B, L) or (B, 1), in addition; optional.

    Returns:
        Scalar; 0 for a batch without a target.

    Example:
        >>> masked_ids, targets = masking(token_ids)
        >>> loss = MaskedLanguageCrossentropy()(targets, (logits, teacher_logits, 0.4))
    """

    def __init__(
        self,
        name: str = "masked_language_crossentropy",
        reduction: str | None = "mean_with_sample_weight",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)

    def __call__(
        self, y_true: TensorLike, y_pred: TensorLike | Sequence[TensorLike], sample_weight: TensorLike | None = None
    ) -> Tensor:
        weight = ops.cast(ops.not_equal(y_true, IGNORED), "float32")
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, "float32")
        return super().__call__(y_true, y_pred, weight)

    def call(self, y_true: TensorLike, y_pred: TensorLike | Sequence[TensorLike]) -> Tensor:
        logits, *teacher = y_pred if isinstance(y_pred, (tuple, list)) else (y_pred,)
        return masked_language_crossentropy(y_true, logits, *teacher)
