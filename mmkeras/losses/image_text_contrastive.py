"""Image-text contrast against a teacher's candidates, with soft targets and focal weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Tensor, TensorLike

SMALLEST = 1e-6  # of 1 - p in the focal factor: below it a power under 1 has no finite slope


def candidate_logits(embedding: TensorLike, candidates: TensorLike, temperature: TensorLike) -> Tensor:
    """Cosines over temperature of each row with each candidate.

    Args:
        embedding: (B, D), unit norm.
        candidates: (C, D), unit norm, of the other modality.
        temperature: positive scalar.

    Returns:
        float32 (B, C).
    """
    similarity = ops.matmul(ops.cast(embedding, "float32"), ops.transpose(ops.cast(candidates, "float32")))
    return similarity / ops.cast(temperature, "float32")


def soft_targets(teacher_logits: TensorLike, positives: TensorLike, alpha: TensorLike) -> Tensor:
    """What a row should answer: its own picture, and to a share what the teacher thinks.

        y_ij = (1 - alpha) h_ij + alpha softmax_j(teacher_ij)

    where h_i has its mass of 1 in equal parts on every candidate that is a right answer.

    Args:
        teacher_logits: (B, C), the teacher's own `candidate_logits`. No gradient reaches them.
        positives: bool (B, C), at least one True a row: see `share_id`.
        alpha: the teacher's share, in [0, 1]; a number or a scalar tensor.

    Returns:
        float32 (B, C), rows that sum to 1.

    Reference:
        Li et al. 2021 (ALBEF, arXiv 2107.07651), section 3.3, where h_i is 1 for the row's own candidate; in equal
        parts on all that are right as in the fine-tuning code of the authors.
    """
    hard = ops.cast(positives, "float32")
    hard = hard / ops.sum(hard, axis=1, keepdims=True)
    soft = ops.softmax(ops.cast(teacher_logits, "float32"), axis=1)
    alpha = ops.cast(alpha, "float32")
    return ops.stop_gradient((1 - alpha) * hard + alpha * soft)


def image_text_contrast(logits: Sequence[TensorLike], targets: Sequence[TensorLike], gamma: float = 0.0) -> Tensor:
    """Focal cross-entropy of soft targets over candidates, the mean of both directions.

    With p = softmax(logits) over the candidates of a row,

        loss_i = 1/2 sum over both directions of  - sum_j y_ij (1 - p_ij)^gamma log p_ij

    `gamma` 0 is the plain contrast. A larger one takes weight from the candidates that are found already, so that the
    hard ones decide.

    Args:
        logits: pair of (B, C): of each picture with the texts, of each text with the pictures.
        targets: pair of (B, C), rows that sum to 1: see `soft_targets`.
        gamma: number of 0 or more.

    Returns:
        float32 (B,).

    Reference:
        Li et al. 2021 (ALBEF, arXiv 2107.07651), equation 6; a focal loss in its place after Park & Han 2023 (arXiv
        2304.00719). The form of the factor is that of Lin et al. 2017 (arXiv 1708.02002), equation 4, put on each
        soft target: our choice, for we found no formula of the second paper.
    """
    directions = zip(logits, targets, strict=True)
    return 0.5 * sum(_focal_crossentropy(logit, target, gamma) for logit, target in directions)


def _focal_crossentropy(logits, targets, gamma):
    log_probability = ops.log_softmax(ops.cast(logits, "float32"), axis=1)
    information = -log_probability
    if gamma:
        # 1 - p by way of expm1: near p = 1 a difference of floats would keep no digit. The floor keeps the slope of
        # the power finite there, which is infinite at 0 for an exponent below 1.
        information = ops.power(ops.maximum(-ops.expm1(log_probability), SMALLEST), gamma) * information
    return ops.sum(ops.cast(targets, "float32") * information, axis=1)


@keras.saving.register_keras_serializable("mmkeras")
class ImageTextContrastive(ConfigFromSignature, keras.losses.Loss):
    """`image_text_contrast` as a Keras loss.

    The choice where a momentum teacher and a queue give many candidates and a second opinion on each: captions of the
    web often fit several pictures. `InfoNCE` needs neither, and contrasts the pairs of a batch alone.

    Args:
        gamma: exponent of the focal factor, 0 or more; 0 is the plain contrast.

    Call arguments:
        y_true: pair of targets (B, C), see `soft_targets`.
        y_pred: pair of logits (B, C), see `candidate_logits`.

    Returns:
        Scalar, the mean over the batch under the default reduction.

    Raises:
        ValueError: a gamma below 0.

    Example:
        >>> texts, images = share_id(image_id, candidate_text_id), share_id(text_id, candidate_image_id)
        >>> to_text = candidate_logits(image_embedding, text_candidates, temperature)
        >>> to_image = candidate_logits(text_embedding, image_candidates, temperature)
        >>> targets = soft_targets(teacher_to_text, texts, 0.4), soft_targets(teacher_to_image, images, 0.4)
        >>> loss = ImageTextContrastive(gamma=2.0)(targets, (to_text, to_image))
    """

    def __init__(self, gamma: float = 0.0, name: str = "image_text_contrastive", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not gamma >= 0:
            raise ValueError(f"Expected an exponent of 0 or more. Received: gamma={gamma}")
        self.gamma = gamma

    def call(self, y_true: Sequence[TensorLike], y_pred: Sequence[TensorLike]) -> Tensor:
        return image_text_contrast(y_pred, y_true, self.gamma)
