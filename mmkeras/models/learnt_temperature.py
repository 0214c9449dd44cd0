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
    """A temperature that is learnt, as its logarithm or as it is, and clamped.

    An optimizer such as Adam moves what is learnt by its rate a step. The logarithm moves a temperature by a share of
    itself, the temperature itself by as much near 0.01 as near 1: of one rate, a hundred times faster there.

    Args:
        initial: where it starts, in [`lowest`, `highest`].
        lowest: the lowest temperature that is learnt, more than 0. On a small training set the loss drives it far down,
            where only the hardest negatives of the training set count; a floor of 0.1 generalised better on the glyphs.
        highest: the highest one.
        logarithmic: whether the logarithm is learnt, as in CLIP (arXiv 2103.00020, section 2.5), or the temperature
            itself, as in the code of ALBEF (arXiv 2107.07651).

    Raises:
        MmkerasError: temperatures out of order.

    Example:
        >>> temperature = LearntTemperature(initial=0.07, lowest=0.01)
        >>> logits = cosines / temperature.value
    """

    def __init__(
        self,
        initial: float = 0.07,
        lowest: float = 0.01,
        highest: float = 1.0,
        logarithmic: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "temperature", **kwargs, "dtype": "float32"})
        if not 0 < lowest <= initial <= highest:
            raise MmkerasError(
                "Expected temperatures with 0 < lowest <= initial <= highest. "
                f"Received: lowest={lowest}, initial={initial}, highest={highest}"
            )
        self.initial = initial
        self.lowest = lowest
        self.highest = highest
        self.logarithmic = logarithmic
        self.learnt = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(initial) if logarithmic else initial),
            constraint=self._clip,
            dtype="float32",
            autocast=False,
            name="log_temperature" if logarithmic else "temperature",
        )
        self.built = True

    @property
    def value(self) -> Tensor:
        """The temperature, a float32 scalar tensor."""
        return ops.exp(self.learnt) if self.logarithmic else ops.convert_to_tensor(self.learnt)

    def _clip(self, learnt):
        """Clamp the temperature; as a constraint, so that its gradient is alive at the border too."""
        bounds = self.lowest, self.highest
        return ops.clip(learnt, *(map(math.log, bounds) if self.logarithmic else bounds))
