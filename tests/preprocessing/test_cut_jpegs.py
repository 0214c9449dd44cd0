"""A JPEG whose end is missing is told, also where an end marker was put behind what is left; whole ones are read."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

from ..hard_pictures import app1, cut_jpeg, encoded, exif, jpeg_with, photograph
from .conftest import decoded

PREVIEW = encoded(photograph(120, 160, seed=3), "JPEG")
KINDS = {
    "plain": {},
    "no subsampling": {"subsampling": 0},
    "half of it": {"subsampling": 1},
    "tables of its own": {"optimize": True},
    "restart markers": {"restart_marker_blocks": 4},
    "a preview with an end of its own": {"exif": b"Exif\0\0" + exif(1) + PREVIEW},
    "a colour profile": {"icc_profile": bytes(100_000)},
    "a comment": {"comment": b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90\n"},
    "grey": {"mode": "L"},
    "four colours": {"mode": "CMYK"},
}
SIZES = [(120, 160), (97, 113), (9, 200)]


def jpeg(height, width, mode="RGB", **options):
    return encoded(photograph(height, width).convert(mode), "JPEG", **options)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_is_told_wherever_it_is(kind, size):
    content = jpeg(*size, **KINDS[kind])
    np.testing.assert_array_equal(decoded(content).shape, (*size, 3))
    for share in (0.02, 0.3, 0.5, 0.77, 0.9):
        cut = cut_jpeg(content, share)
        assert np.asarray(Image.open(io.BytesIO(cut)).convert("RGB")).shape == (*size, 3)  # others read it in silence
        with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG file is truncated"):
            decoded(cut)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"JPEG file is truncated \(no end marker\)"):
            decoded(cut[:-2])


@pytest.mark.parametrize("options", [{}, {"subsampling": 0, "quality": 92}, {"mode": "L"}], ids=str)
def test_a_progressive_picture_without_all_of_its_scans(options):
    content = jpeg(120, 160, progressive=True, **options)
    assert decoded(content).shape == (120, 160, 3)
    last = content.rindex(b"\xff\xda")
    first = content.index(b"\xff\xda")
    for place in np.linspace(first + 30, last, 12).astype(int):
        with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG file is truncated"):
            decoded(content[:place].rstrip(b"\xff") + b"\xff\xd9")
    # What is not told: a cut within the last scan. All of the picture is there, not as fine.
    assert decoded(content[: (last + len(content)) // 2] + b"\xff\xd9").shape == (120, 160, 3)


def test_what_is_read_although_it_looks_like_a_cut():
    middle = Image.new("RGB", (64, 48), (128, 128, 128))
    half = photograph(48, 64)
    half.paste((128, 128, 128), (0, 20, 64, 48))
    for picture in (middle, half, middle.convert("L"), middle.convert("CMYK")):
        for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}):
            content = encoded(picture, "JPEG", **options)
            expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
            assert np.abs(decoded(content) - expected).max() <= 6  # CMYK differs by rounding
            with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG file is truncated"):
                decoded(cut_jpeg(encoded(half, "JPEG"), 0.3))


def test_what_stands_behind_the_end_does_not_matter():
    content = jpeg(48, 64)
    for behind in (b"more", bytes(3), PREVIEW, b"\xff\xd9", app1(b"x")):
        np.testing.assert_array_equal(decoded(content + behind), decoded(content))
        with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG"):
            decoded(cut_jpeg(content, 0.5)[:-2] + behind)


def test_a_header_without_pixels():
    content = jpeg(48, 64)
    for place in (content.index(b"\xff\xda"), content.index(b"\xff\xc4") + 9):
        with pytest.raises(MmkerasError, match="JPEG"):
            ImagePreprocessor(8, 8).load([content[:place] + b"\xff\xd9"])


def test_one_scan_a_component():
    """Sequential, but not interleaved: made of a grey picture three times, whose scans Pillow writes."""
    grey = jpeg(48, 64, mode="L")
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    sides = grey[frame + 4 : frame + 9]
    head = b"\xff\xc0\0\x11" + sides + b"\x03" + b"".join(bytes([k, 0x11, 0]) for k in (1, 2, 3))
    scans = [b"\xff\xda\0\x08\x01" + bytes([k, 0]) + grey[scan + 7 : -2] for k in (1, 2, 3)]
    content = grey[:frame] + head + grey[frame + 13 : scan] + b"".join(scans) + b"\xff\xd9"
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert np.abs(decoded(content) - expected).max() <= 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG file is truncated"):
        decoded(content[:-200] + b"\xff\xd9")


def test_a_file_of_nothing_but_segments_ends_soon():
    for filling in (b"\xff\xfe\0\x02", b"\xff\xd0", b"\0", b"\xff"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decoded(b"\xff\xd8\xff" + filling * (2_000_000 // len(filling)))
    assert decoded(jpeg_with(b"\xff\xfe\0\x02" * 300)).shape == (23, 37, 3)


def test_pictures_that_are_handed_round(real_data):
    folder = real_data / "hard_inputs" / "pictures"
    whole = decoded((folder / "whole_thumb.jpg").read_bytes())
    assert whole.shape == (240, 320, 3)
    assert whole[-1, -1, 2] > whole[-1, -1, 0] + 100  # blue below
    with pytest.raises(MmkerasError, match=r"trunc_eoi\.jpg.*JPEG file is truncated \(its data end"):
        ImagePreprocessor(8, 8).load([folder / "trunc_eoi.jpg"])
