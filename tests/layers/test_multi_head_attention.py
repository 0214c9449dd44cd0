import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import MultiHeadAttention

from ..model_checks import check_layer

ARGUMENTS = {"heads": 2, "dropout": 0.0, "initializer_range": 0.5}
TOKENS = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
CONTEXT = np.random.default_rng(1).normal(size=(3, 5, 8)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1]])
ZEROS = np.zeros((3, 2, 4, 5), "float32")


def random_attention(dropout=0.0, **kwargs):
    """Built for TOKENS and CONTEXT, with random biases too."""
    attention = MultiHeadAttention(2, dropout, **kwargs)
    attention.build(TOKENS.shape, CONTEXT.shape)
    generator = np.random.default_rng(2)
    for variable in attention.trainable_variables:
        variable.assign(generator.normal(size=variable.shape, scale=0.5))
    return attention


def test_is_a_sound_layer(tmp_path):
    check_layer(
        MultiHeadAttention,
        ARGUMENTS,
        [TOKENS, CONTEXT, MASK],
        TOKENS.shape,
        tmp_path,
        weights=8,
        without_gradient=["key/bias"],
    )


@pytest.mark.parametrize("masked", [False, True])
def test_agrees_with_keras(masked):
    """Outputs and probabilities of Keras' own layer, with the same weights in the same order."""
    attention, own = random_attention(), keras.layers.MultiHeadAttention(2, 3)
    own.build(TOKENS.shape, CONTEXT.shape)
    own.set_weights(attention.get_weights())
    mask = MASK if masked else None
    outputs = attention(TOKENS, CONTEXT, mask, return_probabilities=True)
    expected = own(TOKENS, CONTEXT, attention_mask=MASK[:, None] if masked else None, return_attention_scores=True)
    for one, other in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_without_a_context_the_tokens_look_at_each_other():
    attention = MultiHeadAttention(2)
    np.testing.assert_array_equal(attention(TOKENS), attention(TOKENS, TOKENS))


def test_the_gradient_to_the_probe_is_that_of_finite_differences():
    attention = random_attention(dtype="float64")
    direction = np.random.default_rng(3).normal(size=TOKENS.shape)

    def score(probe):
        return tf.reduce_sum(attention(TOKENS, CONTEXT, MASK, probe=probe) ** 2 * direction)

    probe = tf.zeros(ZEROS.shape, "float64")
    with tf.GradientTape() as tape:
        tape.watch(probe)
        total = score(probe)
    gradient = tape.gradient(total, probe).numpy()
    step = 1e-5
    for place in np.random.default_rng(4).permutation(ZEROS.size)[:20]:
        nudge = np.zeros(ZEROS.size)
        nudge[place] = step
        nudge = nudge.reshape(ZEROS.shape)
        expected = (score(nudge) - score(-nudge)) / (2 * step)
        np.testing.assert_allclose(gradient.flat[place], expected, rtol=1e-6, atol=1e-8)
    assert np.abs(gradient).min() > 0  # also where the mask hides: what would change if it were looked at


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_probe_of_zeros_changes_nothing(policy):
    attention = random_attention(dtype=policy)
    attended, probabilities = attention(TOKENS, CONTEXT, MASK, probe=ZEROS, return_probabilities=True)
    np.testing.assert_array_equal(attended, attention(TOKENS, CONTEXT, MASK))
    assert probabilities.dtype == "float32"
    assert np.asarray(probabilities)[1, :, :, 3:].max() == 0  # behind the mask


def test_probabilities_are_those_before_dropout():
    attention = random_attention(dropout=0.5)
    attended, probabilities = attention(TOKENS, CONTEXT, return_probabilities=True, training=True)
    quiet, expected = attention(TOKENS, CONTEXT, return_probabilities=True)
    np.testing.assert_array_equal(probabilities, expected)
    assert np.abs(attended - quiet).max() > 1e-2


def test_nothing_to_look_at_is_finite():
    assert np.isfinite(random_attention()(TOKENS, CONTEXT, np.zeros((3, 5), bool))).all()


def test_the_kernels_start_as_they_are_told():
    attention = MultiHeadAttention(4, initializer_range=0.02)
    attention.build((None, None, 256))
    deviations = [np.std(layer.kernel) for layer in (attention.query_dense, attention.output_dense)]
    np.testing.assert_allclose(deviations, [0.0176, 0.0176], rtol=0.02)  # a normal of 0.02 cut at two deviations
    assert np.abs(attention.query_dense.kernel - attention.key_dense.kernel).max() > 1e-3


@pytest.mark.parametrize("wrong", [{"heads": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_an_argument_out_of_range_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"Received: {name}={wrong[name]}"):
        MultiHeadAttention(**{**ARGUMENTS, **wrong})


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="Expected a width that 4 heads divide. Received: width=6"):
        MultiHeadAttention(4)(TOKENS)
