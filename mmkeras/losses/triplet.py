"""The bidirectional triplet loss over the pairs of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.losses.contrastive import related_rows
from mmkeras.losses.shared_ids import share_id
from mmkeras.tensors import Tensor, TensorLike

Negatives: TypeAlias = Literal["sum", "hardest", "semi_hard"]

NEGATIVES = get_args(Negatives)
FAR = 1e9  # further than any cosine


def triplet_loss(
    image_embedding: TensorLike,
    text_embedding: TensorLike,
    margin: float = 0.2,
    negatives: Negatives = "hardest",
    image_id: TensorLike | None = None,
    text_id: TensorLike | None = None,
) -> Tensor:
    """Bidirectional hinge on the cosines of a batch of pairs.

    With s_ij = <v_i, t_j>, h(x) = max(0, x) and N(i) every j that is no right answer of i, as the ids say,

        sum:        loss_i = sum_{j in N(i)} h(margin - s_ii + s_ij)  +  sum_{j in N(i)} h(margin - s_ii + s_ji)
        hardest:    loss_i = max_{j in N(i)} h(margin - s_ii + s_ij)  +  max_{j in N(i)} h(margin - s_ii + s_ji)
        semi_hard:  as hardest, over the negatives that are no closer than the positive; where all are closer, the
                    farthest of them

    Args:
        image_embedding: (B, D), unit norm.
        text_embedding: (B, D), unit norm; row i belongs to row i.
        margin: more than 0, below 2.
        negatives: `"sum"`, `"hardest"` or `"semi_hard"`.
        image_id: int (B,), or (B, S) for several ids a picture, see `share_id`; without it every other row is a
            negative.
        text_id: int (B,), or (B, T); by default `image_id`.

    Returns:
        float32 (B,), 0 for a row without a negative. A loss of 2 * margin in every row with `"hardest"` is what all
        embeddings in one point give.

    Reference:
        Faghri et al. 2018 (VSE++, arXiv 1707.05612), equations 5 and 6, which leave out row i alone; semi-hard
        negatives as in Schroff et al. 2015 (FaceNet, arXiv 1503.03832), equation 4.
    """
    related = None if image_id is None else share_id(image_id, text_id)
    return _triplet_loss(image_embedding, text_embedding, margin, negatives, related)


def _triplet_loss(image_embedding, text_embedding, margin, negatives, related):
    image_embedding = ops.cast(image_embedding, "float32")
    text_embedding = ops.cast(text_embedding, "float32")
    similarity = ops.matmul(image_embedding, ops.transpose(text_embedding))  # (B, B)
    positive = ops.diagonal(similarity)
    if related is None:
        related = ops.eye(ops.shape(similarity)[0], dtype="bool")
    negative = ops.logical_not(related)
    image_to_text = _violation(similarity, positive, negative, margin, negatives)
    text_to_image = _violation(ops.transpose(similarity), positive, ops.transpose(negative), margin, negatives)
    return image_to_text + text_to_image


def _violation(similarity, positive, negative, margin, negatives):
    """The loss of one direction, (B,), whose queries are the rows of `similarity` (B, B)."""
    if negatives == "sum":
        hinge = ops.relu(margin - ops.expand_dims(positive, 1) + similarity)
        return ops.sum(ops.where(negative, hinge, 0.0), axis=1)
    chosen = ops.max(ops.where(negative, similarity, -FAR), axis=1)
    if negatives == "semi_hard":
        no_closer = ops.logical_and(negative, similarity <= ops.expand_dims(positive, 1))
        hardest = ops.max(ops.where(no_closer, similarity, -FAR), axis=1)
        farthest = ops.min(ops.where(negative, similarity, FAR), axis=1)
        chosen = ops.where(ops.any(no_closer, axis=1), hardest, farthest)
    violation = ops.relu(margin - positive + chosen)
    return ops.where(ops.any(negative, axis=1), violation, 0.0)


@keras.saving.register_keras_serializable("mmkeras")
class Triplet(ConfigFromSignature, keras.losses.Loss):
    """`triplet_loss` as a Keras loss.

    The choice for instance-level matching with small batches. `"sum"` starts well from random weights, `"hardest"`
    retrieves better in the end but may collapse at the start; `"semi_hard"` lies between. `InfoNCE` weighs all
    negatives of a large batch instead.

    Args:
        margin: more than 0, below 2.
        negatives: `"sum"`, `"hardest"` or `"semi_hard"`.

    Call arguments:
        y_true: `image_id`, int (B,), where ids of 64 bits stay apart; or bool (B, B), which texts are right answers of
            which pictures, `share_id(image_id, text_id)`.
        y_pred: tuple of image embeddings (B, D) and text embeddings (B, D).

    Returns:
        Scalar, the mean over the batch under the default reduction.

    Raises:
        ValueError: a margin or a choice of negatives that is not allowed.

    Example:
        >>> loss = Triplet(negatives="hardest")(image_id, (image_embedding, text_embedding))
    """

    def __init__(
        self,
        margin: float = 0.2,
        negatives: Negatives = "hardest",
        name: str = "triplet",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 < margin < 2:
            raise ValueError(f"Expected margin to be more than 0 and below 2. Received: margin={margin}")
        if negatives not in NEGATIVES:
            raise ValueError(f"Expected negatives to be one of {', '.join(NEGATIVES)}. Received: {negatives!r}")
        self.margin = margin
        self.negatives = negatives

    def __call__(
        self, y_true: TensorLike, y_pred: Sequence[TensorLike], sample_weight: TensorLike | None = None
    ) -> Tensor:
        return super().__call__(related_rows(y_true), y_pred, sample_weight)

    def call(self, y_true: TensorLike, y_pred: Sequence[TensorLike]) -> Tensor:
        image_embedding, text_embedding = y_pred
        related = ops.cast(y_true, "bool")
        return _triplet_loss(image_embedding, text_embedding, self.margin, self.negatives, related)
