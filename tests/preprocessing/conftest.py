"""Pictures made with Pillow, which shares no code with TensorFlow's decoders."""

import functools
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.preprocessing.image_decoding import decode_image

from ..hard_pictures import app1, exif, jpeg_with, png_with, small_gif, webp_with


def smooth(height, width, channels=3, depth=255, seed=0):
    """A smooth random picture: noise would make every lossy comparison meaningless."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    planes = []
    for _ in range(channels):
        a, b, c = random.uniform(1, 9, 3)
        planes.append(0.5 + 0.5 * np.sin(a * rows + b * columns + c))
    picture = np.stack(planes, axis=-1) * depth
    return np.round(picture).astype(np.uint8 if depth == 255 else np.uint16)


def encode(picture, kind, **options):
    """Encode an array or a Pillow picture."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture.squeeze(-1) if picture.shape[2:] == (1,) else picture)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name, data):
    """A PNG chunk: length, name, data, checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(picture):
    """A 16-bit PNG of uint16 (h, w, 1..4): Pillow writes none in colour."""
    height, width, channels = picture.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in picture)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def shallow_png(values, depth, transparent=None):
    """A grey PNG of `depth` bits a pixel; pixels of the value `transparent` are marked as such."""
    height, width = values.shape
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in bits)
    chunks = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))]
    if transparent is not None:
        chunks.append(png_chunk(b"tRNS", struct.pack(">H", transparent)))
    chunks += [png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_bomb(side=30_000):
    """A PNG of `side` x `side` black pixels (1 bit each): a small file, gigabytes of pixels."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(compressor.compress(row * 100) for _ in range(side // 100)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@functools.cache
def _decoder(background, max_pixels):
    decode = functools.partial(decode_image, background=background, max_pixels=max_pixels)
    return tf.function(decode, [tf.TensorSpec((), tf.string)], autograph=False)


def decoded(content, background=255, max_pixels=10**7):
    """The pixels of an encoded picture at its own size, int (h, w, 3)."""
    return _decoder(background, max_pixels)(tf.constant(content)).numpy().astype(int)


def over(rgba, background):
    """Lay uint8 (h, w, 4) over a grey, in float64."""
    alpha = rgba[..., 3:].astype(np.float64) / 255
    return np.floor(rgba[..., :3] * alpha + background * (1 - alpha) + 0.5).astype(np.uint8)


@pytest.fixture(scope="session")
def album():
    """One small picture of every kind, as (name, bytes)."""
    colour = smooth(20, 30)
    frames = [Image.fromarray(smooth(20, 30, seed=seed)) for seed in (0, 5)]
    return {
        "jpeg": encode(colour, "JPEG", quality=90),
        "jpeg, progressive": encode(colour, "JPEG", progressive=True),
        "jpeg, grey": encode(smooth(20, 30, 1), "JPEG"),
        "jpeg, cmyk": encode(Image.fromarray(colour).convert("CMYK"), "JPEG"),
        "png": encode(colour, "PNG"),
        "png, rgba": encode(smooth(20, 30, 4), "PNG"),
        "png, 16 bits": deep_png(smooth(20, 30, 3, depth=65535)),
        "png, palette": encode(Image.fromarray(colour).quantize(16), "PNG"),
        "bmp": encode(colour, "BMP"),
        "gif, animated": encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "gif, without a control extension": small_gif(),
        "webp": encode(colour, "WEBP"),
        "webp, rgba, animated": encode(
            Image.fromarray(smooth(20, 30, 4)), "WEBP", save_all=True, append_images=frames[1:]
        ),
        "jpeg, on its side": jpeg_with(app1(exif(6)), picture=Image.fromarray(colour)),
        "png, on its side": png_with(exif(5)),
        "webp, on its side": webp_with(exif(7)),
    }
