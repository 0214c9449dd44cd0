"""Image-text matching: does this text describe this picture? And the negatives that make the question hard."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.losses.contrastive import EXCLUDED
from mmkeras.tensors import Array, Tensor, TensorLike

MATCHING = 1  # the logit, of two, of "they belong together"


def sample_hard_negatives(
    logits: Array, related: TensorLike | None = None, seed: int | keras.random.SeedGenerator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw a negative for each row, the likelier the closer it is.

    Column j is drawn with softmax(logits_i)_j among the columns that are no right answers of row i.

    Args:
        logits: (B, B), cosines over temperature, the rows' own candidate on the diagonal. Rows may be pictures and
            columns texts, or the other way round. No gradient reaches them.
        related: bool (B, B), which columns are right answers of which rows, as `share_id` says; without it every other
            row is a negative.
        seed: int or `keras.random.SeedGenerator`. An int draws the same at every call.

    Returns:
        Pair: int32 (B,), the column drawn for each row, and bool (B,), whether the row has a negative at all. Where it
        has none (the whole batch answers it) the column is any: give such a row no weight.

    Raises:
        ValueError: a batch of one, which has no negative.

    Reference:
        Li et al. 2021 (ALBEF, arXiv 2107.07651), section 3.2.
    """
    if logits.shape[0] == 1:
        raise ValueError("Expected batches of 2 or more: a negative is another row. Received: batch_size=1")
    if related is None:
        related = ops.eye(ops.shape(logits)[0], dtype="bool")
    negative = ops.logical_not(related)
    logits = ops.where(negative, ops.stop_gradient(ops.cast(logits, "float32")), EXCLUDED)
    drawn = keras.random.categorical(logits, 1, dtype="int32", seed=seed)
    return ops.squeeze(drawn, axis=1), ops.any(negative, axis=1)


def matching_crossentropy(matches: TensorLike, logits: TensorLike) -> Tensor:
    """Cross-entropy of the matching head, of positives and negatives alike.

        loss_i = - log softmax(logits_i)[matches_i]

    It is ln 2 = 0.693 for a head that cannot tell half of one from half of the other.

    Args:
        matches: (N,), 1 for pairs that belong together, 0 for negatives.
        logits: (N, 2), the second of "they belong together".

    Returns:
        float32 (N,).

    Reference:
        Li et al. 2021 (ALBEF, arXiv 2107.07651), equation 2.
    """
    logits = ops.cast(logits, "float32")
    margin = logits[:, MATCHING] - logits[:, 1 - MATCHING]
    # Of two logits the difference alone counts: - log softmax = softplus of it, with its sign by the answer.
    return ops.softplus(ops.where(ops.cast(matches, "bool"), -margin, margin))


@keras.saving.register_keras_serializable("mmkeras")
class MatchingCrossentropy(keras.losses.Loss):
    """`matching_crossentropy` as a Keras loss: the mean over the pairs that have a weight.

    Call arguments:
        y_true: (N,), 1 for pairs that belong together, 0 for negatives.
        y_pred: logits (N, 2).
        sample_weight: (N,), 0 for a negative that `sample_hard_negatives` did not find; optional.

    Returns:
        Scalar, 0 where no pair has a weight.

    Example:
        >>> text, found = sample_hard_negatives(logits, share_id(image_id, text_id), seed)
        >>> negative_logits = head(fusion(image_tokens, ops.take(text_tokens, text, axis=0)))
        >>> loss = MatchingCrossentropy()(ops.zeros(batch), negative_logits, sample_weight=found)
    """

    def __init__(
        self, name: str = "matching_crossentropy", reduction: str | None = "mean_with_sample_weight", **kwargs: Any
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        return matching_crossentropy(y_true, y_pred)
