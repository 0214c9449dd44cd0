"""What is no picture of a format that is read is refused by its name."""

import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

from .conftest import encode, smooth

SMALL = ImagePreprocessor(8, 8)
PICTURE = Image.fromarray(smooth(20, 30))
NAMED = [
    (b"", ": the file is empty"),
    (encode(PICTURE, "TIFF"), "of TIFF"),
    (b"MM\0*\0\0\0\x08", "of TIFF"),
    (b"\0\0\0\x1cftypavif\0\0\0\0", "of AVIF"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "of HEIC"),
    (b"\0\0\0\x18ftypmif1\0\0\0\0", "of HEIC"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0", "of video"),
    (b"\xff\x0a\xfa\x1f\x41\x91", "of JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "of JPEG XL"),
    (encode(PICTURE, "JPEG2000"), "of JPEG 2000"),
    (b"\xff\x4f\xff\x51\0\x2f", "of JPEG 2000"),
    (encode(PICTURE, "ICO", sizes=[(16, 16)]), r"of icon \(ICO\)"),
    (encode(PICTURE, "PDF"), "of PDF"),
    (b"\x1f\x8b\x08\0\0\0", "of gzip"),
    (b"PK\3\4\x14\0", "of zip"),
    (b"8BPS\0\1", r"of Photoshop \(PSD\)"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "of SVG"),
    (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n<svg>', "of SVG"),
    (b"\n<!DOCTYPE html>\n<title>404</title>", "of HTML"),
    (b"<HTML><BODY>Not found", "of HTML"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "of XML"),
    (b'{"error": "not found"}', "of JSON"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "of Git LFS pointer"),
    (b"iVBORw0KGgoAAAANSUhEUgAA", "of base64 text"),
    (b"hello", "of text"),
    ("größer als ein Kilobyte: ".encode() * 99, "of text"),
    (b"RIFF\x24\0\0\0WAVEfmt ", r"of RIFF \(no WebP in it\)"),
    (encode(PICTURE, "PNG").replace(b"\r\n", b"\n"), "of PNG with line ends changed on its way"),
    (b"\0", "of another kind"),
    (bytes(1000), "of another kind"),
    (b"\xfe\xff\xfd" * 9, "of another kind"),
]


@pytest.mark.parametrize(("content", "told"), NAMED, ids=[f"{told}, {place}" for place, (_, told) in enumerate(NAMED)])
def test_the_format_is_named_with_those_that_are_read(content, told):
    expected = f"expected a JPEG, PNG, GIF, BMP or WebP picture; received {len(content)} bytes.*{told}$"
    with pytest.raises(MmkerasError, match=expected):
        SMALL.load([content])
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"row 1: {expected[:-1]}"):
        SMALL([encode(PICTURE, "PNG"), content])


def test_a_picture_under_the_name_of_another_format(real_data):
    with pytest.raises(MmkerasError, match=r"x\.tiff.*received 9356 bytes of TIFF"):
        SMALL.load([real_data / "hard_inputs" / "pictures" / "x.tiff"])
