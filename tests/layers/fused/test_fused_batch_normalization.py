"""Every fact is an equality with Keras' own layer at the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import FusedBatchNormalization

from ...model_checks import check_layer

MAPS = np.random.default_rng(0).normal(2, 3, (4, 3, 5, 6)).astype("float32")
CLASSES = (FusedBatchNormalization, keras.layers.BatchNormalization)


def trained(layer_class, inputs, steps=2, jit_compile=False, **arguments):
    """The last of some steps: outputs, gradients of inputs, scale and offset; then all weights."""
    generator = np.random.default_rng(1)
    layer = layer_class(momentum=0.9, **arguments)
    layer.build(inputs.shape)
    layer.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in layer.weights])
    slope = tf.constant(generator.normal(size=inputs.shape), "float32")

    @tf.function(jit_compile=jit_compile)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            total = tf.reduce_sum(tf.cast(outputs, "float32") * slope)
        return outputs, tape.gradient(total, [inputs, *(weight.value for weight in layer.trainable_weights)])

    for _ in range(steps):
        found = step(tf.constant(inputs))
    return [*tf.nest.flatten(found), *layer.get_weights()]


def test_is_a_sound_layer(tmp_path):
    check_layer(FusedBatchNormalization, {"momentum": 0.8, "epsilon": 1e-4}, [MAPS], MAPS.shape, tmp_path, weights=2)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("maps", [MAPS, MAPS[:1, :1, :2]], ids=["maps", "two cells"])
def test_a_training_step_is_that_of_keras(maps, jit_compile):
    ours, theirs = (trained(one, maps, jit_compile=jit_compile) for one in CLASSES)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_one_cell_alone_leaves_a_variance_of_zero():
    ours, theirs = (trained(one, MAPS[:1, :1, :1]) for one in CLASSES)
    np.testing.assert_allclose(ours[-1], theirs[-1], rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_float32(policy):
    """Numbers whose squares float16 does not hold."""
    ours, theirs = (trained(one, 100 * MAPS, dtype=policy) for one in CLASSES)
    assert ours[0].dtype == policy.removeprefix("mixed_")
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(tf.cast(one, "float32"), tf.cast(other, "float32"), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("trainable, training", [(True, False), (False, True)])
def test_inference_and_a_frozen_layer_are_those_of_keras(trainable, training):
    layers = [one() for one in CLASSES]
    for layer in layers:
        layer.build(MAPS.shape)
        layer.set_weights([np.full(weight.shape, 0.5 + index) for index, weight in enumerate(layer.weights)])
        layer.trainable = trainable
    ours, theirs = (layer(MAPS, training=training) for layer in layers)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(layers[0].moving_mean, np.full(6, 2.5))


@pytest.mark.parametrize(
    "inputs, arguments",
    [(MAPS, {"axis": 1}), (MAPS[0], {}), (MAPS, {"scale": False}), (MAPS, {"center": False}), (MAPS, {"renorm": True})],
    ids=["another axis", "rank 3", "no scale", "no offset", "renorm"],
)
def test_what_the_kernel_cannot_do_is_done_by_keras(inputs, arguments):
    ours, theirs = (trained(one, inputs, **arguments) for one in CLASSES)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_of_keras_layer_fit():
    """They are the same ones in the same order."""
    models = [keras.Sequential([keras.Input((3, 5, 6)), one(name="norm")]) for one in CLASSES]
    models[1].layers[0].set_weights([np.full(6, value, "float32") for value in (1.5, 0.5, 2.0, 3.0)])
    models[0].set_weights(models[1].get_weights())
    np.testing.assert_array_equal(models[0](MAPS), models[1](MAPS))
