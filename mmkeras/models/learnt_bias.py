"""`LearntBias`: what is added to the logits of a sigmoid loss, learnt beside the encoders."""

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Tensor


@keras.saving.register_keras_serializable("mmkeras")
class LearntBias(ConfigFromSignature, keras.layers.Layer):
    """A number that is learnt and added to logits.

    Of the B^2 combinations of a batch B are pairs. A bias far below 0 begins with the answer that none is, so that the
    first steps do not correct that alone.

    Args:
        initial: where it starts.

    Example:
        >>> bias = LearntBias(initial=-10.0)
        >>> logits = cosines / temperature + bias.value

    Reference:
        Zhai et al. 2023 (SigLIP, arXiv 2303.15343), section 3.2.
    """

    def __init__(self, initial: float = -10.0, **kwargs: Any) -> None:
        super().__init__(**{"name": "logit_bias", **kwargs, "dtype": "float32"})
        self.initial = initial
        self.learnt = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(initial),
            dtype="float32",
            autocast=False,
            name="logit_bias",
        )
        self.built = True

    @property
    def value(self) -> Tensor:
        """The bias, a float32 scalar tensor."""
        return ops.convert_to_tensor(self.learnt)
