import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.models import LearntTemperature, SoftMask

from .small_soft_mask import build


def after_a_step(part, gradient, rate=1e-3):
    """The temperature after Adam's first step, which is the rate against the gradient's sign."""
    optimizer = keras.optimizers.Adam(rate)
    optimizer.apply([tf.constant(gradient)], [part.learnt])
    return float(part.value)


@pytest.mark.parametrize("gradient", [0.3, -40.0])
def test_a_step_moves_the_temperature_or_its_logarithm_by_the_rate(gradient):
    against = -np.sign(gradient)
    part = LearntTemperature(initial=0.07, lowest=0.001, highest=0.5, logarithmic=False)
    assert after_a_step(part, gradient) == pytest.approx(0.07 + against * 1e-3, rel=1e-4)
    part = LearntTemperature(initial=0.07, lowest=0.001, highest=0.5)
    assert after_a_step(part, gradient) == pytest.approx(0.07 * np.exp(against * 1e-3), rel=1e-4)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_it_stays_within_its_bounds_and_is_saved(logarithmic):
    part = LearntTemperature(initial=0.1, lowest=0.09, highest=0.11, logarithmic=logarithmic)
    assert after_a_step(part, 1.0, rate=10.0) == pytest.approx(0.09)
    assert after_a_step(part, -1.0, rate=100.0) == pytest.approx(0.11)
    again = LearntTemperature.from_config(part.get_config())
    assert (again.logarithmic, float(again.value)) == (logarithmic, pytest.approx(0.1))


def test_the_temperature_of_soft_mask_is_learnt_as_in_albef():
    """Of one rate ALBEF's temperature goes from 0.07 to 0.01 in a hundredth of the steps that a logarithm takes."""
    model = build()
    assert isinstance(model, SoftMask) and isinstance(model.temperature, LearntTemperature)
    assert (model.temperature.logarithmic, model.temperature.learnt.name) == (False, "temperature")
    assert any(one is model.temperature.learnt for one in model.trainable_variables)


def test_no_weight_decay_pulls_at_it():
    model = build()
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.1))
    assert not model.optimizer._use_weight_decay(model.temperature.learnt)
