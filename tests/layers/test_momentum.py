import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import TransformerBlock, momentum_copy, momentum_update


def encoder():
    """A small functional model with everything a teacher may have: norms with statistics, blocks, dropout."""
    tokens = keras.Input((3, 4), name="tokens")
    x = TransformerBlock(2, 8, dropout=0.1, name="block")(tokens)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(tokens, {"embedding": keras.layers.Dense(2, name="dense")(x[:, 0])}, name="encoder")


def filled(model, value):
    model.set_weights([np.full(weight.shape, value, "float32") for weight in model.weights])


def values(model):
    return {float(value) for weight in model.get_weights() for value in np.unique(weight)}


def test_a_copy_starts_equal_and_apart():
    model = encoder()
    model.set_weights([np.random.default_rng(i).random(w.shape) for i, w in enumerate(model.weights)])
    teacher = momentum_copy(model)
    tokens = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(teacher(tokens)["embedding"], model(tokens)["embedding"])
    assert (teacher.trainable, teacher.trainable_variables, len(teacher.weights)) == (False, [], len(model.weights))
    assert not {id(weight) for weight in teacher.weights} & {id(weight) for weight in model.weights}
    assert len(model.trainable_variables) == 20  # copying froze nothing of the model
    before = teacher.get_weights()
    filled(model, 3.0)
    for one, other in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, 1.5), (1.0, 3.0), (0.75, 2.625)])
def test_every_weight_moves_by_the_equation(momentum, expected):
    model = encoder()
    teacher = momentum_copy(model)
    filled(model, 1.5)
    filled(teacher, 3.0)
    momentum_update(model, teacher, momentum)
    assert values(teacher) == {expected}
    assert values(model) == {1.5}


def test_a_graph_moves_alike_step_after_step_with_a_momentum_that_changes():
    model, other = encoder(), encoder()
    other.set_weights(model.get_weights())
    teachers = momentum_copy(model), momentum_copy(other)
    graph = tf.function(lambda momentum: momentum_update(model, teachers[0], momentum))
    for step, momentum in enumerate([0.9, 0.5, 0.995]):
        for one in (model, other):
            filled(one, step + 1.0)
        graph(tf.constant(momentum))
        momentum_update(other, teachers[1], momentum)
    for one, two in zip(teachers[0].get_weights(), teachers[1].get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_mixed_precision_moves_float32_weights():
    keras.config.set_dtype_policy("mixed_float16")
    model = encoder()
    teacher = momentum_copy(model)
    filled(teacher, 1.0)
    filled(model, 1.0 + 2**-12)  # the next number but three to 1 in float16 is further away
    momentum_update(model, teacher, 0.5)
    assert values(teacher) == {1.0 + 2**-13}


def test_weights_that_are_no_floats_are_copied():
    class Counter(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.count = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False)
            self.built = True

    one, other = Counter(), Counter()
    one.count.assign(2**53 + 1)
    momentum_update(one, other, 0.995)
    assert int(other.count.numpy()) == 2**53 + 1


def test_a_momentum_model_is_saved_and_restored(tmp_path):
    model = encoder()
    teacher = momentum_copy(model)
    filled(teacher, 0.5)
    both = keras.Model(model.input, [model.output["embedding"], teacher(model.input)["embedding"]])
    both.save(tmp_path / "both.keras")
    again = keras.saving.load_model(tmp_path / "both.keras")
    for one, other in zip(both.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("momentum", [-0.1, 1.1])
def test_a_momentum_out_of_range_is_refused(momentum):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"Expected a share in \[0, 1\]. Received: momentum="):
        momentum_update(model, model, momentum)


def test_models_that_do_not_correspond_are_refused():
    def model(units, name):
        return keras.Sequential([keras.Input((2,)), *(keras.layers.Dense(n) for n in units)], name=name)

    with pytest.raises(ValueError, match="Expected a copy of one, 2 weights. Received: 4 weights"):
        momentum_update(model([3], "one"), model([3, 3], "two"), 0.5)
    with pytest.raises(ValueError, match=r"of shape \(2, 3\). Received: .*kernel of shape \(2, 4\)"):
        momentum_update(model([3], "one"), model([4], "two"), 0.5)


def test_a_model_without_weights_yet_is_refused():
    with pytest.raises(ValueError, match="Expected a built model to copy. Received: empty"):
        momentum_copy(keras.Sequential([keras.layers.Dense(2)], name="empty"))


@pytest.mark.parametrize("mask", [None, np.ones((1, 3), "bool")], ids=["plain", "mask"])
def test_a_layer_is_copied_too(mask):
    block = TransformerBlock(2, 8)
    tokens = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
    expected = block(tokens, mask=mask)
    np.testing.assert_array_equal(momentum_copy(block)(tokens, mask=mask), expected)
