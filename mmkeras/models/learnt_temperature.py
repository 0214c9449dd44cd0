"""`LearntTemperature`: the temperature of a contrast, learnt beside the encoders."""

import math
from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.tensors import Tensor


@keras.saving.register_keras_serializable("mmkeras")
class LearntTemperature(ConfigFromSignature, keras.layers.Layer):
    """A temperature that is learnt as its logarithm and clamped.

    Args:
        initial: where it starts, in [`lowest`, `highest`].
        lowest: the lowest temperature that is learnt, more than 0. On a small training set the loss drives it far down,
            where only the hardest negatives of the training set count; a floor of 0.1 generalised better on the glyphs.
        highest: the highest one.

    Raises:
        MmkerasError: temperatures out of order.

    Example:
        >>> temperature = LearntTemperature(initial=0.07, lowest=0.01)
        >>> logits = cosines / temperature.value
    """

    def __init__(self, initial: float = 0.07, lowest: float = 0.01, highest: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**{"name": "temperature", **kwargs, "dtype": "float32"})
        if not 0 < lowest <= initial <= highest:
            raise MmkerasError(
                "Expected temperatures with 0 < lowest <= initial <= highest. "
                f"Received: lowest={lowest}, initial={initial}, highest={highest}"
            )
        self.initial = initial
        self.lowest = lowest
        self.highest = highest
        self.log_temperature = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(initial)),
            constraint=self._clip,
            dtype="float32",
            autocast=False,
            name="log_temperature",
        )
        self.built = True

    @property
    def value(self) -> Tensor:
        """The temperature, a float32 scalar tensor."""
        return ops.exp(self.log_temperature)

    def _clip(self, log_temperature):
        """Clamp the temperature; as a constraint, so that its gradient is alive at the border too."""
        return ops.clip(log_temperature, math.log(self.lowest), math.log(self.highest))
