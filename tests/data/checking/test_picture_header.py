"""Headers of pictures, beside what Pillow reads."""

import io

import pytest
from PIL import Image, ImageOps

from mmkeras.data.checking.picture_header import PictureHeader, read_picture_header

COLOURS = {"L": "grey", "RGB": "colour", "RGBA": "with transparency", "LA": "with transparency", "P": "colour"}


def encoded(mode="RGB", kind="PNG", orientation=1, size=(30, 20), **settings):
    exif = Image.Exif()
    if orientation > 1:
        exif[0x0112] = orientation
        settings["exif"] = exif
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind, **settings)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "settings"),
    [
        *(("JPEG", mode, settings) for mode in ("L", "RGB") for settings in ({}, {"progressive": True})),
        *(("PNG", mode, {}) for mode in ("L", "RGB", "RGBA", "LA", "P")),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        *(("WEBP", mode, {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (False, True)),
    ],
)
def test_format_size_and_colour_are_those_that_pillow_wrote(kind, mode, settings):
    header = read_picture_header(encoded(mode, kind, **settings))
    expected = "colour" if kind in ("GIF", "BMP") else COLOURS[mode]
    if kind == "WEBP" and mode == "RGBA" and not settings["lossless"]:
        expected = "with transparency"
    assert header == ("WebP" if kind == "WEBP" else kind, 30, 20, expected, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_sizes_are_upright(kind, orientation):
    content = encoded(kind=kind, orientation=orientation)
    header = read_picture_header(content)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert header.orientation == orientation
    assert (header.width, header.height) == upright.size


def test_a_palette_with_transparency_is_told():
    assert read_picture_header(encoded("P", transparency=0)).colour == "with transparency"


def test_a_large_segment_before_the_size_of_a_jpeg_is_stepped_over():
    content = encoded(kind="JPEG", icc_profile=b"x" * 150_000)
    assert read_picture_header(content)[:3] == ("JPEG", 30, 20)
    assert read_picture_header(content[:16_384]) == PictureHeader("JPEG")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_no_beginning_of_a_picture_fails(kind):
    content = encoded(mode="P" if kind == "GIF" else "RGB", kind=kind, orientation=6 if kind in ("JPEG", "PNG") else 1)
    for size in range(len(content)):
        read_picture_header(content[:size])


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"RIFF\0\0\0\0WAVE", b"II*\0", b"\0" * 100])
def test_what_is_no_picture_has_no_format(content):
    assert read_picture_header(content) == PictureHeader()
