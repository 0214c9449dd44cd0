"""A block that is computed again for its gradient is the same block."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import TransformerBlock

GENERATOR = np.random.default_rng(0)
TOKENS, CONTEXT = (GENERATOR.normal(size=size).astype("float32") for size in ((3, 5, 8), (3, 4, 6)))


def gradients(recomputed, graph=True, policy="float32", **options):
    """Of the tokens, the context and the weights; and where the random states are after it."""
    keras.utils.set_random_seed(0)
    block = TransformerBlock(2, 16, dropout=0.5, dtype=policy, cross_attention=bool(options), name="block")
    block.build((None, 5, 8), *([(None, 4, 6)] if options else []))
    block.recomputed = recomputed
    inputs = [tf.constant(TOKENS), *([tf.constant(CONTEXT)] if options else [])]
    mask = tf.constant(np.arange(15).reshape(3, 5) % 5 < 4)

    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            made = block(inputs[0], mask, *inputs[1:], training=True, **options)
            made = made[0] if isinstance(made, tuple) else made
            loss = tf.reduce_sum(tf.cast(made, "float32") ** 2)
        return loss, tape.gradient(loss, [*inputs, *block.trainable_variables])

    loss, found = (tf.function(step) if graph else step)()
    states = [variable.numpy() for variable in block.non_trainable_variables]
    return float(loss), [tf.convert_to_tensor(gradient).numpy() for gradient in found], states


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("options", [{}, {"return_probabilities": True}], ids=["alone", "with a context"])
def test_loss_gradients_and_random_states_are_those_of_the_block(graph, options):
    """With half of all dropped: were other numbers dropped the second time, the gradients would be others."""
    (loss, expected, states), (again, found, moved) = (gradients(each, graph, **options) for each in (False, True))
    assert again == pytest.approx(loss, rel=1e-6)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(moved, states)


def test_it_works_under_mixed_precision():
    (loss, expected, _), (again, found, _) = (gradients(each, policy="mixed_float16") for each in (False, True))
    assert again == pytest.approx(loss, rel=1e-3)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-2 * max(np.abs(one).max(), 0.1))


def test_the_graph_holds_each_block_twice():
    """The products of attention and feed-forward part, once more in the gradient."""

    def products(recomputed):
        block = TransformerBlock(2, 16)
        block.build((None, 5, 8))
        block.recomputed = recomputed

        @tf.function
        def step(tokens):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(block(tokens, training=True))
            return tape.gradient(loss, block.trainable_variables)

        graph = step.get_concrete_function(tf.TensorSpec((3, 5, 8))).graph
        return sum(operation.type in ("MatMul", "BatchMatMulV2") for operation in graph.get_operations())

    forward = 8  # query, key, value, scores, attended, output, expand, contract
    assert products(True) == products(False) + forward
