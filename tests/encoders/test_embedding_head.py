import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders.embedding_head import build_by_kind, embedding_head
from mmkeras.errors import MmkerasError


def head(width=6, dim=4):
    features = keras.Input((width,))
    return keras.Model(features, embedding_head(features, dim))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("scale", [1e-2, 1, 1e3])
def test_rows_have_length_1_in_float32(policy, scale):
    keras.config.set_dtype_policy(policy)
    features = scale * np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    for training in (False, True):
        embedding = head()(features, training=training)
        assert embedding.dtype == "float32"
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), np.ones(5), rtol=1e-5)


def test_features_of_zeros_give_finite_values_and_gradients():
    model = head()
    with tf.GradientTape() as tape:
        embedding = model(np.zeros((2, 6), "float32"))
        total = tf.reduce_sum(embedding[:, 0])
    assert np.isfinite(embedding).all()
    kernel = model.trainable_variables[0].value
    assert np.isfinite(tape.gradient(total, kernel)).all()


def test_without_batch_statistics_it_is_a_linear_layer_on_the_sphere():
    features = keras.Input((6,))
    model = keras.Model(features, embedding_head(features, 4, batch_norm=False))
    kernel, bias = np.random.default_rng(0).normal(size=(6, 4)), np.arange(4.0)
    model.set_weights([kernel, bias])
    rows = np.random.default_rng(1).normal(size=(3, 6))
    expected = rows @ kernel + bias
    for training in (False, True):
        embedding = model(rows.astype("float32"), training=training)
        np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected, axis=-1, keepdims=True), rtol=1e-5)


def test_kinds_are_told_to_who_asks_for_another():
    with pytest.raises(MmkerasError, match="Expected an encoder kind of a, b. Received: kind='c'"):
        build_by_kind({"b": None, "a": None}, "c", {})


def test_a_setting_that_the_builder_does_not_take_is_named():
    with pytest.raises(MmkerasError, match="Encoder 'a' does not take these settings: .*colour"):
        build_by_kind({"a": lambda size: size}, "a", {"size": 1, "colour": 2})
