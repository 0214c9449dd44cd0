"""The pixels: against Pillow's decoders and filters, and equal in tf.data, in a SavedModel and eagerly."""

import io
import json
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

from .conftest import deep_png, encode, over, shallow_png, smooth

AS_IT_IS = ImagePreprocessor(20, 30)


def pillow(data, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


def decoded(data, preprocessor=AS_IT_IS):
    return preprocessor.decode(data).numpy()


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(smooth(20, 30)),
        Image.fromarray(smooth(20, 30)).convert("L"),
        Image.fromarray(smooth(20, 30)).convert("1"),
        Image.fromarray(smooth(20, 30)).quantize(16),
        Image.fromarray(smooth(20, 30)).quantize(2),
    ],
    ids=["rgb", "grey", "1 bit", "palette", "palette of 2"],
)
@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_pictures_equal_pillows(picture, kind):
    data = encode(picture, kind)
    if kind == "BMP" and picture.mode == "1":
        with pytest.raises(tf.errors.InvalidArgumentError, match="BMP must have 8, 24 or 32 bits"):
            decoded(data)
        return
    np.testing.assert_array_equal(decoded(data), pillow(data))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("transparent", [None, 1])
def test_grey_of_few_bits(depth, transparent):
    values = np.random.default_rng(depth).integers(0, 2**depth, (20, 30))
    expected = values * (255 // (2**depth - 1))  # the colour key is drawn
    got = decoded(shallow_png(values, depth, transparent), ImagePreprocessor(20, 30, background=90))
    np.testing.assert_array_equal(got, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}], ids=str)
def test_jpeg_equals_pillows(options):
    data = encode(smooth(20, 30), "JPEG", **options)
    difference = np.abs(decoded(data).astype(int) - pillow(data))
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_grey_and_cmyk_jpeg_become_colour(album):
    grey = decoded(album["jpeg, grey"])
    assert np.abs(grey.astype(int) - pillow(album["jpeg, grey"])).max() <= 1
    assert (grey[..., :1] == grey).all()
    assert np.abs(decoded(album["jpeg, cmyk"]).astype(int) - pillow(album["jpeg, cmyk"])).max() <= 6


@pytest.mark.parametrize("background", [255, 0, 100])
def test_transparency_is_laid_over_the_background(background):
    preprocessor = ImagePreprocessor(20, 30, background=background)
    rgba = smooth(20, 30, 4)
    np.testing.assert_array_equal(decoded(encode(rgba, "PNG"), preprocessor), over(rgba, background))
    grey = Image.fromarray(rgba).convert("LA")
    expected = over(np.asarray(grey.convert("RGBA")), background)
    np.testing.assert_array_equal(decoded(encode(grey, "PNG"), preprocessor), expected)
    palette = encode(Image.fromarray(rgba[..., :3]).quantize(8), "PNG", transparency=3)
    expected = pillow(palette, "RGBA")
    assert (expected[..., 3] == 0).any()
    np.testing.assert_array_equal(decoded(palette, preprocessor), over(expected, background))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_rounded_to_8(channels):
    deep = smooth(20, 30, channels, depth=65535)
    eight = np.floor(deep / 257 + 0.5).astype(np.uint8)
    expected = np.broadcast_to(eight[..., :1] if channels < 3 else eight[..., :3], (20, 30, 3))
    if channels in (2, 4):
        expected = over(np.concatenate([expected, eight[..., -1:]], axis=-1), 255)
    np.testing.assert_array_equal(decoded(deep_png(deep)), expected)


def test_16_bit_file_of_pillow():
    deep = smooth(20, 30, 1, depth=65535)
    np.testing.assert_array_equal(decoded(encode(deep, "PNG"))[..., :1], np.floor(deep / 257 + 0.5).astype(np.uint8))


def bitmap(rgba, header_size, compression):
    """A 32-bit bitmap, rows from the top (negative height)."""
    height, width, _ = rgba.shape
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", header_size, width, -height, 1, 32, compression, 0, 0, 0, 0, 0)
    info = (info + masks + bytes(header_size))[:header_size]
    pixels = rgba[..., [2, 1, 0, 3]].tobytes()
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(pixels), 0, 0, 14 + len(info)) + info + pixels


def test_bitmap_alpha_counts_only_where_declared():
    rgba = smooth(20, 30, 4)
    np.testing.assert_array_equal(decoded(bitmap(rgba, 108, 3)), over(rgba, 255))
    np.testing.assert_array_equal(decoded(bitmap(rgba, 40, 0)), rgba[..., :3])
    np.testing.assert_array_equal(decoded(bitmap(rgba, 40, 0)), pillow(bitmap(rgba, 40, 0)))


def test_bitmap_with_bytes_behind_the_pixels():
    data = encode(smooth(20, 30), "BMP")
    np.testing.assert_array_equal(decoded(data + b"more"), pillow(data))


def test_first_frame_of_a_gif():
    frames = [Image.fromarray(smooth(20, 30, seed=seed)).quantize(64) for seed in range(4)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"x" * 600)
    assert Image.open(io.BytesIO(data)).n_frames == 4
    np.testing.assert_array_equal(decoded(data), pillow(data))
    still = encode(frames[2], "GIF", interlace=1)
    np.testing.assert_array_equal(decoded(still), pillow(still))


@pytest.mark.parametrize("background", [255, 60])
def test_transparent_gif(background):
    picture = Image.fromarray(smooth(20, 30)).quantize(16)
    data = encode(picture, "GIF", transparency=int(np.asarray(picture)[3, 4]))
    rgba = pillow(data, "RGBA")
    assert rgba[3, 4, 3] == 0
    np.testing.assert_array_equal(
        decoded(data, ImagePreprocessor(20, 30, background=background)), over(rgba, background)
    )


FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
FILTERS |= {"lanczos3": Image.Resampling.LANCZOS}


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize("size", [(16, 16), (37, 50), (90, 70)])
def test_resize_equals_pillows(method, size):
    picture = smooth(64, 48)
    picture[10:20, 10:30] = 255 - picture[10:20, 10:30]  # edges: where filters differ
    # In float: with 8 bits Pillow rounds and clips between its two passes.
    planes = [Image.fromarray(picture[..., k].astype(np.float32)).resize(size[::-1], FILTERS[method]) for k in range(3)]
    expected = np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0, 255)
    got = ImagePreprocessor(*size, method=method).decode(encode(picture, "PNG")).numpy()
    assert np.abs(got - expected).max() <= (0.51 if method != "lanczos3" else 1)


def test_antialias_and_nearest():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    data = encode(stripes, "PNG")
    assert abs(ImagePreprocessor(8, 8).decode(data).numpy().astype(int) - 127.5).max() <= 20
    assert set(ImagePreprocessor(8, 8, method="nearest").decode(data).numpy().ravel()) <= {0, 255}
    aliased = ImagePreprocessor(8, 8, antialias=False).decode(data).numpy()
    assert not np.array_equal(aliased, ImagePreprocessor(8, 8).decode(data).numpy())


@pytest.mark.parametrize("method", ["area", "bicubic", "bilinear", "gaussian", "lanczos3", "lanczos5", "mitchellcubic"])
def test_a_picture_of_the_target_size(method):
    picture = smooth(20, 30)
    picture[5:9, 5:9] = 0
    got = ImagePreprocessor(20, 30, method=method).decode(encode(picture, "PNG")).numpy()
    whole = tf.image.resize(picture, (20, 30), method, antialias=True)
    np.testing.assert_array_equal(got, np.clip(np.floor(whole + 0.5), 0, 255).astype(np.uint8))


def test_pad_keeps_proportions():
    white = np.full((10, 40, 3), 200, np.uint8)
    got = ImagePreprocessor(20, 20, aspect="pad", background=7).decode(encode(white, "PNG")).numpy()
    assert (got[7:12] == 200).all()  # 20 wide: 5 rows, 7 above, 8 below
    assert (got[:7] == 7).all()
    assert (got[12:] == 7).all()
    got = ImagePreprocessor(20, 20, aspect="pad").decode(encode(white.transpose(1, 0, 2), "PNG")).numpy()
    assert (got[:, 7:12] == 200).all()
    assert (got[:, :7] == 255).all()
    line = ImagePreprocessor(4, 4, aspect="pad", background=0).decode(encode(white[:1], "PNG")).numpy()
    assert (line[..., 0] == 200).sum() == 4  # one row is left of a picture of 1 x 40


def test_crop_takes_the_centre():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    got = ImagePreprocessor(10, 10, aspect="crop").decode(encode(picture, "PNG")).numpy()
    assert (got == 255).all()
    got = ImagePreprocessor(5, 10, aspect="crop").decode(encode(picture[:, 5:15], "PNG")).numpy()
    expected = np.asarray(Image.fromarray(picture[2:7, 5:15]))
    np.testing.assert_array_equal(got, expected)


def test_one_channel_is_luma():
    picture = smooth(20, 30)
    got = ImagePreprocessor(20, 30, channels=1).decode(encode(picture, "PNG")).numpy()
    assert got.shape == (20, 30, 1)
    assert np.abs(got[..., 0].astype(int) - np.asarray(Image.fromarray(picture).convert("L"))).max() <= 1
    flat = ImagePreprocessor(8, 8, channels=1).decode(encode(np.full((20, 30, 3), 137, np.uint8), "PNG")).numpy()
    assert (flat == 137).all()


@pytest.mark.parametrize(
    "aspect", ["squash", pytest.param("pad", marks=pytest.mark.slow), pytest.param("crop", marks=pytest.mark.slow)]
)
def test_equal_in_tf_data_in_a_saved_model_and_eagerly(album, tmp_path, aspect):
    preprocessor = ImagePreprocessor(16, 24, aspect=aspect, method="bicubic", background=9)
    pictures = list(album.values())
    eager = preprocessor(pictures).numpy()
    assert eager.shape == (len(album), 16, 24, 3)
    mapped = tf.data.Dataset.from_tensor_slices(pictures).map(preprocessor.decode, num_parallel_calls=2)
    assert mapped.element_spec.shape == (16, 24, 3)
    np.testing.assert_array_equal(eager, np.stack(list(mapped.as_numpy_iterator())))
    np.testing.assert_array_equal(eager, preprocessor.load(pictures))
    np.testing.assert_array_equal(eager[0], preprocessor.decode(pictures[0]))
    module = tf.Module()
    module.serve = tf.function(preprocessor.__call__, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    served = tf.saved_model.load(str(tmp_path)).serve
    np.testing.assert_array_equal(eager, served(tf.constant(pictures)))
    assert served(tf.zeros([0], tf.string)).shape == (0, 16, 24, 3)
    assert preprocessor(tf.zeros([0], tf.string)).shape == (0, 16, 24, 3)
    assert served.concrete_functions[0].output_shapes == (None, 16, 24, 3)


def test_config_travels_through_keras_saving():
    preprocessor = ImagePreprocessor(8, 9, 1, "pad", "lanczos3", False, 3, 1000)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(preprocessor)))
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, ImagePreprocessor)
    assert again.get_config() == preprocessor.get_config() == config["config"]
    assert config["config"] == {
        "height": 8,
        "width": 9,
        "channels": 1,
        "aspect": "pad",
        "method": "lanczos3",
        "antialias": False,
        "background": 3,
        "max_pixels": 1000,
    }


def test_load_takes_paths_bytes_and_arrays(tmp_path):
    picture = smooth(40, 60)
    path = tmp_path / "a.png"
    path.write_bytes(encode(picture, "PNG"))
    got = AS_IT_IS.load([path, str(path), path.read_bytes(), picture])
    assert got.shape == (4, 20, 30, 3)
    assert got.dtype == np.uint8
    assert (got == got[:1]).all()
    assert AS_IT_IS.load([]).shape == (0, 20, 30, 3)
    grey = AS_IT_IS.load([picture[..., 0], picture[..., :1]])
    np.testing.assert_array_equal(grey[0], grey[1])
    np.testing.assert_array_equal(grey[0, ..., 0], got[0, ..., 0])
    np.testing.assert_array_equal(AS_IT_IS.load(np.stack([picture, picture])), got[:2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 0}, r"1\.\.65535.*height=0"),
        ({"width": 2.5}, "width=2.5"),
        ({"channels": 4}, "channels=4"),
        ({"aspect": "stretch"}, "'squash', 'pad', 'crop'.*aspect='stretch'"),
        ({"method": "cubic"}, "'bicubic'.*method='cubic'"),
        ({"antialias": "yes"}, "antialias='yes'"),
        ({"background": 256}, r"0\.\.255.*background=256"),
        ({"max_pixels": 0}, "max_pixels=0"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(MmkerasError, match=message):
        ImagePreprocessor(**{"height": 8, "width": 8} | arguments)
