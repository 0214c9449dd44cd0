import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.losses import SigmoidContrast, share_id, sigmoid_contrast

IDS = np.array([0, 1, 0, 2, 3, 3])


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def pair(batch=6, dim=4, seed=0):
    generator = np.random.default_rng(seed)
    return [unit(generator.normal(size=(batch, dim))).astype("float32") for _ in range(2)]


def plain(image, text, temperature, bias, related):
    """The docstring's equation, one combination after the other, in float64."""
    logits = image.astype("float64") @ text.T.astype("float64") / temperature + bias
    losses = []
    for i in range(len(image)):
        loss = math.log1p(math.exp(-logits[i, i]))
        for j in range(len(text)):
            if j != i and not related[i, j]:
                loss += math.log1p(math.exp(logits[i, j]))
        losses.append(loss)
    return np.array(losses)


def test_two_pairs_by_hand():
    """Cosines [[1, 0], [0, 1]]: of logits 1 and 0 a row loses log(1 + 1/e) + log 2; a bias of 1 adds to both."""
    eye = np.eye(2, dtype="float32")
    np.testing.assert_allclose(sigmoid_contrast(eye, eye, 1.0, 0.0), [0.3132617 + 0.6931472] * 2, rtol=1e-6)
    np.testing.assert_allclose(sigmoid_contrast(eye, eye, 1.0, 1.0), [0.1269280 + 1.3132617] * 2, rtol=1e-6)


def test_the_papers_start_loses_ten_a_pair_that_it_does_not_know():
    """Temperature 0.1 and bias -10: an orthogonal pair has a logit of -10, and negatives cost next to nothing."""
    image, text = np.eye(4, dtype="float32")[:2], np.eye(4, dtype="float32")[2:]
    np.testing.assert_allclose(sigmoid_contrast(image, text, 0.1, -10.0), [10 + 2 * math.exp(-10)] * 2, rtol=1e-6)


def test_another_right_answer_is_neither_positive_nor_negative_by_hand():
    """All logits are 0, each combination costs log 2: rows 0 and 2 leave each other out."""
    image, text = np.eye(6, dtype="float32")[:3], np.eye(6, dtype="float32")[3:]
    losses = sigmoid_contrast(image, text, 1.0, 0.0, np.array([7, 8, 7]))
    np.testing.assert_allclose(losses, np.array([2, 3, 2]) * math.log(2), rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 6, 512])
@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (0.1, -10.0), (0.01, 3.0)])
def test_agrees_with_the_plain_version_in_any_chunks(chunk, temperature, bias):
    image, text = pair()
    losses = sigmoid_contrast(image, text, temperature, bias, IDS, chunk=chunk)
    expected = plain(image, text, temperature, bias, IDS[:, None] == IDS)
    np.testing.assert_allclose(losses, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("chunk", [2, 4])
def test_several_ids_a_picture_are_compared_as_share_id_does(chunk):
    image, text = pair()
    image_id = np.array([[0, 1], [1, -1], [2, -1], [3, 2], [4, -1], [5, 0]])
    related = share_id(image_id, IDS).numpy()
    assert related.sum() > 6 and not (related == related.T).all()
    expected = plain(image, text, 0.5, -1.0, related)
    np.testing.assert_allclose(sigmoid_contrast(image, text, 0.5, -1.0, image_id, IDS, chunk), expected, rtol=1e-5)
    loss = SigmoidContrast(chunk=chunk, reduction=None)((image_id, IDS), (image, text, 0.5, -1.0))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("chunk", [3, 512])
def test_the_gradient_is_that_of_finite_differences(chunk):
    image, text = pair(batch=4, dim=3)
    ids, step = np.array([0, 1, 0, 2]), 1e-4
    weights = np.array([1.0, 2.0, -1.0, 0.5])
    variables = [tf.constant(value, "float32") for value in (image, text, 0.5, -0.7)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        total = tf.reduce_sum(sigmoid_contrast(*variables, ids, chunk=chunk) * tf.constant(weights, "float32"))
    values = [variable.numpy().astype("float64") for variable in variables]
    for argument, gradient in enumerate(tape.gradient(total, variables)):
        for position in np.ndindex(*gradient.shape):
            ends = []
            for sign in (1, -1):
                changed = [np.array(value) for value in values]
                changed[argument][position] += sign * step
                ends.append(plain(*changed, ids[:, None] == ids) @ weights)
            difference = (ends[0] - ends[1]) / (2 * step)
            assert float(gradient[position]) == pytest.approx(difference, rel=1e-4, abs=1e-5)


def test_a_batch_of_one_and_of_one_picture_has_only_its_pairs():
    image, text = pair(batch=1)
    loss = math.log1p(math.exp(-float(image[0] @ text[0])))
    np.testing.assert_allclose(sigmoid_contrast(image, text, 1.0, 0.0), [loss], rtol=1e-6)
    image, text = pair()
    losses = sigmoid_contrast(image, text, 1.0, 0.0, np.full(6, 5))
    np.testing.assert_allclose(losses, np.log1p(np.exp(-np.sum(image * text, axis=1))), rtol=1e-5)


def test_no_tensor_of_a_graph_is_as_large_as_all_combinations():
    """With a chunk of 16 the step of a batch of 256 has no tensor of 256 x 256, forward or back; without it does."""

    def largest(chunk):
        @tf.function(input_signature=[tf.TensorSpec([256, 8]), tf.TensorSpec([256, 8])])
        def step(image, text):
            with tf.GradientTape() as tape:
                tape.watch([image, text])
                loss = tf.reduce_sum(sigmoid_contrast(image, text, 0.1, -10.0, tf.range(256), chunk=chunk))
            return tape.gradient(loss, [image, text])

        graph = step.get_concrete_function().graph.as_graph_def(add_shapes=True)
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        shapes = [shape for node in nodes for shape in node.attr["_output_shapes"].list.shape]
        return max(math.prod(dim.size for dim in shape.dim) for shape in shapes if len(shape.dim) == 2)

    assert largest(512) >= 256 * 256
    assert largest(16) <= 16 * 256


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_the_arithmetic_is_float32_whatever_comes_in(dtype):
    image, text = (tf.cast(array, dtype) for array in pair())
    losses = sigmoid_contrast(image, text, tf.constant(0.1, dtype), -10.0)
    assert losses.dtype == tf.float32
    again = sigmoid_contrast(tf.cast(image, "float32"), tf.cast(text, "float32"), tf.constant(0.1, dtype), -10.0)
    np.testing.assert_array_equal(losses, again)


@pytest.mark.parametrize("ids", [[2**24, 2**24 + 1], [2**53, 2**53 + 1], [-(2**62), -(2**62) - 1]])
def test_neighbouring_ids_of_64_bits_are_two_pictures(ids):
    eye = np.eye(2, dtype="float32")
    losses = SigmoidContrast(reduction=None)(np.array(ids, "int64"), (eye, eye, 1.0, 0.0))
    np.testing.assert_allclose(losses, [0.3132617 + 0.6931472] * 2, rtol=1e-6)


def test_the_loss_class_is_the_mean_of_the_function_and_weighs_rows():
    image, text = pair()
    losses = np.asarray(sigmoid_contrast(image, text, 0.1, -10.0, IDS))
    prediction = (image, text, 0.1, -10.0)
    assert float(SigmoidContrast()(IDS, prediction)) == pytest.approx(losses.mean(), rel=1e-6)
    weights = np.array([0, 0, 3, 0, 0, 0], "float32")
    loss = SigmoidContrast(reduction="sum")(IDS, prediction, sample_weight=weights)
    assert float(loss) == pytest.approx(3 * losses[2], rel=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_the_loss_class_works_in_a_graph(jit):
    image, text = pair()
    free = None if not jit else 6  # XLA wants to know how long a loop is

    @tf.function(
        input_signature=[tf.TensorSpec([free, 4]), tf.TensorSpec([free, 4]), tf.TensorSpec([free], tf.int64)],
        jit_compile=jit,
    )
    def step(v, t, ids):
        with tf.GradientTape() as tape:
            tape.watch(v)
            loss = SigmoidContrast(chunk=4)(ids, (v, t, 0.1, -10.0))
        return loss, tape.gradient(loss, v)

    loss, gradient = step(image, text, IDS)
    assert float(loss) == pytest.approx(np.mean(sigmoid_contrast(image, text, 0.1, -10.0, IDS)), rel=1e-5)
    assert gradient.shape == (6, 4) and np.abs(gradient).min() > 0


def test_the_loss_class_survives_its_config_and_checks_its_chunk():
    loss = SigmoidContrast(chunk=7, name="pairs", reduction="sum")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert (again.chunk, again.name, again.reduction) == (7, "pairs", "sum")
    with pytest.raises(ValueError, match="chunk=0"):
        SigmoidContrast(chunk=0)
