import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import MaskedLanguageHead

TOKENS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
TABLE = np.random.default_rng(1).normal(size=(7, 4)).astype("float32")


def random_head(**kwargs):
    head = MaskedLanguageHead(7, **kwargs)
    head.build(TOKENS.shape)
    generator = np.random.default_rng(2)
    for variable in head.trainable_variables:
        variable.assign(generator.normal(size=variable.shape))
    return head


def test_agrees_with_numpy():
    head = random_head()
    x = TOKENS @ np.asarray(head.dense.kernel, "float64") + np.asarray(head.dense.bias)
    x = 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    x = x * np.asarray(head.norm.gamma) + np.asarray(head.norm.beta)
    np.testing.assert_allclose(head(TOKENS, TABLE), x @ TABLE.T + np.asarray(head.bias), rtol=1e-4, atol=1e-5)
    tokens = np.stack([TOKENS, TOKENS])
    np.testing.assert_allclose(head(tokens, TABLE)[1], head(TOKENS, TABLE), rtol=1e-5, atol=1e-6)


def test_the_table_that_it_is_given_gets_a_gradient():
    table = keras.Variable(TABLE)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(random_head()(TOKENS, table) ** 2)
    assert np.abs(tape.gradient(total, table.value)).min(-1).max() > 0


@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.2)])
def test_logits_are_float32_under_mixed_precision(policy, tolerance):
    logits = random_head(dtype=policy)(TOKENS, TABLE)
    assert logits.dtype == "float32"
    np.testing.assert_allclose(logits, random_head()(TOKENS, TABLE), atol=tolerance)


def test_its_config_builds_it_again(tmp_path):
    head = MaskedLanguageHead(7, epsilon=1e-6, initializer_range=None)
    assert MaskedLanguageHead.from_config(head.get_config()).get_config() == head.get_config()
    tokens, table = keras.Input((4,)), keras.Input(batch_shape=TABLE.shape)
    model = keras.Model([tokens, table], head(tokens, table))
    model.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras")
    np.testing.assert_array_equal(loaded.layers[-1](TOKENS, TABLE), head(TOKENS, TABLE))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Received: vocabulary_size=0"):
        MaskedLanguageHead(0)
    with pytest.raises(ValueError, match="Expected the embedding of 8 ids. Received: 7"):
        MaskedLanguageHead(8)(TOKENS, TABLE)
