"""What files for devices are compared on: texts and pictures of the data, and edge cases, with Keras' own answers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mmkeras.export.golden import made_up_pictures
from mmkeras.export.pictures import encode_png

if TYPE_CHECKING:
    from mmkeras.data.paired import PairedData
    from mmkeras.models.image_text_model import ImageTextModel

GOLDEN_TEXTS, GOLDEN_PICTURES = 64, 16
# What every release is compared on beside texts of the data: where tokenizers and masks go wrong.
EDGES = (
    "",
    " ",
    "x",
    "x" * 10_000,
    "a\tb\nc",
    "e\u0301\u0302",
    "\u0130I\u0131i",
    "日本語 の 文",
    "👩‍👩‍👧‍👦 🇩🇪",
    "a\0b\0",
)
_EXIF_ORIENTATION, _ON_ITS_SIDE = 0x0112, 6


def golden_texts(data: PairedData) -> list[str]:
    """Return the first texts of a split, and `EDGES`."""
    return [*data.texts[:GOLDEN_TEXTS], *EDGES]


def golden_pictures(data: PairedData, shape: tuple[int, int, int]) -> list[bytes]:
    """Return the first pictures of a split as files, and of one of them what cameras and designers make.

    A PNG keeps every pixel at the encoder's own size. The last four are a JPEG of other proportions that lies on its
    side, a grey PNG, one that is transparent, and a GIF: what a client's own decoder and resize could do otherwise.

    Args:
        data: `PairedData`.
        shape: (H, W, C) of pixels that the encoder takes; where the data holds features alone, pictures are made up.
    """
    if data.pictures is None or not len(data.pictures):
        pixels = made_up_pictures(GOLDEN_PICTURES, shape)
    else:
        pixels = np.stack([data.pictures[row] for row in range(min(GOLDEN_PICTURES, len(data.pictures)))])
    height, width, _ = shape
    one = Image.fromarray(pixels[0].squeeze(-1) if shape[-1] == 1 else pixels[0]).convert("RGB")
    larger = one.resize((2 * width + 7, 3 * height + 1), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _ON_ITS_SIDE
    transparent = larger.convert("RGBA")
    transparent.putalpha(larger.convert("L"))
    return [
        *map(encode_png, pixels),
        _file(larger, "JPEG", quality=85, exif=exif),
        _file(larger.convert("L"), "PNG"),
        _file(transparent, "PNG"),
        _file(one.quantize(32), "GIF"),
    ]


def write_golden(file: Path, model: ImageTextModel, texts: list[str], pictures: list[bytes]) -> dict[str, Any]:
    """Write golden texts and pictures, where there are any, with what Keras makes of them.

    Args:
        file: path of the .npz.
        model: `ImageTextModel`.
        texts: list of str.
        pictures: list of encoded pictures.

    Returns:
        dict from the modality to (what encoders take of the examples: the texts, or pixels, uint8 (N, H, W, C), and
        their embeddings, float32 (N, D)).
    """
    arrays: dict[str, Any] = {}
    found: dict[str, Any] = {}
    if texts:
        embeddings = model.encode_text(texts)
        # As UTF-8 with a stop behind it: an array of bytes drops zeros at an end.
        arrays["text"] = np.array([text.encode() + b"." for text in texts])
        arrays["token_ids"] = model.text_preprocessor(texts).numpy()  # type: ignore[misc]
        arrays["embedding"] = embeddings
        found["text"] = texts, embeddings
    if pictures:
        pixels = model.image_preprocessor.load(pictures)
        embeddings = model.encode_image(pixels)
        arrays["picture"] = np.array([picture + b"." for picture in pictures])
        arrays["pixels"], arrays["image_embedding"] = pixels, embeddings
        found["image"] = pixels, embeddings
    np.savez_compressed(file, **arrays)
    return found


def _file(image, kind, **settings):
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()
