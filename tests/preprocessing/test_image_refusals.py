"""What cannot be read is refused with its row and its reason, before it costs anything, and never crashes."""

import resource
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor
from mmkeras.unreadable_pictures import UnreadablePictures

from .conftest import encode, png_bomb, png_chunk, smooth

SMALL = ImagePreprocessor(8, 8)
InvalidArgumentError = tf.errors.InvalidArgumentError


@pytest.fixture(scope="module")
def bomb():
    data = png_bomb()
    assert len(data) < 2_000_000
    return data


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_png_bomb_costs_nothing(bomb, tmp_path):
    SMALL([encode(smooth(20, 30), "PNG")])
    before = peak_mib()
    with pytest.raises(
        InvalidArgumentError, match="row 1: PNG of 30000 x 30000 pixels; expected .* max_pixels=50000000"
    ):
        SMALL([encode(smooth(20, 30), "PNG"), bomb])
    with pytest.raises(InvalidArgumentError, match="PNG of 30000 x 30000"):
        SMALL.decode(bomb)
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb)
    with pytest.raises(MmkerasError, match=r"bomb\.png.*PNG of 30000 x 30000 pixels.*max_pixels=50000000"):
        SMALL.load([path])
    assert peak_mib() - before < 200  # decoded, it is 2.5 GiB


def test_the_bound_is_exact_and_holds_in_a_saved_model(tmp_path):
    preprocessor = ImagePreprocessor(8, 8, max_pixels=600)
    module = tf.Module()
    module.serve = tf.function(preprocessor.__call__, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    served = tf.saved_model.load(str(tmp_path)).serve
    fits, exceeds = smooth(20, 30), smooth(20, 31)
    for kind in ("JPEG", "PNG", "BMP", "GIF", "WebP"):
        good, bad = encode(fits, kind), encode(exceeds, kind)
        assert served(tf.constant([good])).shape == (1, 8, 8, 3)
        with pytest.raises(InvalidArgumentError, match=f"row 2: {kind} of 31 x 20 pixels; .*max_pixels=600 in all"):
            served(tf.constant([good, good, bad, good]))


def with_sides(kind, width, height):
    """A small file whose header claims another size."""
    data = bytearray(encode(smooth(20, 30), kind))
    if kind == "PNG":
        header = struct.pack(">II", width, height) + data[24:29]
        data[8:33] = png_chunk(b"IHDR", bytes(header))
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    else:
        start = data.index(b"\xff\xc0")
        data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_sizes_that_a_header_only_claims(kind):
    with pytest.raises(InvalidArgumentError, match=f"row 0: {kind} of 65500 x 65500 pixels"):
        SMALL([with_sides(kind, 65500, 65500)])  # the largest JPEG that the decoder takes
    with pytest.raises(InvalidArgumentError):
        SMALL([with_sides(kind, 0, 0)])
    if kind in ("PNG", "BMP"):  # a GIF's canvas may be larger than its frame; a JPEG's missing end is filled with grey
        with pytest.raises(InvalidArgumentError):
            SMALL([with_sides(kind, 700, 700)])  # within the bound, and a lie


def test_sides_are_bounded_too():
    with pytest.raises(InvalidArgumentError, match="PNG of 1000000 x 1 pixels; .*65535 a side"):
        SMALL([with_sides("PNG", 1_000_000, 1)])
    for height in (-(2**31), 2**31 - 1):
        with pytest.raises(InvalidArgumentError, match=f"BMP of 1 x {abs(height)} pixels"):
            SMALL([with_sides("BMP", 1, height)])
    with pytest.raises(InvalidArgumentError, match="PNG of 4294967295 x 4294967295"):
        SMALL([with_sides("PNG", 2**32 - 1, 2**32 - 1)])


def test_a_gif_frame_larger_than_the_bound():
    data = bytearray(encode(smooth(20, 30), "GIF"))
    start = data.index(b",\0\0\0\0" + struct.pack("<HH", 30, 20))
    data[start + 5 : start + 9] = struct.pack("<HH", 60_000, 60_000)
    with pytest.raises(InvalidArgumentError, match="row 0: GIF frame of 60000 x 60000"):
        SMALL([bytes(data)])


def test_later_gif_frames_are_not_unpacked():
    good = encode(smooth(20, 30), "GIF")
    expected = SMALL([good]).numpy()
    later = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x08\xff damaged"
    np.testing.assert_array_equal(SMALL([good[:-1] + later]).numpy(), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_truncated_files_are_named(kind):
    good = encode(smooth(20, 30), kind)
    with pytest.raises(InvalidArgumentError, match=f"(?i)row 2: {kind} file is truncated"):
        SMALL([good, good, good[: len(good) * 2 // 3]])
    for length in range(0, len(good) - 1, 7 if kind != "BMP" else 97):
        with pytest.raises(InvalidArgumentError):
            SMALL([good[:length]])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_bytes_behind_the_end_are_no_truncation(kind):
    good = encode(smooth(20, 30), kind)
    np.testing.assert_array_equal(SMALL([good]), SMALL([good + b"more"]))


def test_random_bytes_never_crash(album):
    """In a process of its own, whose exit code shows a crash; also behind each format's first bytes."""
    code = """
import sys
import numpy as np, tensorflow as tf
from mmkeras.preprocessing import ImagePreprocessor
from tests.preprocessing.conftest import encode, smooth
preprocessor, random, outcomes = ImagePreprocessor(8, 8), np.random.default_rng(0), []
files = [encode(smooth(20, 30), kind) for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP")]
starts = [b""] + [data[:cut] for data in files for cut in (8, 40, 200)]
cases = [start + random.bytes(size) for start in starts for size in (0, 1, 30, 500)]
for data in files:
    for _ in range(25):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 3):
            damaged[place] = random.integers(256)
        cases.append(bytes(damaged))
for data in cases:
    try:
        outcomes.append(preprocessor([data]).shape == (1, 8, 8, 3))
    except tf.errors.InvalidArgumentError:
        outcomes.append(None)
sys.exit(0 if outcomes.count(None) > 50 and False not in outcomes else 3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_shapes_are_guarded(tmp_path):
    good = encode(smooth(20, 30), "PNG")
    loose = tf.function(SMALL.__call__, input_signature=[tf.TensorSpec(None, tf.string)])
    assert loose(tf.constant([good])).shape == (1, 8, 8, 3)
    for wrong in (good, [[good]]):
        with pytest.raises((InvalidArgumentError, ValueError), match="shape"):
            SMALL(wrong)
        with pytest.raises(InvalidArgumentError, match="shape"):
            loose(tf.constant(wrong))


def test_load_names_what_it_cannot_read(tmp_path):
    good = tmp_path / "good.png"
    good.write_bytes(encode(smooth(20, 30), "PNG"))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff" + bytes(100) + b"\xff\xd9")
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    damaged = bytearray(good.read_bytes())
    damaged[60] ^= 255
    for pictures, message in [
        ([good, tmp_path / "gone.png"], r"gone\.png.*No such file"),
        ([tmp_path], "Is a directory"),
        ([good, broken], r"broken\.jpg.*Invalid JPEG data"),
        ([good, text], r"notes\.txt.*expected a JPEG, PNG, GIF, BMP or WebP picture; received 10 bytes"),
        ([good, b""], "picture 1 of the list.*received 0 bytes"),
        ([bytes(damaged)], "picture 0 of the list.*Invalid PNG data"),
        ([good, np.zeros((4, 4, 3))], "picture 1 of the list = float64"),
        ([np.zeros((4, 4, 4), np.uint8)], r"picture 0 of the list = uint8 \(4, 4, 4\)"),
        ([np.zeros((0, 4, 3), np.uint8)], r"uint8 \(0, 4, 3\)"),
        ([None], "picture 0 of the list = object"),
        (str(good), r"write \[images\]"),
        (good.read_bytes(), r"write \[images\]"),
    ]:
        with pytest.raises(MmkerasError, match=message) as caught:
            SMALL.load(pictures)
        assert "\n" not in str(caught.value)


def test_load_names_all_that_it_cannot_read(tmp_path):
    good = np.full((4, 4, 3), 7, np.uint8)
    with pytest.raises(UnreadablePictures) as caught:
        SMALL.load([b"x", good, tmp_path / "gone.png", good, np.zeros((4, 4, 4), np.uint8)])
    assert list(caught.value.reasons) == [0, 2, 4]
    for message, told in zip(
        caught.value.reasons.values(), ("received 1 bytes", "gone.png", "list = uint8"), strict=True
    ):
        assert told in message
    assert str(caught.value) == "\n".join(caught.value.reasons.values())


def test_what_can_be_read_is_in_order_and_the_others_are_named_as_asked():
    grey = [np.full((4, 4, 3), value, np.uint8) for value in range(3)]
    pixels, reasons = SMALL.load_readable([grey[2], b"x", grey[0], b"", grey[1]], [10, 11, 12, 13, 14])
    assert pixels[:, 0, 0, 0].tolist() == [2, 0, 1] and pixels.shape == (3, *SMALL.output_shape)
    assert sorted(reasons) == [11, 13] and "picture 11 of the list" in reasons[11]
    pixels, reasons = SMALL.load_readable([b"x"])
    assert pixels.shape == (0, *SMALL.output_shape) and list(reasons) == [0]
