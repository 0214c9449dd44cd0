"""Contrastive losses over the pairs of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.losses.shared_ids import share_id
from mmkeras.tensors import Tensor, TensorLike

EXCLUDED = -1e9  # a logit that softmax turns into exactly 0 in float32


def info_nce(
    image_embedding: TensorLike,
    text_embedding: TensorLike,
    temperature: TensorLike,
    image_id: TensorLike | None = None,
    text_id: TensorLike | None = None,
) -> Tensor:
    """Symmetric InfoNCE over the pairs of a batch.

    With s_ij = <v_i, t_j> / temperature,

        loss_i = - 1/2 log( exp(s_ii) / sum_{j in N(i)} exp(s_ij) ) - 1/2 log( exp(s_ii) / sum_{j in N(i)} exp(s_ji) )

    where N(i) is i itself and every j that is no right answer, as the ids say: two captions of one picture, two
    pictures that look alike or have one caption, are never negatives of each other. (With several ids a picture the two
    sums differ: of the first, text j has no id of picture i; of the second, picture j has no id of text i.)

    Args:
        image_embedding: (B, D), unit norm.
        text_embedding: (B, D), unit norm; row i belongs to row i.
        temperature: positive scalar.
        image_id: int (B,), or (B, S) for several ids a picture, see `share_id`; without it every other row is a
            negative.
        text_id: int (B,), or (B, T); by default `image_id`.

    Returns:
        float32 (B,).

    Reference:
        van den Oord et al. 2018 (arXiv 1807.03748), equation 4; symmetric as in CLIP (arXiv 2103.00020), figure 3.
    """
    related = None if image_id is None else share_id(image_id, text_id)
    return _info_nce(image_embedding, text_embedding, temperature, related)


def _info_nce(image_embedding, text_embedding, temperature, related):
    image_embedding = ops.cast(image_embedding, "float32")
    text_embedding = ops.cast(text_embedding, "float32")
    temperature = ops.cast(temperature, "float32")
    logits = ops.matmul(image_embedding, ops.transpose(text_embedding)) / temperature  # (B, B)
    positive = ops.diagonal(logits)
    if related is not None:
        own = ops.eye(ops.shape(logits)[0], dtype="bool")
        logits = ops.where(ops.logical_or(own, ops.logical_not(related)), logits, EXCLUDED)
    image_to_text = ops.logsumexp(logits, axis=1) - positive
    text_to_image = ops.logsumexp(logits, axis=0) - positive
    return 0.5 * (image_to_text + text_to_image)


def related_rows(y_true: TensorLike) -> Tensor:
    """Which texts of a batch are right answers of which pictures, bool (B, B), of what a loss is given to compare with.

    Keras casts that to float32, where the ids 16777216 and 16777217 would be one; 0 and 1 are exact.

    Args:
        y_true: int (B,), `image_id`, of pictures and texts alike; or bool (B, B), as `share_id` returns it.
    """
    y_true = ops.convert_to_tensor(y_true)
    return y_true if len(y_true.shape) == 2 else share_id(y_true)


@keras.saving.register_keras_serializable("mmkeras")
class InfoNCE(keras.losses.Loss):
    """`info_nce` as a Keras loss.

    The choice for pairs and large batches: every other pair of the batch is a negative, so its strength grows with the
    batch. A triplet loss looks at single negatives and suits small batches; a category loss needs no pairs at all.

    Call arguments:
        y_true: `image_id`, int (B,), where ids of 64 bits stay apart; or bool (B, B), which texts are right answers of
            which pictures, `share_id(image_id, text_id)`.
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
        return super().__call__(related_rows(y_true), y_pred, sample_weight)

    def call(self, y_true: TensorLike, y_pred: Sequence[TensorLike]) -> Tensor:
        image_embedding, text_embedding, temperature = y_pred
        return _info_nce(image_embedding, text_embedding, temperature, ops.cast(y_true, "bool"))
