"""Pictures lie as their EXIF says, exactly as Pillow turns them; damaged EXIF changes nothing."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from mmkeras.preprocessing import ImagePreprocessor

from ..hard_pictures import BIG, LITTLE, app1, encoded, exif, jpeg_with, png_with, shades, webp_with
from .conftest import decoded


def as_pillow_turns_it(content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of corrupt EXIF
        picture = Image.open(io.BytesIO(content))
        try:
            picture = ImageOps.exif_transpose(picture)
        except (SyntaxError, struct.error):
            pass  # it does not survive EXIF without a TIFF header
        return np.asarray(picture.convert("RGB")).astype(int)


def check(content, tolerance=0):
    received, expected = decoded(content), as_pillow_turns_it(content)
    assert received.shape == expected.shape
    assert np.abs(received - expected).max() <= tolerance


@pytest.mark.parametrize("order", [BIG, LITTLE])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_in_every_format(orientation, order):
    data = exif(orientation, order)
    for place in ("first", "second", "last"):
        check(jpeg_with(app1(data), place), tolerance=2)
    check(jpeg_with(app1(data), progressive=True), tolerance=2)
    check(png_with(data))
    check(png_with(data, behind_pixels=True))
    check(webp_with(data))
    check(webp_with(data, save_all=True, append_images=[shades().rotate(90)]))  # animated


def test_the_test_would_see_it():
    upright = decoded(encoded(shades(), "PNG"))
    for orientation in range(2, 9):
        turned = decoded(png_with(exif(orientation)))
        assert turned.shape != upright.shape or np.abs(turned - upright).max() > 50
    np.testing.assert_array_equal(decoded(png_with(exif(6))), np.rot90(upright, -1))  # clockwise


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_types_and_counts_of_the_tag(kind, count):
    check(png_with(exif(6, kind=kind, count=count)))


DAMAGED = {
    "empty": b"",
    "two bytes": b"MM",
    "another header": b"XX\0*" + exif(6)[4:],
    "header with its version turned around": b"MM*\0" + exif(6)[4:],
    "directory outside": exif(6, offset=10**9),
    "directory far outside": exif(6, offset=2**32 - 1),
    "directory in the header": exif(6, offset=0),
    "no entries": exif(6, entries=0),
    "65,535 entries": exif(6, entries=65_535),
    "cut in its entry": exif(6)[:20],
    "next directory is the first": exif(6)[:-4] + struct.pack(">I", 8),
    "its name twice": b"Exif\0\0" + exif(6),
    "bytes behind it": exif(6) + b"x" * 70,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_exif_is_read_as_pillow_reads_it_and_never_fails(data):
    check(jpeg_with(app1(data)), tolerance=2)
    check(png_with(data))
    check(webp_with(data))


def test_of_two_tags_the_first_counts():
    """As Pillow 13 has it; earlier ones took the last."""
    twice = b"MM\0*\0\0\0\x08\0\x02" + exif(6)[10:22] + exif(3)[10:22] + bytes(4)
    for made in (lambda data: jpeg_with(app1(data)), png_with, webp_with):
        np.testing.assert_array_equal(decoded(made(twice)), decoded(made(exif(6))))


LARGE = b"\xff\xe2" + struct.pack(">H", 60_000) + bytes(59_998)
SEGMENTS = {
    "behind 60 kB": LARGE + app1(exif(6)),
    "behind 1.2 MB": LARGE * 20 + app1(exif(6)),
    "behind 300 small ones": b"\xff\xfe\0\x04ab" * 300 + app1(exif(6)),
    "two": app1(exif(6)) + app1(exif(3)),
    "the first is damaged": app1(b"damaged") + app1(exif(3)),
    "behind another APP1": b"\xff\xe1\0\x1fhttp://ns.adobe.com/xap/1.0/\0" + app1(exif(8)),
    "in a comment": b"\xff\xfe" + struct.pack(">H", 2 + len(app1(exif(6)))) + app1(exif(6)),
    "behind bytes that fill": b"\xff\xff\xff" + app1(exif(6)),
}


@pytest.mark.parametrize("segments", SEGMENTS.values(), ids=SEGMENTS)
def test_exif_among_other_segments_of_a_jpeg(segments):
    check(jpeg_with(segments), tolerance=2)


def test_the_last_chunk_of_a_png_counts_and_a_chance_name_in_the_pixels_does_not():
    once = png_with(exif(6))
    chunk = once[33 : 33 + 12 + len(exif(6))]
    other = png_with(exif(3))[33 : 33 + len(chunk)]
    check(once[:33] + other + once[33:])
    check(once.replace(b"IEND", b"eXIf", 1) + chunk + b"\0\0\0\0IEND\xae\x42\x60\x82")
    noted = encoded(shades(), "PNG")
    text = b"\0\0\0\x10tEXt" + b"a\0" + b"eXIf".ljust(14) + b"\0\0\0\0"
    np.testing.assert_array_equal(decoded(noted[:33] + text + noted[33:]), decoded(noted))


def test_it_is_turned_before_it_is_resized():
    turned = ImagePreprocessor(37, 23).load([png_with(exif(6))])[0]
    np.testing.assert_array_equal(turned, np.rot90(np.asarray(shades()), -1))
    padded = ImagePreprocessor(37, 37, aspect="pad", background=7).load([png_with(exif(8))])[0]
    assert (padded[:, :7] == 7).all() and not (padded[0, 8:29] == 7).all()


def test_pictures_of_phones(real_data):
    folder = real_data / "hard_inputs" / "pictures"
    plain = decoded((folder / "plain.jpg").read_bytes())
    on_its_side = decoded((folder / "exif6.jpg").read_bytes())
    assert on_its_side.shape == (64, 48, 3)
    np.testing.assert_array_equal(on_its_side, np.rot90(plain, -1))
    np.testing.assert_array_equal(decoded((folder / "exif3.jpg").read_bytes()), plain[::-1, ::-1])
