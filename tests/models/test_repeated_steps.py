import keras
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.models import RepeatedSteps


def test_it_goes_on_once_in_so_many_steps():
    halving = keras.optimizers.schedules.ExponentialDecay(8.0, 2, 0.5, staircase=True)
    schedule = RepeatedSteps(halving, 3)
    assert [float(schedule(step)) for step in (0, 5, 6, 11, 12)] == [8, 8, 4, 4, 2]
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert (type(again), again.repeats, float(again(6))) == (RepeatedSteps, 3, 4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(MmkerasError, match="Received: repeats=0"):
        RepeatedSteps(None, 0)
