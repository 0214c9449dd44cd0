"""Every operation on numbers worked out by hand, and each picture by its own amount."""

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.preprocessing import picture_operations as operations


def column(*values, channels=3):
    """One picture of one column, grey."""
    return np.repeat(np.array(values, "float32").reshape(1, -1, 1, 1), channels, axis=-1)


def random_pictures(batch=3, height=5, width=4):
    return np.random.default_rng(0).integers(0, 256, (batch, height, width, 3)).astype("float32")


def numbers(*values):
    return tf.constant(values, tf.float32)


PIXEL = np.array([[[[200.0, 100.0, 50.0]]]], "float32")
LUMA = 0.299 * 200 + 0.587 * 100 + 0.114 * 50


def test_light_and_colour_by_hand():
    np.testing.assert_allclose(operations.grey(PIXEL)[0, 0, 0], [LUMA] * 3, rtol=1e-6)
    np.testing.assert_allclose(operations.brightness(PIXEL, numbers(0.5))[0, 0, 0], [100, 50, 25])
    expected = [LUMA + 1.5 * (value - LUMA) for value in (200, 100, 50)]
    np.testing.assert_allclose(operations.saturation(PIXEL, numbers(1.5))[0, 0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(operations.contrast(column(100, 200), numbers(0.5))[0, :, 0, 0], [125, 175], rtol=1e-5)


def test_each_picture_has_its_own_amount():
    images = np.repeat(PIXEL, 3, axis=0)
    found = operations.brightness(images, numbers(0, 1, 0.1))[:, 0, 0, 0]
    np.testing.assert_allclose(found, [0, 200, 20], rtol=1e-6)


def test_a_hue_turns_the_chroma_and_keeps_the_luma():
    """In YIQ, of which blue is (0.114, -0.322, 0.312): a quarter of a round makes that (0.114, -0.312, -0.322)."""
    blue = np.array([[[[0.0, 0.0, 1.0]]]], "float32")
    for turn, expected in [(0.25, (0.114, -0.312, -0.322)), (0.5, (0.114, 0.322, -0.312)), (1, (0.114, -0.322, 0.312))]:
        found = operations.recoloured(blue, operations.hue_matrix(numbers(turn)))[0, 0, 0]
        np.testing.assert_allclose(operations.YIQ @ found.numpy(), expected, atol=1e-5)
    for turn in (0.1, 0.7):
        found = operations.recoloured(column(7, 90), operations.hue_matrix(numbers(turn)))
        np.testing.assert_allclose(found, column(7, 90), rtol=1e-4)


def test_posterize_and_solarize_by_hand():
    images = column(0, 15, 16, 100, 255)
    assert operations.posterized(images, numbers(4))[0, :, 0, 0].numpy().tolist() == [0, 0, 16, 96, 240]
    assert operations.posterized(images, numbers(8))[0, :, 0, 0].numpy().tolist() == [0, 15, 16, 100, 255]
    assert operations.posterized(images, numbers(1))[0, :, 0, 0].numpy().tolist() == [0, 0, 0, 0, 128]
    assert operations.solarized(images, numbers(100))[0, :, 0, 0].numpy().tolist() == [0, 15, 16, 155, 0]
    assert operations.solarized(images, numbers(256))[0, :, 0, 0].numpy().tolist() == [0, 15, 16, 100, 255]


def test_auto_contrast_stretches_each_channel_of_each_picture():
    images = np.concatenate([column(50, 100, 150), column(0, 51, 255), column(7, 7, 7)])
    images[0, :, :, 1] = 9
    found = operations.auto_contrast(images).numpy()
    assert found[0, :, 0, 0].tolist() == [0, 127.5, 255]
    assert found[0, :, 0, 1].tolist() == [9, 9, 9]
    assert found[1, :, 0, 0].tolist() == [0, 51, 255]
    assert found[2, :, 0, 0].tolist() == [7, 7, 7]


def test_equalize_by_hand():
    """Five pixels: 10 twice is the least, 20 once, 200 twice; shares of the three that are no least: 0, 1/3, 1."""
    images = np.concatenate([column(10, 200, 20, 10, 200), column(3, 3, 3, 3, 3)])
    found = operations.equalized(images).numpy()
    assert found[0, :, 0, 0].tolist() == [0, 255, 85, 0, 255]
    assert found[1, :, 0, 2].tolist() == [3] * 5


def test_a_picture_is_equalized_whoever_stands_beside_it():
    images = random_pictures()
    together = operations.equalized(images).numpy()
    for one, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(operations.equalized(image[None])[0], one)
        for channel in range(3):  # order is kept
            order = np.argsort(image[..., channel], axis=None)
            assert (np.diff(one[..., channel].ravel()[order]) >= 0).all()


def test_sharpness_by_hand():
    images = np.zeros((1, 3, 3, 3), "float32")
    images[0, 1, 1] = 130
    smooth = operations.sharpness(images, numbers(0))[0, :, :, 0]
    # At a corner there are 4 px, at a side 6, in the middle 9; the pixel itself counts 4 times more.
    corner, side = 130 / 8, 130 / 10
    np.testing.assert_allclose(smooth, [[corner, side, corner], [side, 50, side], [corner, side, corner]], rtol=1e-5)
    np.testing.assert_allclose(operations.sharpness(images, numbers(2))[0, 1, 1], [210] * 3, rtol=1e-5)
    flat = column(80, 80, 80)
    np.testing.assert_allclose(operations.sharpness(flat, numbers(0.1)), flat, rtol=1e-5)  # the border is no edge


def test_blur_by_hand():
    """Weights 1, e = exp(-1/2) and exp(-2) at distances of 0, 1 and 2 px, over their sum."""
    images = np.zeros((2, 3, 3, 1), "float32")
    images[:, 1, 1] = 100
    e, far = np.exp(-0.5), np.exp(-2.0)
    to_middle = np.array([e / (1 + e + far), 1 / (1 + 2 * e), e / (1 + e + far)])
    found = operations.blurred(images, numbers(1.0, 1e-3))
    np.testing.assert_allclose(found[0, :, :, 0], 100 * np.outer(to_middle, to_middle), rtol=1e-5)
    np.testing.assert_allclose(found[1], images[1], atol=1e-5)
    flat = np.full((1, 4, 5, 1), 60, "float32")
    np.testing.assert_allclose(operations.blurred(flat, numbers(2.0)), flat, rtol=1e-5)


def test_warps_by_hand():
    image = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)

    def warp(matrix):
        return operations.warped(image, matrix, fill=77)[0, :, :, 0].numpy().round(4).tolist()

    one = numbers(1.0)
    assert warp(operations.affine(a=one)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert warp(operations.affine(a=-one)) == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]
    assert warp(operations.affine(x=one)) == [[1, 2, 77], [4, 5, 77], [7, 8, 77]]
    assert warp(operations.affine(y=-one)) == [[77, 77, 77], [0, 1, 2], [3, 4, 5]]
    assert warp(operations.affine(b=one)) == [[77, 0, 1], [3, 4, 5], [7, 8, 77]]
    assert warp(operations.rotation(numbers(90))) == [[2, 5, 8], [1, 4, 7], [0, 3, 6]]
    assert warp(operations.affine(a=0.5 * one, d=0.5)) == [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", [0, 2, 3, 255]), ("float32", [0, 1.6, 3.4, 255]), ("int32", [0, 2, 3, 255])],
)
def test_values_stay_within_their_range(dtype, expected):
    found = operations.as_dtype(numbers(-3, 1.6, 3.4, 300), dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6)
