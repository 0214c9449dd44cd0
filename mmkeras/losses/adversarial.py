"""The modality loss: is an embedding a picture's or a text's?"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.tensors import Tensor, TensorLike


def modality_crossentropy(is_image: TensorLike, modality_logits: TensorLike) -> Tensor:
    """Binary cross-entropy of a modality classifier.

        loss_i = -[ y_i log s(l_i) + (1 - y_i) log(1 - s(l_i)) ]

    It is ln 2 = 0.693 for a classifier that cannot tell; a low value says that the modalities are apart, a high one
    only that this classifier is fooled, not that another would be.

    Args:
        is_image: (B,), 1 for pictures and 0 for texts.
        modality_logits: (B,) or (B, 1), positive for pictures.

    Returns:
        float32 (B,).

    Reference:
        Ganin & Lempitsky 2015 (arXiv 1409.7495), equation 8, with the modality in place of the domain.
    """
    logits = ops.cast(ops.reshape(modality_logits, (-1,)), "float32")
    labels = ops.cast(ops.reshape(is_image, (-1,)), "float32")
    # From logits and stable for any size: log(1 + exp(l)) - y l.
    return ops.softplus(logits) - labels * logits


@keras.saving.register_keras_serializable("mmkeras")
class ModalityCrossentropy(keras.losses.Loss):
    """`modality_crossentropy` as a Keras loss.

    Call arguments:
        y_true: (B,), 1 for pictures and 0 for texts.
        y_pred: logits (B,) or (B, 1).

    Returns:
        Scalar, the mean over the batch under the default reduction.

    Example:
        >>> loss = ModalityCrossentropy()([1, 1, 0, 0], classifier(reversal(embeddings)))
    """

    def __init__(self, name: str = "modality_crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        return modality_crossentropy(y_true, y_pred)
