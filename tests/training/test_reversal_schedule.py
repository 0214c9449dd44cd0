import types

import keras
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.models import ModalityAdversary
from mmkeras.training import ReversalSchedule


def attached(schedule, iterations=0):
    optimizer = keras.optimizers.SGD()
    optimizer.iterations.assign(iterations)
    schedule.set_model(
        types.SimpleNamespace(
            optimizer=optimizer, adversary=ModalityAdversary(reversal_strength=0.9), steps_per_execution=1
        )
    )
    return schedule


def test_the_ramp_by_hand():
    """2 / (1 + e^-10p) - 1 at p = 0, 1/10, 1/2, 1 and beyond, times the maximum."""
    schedule = ReversalSchedule(200, maximum=3.0)
    found = [schedule.strength(step) for step in (0, 20, 100, 200, 10_000)]
    np.testing.assert_allclose(found, 3 * np.array([0, 0.4621172, 0.9866143, 0.9999092, 0.9999092]), atol=1e-6)


def test_the_step_is_the_optimizers_so_that_a_restored_one_goes_on():
    for step in (0, 7, 50):
        schedule = attached(ReversalSchedule(50), step)
        schedule.on_train_begin()
        schedule.on_train_batch_begin(0)
        strength = float(schedule.model.adversary.gradient_reversal.strength)
        assert strength == pytest.approx(schedule.strength(step), abs=1e-7)
        logs = {}
        schedule.on_epoch_end(0, logs)
        assert logs == {"reversal_strength": strength}


def test_fit_raises_the_strength_step_by_step_without_retracing():
    inputs = keras.Input((2,))
    adversary = ModalityAdversary(reversal_strength=0.0)
    reversal = adversary.gradient_reversal
    model = keras.Model(inputs, keras.layers.Dense(1)(reversal(inputs)))
    model.adversary = adversary
    model.compile("sgd", "mse")
    strengths = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            strengths.append(float(reversal.strength))

    schedule = ReversalSchedule(4)
    model.fit(np.ones((6, 2)), np.ones(6), batch_size=1, epochs=1, verbose=0, callbacks=[schedule, Watch()])
    np.testing.assert_allclose(strengths, [schedule.strength(step) for step in range(6)], atol=1e-6)


@pytest.mark.parametrize("arguments", [{"ramp_steps": 0}, {"maximum": -1.0}, {"maximum": float("nan")}, {"gamma": 0.0}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(MmkerasError, match=f"{next(iter(arguments))}={next(iter(arguments.values()))}"):
        ReversalSchedule(**({"ramp_steps": 10} | arguments))


def test_a_model_without_a_reversal_is_refused():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(MmkerasError, match="Expected a model with an adversary. Received: Sequential"):
        ReversalSchedule(1).set_model(model)


def test_accumulated_gradients_do_not_stretch_the_ramp():
    """Keras counts an optimizer's steps once in so many batches; the ramp goes by batches."""
    inputs = keras.Input((2,))
    adversary = ModalityAdversary(reversal_strength=0.0)
    model = keras.Model(inputs, keras.layers.Dense(1)(adversary.gradient_reversal(inputs)))
    model.adversary = adversary
    model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2), "mse")
    schedule = ReversalSchedule(100)
    for epoch in range(2):  # a fit goes on where the one before has stopped
        model.fit(np.ones((6, 2)), np.ones(6), batch_size=1, epochs=1, verbose=0, callbacks=[schedule])
        assert float(adversary.gradient_reversal.strength) == pytest.approx(schedule.strength(6 * epoch + 5), abs=1e-7)


def test_several_steps_at_a_time_are_refused():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.adversary = ModalityAdversary()
    model.compile("sgd", "mse", steps_per_execution=2)
    with pytest.raises(MmkerasError, match="Expected steps_per_execution=1: .*Received: steps_per_execution=2"):
        model.fit(np.ones((6, 2)), np.ones(6), verbose=0, callbacks=[ReversalSchedule(4)])
