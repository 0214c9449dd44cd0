"""Contrastive losses over the pairs of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.tensors import Tensor, TensorLike

EXCLUDED = -1e9  # a logit that softmax turns into exactly 0 in float32


def info_nce(
    image_embedding: TensorLike, text_embedding: TensorLike, temperature: TensorLike, image_id: TensorLike | None = None
) -> Tensor:
    """Symmetric InfoNCE over the pairs of a batch.

    With s_ij = <v_i, t_j> / temperature,

        loss_i = - 1/2 log( exp(s_ii) / sum_{j in N(i)} exp(s_ij) ) - 1/2 log( exp(s_ii) / sum_{j in N(i)} exp(s_ji) )

    where N(i) is i itself and every j whose `image_id` differs: two captions of one picture, or two pictures that look
    alike, are never negatives of each other.

    Args:
        image_embedding: (B, D), unit norm.
        text_embedding: (B, D), unit norm; row i belongs to row i.
        temperature: positive scalar.
        image_id: int (B,); without it every other row is a negative.

    Returns:
        float32 (B,).

    Reference:
        van den Oord et al. 2018 (arXiv 1807.03748), equation 4; symmetric as in CLIP (arXiv 2103.00020), figure 3.
    """
    image_embedding = ops.cast(image_embedding, "float32")
    text_embedding = ops.cast(text_embedding, "float32")
    temperature = ops.cast(temperature, "float32")
    logits = ops.matmul(image_embedding, ops.transpose(text_embedding)) / temperature  # (B, B)
    positive = ops.diagonal(logits)
    if image_id is not None:
        own = ops.eye(ops.shape(logits)[0], dtype="bool")
        logits = ops.where(ops.logical_or(own, is_negative(logits, image_id)), logits, EXCLUDED)
    image_to_text = ops.logsumexp(logits, axis=1) - positive
    text_to_image = ops.logsumexp(logits, axis=0) - positive
    return 0.5 * (image_to_text + text_to_image)


def is_negative(similarity: TensorLike, image_id: TensorLike | None = None) -> Tensor:
    """Which columns are negatives of which rows: bool (B, B), those of another `image_id`, or all but the row's own."""
    if image_id is None:
        return ops.logical_not(ops.eye(ops.shape(similarity)[0], dtype="bool"))
    return ops.not_equal(ops.expand_dims(image_id, 1), ops.expand_dims(image_id, 0))


def id_as_row(image_id: TensorLike) -> Tensor:
    """Each id as the first row that has it, int32 (B,), for Keras casts what a loss compares to float32.

    There 16777216 and 16777217 would be one id; a number below B is exact.
    """
    image_id = ops.convert_to_tensor(image_id)
    same = ops.equal(ops.expand_dims(image_id, 1), ops.expand_dims(image_id, 0))  # (B, B)
    rows = ops.arange(ops.shape(image_id)[0], dtype="int32")
    return ops.min(ops.where(same, rows, ops.shape(image_id)[0]), axis=1)


@keras.saving.register_keras_serializable("mmkeras")
class InfoNCE(keras.losses.Loss):
    """`info_nce` as a Keras loss.

    The choice for pairs and large batches: every other pair of the batch is a negative, so its strength grows with the
    batch. A triplet loss looks at single negatives and suits small batches; a category loss needs no pairs at all.

    Call arguments:
        y_true: `image_id`, int (B,); ids of 64 bits stay apart.
        y_pred: tuple of image embeddings (B, D), text embeddings (B, D) and the temperature (scalar).

    Returns:
        Scalar, the mean over the batch under the default reduction.

    Example:
        >>> loss = InfoNCE()(image_id, (image_embedding, text_embedding, 0.07))
    """

    def __init__(self, name: str = "info_nce", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def __call__(
        self, y_true: TensorLike, y_pred: Sequence[TensorLike], sample_weight: TensorLike | None = None
    ) -> Tensor:
        return super().__call__(id_as_row(y_true), y_pred, sample_weight)

    def call(self, y_true: TensorLike, y_pred: Sequence[TensorLike]) -> Tensor:
        image_embedding, text_embedding, temperature = y_pred
        return info_nce(image_embedding, text_embedding, temperature, image_id=y_true)
