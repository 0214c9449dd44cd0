"""Equality with Keras' own layer on the same weights; saving and mixed precision in test_multi_head_attention.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers.fused import HeadDense

INTO = ("blw,whd->blhd", (None, 2, 3), (5, 4, 8))
OUT_OF = ("blhd,hdw->blw", (None, 8), (5, 4, 2, 3))


@pytest.mark.parametrize("activation", [None, "gelu"])
@pytest.mark.parametrize("bias_axes", [None, "all"])
@pytest.mark.parametrize("equation, output_shape, shape", [INTO, OUT_OF], ids=["into", "out-of"])
def test_outputs_and_gradients_are_those_of_keras(equation, output_shape, shape, bias_axes, activation):
    inputs = tf.constant(np.random.default_rng(0).normal(size=shape), "float32")
    bias_axes = bias_axes and equation.rpartition(">bl")[2]
    found = []
    for kind in (HeadDense, keras.layers.EinsumDense):
        keras.utils.set_random_seed(0)
        layer = kind(equation, output_shape, activation, bias_axes=bias_axes, bias_initializer="normal")
        layer.build(shape)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs**3)
        found.append([outputs, *tape.gradient(loss, [inputs, *layer.trainable_variables])])
    assert len(found[0]) == (4 if bias_axes else 3)
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
