import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.losses import InfoNCE, info_nce


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def pair(batch=6, dim=4, seed=0):
    generator = np.random.default_rng(seed)
    return [unit(generator.normal(size=(batch, dim))).astype("float32") for _ in range(2)]


def numpy_info_nce(image, text, temperature, image_id):
    """The docstring's equation, row by row, in float64."""
    similarity = image.astype("float64") @ text.T.astype("float64") / temperature
    losses = []
    for i in range(len(image)):
        allowed = [j for j in range(len(image)) if j == i or image_id[j] != image_id[i]]
        to_text = math.log(sum(math.exp(similarity[i, j]) for j in allowed)) - similarity[i, i]
        to_image = math.log(sum(math.exp(similarity[j, i]) for j in allowed)) - similarity[i, i]
        losses.append((to_text + to_image) / 2)
    return losses


def test_two_pairs_by_hand():
    """Similarities [[1, 0], [0, 1]] over temperature 1: each row loses log(1 + 1/e), both ways."""
    eye = np.eye(2, dtype="float32")
    np.testing.assert_allclose(info_nce(eye, eye, 1.0), [0.3132617, 0.3132617], rtol=1e-6)


def test_two_swapped_pairs_by_hand():
    """Each text lies on the other picture: log(1 + e) a row; at temperature 0.5 log(1 + e^2)."""
    eye = np.eye(2, dtype="float32")
    np.testing.assert_allclose(info_nce(eye, eye[::-1], 1.0), [1.3132617] * 2, rtol=1e-6)
    np.testing.assert_allclose(info_nce(eye, eye[::-1], 0.5), [2.1269280] * 2, rtol=1e-6)


def test_three_pairs_by_hand():
    """Similarities [[1, 0, 0], [0, 1, 0], [1, 0, 0]]: the third text lies where nothing does."""
    image = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], "float32")
    text = np.eye(3, dtype="float32")
    e = math.e
    rows = [math.log(e + 2) - 1, math.log(e + 2) - 1, math.log(e + 2) - 0]
    columns = [math.log(2 * e + 1) - 1, math.log(e + 2) - 1, math.log(3) - 0]
    np.testing.assert_allclose(info_nce(image, text, 1.0), (np.array(rows) + columns) / 2, rtol=1e-6)


def test_the_first_and_third_picture_are_one_by_hand():
    """With ids 7, 8, 7 rows and columns 0 and 2 leave each other out."""
    image = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], "float32")
    text = np.eye(3, dtype="float32")
    e = math.e
    rows = [math.log(e + 1) - 1, math.log(e + 2) - 1, math.log(2) - 0]
    columns = [math.log(e + 1) - 1, math.log(e + 2) - 1, math.log(2) - 0]
    losses = info_nce(image, text, 1.0, image_id=np.array([7, 8, 7]))
    np.testing.assert_allclose(losses, (np.array(rows) + columns) / 2, rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.01])
@pytest.mark.parametrize("image_id", [[0, 1, 2, 3, 4, 5], [3, 1, 3, 2, 1, 3], [5] * 6])
def test_agrees_with_numpy(temperature, image_id):
    image, text = pair()
    losses = info_nce(image, text, temperature, np.array(image_id))
    np.testing.assert_allclose(losses, numpy_info_nce(image, text, temperature, image_id), rtol=2e-5, atol=2e-5)


def test_one_picture_alone_has_nothing_to_learn():
    image, text = pair()
    np.testing.assert_allclose(info_nce(image, text, 0.07, np.full(6, 5)), np.zeros(6), atol=1e-6)


def test_swapping_the_modalities_changes_nothing():
    image, text = pair()
    ids = np.array([0, 1, 0, 2, 3, 3])
    np.testing.assert_allclose(info_nce(image, text, 0.1, ids), info_nce(text, image, 0.1, ids), rtol=1e-5)


def test_how_near_a_duplicate_lies_does_not_matter():
    """Rows 0 and 1 show one picture: moving text 1 changes what row 1 and the others lose, and nothing of row 0."""
    image, text = pair()
    ids = np.array([9, 9, 1, 2, 3, 4])
    moved = text.copy()
    moved[1] = image[0]
    before, after = (np.asarray(info_nce(image, t, 0.07, ids)) for t in (text, moved))
    assert after[0] == before[0]
    assert abs(info_nce(image, moved, 0.07)[0] - info_nce(image, text, 0.07)[0]) > 0.1  # it would have mattered
    assert abs(after[2] - before[2]) > 1e-4


def test_the_gradient_is_that_of_finite_differences():
    image, text = pair(batch=4, dim=3)
    ids, temperature, step = np.array([0, 1, 0, 2]), 0.5, 1e-3
    variables = [tf.constant(image), tf.constant(text), tf.constant(temperature)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        total = tf.reduce_sum(info_nce(*variables, ids))
    gradients = tape.gradient(total, variables)

    def loss(values):
        return sum(numpy_info_nce(*values, ids))

    values = [image.astype("float64"), text.astype("float64"), np.float64(temperature)]
    for argument, gradient in enumerate(gradients):
        for position in np.ndindex(*gradient.shape):
            ends = []
            for sign in (1, -1):
                changed = [np.array(value) for value in values]
                changed[argument][position] += sign * step
                ends.append(loss(changed))
            assert float(gradient[position]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_the_arithmetic_is_float32_whatever_comes_in(dtype):
    image, text = (tf.cast(array, dtype) for array in pair())
    losses = info_nce(image, text, tf.constant(0.01, dtype))
    assert losses.dtype == tf.float32
    again = info_nce(tf.cast(image, "float32"), tf.cast(text, "float32"), tf.cast(tf.constant(0.01, dtype), "float32"))
    np.testing.assert_array_equal(losses, again)


@pytest.mark.parametrize("call", [info_nce, lambda v, t, s, image_id: InfoNCE(reduction=None)(image_id, (v, t, s))])
@pytest.mark.parametrize("ids", [[2**24, 2**24 + 1], [2**53, 2**53 + 1], [-(2**62), -(2**62) - 1]])
def test_neighbouring_ids_of_64_bits_are_two_pictures(call, ids):
    """float32 would round each couple to one number, and each pair would be let off its only negative."""
    eye = np.eye(2, dtype="float32")
    losses = call(eye, eye, 1.0, image_id=np.array(ids, "int64"))
    np.testing.assert_allclose(losses, [0.3132617] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("reduction", "reduce"), [("sum_over_batch_size", np.mean), ("mean", np.mean), ("sum", np.sum), (None, np.asarray)]
)
def test_the_loss_class_reduces_the_function(reduction, reduce):
    (image, text), ids = pair(), np.array([3, 1, 3, 2, 1, 4], "int64")
    losses = np.asarray(info_nce(image, text, 0.07, ids))
    loss = InfoNCE(reduction=reduction)(ids, (image, text, 0.07))
    np.testing.assert_allclose(loss, reduce(losses), rtol=1e-6)


def test_sample_weights_weigh_rows():
    (image, text), ids = pair(), np.arange(6)
    weights = np.array([0, 0, 3, 0, 0, 0], "float32")
    loss = InfoNCE(reduction="sum")(ids, (image, text, 0.07), sample_weight=weights)
    assert float(loss) == pytest.approx(3 * float(info_nce(image, text, 0.07)[2]), rel=1e-6)


def test_the_loss_class_works_in_a_graph_with_a_free_batch():
    image, text = pair()

    @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)])
    def step(v, t, ids):
        return InfoNCE()(ids, (v, t, 0.07))

    ids = np.array([0, 1, 0, 2, 3, 4])
    assert float(step(image, text, ids)) == pytest.approx(float(InfoNCE()(ids, (image, text, 0.07))), rel=1e-6)


def test_the_loss_class_survives_its_config():
    loss = InfoNCE(name="pairs", reduction="sum")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(again, InfoNCE)
    assert again.get_config() == loss.get_config()
    assert (again.name, again.reduction) == ("pairs", "sum")
