"""`LearntTemperature`: what a model needs whose contrast learns its temperature."""

import math

import keras
from keras import ops


class LearntTemperature:
    """A temperature among the model's weights: learnt as its logarithm, and clamped."""

    def add_temperature(self, initial, lowest, highest):
        """Add the weight `log_temperature`; in the constructor, of temperatures that were checked.

        Args:
            initial: where it starts.
            lowest: the lowest temperature that is learnt.
            highest: the highest one.
        """
        self.log_temperature_range = math.log(lowest), math.log(highest)
        self.log_temperature = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(initial)),
            constraint=self._clip_log_temperature,
            dtype="float32",
            autocast=False,
            name="log_temperature",
        )

    @property
    def temperature(self):
        """The learnt temperature, a float32 scalar tensor."""
        return ops.exp(self.log_temperature)

    def _clip_log_temperature(self, log_temperature):
        """Clamp the temperature; as a constraint, so that its gradient is alive at the border too."""
        return ops.clip(log_temperature, *self.log_temperature_range)
