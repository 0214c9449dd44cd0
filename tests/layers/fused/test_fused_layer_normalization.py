"""Every fact is an equality with Keras' own layer at the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import FusedLayerNormalization

from ...model_checks import check_layer

TOKENS = np.random.default_rng(0).normal(2, 3, (4, 3, 6)).astype("float32")
CLASSES = (FusedLayerNormalization, keras.layers.LayerNormalization)


def trained(layer_class, inputs, jit_compile=None, **arguments):
    """Outputs, and the gradients of inputs, scale and offset."""
    generator = np.random.default_rng(1)
    layer = layer_class(**{"epsilon": 1e-6, **arguments})
    layer.build(inputs.shape)
    layer.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in layer.weights])
    slope = tf.constant(generator.normal(size=inputs.shape), "float32")

    def step(inputs):
        training = {"training": True} if layer_class is FusedLayerNormalization else {}
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, **training)
            total = tf.reduce_sum(tf.cast(outputs, "float32") * slope)
        return outputs, tape.gradient(total, [inputs, *(weight.value for weight in layer.trainable_weights)])

    if jit_compile is not None:
        step = tf.function(step, jit_compile=jit_compile)
    return tf.nest.flatten(step(tf.constant(inputs)))


def test_is_a_sound_layer(tmp_path):
    check_layer(FusedLayerNormalization, {"epsilon": 1e-4}, [TOKENS], TOKENS.shape, tmp_path, weights=2)


@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "xla"])
@pytest.mark.parametrize("tokens", [TOKENS, TOKENS[0], TOKENS[:1, :1]], ids=["tokens", "vectors", "one row"])
def test_a_training_step_is_that_of_keras(tokens, jit_compile):
    ours, theirs = (trained(one, tokens, jit_compile) for one in CLASSES)
    assert len(ours) == 4
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_equal_numbers_in_a_row_become_the_offset_with_a_finite_slope():
    tokens = np.full((2, 6), 7, "float32")
    for one, other in zip(*(trained(each, tokens, epsilon=1e-3) for each in CLASSES), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)  # Keras' own rounds 7 times the inverse deviation
    outputs, *gradients = trained(FusedLayerNormalization, tokens, epsilon=1e-12)
    np.testing.assert_allclose(outputs, trained(FusedLayerNormalization, tokens, epsilon=1e-3)[0], rtol=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("arguments", [{"axis": (1, 2)}, {"axis": 1}, {"center": False}, {"scale": False}])
def test_what_is_not_plain_is_left_to_keras(arguments):
    for one, other in zip(*(trained(each, TOKENS, **arguments) for each in CLASSES), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_float32(policy):
    """Numbers whose squares float16 does not hold."""
    ours, theirs = (trained(one, 100 * TOKENS, dtype=policy) for one in CLASSES)
    assert ours[0].dtype == policy.removeprefix("mixed_")
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(tf.cast(one, "float32"), tf.cast(other, "float32"), rtol=1e-2, atol=1e-2)
