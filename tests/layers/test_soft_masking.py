import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import SoftMasking, masked_image_tokens, normalized_attention, word_attention

# One text of three words over four patches: the least is 1, 0, 2; the spread 4, 0, 8.
ATTENTION = np.array([[[1.0, 2, 3, 5], [0, 0, 0, 0], [2, 10, 4, 2]]])
TOKENS = np.arange(1.0, 11).reshape(1, 5, 2).astype("float32")  # the class token is (1, 2)
SECOND, FIRST = np.array([[False, False, True]]), np.array([[True, False, False]])


def test_word_attention_by_hand():
    """Two heads, two words, a class token and two patches."""
    probabilities = np.array([[[[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], [[0.6, 0.2, 0.2], [0.0, 1.0, 0.0]]]])
    gradient = np.array([[[[9.0, 2.0, -1.0], [9.0, 0.0, 1.0]], [[9.0, 4.0, 1.0], [9.0, -3.0, 5.0]]]])
    found = word_attention(probabilities, gradient)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, [[[(1.0 + 0.8) / 2, 0.2 / 2], [0, 0.8 / 2]]], rtol=1e-6)


def test_no_gradient_comes_through_word_attention():
    probabilities = tf.ones((1, 1, 1, 3))
    with tf.GradientTape() as tape:
        tape.watch(probabilities)
        found = word_attention(probabilities, probabilities)
    assert tape.gradient(found, probabilities) is None


def test_normalisation_by_hand():
    found = normalized_attention(ATTENTION)
    np.testing.assert_allclose(found, [[[0, 0.25, 0.5, 1], [0, 0, 0, 0], [0, 1, 0.25, 0]]])


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1.0, 1e6])
def test_the_size_of_a_gradient_has_no_meaning(scale):
    found = normalized_attention(scale * np.array([1.0, 2, 3, 5]))
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 1], rtol=1e-5)


def test_one_value_everywhere_is_no_mask():
    for value in (0.0, 0.3, 1e-20):
        assert not normalized_attention(np.full((2, 3), value)).numpy().any()


def test_masked_tokens_by_hand():
    found = masked_image_tokens(TOKENS, np.array([[0, 0.25, 0.5, 1]]))
    np.testing.assert_allclose(found, [[[1, 2], [3, 4], [3.75, 4.5], [3.5, 4], [0, 0]]])


def test_gradients_reach_the_tokens_and_not_the_mask():
    tokens, mask = tf.constant(TOKENS), tf.constant([[0, 0.25, 0.5, 1]])
    with tf.GradientTape() as tape:
        tape.watch([tokens, mask])
        total = tf.reduce_sum(masked_image_tokens(tokens, mask))
    to_tokens, to_mask = tape.gradient(total, [tokens, mask])
    np.testing.assert_allclose(to_tokens, [[[1, 1], [1, 1], [0.75, 0.75], [0.5, 0.5], [0, 0]]])
    assert to_mask is None


@pytest.mark.parametrize(
    ("mode", "words", "mask"),
    [
        ("soft", SECOND, [0, 1, 0.25, 0]),
        ("soft", FIRST, [0, 0.25, 0.5, 1]),
        ("hard", SECOND, [0, 1, 0, 0]),
        ("hard", FIRST, [0, 0, 1, 1]),  # 0.5 reaches the threshold
        ("none", FIRST, [0, 0, 0, 0]),
    ],
)
def test_modes_by_hand(mode, words, mask):
    found = SoftMasking(mode)(TOKENS, ATTENTION, words)
    np.testing.assert_allclose(found["mask"], [mask])
    np.testing.assert_allclose(found["tokens"], masked_image_tokens(TOKENS, np.array([mask])))
    assert found["word"].numpy().tolist() == [int(np.argmax(words))]
    assert (found["mask"].dtype, found["word"].dtype) == (tf.float32, tf.int32)


def test_a_threshold_of_its_own():
    assert SoftMasking("hard", threshold=0.2)(TOKENS, ATTENTION, FIRST)["mask"].numpy().tolist() == [[0, 1, 1, 1]]


def test_a_random_mask_takes_as_much_wherever():
    layer = SoftMasking("random")
    rows = 300
    found = layer(np.repeat(TOKENS, rows, 0), np.repeat(ATTENTION, rows, 0), np.repeat(FIRST, rows, 0))["mask"].numpy()
    np.testing.assert_allclose(np.sort(found, axis=1), [[0, 0.25, 0.5, 1]] * rows)
    places = np.argmax(found, axis=1)
    assert np.bincount(places, minlength=4).min() > rows / 4 - 4 * np.sqrt(rows * 3 / 16)


def test_words_are_drawn_alike_and_others_never():
    words = np.array([[True, False, True, True, False]] * 3000)
    attention = np.random.default_rng(0).random((3000, 5, 4))
    found = SoftMasking()(np.ones((3000, 5, 2), "float32"), attention, words)
    counts = np.bincount(found["word"], minlength=5)
    assert counts[1] == counts[4] == 0
    assert np.abs(counts[[0, 2, 3]] - 1000).max() < 4 * np.sqrt(3000 * 2 / 9)
    rows = np.arange(3000)
    np.testing.assert_allclose(found["mask"], normalized_attention(attention[rows, found["word"].numpy()]), rtol=1e-6)


def test_a_text_without_a_word_keeps_its_picture():
    for mode in ("soft", "hard", "random"):
        found = SoftMasking(mode)(TOKENS, ATTENTION, np.zeros((1, 3), "bool"))
        assert found["word"].numpy().tolist() == [-1]
        np.testing.assert_array_equal(found["tokens"], TOKENS)


def test_the_mask_of_a_given_word_is_that_of_the_draw():
    for mode in ("soft", "hard", "none"):
        layer = SoftMasking(mode)
        np.testing.assert_array_equal(layer.mask_of(ATTENTION, [0]), layer(TOKENS, ATTENTION, FIRST)["mask"])
        assert not layer.mask_of(ATTENTION, [-1]).numpy().any()
    layer = SoftMasking("random")
    state = layer.seed_generator.state.numpy()
    shuffled = [layer.mask_of(ATTENTION, [0], seed=seed).numpy() for seed in (3, 3)]
    np.testing.assert_array_equal(*shuffled)
    np.testing.assert_array_equal(layer.seed_generator.state, state)
    assert sorted(shuffled[0][0]) == sorted(SoftMasking().mask_of(ATTENTION, [0]).numpy()[0])


def test_no_gradient_goes_through_the_layer_to_the_attention():
    tokens, attention = tf.constant(TOKENS), tf.constant(ATTENTION, "float32")
    for mode in ("soft", "hard", "random"):
        with tf.GradientTape() as tape:
            tape.watch([tokens, attention])
            total = tf.reduce_sum(SoftMasking(mode)(tokens, attention, FIRST)["tokens"])
        to_tokens, to_attention = tape.gradient(total, [tokens, attention])
        assert to_attention is None
        assert to_tokens[0, 0].numpy().tolist() == [1, 1]


def test_mixed_precision_keeps_small_attentions():
    """1e-9 is 0 in float16."""
    found = SoftMasking(dtype="mixed_float16")(tf.cast(TOKENS, "float16"), 1e-9 * ATTENTION.astype("float32"), FIRST)
    np.testing.assert_allclose(found["mask"], [[0, 0.25, 0.5, 1]], rtol=1e-5)
    assert found["tokens"].dtype == tf.float16
    np.testing.assert_allclose(found["tokens"][0, 2], [3.75, 4.5])


def test_a_graph_with_free_sizes_and_a_restored_state_draw_alike():
    attention, words = np.random.default_rng(0).random((40, 6, 4)).astype("float32"), np.ones((40, 6), "bool")
    tokens = np.ones((40, 5, 2), "float32")
    layer, other = SoftMasking("random", seed=2), SoftMasking("random", seed=2)
    free = [tf.TensorSpec([None, None, 2]), tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None], tf.bool)]
    graph = tf.function(layer, input_signature=free)
    first = other(tokens, attention, words)
    tf.nest.map_structure(np.testing.assert_array_equal, graph(tokens, attention, words), first)
    second = other(tokens, attention, words)
    assert (second["word"].numpy() != first["word"].numpy()).any()
    tf.nest.map_structure(np.testing.assert_array_equal, graph(tokens, attention, words), second)
    restored = SoftMasking("random", seed=9)
    restored.seed_generator.state.assign(other.seed_generator.state)
    tf.nest.map_structure(
        np.testing.assert_array_equal, restored(tokens, attention, words), other(tokens, attention, words)
    )


def test_its_state_is_one_of_a_models_variables():
    """Which is what a checkpoint holds."""
    inputs = [keras.Input((5, 2)), keras.Input((3, 4)), keras.Input((3,), dtype="bool")]
    layer = SoftMasking("soft")
    model = keras.Model(inputs, layer(*inputs))
    assert [variable.path for variable in model.variables] == [layer.seed_generator.state.path]
    assert not model.weights


def test_config():
    layer = SoftMasking("hard", threshold=0.25, seed=4)
    config = json.loads(json.dumps(layer.get_config()))
    assert SoftMasking.from_config(config).get_config() == layer.get_config()
    assert (config["mask_mode"], config["threshold"], config["seed"]) == ("hard", 0.25, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_mode": "blur"}, "soft, hard, random, none. Received: 'blur'"),
        ({"threshold": 0}, r"threshold in \(0, 1\]. Received: threshold=0"),
        ({"threshold": 1.5}, "threshold=1.5"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftMasking(**arguments)
