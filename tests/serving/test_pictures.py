"""Pictures on their way to a server: PNG without a library, files read when their turn comes."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from mmkeras.errors import MmkerasError
from mmkeras.serving.pictures import Pictures
from mmkeras.serving.png import encode_png


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (5, 3, 1), (4, 7, 2), (2, 9, 3), (64, 33, 3), (3, 3, 4)])
def test_png_is_read_back_by_others(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        image.load()
        assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[shape[2] if len(shape) == 3 else 1]
        np.testing.assert_array_equal(np.asarray(image), pixels.reshape(np.asarray(image).shape))


def test_png_of_a_view_and_of_what_is_no_picture():
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)[::2, ::-1]
    assert encode_png(pixels) == encode_png(pixels.copy())
    for wrong in (np.zeros([2, 2]), np.zeros([2, 2, 5], np.uint8), np.zeros([0, 2], np.uint8), np.uint8(3)):
        with pytest.raises(MmkerasError, match="uint8 of shape"):
            encode_png(wrong)


def test_any_mix_of_pictures(tmp_path):
    pixels = np.full([2, 3, 3], 51, np.uint8)  # which Pillow's usual palette has
    file = tmp_path / "a.png"
    file.write_bytes(encode_png(pixels))
    palette = Image.fromarray(pixels).convert("P")
    column = Pictures([file, str(file), pixels, file.read_bytes(), Image.fromarray(pixels), palette])
    contents = column[:]
    assert contents.dtype == object and contents.shape == (6,)
    assert contents[:5].tolist() == [encode_png(pixels)] * 5
    with Image.open(io.BytesIO(contents[5])) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)
    assert len(Pictures(np.zeros([4, 2, 2, 3], np.uint8))) == 4
    assert [len(Pictures([b"a"] * 5)[slice(start, start + 2)]) for start in (0, 2, 4)] == [2, 2, 1]


def test_a_pillow_picture_is_turned_as_its_exif_says():
    upright = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    for orientation in range(10):
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright.save(file, "PNG", exif=exif)
        picture = Image.open(file)
        expected = np.asarray(ImageOps.exif_transpose(picture))
        assert Pictures([picture])[:].tolist() == [encode_png(expected)]
        assert (expected.shape == (4, 2, 3)) == (5 <= orientation <= 8)
    file = io.BytesIO()
    upright.save(file, "PNG", exif=b"damaged")
    assert Pictures([Image.open(file)])[:].tolist() == [encode_png(np.asarray(upright))]


def test_a_file_is_read_when_its_slice_is_taken(tmp_path):
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_bytes(b"old")
    column = Pictures(files)
    assert column[0:1].tolist() == [b"old"]
    files[1].write_bytes(b"new")
    assert column[1:2].tolist() == [b"new"]
    files[1].unlink()
    with pytest.raises(MmkerasError, match=r"images\[1\]"):
        column[1:2]


def test_what_is_no_list_of_pictures(tmp_path):
    for wrong, text in (
        ("a.png", "one str"),
        (b"bytes", "one bytes"),
        (Image.new("L", (1, 1)), "one Image"),
        (np.zeros([4, 4, 3], np.uint8), r"shape=\(4, 4, 3\)"),
        ([np.zeros([4, 4, 3])], r"images\[0\] of ndarray, dtype=float64"),
        ([b"a", 3], r"images\[1\] of int"),
        ([tmp_path], r"images\[0\] to be a readable file"),
        ([Image.new("I;16", (1, 1))], "mode I;16"),
    ):
        with pytest.raises(MmkerasError, match=text):
            Pictures(wrong)
    with pytest.raises(MmkerasError, match=r"images\[1\].*\(2, 2, 5\)"):
        Pictures([b"a", np.zeros([2, 2, 5], np.uint8)])[:]
