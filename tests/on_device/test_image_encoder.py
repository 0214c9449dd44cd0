"""The image encoder without TensorFlow: the pixels of `ImagePreprocessor`, the embeddings of the SavedModel."""

import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from mmkeras.errors import MmkerasError
from mmkeras.on_device import ImageEncoder
from mmkeras.on_device.picture_decoding import decode_picture
from mmkeras.on_device.resizing import resize_picture

from ..hard_pictures import encoded, exif, jpeg_with, photograph, png_with, shades, webp_with

PIXELS = "image_encoder_dynamic_pixels.tflite"

pytestmark = pytest.mark.usefixtures("litert")


@pytest.fixture(scope="module")
def encoder(tiny_device):
    return ImageEncoder(tiny_device / PIXELS)


@pytest.fixture(scope="module")
def preprocessor(tiny_model):
    return tiny_model.image_preprocessor


def transparent():
    picture = photograph(40, 30).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((30, 40)))
    return picture


def files():
    """Pictures of every format and kind, by what they are."""
    picture = photograph(90, 61)
    deep = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257 + 100)
    palette = transparent().quantize(16)
    kinds = {
        "JPEG": encoded(picture, "JPEG", quality=90),
        "JPEG, full chroma": encoded(picture, "JPEG", quality=90, subsampling=0),
        "JPEG, progressive": encoded(picture, "JPEG", progressive=True),
        "JPEG, grey": encoded(picture.convert("L"), "JPEG"),
        "PNG": encoded(picture, "PNG"),
        "PNG, grey": encoded(picture.convert("L"), "PNG"),
        "PNG, one bit": encoded(picture.convert("1"), "PNG"),
        "PNG, 16 bits": encoded(deep, "PNG"),
        "PNG, transparent": encoded(transparent(), "PNG"),
        "PNG, grey and transparent": encoded(transparent().convert("LA"), "PNG"),
        "PNG, palette": encoded(picture.quantize(16), "PNG"),
        "PNG, palette and transparent": encoded(palette, "PNG"),
        "BMP": encoded(picture, "BMP"),
        "WebP": encoded(picture, "WEBP", lossless=True),
        "WebP, transparent": encoded(transparent(), "WEBP", lossless=True),
        "GIF": encoded(picture.quantize(64), "GIF"),
        "PNG, on its side": png_with(exif(6)),
    }
    return kinds | {f"JPEG, orientation {n}": jpeg_with(b"\xff\xe1" + _exif_segment(n)) for n in range(1, 9)}


def _exif_segment(orientation):
    data = b"Exif\0\0" + exif(orientation)
    return (len(data) + 2).to_bytes(2, "big") + data


@pytest.mark.parametrize("kind", files())
def test_pixels_are_those_of_the_model(kind, encoder, preprocessor):
    content = files()[kind]
    expected, found = preprocessor.load([content])[0].astype(int), encoder.pixels([content])[0].astype(int)
    assert found.shape == (32, 32, 3) and np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.01


@pytest.mark.parametrize("aspect", ["squash", "pad", "crop"])
@pytest.mark.parametrize(
    "method", ["area", "bicubic", "bilinear", "gaussian", "lanczos3", "lanczos5", "mitchellcubic", "nearest"]
)
def test_every_resize_is_that_of_the_graph(method, aspect):
    from mmkeras.preprocessing import ImagePreprocessor

    pictures = [np.asarray(photograph(*size)) for size in ((90, 61), (31, 200), (32, 24), (2, 5))]
    for antialias, channels in ((True, 3), (False, 3), (True, 1)):
        preprocessor = ImagePreprocessor(32, 24, channels, aspect, method, antialias, background=77)
        for picture in pictures:
            expected = preprocessor.resize(picture).numpy().astype(int)
            difference = np.abs(resize_picture(picture, preprocessor.get_config()) - expected)
            assert difference.max() <= 1 and (difference > 0).mean() < 0.03


def test_embeddings_are_those_of_the_served_model(encoder, tiny_version):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

    contents = list(files().values())
    served = tf.saved_model.load(str(tiny_version)).signatures["encode_image"]
    expected = served(image_bytes=tf.constant(contents))["embedding"].numpy()
    received = encoder.encode_image(contents)
    np.testing.assert_allclose(np.linalg.norm(received, axis=1), 1, atol=1e-5)
    assert np.sum(expected * received, axis=1).min() > 0.998


def test_paths_bytes_arrays_and_pillow_images_are_one(encoder, tmp_path):
    picture = shades()
    picture.save(tmp_path / "a.png")
    ways = [tmp_path / "a.png", str(tmp_path / "a.png"), encoded(picture, "PNG"), picture, np.asarray(picture)]
    pixels = encoder.pixels(ways)
    for other in pixels[1:]:
        np.testing.assert_array_equal(pixels[0], other)
    turned = Image.open(io.BytesIO(jpeg_with(b"\xff\xe1" + _exif_segment(6))))
    assert decode_picture(turned, "it", 255, 10**6).shape == (37, 23, 3)
    assert encoder.encode_image([]).shape == (0, 16)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ("photo.jpg", r"one str; write \[picture\]"),
        (photograph(4, 4), r"one Image; write \[picture\]"),
        (np.zeros((4, 4, 3), np.uint8), r"or an array \(N, h, w, c\)"),
        (["nothere.jpg"], "'nothere.jpg' .No such file"),
        ([b"no picture"], "Received: picture 0 of the list, 10 bytes of another kind"),
        ([b""], "0 bytes of another kind"),
        ([encoded(shades(), "PNG"), 3], "picture 1 of the list = int"),
        ([np.zeros((4, 4, 3))], "picture 0 of the list = float64"),
        ([encoded(shades(), "TIFF")], "bytes of another kind"),
        ([encoded(photograph(90, 90), "PNG")[:-2000]], "Cannot read picture 0 of the list"),
        ([encoded(photograph(90, 90), "JPEG")[:-1000]], "Cannot read picture 0 of the list"),
        ([encoded(Image.new("L", (8000, 7000)), "PNG")], "at most 50,000,000 pixels. Received: picture 0"),
    ],
)
def test_what_is_no_picture_is_told(pictures, message, encoder):
    with pytest.raises(MmkerasError, match=message):
        encoder.encode_image(pictures)


def test_damaged_exif_turns_nothing(encoder):
    plain = encoder.pixels([encoded(shades(), "JPEG", quality=95)])
    for data in (b"", b"Exif\0\0", b"Exif\0\0MM", b"Exif\0\0" + exif(6)[:9]):
        content = jpeg_with(b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data)
        np.testing.assert_array_equal(encoder.pixels([content]), plain)
    np.testing.assert_array_equal(encoder.pixels([webp_with(b"nothing")]).shape, (1, 32, 32, 3))


def test_files_of_other_kinds_are_refused(tiny_device):
    with pytest.raises(MmkerasError, match=r"no image encoder \(kind 'ids'\)"):
        ImageEncoder(tiny_device / "text_encoder_dynamic_ids.tflite")


def test_a_process_with_it_has_no_tensorflow(tiny_device):
    program = f"""
import sys
import numpy as np
from mmkeras.on_device import DeviceSearch
search = DeviceSearch(None, {str(tiny_device / "index")!r}, {str(tiny_device / PIXELS)!r})
print(len(search.by_picture(np.zeros((9, 9, 3), np.uint8), k=3)))
print(sorted({{"tensorflow", "keras", "tensorflow_text", "scipy", "sklearn", "sentencepiece"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "3\n[]\n", done.stderr


def test_photographs_become_the_same_pixels(real_data):
    from mmkeras.preprocessing import ImagePreprocessor

    preprocessor = ImagePreprocessor(224, 224, method="bicubic")
    with zipfile.ZipFile(real_data / "flickr8k" / "images_160.zip") as archive:
        contents = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".jpg")][:100]
    folder = real_data / "hard_inputs" / "pictures"
    contents += [(folder / name).read_bytes() for name in ("plain.jpg", "exif3.jpg", "exif6.jpg", "x.webp")]
    expected, settings = preprocessor.load(contents).astype(int), preprocessor.get_config()
    for content, pixels in zip(contents, expected, strict=True):
        difference = np.abs(resize_picture(decode_picture(content, "it", 255, 10**6), settings) - pixels)
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
