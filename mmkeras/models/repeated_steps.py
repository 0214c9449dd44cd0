"""`RepeatedSteps`: the learning rate of an optimizer that takes several steps a batch."""

import keras
from keras import ops

from mmkeras.errors import MmkerasError


@keras.saving.register_keras_serializable("mmkeras")
class RepeatedSteps(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that goes on once in so many steps of its optimizer.

        rate(step) = schedule(step // repeats)

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule`, in batches.
        repeats: steps of the optimizer a batch, 1 or more.

    Raises:
        MmkerasError: fewer than one step a batch.

    Example:
        >>> keras.optimizers.Adam(RepeatedSteps(keras.optimizers.schedules.CosineDecay(1e-3, 1000), repeats=5))
    """

    def __init__(self, schedule, repeats):
        super().__init__()
        if repeats < 1:
            raise MmkerasError(f"Expected repeats of 1 or more. Received: repeats={repeats}")
        self.schedule = schedule
        self.repeats = repeats

    def __call__(self, step):
        return self.schedule(ops.floor_divide(ops.convert_to_tensor(step), self.repeats))

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "repeats": self.repeats}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["repeats"])
