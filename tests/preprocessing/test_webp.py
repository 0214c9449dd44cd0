"""WebP: the pixels that Pillow decodes; sizes bounded and ends checked as of every other format."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

from .conftest import decoded, encode, over, smooth

RGB, RGBA = Image.fromarray(smooth(33, 47)), Image.fromarray(smooth(33, 47, 4))
STILL = {
    "lossy": (RGB, {}),
    "lossy, with alpha": (RGBA, {}),
    "lossless": (RGB, {"lossless": True}),
    "lossless, with alpha": (RGBA, {"lossless": True, "exact": True}),
    "with a colour profile": (RGB, {"icc_profile": b"x" * 301}),
}
SMALL = ImagePreprocessor(8, 8)
ANIMATED = {"save_all": True, "append_images": [RGBA.rotate(90, expand=False)]}
REFUSED = (tf.errors.InvalidArgumentError, MmkerasError)


@pytest.mark.parametrize("background", [255, 60])
@pytest.mark.parametrize("name", STILL)
def test_pixels_are_those_of_pillow(name, background):
    picture, options = STILL[name]
    content = encode(picture, "WEBP", **options)
    rgba = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    received, expected = decoded(content, background), over(rgba, background)
    assert np.abs(received - expected).max() <= (0 if "lossless" in options else 2)
    if options.get("lossless"):
        np.testing.assert_array_equal(received, over(np.asarray(picture.convert("RGBA")), background))


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"allow_mixed": True}], ids=str)
@pytest.mark.parametrize("picture", [RGB, RGBA], ids=["opaque", "with alpha"])
def test_of_an_animation_the_first_frame(picture, options):
    content = encode(picture, "WEBP", **ANIMATED, **options)
    assert Image.open(io.BytesIO(content)).n_frames == 2
    rgba = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    assert np.abs(decoded(content) - over(rgba, 255)).max() <= (0 if "lossless" in options else 2)


def test_a_first_frame_smaller_than_its_canvas_lies_on_the_background():
    content = bytearray(encode(RGB, "WEBP", lossless=True, **ANIMATED))
    content[24:30] = struct.pack("<I", 59)[:3] + struct.pack("<I", 49)[:3]  # a canvas of 60 x 50
    frame = content.index(b"ANMF") + 8
    content[frame : frame + 6] = struct.pack("<I", 2)[:3] + struct.pack("<I", 5)[:3]  # from (4, 10) on
    expected = np.full((50, 60, 3), 90)
    expected[10:43, 4:51] = np.asarray(RGB)
    np.testing.assert_array_equal(decoded(bytes(content), 90), expected)


def changed(content, start, new):
    return content[:start] + new + content[start + len(new) :]


def test_sizes_are_bounded_before_anything_is_decoded():
    lossy, lossless, extended = (encode(RGB, "WEBP", **STILL[name][1]) for name in list(STILL)[::2])
    for content, width, height in (
        (changed(lossy, 26, struct.pack("<HH", 16383, 16383)), 16383, 16383),
        (changed(lossless, 21, struct.pack("<I", 0x0FFFFFFF)), 16384, 16384),
        (changed(extended, 24, b"\xff" * 6), 2**24, 2**24),
    ):
        with pytest.raises(REFUSED, match=f"WebP of {width} x {height} pixels; expected .*max_pixels=1000000 in all"):
            decoded(content, max_pixels=10**6)
    assert decoded(lossy, max_pixels=33 * 47).shape == (33, 47, 3)
    with pytest.raises(REFUSED, match="WebP of 47 x 33 pixels"):
        decoded(lossy, max_pixels=33 * 47 - 1)


def test_an_animation_that_lies_about_its_frame_is_refused():
    content = encode(RGB, "WEBP", **ANIMATED)
    frame = content.index(b"ANMF") + 8
    pixels = content.index(b"VP8 ")
    for lie in (
        changed(content, frame, b"\1"),  # it would stand out of the canvas
        changed(content, frame + 6, b"\xff\x3f\0\xff\x3f\0"),
        changed(content, pixels + 14, struct.pack("<HH", 16383, 16383)),
        changed(content, pixels, b"VP8X"),
        changed(content, content.index(b"ANMF"), b"XXXX"),
    ):
        try:
            pixels_of_lie = decoded(lie)
        except REFUSED as error:
            assert "animated WebP file is damaged (no whole first frame)" in str(error)
        else:
            assert pixels_of_lie.shape == (33, 47, 3)  # of the second frame


@pytest.mark.parametrize("name", STILL)
def test_a_cut_file_is_refused_also_where_its_size_was_put_right(name):
    picture, options = STILL[name]
    content = encode(picture, "WEBP", **options)
    for length in range(16, len(content), 97):
        with pytest.raises(MmkerasError, match="WebP file is (truncated|damaged)"):
            SMALL.load([content[:length]])
        with pytest.raises(MmkerasError, match="WebP"):
            SMALL.load([changed(content[:length], 4, struct.pack("<I", length - 8))])


def test_a_webp_of_a_user(real_data):
    content = (real_data / "hard_inputs" / "pictures" / "x.webp").read_bytes()
    received = decoded(content)
    assert np.abs(received - np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))).max() <= 2
    red, green = received[12, 16], received[12, 48]
    assert received.shape == (48, 64, 3) and red.argmax() == 0 and green.argmax() == 1
