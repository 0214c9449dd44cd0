"""The category loss: one head over both modalities, single labels or multi-hot ones."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.tensors import Array, Tensor, TensorLike


def category_crossentropy(label: Array, logits: TensorLike) -> Tensor:
    """Cross-entropy of category logits.

    Single labels (softmax) and multi-hot labels (a sigmoid a class, summed over the classes):

        loss_i = -log( exp(l_iy) / sum_c exp(l_ic) )
        loss_i = -sum_c [ y_ic log s(l_ic) + (1 - y_ic) log(1 - s(l_ic)) ]

    The sum, and not the mean, over classes: with a mean over C classes its gradient would be C times smaller than the
    modality loss beside it expects.

    Args:
        label: int (B,) in [0, C), or multi-hot (B, C).
        logits: (B, C).

    Returns:
        float32 (B,).
    """
    logits = ops.cast(logits, "float32")
    if len(label.shape) == 1:
        return ops.sparse_categorical_crossentropy(ops.cast(label, "int32"), logits, from_logits=True)
    return ops.sum(ops.binary_crossentropy(ops.cast(label, "float32"), logits, from_logits=True), axis=-1)


@keras.saving.register_keras_serializable("mmkeras")
class CategoryCrossentropy(keras.losses.Loss):
    """`category_crossentropy` as a Keras loss.

    The only link between two modalities that have no pairs: a head shared by both makes pictures and texts of one
    category point the same way. Where there are pairs, `InfoNCE` tells items apart, which categories cannot.

    Call arguments:
        y_true: int (B,) in [0, C), or multi-hot (B, C).
        y_pred: logits (B, C).

    Returns:
        Scalar, the mean over the batch under the default reduction.

    Example:
        >>> loss = CategoryCrossentropy()([2, 0], category_logits)
    """

    def __init__(self, name: str = "category_crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        # Keras makes float32 of labels; class numbers are exact in it.
        return category_crossentropy(y_true, y_pred)
