import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import MaskedMaxPooling, MaskedMeanPooling

from ..model_checks import check_layer

TOKENS = np.array([[[1, -2], [3, -4], [100, 100]], [[5, 6], [7, 8], [9, -10]], [[1, 1], [1, 1], [1, 1]]], "float32")
MASK = np.array([[True, True, False], [True, True, True], [False, False, False]])


@pytest.mark.parametrize("layer", [MaskedMeanPooling, MaskedMaxPooling])
def test_is_a_sound_layer(layer, tmp_path):
    check_layer(layer, {}, [TOKENS, MASK], (3, 2), tmp_path)


def test_the_mean_leaves_out_what_is_masked():
    np.testing.assert_allclose(MaskedMeanPooling()(TOKENS, MASK), [[2, -3], [7, 4 / 3], [0, 0]], rtol=1e-6)


def test_the_maximum_leaves_out_what_is_masked():
    np.testing.assert_array_equal(MaskedMaxPooling()(TOKENS, MASK), [[3, -2], [9, 8], [0, 0]])


def test_both_agree_with_numpy_on_random_tokens():
    generator = np.random.default_rng(0)
    tokens, mask = generator.normal(size=(5, 7, 3)).astype("float32"), generator.random((5, 7)) < 0.6
    mask[:, 0] = True
    mean = [row[keep].mean(0) for row, keep in zip(tokens, mask, strict=True)]
    maximum = [row[keep].max(0) for row, keep in zip(tokens, mask, strict=True)]
    np.testing.assert_allclose(MaskedMeanPooling()(tokens, mask), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(MaskedMaxPooling()(tokens, mask), maximum)


@pytest.mark.parametrize("layer", [MaskedMeanPooling, MaskedMaxPooling])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_masked_tokens_get_no_gradient_and_an_empty_row_a_finite_one(layer, dtype):
    tokens = tf.constant(TOKENS, dtype)
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        pooled = layer(dtype=dtype)(tokens, MASK)
    gradient = tape.gradient(pooled, tokens).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[~MASK] == 0).all()
    assert gradient[0, :2].sum() == 2  # one a feature, shared or to the largest


@pytest.mark.parametrize("layer", [MaskedMeanPooling, MaskedMaxPooling])
def test_infinity_behind_the_mask_stays_there(layer):
    tokens = np.where(MASK[..., None], TOKENS, np.inf)
    np.testing.assert_array_equal(layer()(tokens, MASK), layer()(TOKENS, MASK))


@pytest.mark.parametrize(("dtype", "length"), [("float16", 3000), ("bfloat16", 400)])
def test_halves_count_long_sequences(dtype, length):
    """The mean of ones is 1: bfloat16 would stop counting at 256, float16 at 2,048, and 3,000 times 30 overflow."""
    ones = tf.fill((1, length, 1), tf.constant(30, dtype))
    pooled = MaskedMeanPooling(dtype=dtype)(ones, np.ones((1, length), bool))
    assert pooled.dtype == dtype
    assert float(pooled[0, 0]) == 30
