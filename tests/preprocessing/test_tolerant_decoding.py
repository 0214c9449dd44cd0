"""`decode_tolerantly`: the same pixels as the preprocessor's, and a mark for each row that is no picture."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.preprocessing.tolerant_decoding import decode_tolerantly


def encoded(seed, kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (9 + seed, 12, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def preprocessor():
    return ImagePreprocessor(6, 8, aspect="pad")


@pytest.fixture(scope="module", params=["eager", "graph"])
def decode(request, preprocessor):
    def decode(image_bytes):
        return decode_tolerantly(preprocessor, image_bytes)

    return decode if request.param == "eager" else tf.function(decode, [tf.TensorSpec([None], tf.string)])


def test_rows_keep_their_places_and_their_pixels(decode, preprocessor):
    """More rows than are decoded at once, which finish in any order."""
    rows = [encoded(seed, kind) for seed in range(8) for kind in ("PNG", "JPEG", "GIF", "BMP")]
    broken = {0, 5, 17, 31}
    mixed = [b"no picture" if row in broken else content for row, content in enumerate(rows)]
    images, valid = decode(tf.constant(mixed))
    assert images.dtype == tf.uint8 and images.shape == (32, 6, 8, 3)
    assert set(np.flatnonzero(~valid.numpy())) == broken
    expected = np.array(preprocessor(tf.constant(rows)))
    expected[sorted(broken)] = 0
    np.testing.assert_array_equal(images, expected)


def test_no_rows_and_no_picture_at_all(decode):
    images, valid = decode(tf.zeros([0], tf.string))
    assert images.shape == (0, 6, 8, 3) and valid.shape == (0,)
    images, valid = decode(tf.constant([b"", b"x"]))
    assert not images.numpy().any() and valid.numpy().tolist() == [False, False]


def test_a_scalar_is_refused(preprocessor):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        decode_tolerantly(preprocessor, tf.constant(encoded(0)))


def test_grey_pictures():
    grey = ImagePreprocessor(6, 8, channels=1)
    images, valid = decode_tolerantly(grey, tf.constant([b"", encoded(0)]))
    assert images.shape == (2, 6, 8, 1) and valid.numpy().tolist() == [False, True]
    np.testing.assert_array_equal(images[1:], grey(tf.constant([encoded(0)])))
