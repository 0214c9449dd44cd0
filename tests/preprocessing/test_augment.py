"""`RandomShift`, followed on a single pixel."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.augment import RandomShift


def seed(*values):
    return tf.constant(values, tf.int64)


def dots(batch, side=7, dtype=np.uint8):
    """Pictures of 255 with one dark pixel in the middle, its three channels 1, 2, 3."""
    images = np.full((batch, side, side, 3), 255, dtype)
    images[:, side // 2, side // 2] = (1, 2, 3)
    return images


def where(shifted):
    """The place of each picture's dark pixel, relative to the middle."""
    picture, row, column = np.nonzero(shifted[..., 0] == 1)
    assert picture.tolist() == list(range(len(shifted)))  # one each: none lost, none doubled
    return np.column_stack([row, column]) - shifted.shape[1] // 2


def test_a_pixel_moves_and_nothing_else_changes():
    shifted = RandomShift(2)(dots(64), seed(0, 1)).numpy()
    for picture, (row, column) in zip(shifted, where(shifted), strict=True):
        expected = np.roll(dots(1)[0], (row, column), axis=(0, 1))  # within the border: nothing rolls over
        assert np.array_equal(picture, expected)


def test_every_shift_within_the_limit_occurs():
    shifts = where(RandomShift(2)(dots(600), seed(5, 6)).numpy())
    assert {tuple(shift) for shift in shifts.tolist()} == {(r, c) for r in range(-2, 3) for c in range(-2, 3)}
    assert np.abs(shifts.mean(axis=0)).max() < 0.25


def test_what_comes_in_is_fill():
    images = np.zeros((200, 3, 3, 1), np.uint8)
    shifted = RandomShift(1, fill=77)(images, seed(0, 0)).numpy()
    assert set(np.unique(shifted).tolist()) == {0, 77}
    up_left = [picture for picture in shifted[..., 0] if picture[0, 0] == 0 and (picture == 77).sum() == 5]
    assert up_left and up_left[0].tolist() == [[0, 0, 77], [0, 0, 77], [77, 77, 77]]


def test_seed_decides():
    images = dots(32)
    first = RandomShift(2)(images, seed(1, 2)).numpy()
    assert np.array_equal(first, RandomShift(2)(images, seed(1, 2)).numpy())
    assert not np.array_equal(first, RandomShift(2)(images, seed(1, 3)).numpy())
    assert not np.array_equal(first, RandomShift(2)(images, seed(2, 2)).numpy())


def test_a_graph_shifts_alike():
    shift = RandomShift(2)
    graph = tf.function(lambda images: shift(images, seed(1, 2)))
    assert np.array_equal(graph(dots(8)), shift(dots(8), seed(1, 2)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float16])
def test_dtype_and_shape_stay(dtype):
    shifted = RandomShift(1)(tf.constant(dots(2, dtype=dtype)), seed(0, 0))
    assert shifted.dtype == dtype
    assert shifted.shape == (2, 7, 7, 3)


def test_pictures_that_are_not_square():
    images = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5, 1)
    assert RandomShift(1)(images, seed(0, 0)).shape == (2, 3, 5, 1)


def test_no_shift_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), np.uint8)
    assert np.array_equal(RandomShift(0)(images, seed(9, 9)), images)


def test_it_can_be_saved():
    saved = keras.saving.serialize_keras_object(RandomShift(3, fill=128))
    assert saved["registered_name"] == "mmkeras>RandomShift"
    loaded = keras.saving.deserialize_keras_object(saved)
    assert (loaded.pixels, loaded.fill) == (3, 128)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pixels": -1}, "pixels=-1"),
        ({"pixels": 1.5}, "pixels=1.5"),
        ({"pixels": 1, "fill": 256}, "fill=256"),
        ({"pixels": 1, "fill": -1}, "fill=-1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(MmkerasError, match=f"Received: {message}"):
        RandomShift(**arguments)
