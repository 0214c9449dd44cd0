"""The two sides of a game against a discriminator, from its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.tensors import Tensor, TensorLike


def discriminator_crossentropy(real_logits: TensorLike, fake_logits: Sequence[TensorLike]) -> Tensor:
    """Binary cross-entropy of a discriminator, over real rows and over K kinds of fake ones.

        loss_i = -log s(real_i) - 1/K sum_k log(1 - s(fake_ki))

    It is 2 ln 2 = 1.386 for a discriminator that cannot tell. K = 2 gives each kind half the weight of the real rows.

    Args:
        real_logits: (B,), positive for what looks real.
        fake_logits: list of K arrays (B,).

    Returns:
        float32 (B,).

    Reference:
        Goodfellow et al. 2014 (arXiv 1406.2661), equation 1; with two kinds of fakes Reed et al. 2016 (arXiv
        1605.05396), algorithm 1.
    """
    # From logits and stable for any size: -log s(l) = log(1 + exp(-l)), -log(1 - s(l)) = log(1 + exp(l)).
    fakes = [ops.softplus(ops.cast(logits, "float32")) for logits in fake_logits]
    return fooling_crossentropy(real_logits) + sum(fakes) / len(fakes)


def fooling_crossentropy(fake_logits: TensorLike) -> Tensor:
    """What the generator descends on: the cross-entropy of its fakes with the answer "real".

        loss_i = -log s(fake_i)

    Unlike log(1 - s(fake_i)) it keeps its gradient where the discriminator is sure.

    Args:
        fake_logits: (B,), positive for what looks real.

    Returns:
        float32 (B,).

    Reference:
        Goodfellow et al. 2014 (arXiv 1406.2661), section 3.
    """
    return ops.softplus(-ops.cast(fake_logits, "float32"))


@keras.saving.register_keras_serializable("mmkeras")
class DiscriminatorCrossentropy(keras.losses.Loss):
    """`discriminator_crossentropy` as a Keras loss.

    Call arguments:
        y_true: the logits of real rows, (B,).
        y_pred: list of the logits of each kind of fakes, (B,) each.

    Returns:
        Scalar, the mean over the batch under the default reduction.

    Example:
        >>> loss = DiscriminatorCrossentropy()(discriminator(feature), [discriminator(reconstruction)])
    """

    def __init__(self, name: str = "discriminator_crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: TensorLike, y_pred: Sequence[TensorLike]) -> Tensor:
        return discriminator_crossentropy(y_true, y_pred)
