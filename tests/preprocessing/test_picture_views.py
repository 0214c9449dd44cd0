"""`RandomCrop`, `RandomDistortion` and `PictureViews`: all that they do follows from the seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import PictureViews, RandomCrop, RandomDistortion, RandomShift
from mmkeras.preprocessing import picture_operations as operations
from mmkeras.preprocessing.random_distortion import COLOURS, SHAPES

OPERATIONS = SHAPES | COLOURS


def seed(*values):
    return tf.constant(values, tf.int64)


def pictures(batch=6, height=8, width=7, dtype="uint8"):
    return np.random.default_rng(0).integers(0, 256, (batch, height, width, 3)).astype(dtype)


def ramps(batch, side=9):
    """Pictures whose red is the column and whose green the row, in steps of 10; blue is 200."""
    grid = 10.0 * np.arange(side)
    image = np.stack([np.tile(grid, (side, 1)), np.tile(grid, (side, 1)).T, np.full((side, side), 200.0)], axis=-1)
    return np.repeat(image[None], batch, axis=0).astype("float32")


VIEWS = [RandomCrop(), RandomDistortion(count=1), PictureViews(RandomShift(1), RandomCrop())]


@pytest.mark.parametrize("view", VIEWS, ids=["crop", "distortion", "views"])
def test_the_seed_decides_in_a_graph_too(view):
    images = pictures()
    graph = tf.function(lambda images, seed: view(images, seed))
    first = view(images, seed(1, 2))
    tf.nest.map_structure(np.testing.assert_array_equal, view(images, seed(1, 2)), first)
    tf.nest.map_structure(np.testing.assert_array_equal, graph(images, seed(1, 2)), first)
    for other in (seed(1, 3), seed(2, 2)):
        changed = tf.nest.map_structure(lambda a, b: not np.array_equal(a, b), graph(images, other), first)
        assert all(tf.nest.flatten(changed))


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
@pytest.mark.parametrize("view", [RandomCrop(), RandomDistortion(probability=1.0)], ids=["crop", "distortion"])
def test_shape_dtype_and_range_stay(view, dtype):
    found = view(tf.constant(pictures(30, dtype=dtype)), seed(4, 5))
    assert (found.shape, found.dtype) == ((30, 8, 7, 3), dtype)
    values = found.numpy().astype("float32")
    assert np.isfinite(values).all()
    assert 0 <= values.min() < 60 and 200 < values.max() <= 255


def test_a_crop_of_all_of_a_picture_is_the_picture():
    images = pictures()
    np.testing.assert_array_equal(RandomCrop(scale=(1, 1), ratio=(1, 1), flip=0)(images, seed(0, 0)), images)
    mirrored = RandomCrop(scale=(1, 1), ratio=(1, 1), flip=1)(images, seed(0, 0))
    np.testing.assert_array_equal(mirrored, images[:, :, ::-1])


def test_crops_lie_inside_are_of_the_right_size_and_everywhere():
    """In a picture whose values are its places, the corners tell what was cut out."""
    found = RandomCrop(scale=(0.25, 0.64), ratio=(0.8, 1.25), flip=0.5)(ramps(400), seed(1, 2)).numpy()
    np.testing.assert_allclose(found[..., 2], 200, atol=1e-3)  # nothing from outside
    left, right = found[:, 0, 0, 0] / 80, found[:, 0, -1, 0] / 80
    top, bottom = found[:, 0, 0, 1] / 80, found[:, -1, 0, 1] / 80
    width, height = np.abs(right - left), bottom - top
    area, ratio = width * height, width / height
    assert 0.25 - 1e-4 <= area.min() < 0.28 and 0.6 < area.max() <= 0.64 + 1e-4
    assert 0.8 - 1e-4 <= ratio.min() < 0.83 and 1.2 < ratio.max() <= 1.25 + 1e-4
    assert 0.4 < np.mean(right < left) < 0.6
    assert top.min() < 0.02 and bottom.max() > 0.98
    assert np.minimum(left, right).min() < 0.02 and np.maximum(left, right).max() > 0.98


def test_a_part_that_does_not_fit_is_as_wide_as_the_picture():
    found = RandomCrop(scale=(1, 1), ratio=(4, 4), flip=0)(ramps(3), seed(1, 2)).numpy()
    np.testing.assert_allclose(found[:, 0, -1, 0] - found[:, 0, 0, 0], 80, rtol=1e-5)
    np.testing.assert_allclose(found[:, -1, 0, 1] - found[:, 0, 0, 1], 40, rtol=1e-5)


def test_operations_are_drawn_alike_each_picture_by_itself(monkeypatch):
    """Each operation paints its number: every picture comes back in its place with one of them."""
    places = {name: index for index, name in enumerate(OPERATIONS)}
    for table in (SHAPES, COLOURS):
        for name in table:
            monkeypatch.setitem(table, name, lambda images, amount, fill, name=name: images + places[name])
    quiet = {"jitter": 0, "grayscale": 0, "blur": 0, "probability": 1}
    images = (100.0 + np.arange(1400) % 50)[:, None, None, None] * np.ones((1, 2, 2, 3), "float32")
    found = RandomDistortion(count=1, **quiet)(images, seed(1, 1)).numpy() - images
    drawn = found[:, 0, 0, 0].round().astype(int)
    assert np.bincount(drawn, minlength=14).min() > 100 - 4 * 10
    assert (found == found[:, :1, :1, :1]).all()
    found = RandomDistortion(count=1, colour=False, **quiet)(images, seed(1, 1)).numpy() - images
    assert set(found.round().astype(int).ravel().tolist()) == {places[name] for name in SHAPES}


def test_a_probability_of_0_and_no_stage_change_nothing():
    images = pictures()
    same = RandomDistortion(probability=0, jitter=0, grayscale=0, blur=0)
    np.testing.assert_array_equal(same(images, seed(1, 1)), images)
    np.testing.assert_array_equal(RandomDistortion(count=0, colour=False, blur=0)(images, seed(1, 1)), images)


def test_a_strength_of_0_moves_nothing():
    """But auto contrast and equalise, which have none: all of 0..255 is in each channel, and each value once."""
    image = np.arange(256).reshape(16, 16)
    images = np.repeat(np.stack([image, image.T, image[::-1]], axis=-1)[None], 40, axis=0).astype("uint8")
    none = RandomDistortion(count=3, strength=0, probability=1, jitter=0, grayscale=0, blur=0)
    np.testing.assert_allclose(none(images, seed(1, 1)).numpy().astype(int), images, atol=1)


def test_no_colour_comes_into_a_grey_picture_and_without_colour_none_leaves():
    images = np.repeat(pictures(40)[..., :1], 3, axis=-1)
    found = RandomDistortion(probability=1, colour=False)(images, seed(1, 1)).numpy().astype(int)
    assert np.ptp(found, axis=-1).max() <= 1
    red = np.zeros((40, 8, 8, 3), "uint8")
    red[..., 0] = 250
    kept = RandomDistortion(probability=1, colour=False, fill=0)(red, seed(1, 1)).numpy()
    assert not kept[..., 1:].any()
    lost = RandomDistortion(count=0, jitter=0, grayscale=1, blur=0)(red, seed(1, 1)).numpy()
    np.testing.assert_array_equal(lost, np.full_like(red, round(0.299 * 250)))


def test_shares_of_pictures():
    images = pictures(600, 2, 224, "float32")  # wide enough for a blur to show
    for name in ("jitter", "grayscale", "blur"):
        quiet = {"count": 0, "jitter": 0, "grayscale": 0, "blur": 0} | {name: 0.3}
        found = RandomDistortion(**quiet)(images, seed(3, 1)).numpy()
        changed = (np.abs(found - images) > 0.01).any(axis=(1, 2, 3))
        assert 0.3 * 600 - 48 < changed.sum() < 0.3 * 600 + 48


def test_one_channel_without_colour():
    images = pictures()[..., :1]
    found = RandomDistortion(probability=1, colour=False)(images, seed(1, 1))
    assert found.shape == images.shape
    with pytest.raises(MmkerasError, match="3 channels, or colour=False. Received: 1"):
        RandomDistortion()(images, seed(1, 1))


@pytest.mark.parametrize("place", range(14), ids=list(OPERATIONS))
def test_an_operation_takes_no_picture_too(place):
    """A batch of one leaves all operations but one without."""
    operation = list(OPERATIONS.values())[place]
    assert operation(tf.zeros((0, 4, 4, 3)), tf.zeros((0,)), 0).shape == (0, 4, 4, 3)


def test_the_strong_view_is_made_of_the_weak_one():
    images = pictures(20)
    seen = {}

    def weak(images, seed):
        seen["weak"] = seed
        return images // 2

    def strong(images, seed):
        seen["strong"] = seed
        return images + 1

    views = PictureViews(weak, strong)(tf.constant(images), seed(1, 2))
    np.testing.assert_array_equal(views["weak_image"], images // 2)
    np.testing.assert_array_equal(views["image"], images // 2 + 1)
    assert seen["weak"].numpy().tolist() == [1, 2] != seen["strong"].numpy().tolist()


def test_without_functions_both_views_are_the_picture():
    views = PictureViews()(pictures(), seed(1, 2))
    assert views["image"] is views["weak_image"]


@pytest.mark.parametrize(
    "view",
    [
        RandomCrop((0.5, 1.0), (0.9, 1.1), 0.25),
        RandomDistortion(3, 0.5, 0.75, False, 0.1, 0.2, 0.3, 255),
        PictureViews(RandomShift(2), RandomDistortion(colour=False)),
        PictureViews(),
    ],
)
def test_it_can_be_saved(view):
    saved = keras.saving.serialize_keras_object(view)
    assert saved["registered_name"] == f"mmkeras>{type(view).__name__}"
    loaded = keras.saving.deserialize_keras_object(saved)
    assert loaded.get_config() == view.get_config()
    images = pictures(3)
    tf.nest.map_structure(np.testing.assert_array_equal, loaded(images, seed(1, 2)), view(images, seed(1, 2)))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (RandomCrop, {"scale": (0.0, 1.0)}, r"scale=\(0.0, 1.0\)"),
        (RandomCrop, {"scale": (0.5, 0.2)}, r"scale=\(0.5, 0.2\)"),
        (RandomCrop, {"ratio": (2.0, 1.0)}, r"ratio=\(2.0, 1.0\)"),
        (RandomCrop, {"flip": 1.5}, "flip=1.5"),
        (RandomDistortion, {"count": -1}, "count=-1"),
        (RandomDistortion, {"count": 1.5}, "count=1.5"),
        (RandomDistortion, {"strength": 1.1}, "strength=1.1"),
        (RandomDistortion, {"probability": -0.1}, "probability=-0.1"),
        (RandomDistortion, {"blur": 2}, "blur=2"),
        (RandomDistortion, {"fill": 256}, "fill=256"),
        (PictureViews, {"weak": 3}, "weak=3"),
    ],
)
def test_what_is_refused(kind, arguments, message):
    with pytest.raises(MmkerasError, match=f"Received: {message}"):
        kind(**arguments)


def test_jitter_is_brightness_contrast_saturation_and_hue_in_a_row():
    """On pictures of middling values, so that no step would cut any off."""
    images = pictures(50, dtype="float32") / 5 + 100
    found = RandomDistortion(count=0, jitter=1, grayscale=0, blur=0)(images, seed(3, 1)).numpy()
    draw = tf.random.stateless_uniform((6, 50), tf.random.fold_in(seed(3, 1), 0))
    amount = 2 * draw - 1
    x = operations.brightness(images, 1 + 0.4 * amount[0])
    x = operations.contrast(x, 1 + 0.4 * amount[1])
    x = operations.saturation(x, 1 + 0.4 * amount[2])
    x = operations.recoloured(x, operations.hue_matrix(0.1 * amount[3]))
    np.testing.assert_allclose(found, tf.clip_by_value(x, 0, 255), rtol=1e-3, atol=0.05)
    assert np.abs(found - images).mean() > 10
