"""The one path from picture bytes to the pixels that an image encoder takes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias, get_args

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image_decoding import decode_image
from mmkeras.preprocessing.image_header import MAX_SIDE
from mmkeras.progress import Progress
from mmkeras.tensors import Array, Tensor, TensorLike
from mmkeras.unreadable_pictures import UnreadablePictures

Aspect: TypeAlias = Literal["squash", "pad", "crop"]
ResizeMethod: TypeAlias = Literal[
    "area", "bicubic", "bilinear", "gaussian", "lanczos3", "lanczos5", "mitchellcubic", "nearest"
]
ASPECTS = get_args(Aspect)
METHODS = get_args(ResizeMethod)


class _Readable(Protocol):
    def read_bytes(self) -> bytes: ...


Picture: TypeAlias = str | os.PathLike[str] | bytes | NDArray[np.uint8] | _Readable


# Methods that return a picture of the target size as it is: those need no resize there. The others blur.
_INTERPOLATING = frozenset(METHODS) - {"gaussian", "mitchellcubic"}
_POSITIVE = frozenset({"area", "bilinear", "gaussian", "nearest"})


@keras.saving.register_keras_serializable("mmkeras")
class ImagePreprocessor(ConfigFromSignature):
    """Decodes pictures and brings them to one size; the same pixels in `tf.data`, in an exported graph and eagerly.

    JPEG, PNG, BMP, WebP and the first frame of a GIF or an animated WebP. Pictures are turned as their EXIF says, which
    is where phones note how they were held. Grey becomes colour, palettes are applied, 16 bits become 8 (rounded),
    transparent pixels are laid over `background`. The size is read from the header and bounded by `max_pixels` (and
    65,535 a side) before anything is decoded, so a small file that unpacks into gigabytes is refused at no cost.
    Everything that changes the numbers is explicit: JPEG by the accurate integer DCT with smooth chroma upsampling,
    resize in float32 by `method` and `antialias`, then rounded to uint8. Colour profiles are not applied, nor is an
    orientation that only XMP tells; a PNG's colour key (a transparent colour without an alpha channel or palette) is
    drawn, and what a GIF's first frame leaves uncovered of its canvas is black.

    A picture that was cut off is refused, also a JPEG that has an end marker again: exactly, but for a loss within its
    last 16 x 16 pixels, and for a progressive one that was cut within its last scan, which refines what is there. Other
    damage is told where the format shows it, as a PNG by its checksums; a JPEG has none.

    Args:
        height, width: int, the size of what comes out, in pixels.
        channels: int, 3 (RGB) or 1 (grey, ITU-R 601 luma).
        aspect: `"squash"` changes the proportions, `"pad"` keeps them and fills up with `background`, `"crop"` keeps
            them and takes the centre.
        method: a `tf.image.ResizeMethod`: `"bilinear"`, `"bicubic"`, `"lanczos3"`, `"lanczos5"`, `"gaussian"`,
            `"mitchellcubic"`, `"area"` or `"nearest"`.
        antialias: bool, widen the filter when a picture shrinks. `"area"` and `"nearest"` take no notice.
        background: int in 0..255, the grey behind transparent pixels and in padding.
        max_pixels: int, the largest height times width that is decoded.

    Call arguments:
        image_bytes: string tensor (N,), encoded pictures.

    Returns:
        uint8 tensor (N, height, width, channels).

    Raises:
        MmkerasError: an argument is out of range; in `load`, a picture is missing, unreadable or too large.
        tf.errors.InvalidArgumentError: in `decode` and in a call, a picture cannot be read. The message says "row i"
            and why for whatever the header and the file's end tell (another format, size, truncation); a picture
            that is damaged in the middle fails inside TensorFlow's decoder, which knows no row: find it with `load`.

    Example:
        >>> preprocessor = ImagePreprocessor(224, 224, aspect="crop")
        >>> images = preprocessor.load(["a.jpg", "b.png"])  # uint8 (2, 224, 224, 3)
        >>> dataset = dataset.map(preprocessor.decode, num_parallel_calls=tf.data.AUTOTUNE)

    Reference: Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022, section 3:
    the antialias flag moves a measured result more than the method does.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: Literal[1, 3] = 3,
        aspect: Aspect = "squash",
        method: ResizeMethod = "bilinear",
        antialias: bool = True,
        background: int = 255,
        max_pixels: int = 50_000_000,
    ) -> None:
        for name, value, low, high in (
            ("height", height, 1, MAX_SIDE),
            ("width", width, 1, MAX_SIDE),
            ("background", background, 0, 255),
            ("max_pixels", max_pixels, 1, 2**31 - 1),
        ):
            if not _is_int(value) or not low <= value <= high:
                raise MmkerasError(f"Expected an int in {low}..{high}. Received: {name}={value!r}")
        for name, value, allowed in (
            ("channels", channels, (1, 3)),
            ("aspect", aspect, ASPECTS),
            ("method", method, METHODS),
            ("antialias", antialias, (True, False)),
        ):
            if value not in allowed:
                raise MmkerasError(f"Expected one of {', '.join(map(repr, allowed))}. Received: {name}={value!r}")
        self.height = int(height)
        self.width = int(width)
        self.channels = int(channels)
        self.aspect = aspect
        self.method = method
        self.antialias = bool(antialias)
        self.background = int(background)
        self.max_pixels = int(max_pixels)
        self._call_graph = tf.function(self._decode_rows, autograph=False, reduce_retracing=True)
        self._decode_graph = tf.function(self.decode, [tf.TensorSpec((), tf.string)], autograph=False)
        self._resize_graph = tf.function(self.resize, [tf.TensorSpec((None, None, 3), tf.uint8)], autograph=False)

    def __call__(self, image_bytes: TensorLike) -> Tensor:
        return self._call_graph(tf.convert_to_tensor(image_bytes, tf.string))

    def decode(self, image_bytes: TensorLike) -> Tensor:
        """Decode one picture: scalar string -> uint8 (height, width, channels). For `tf.data.Dataset.map`."""
        return self._decode_row(tf.convert_to_tensor(image_bytes, tf.string), row=None)

    if not TYPE_CHECKING:  # a decorator without types would hide those of the method
        decode = tf.autograph.experimental.do_not_convert(decode)

    def resize(self, image: Array) -> Tensor:
        """Bring one uint8 picture (h, w, 3) to uint8 (height, width, channels)."""
        target = (self.height, self.width)
        background = float(self.background)

        def fit():
            source, size, goal = image, target, tf.constant(target, tf.int64)
            height, width = tf.shape(image, tf.int64)[0], tf.shape(image, tf.int64)[1]
            is_tall = height * self.width >= width * self.height
            if self.aspect == "crop":
                rows = tf.where(is_tall, _rounded_ratio(width * self.height, self.width), height)
                columns = tf.where(is_tall, width, _rounded_ratio(height * self.width, self.height))
                top, left = (height - rows) // 2, (width - columns) // 2
                source = image[top : top + rows, left : left + columns]
            elif self.aspect == "pad":
                rows = tf.where(is_tall, goal[0], _rounded_ratio(height * self.width, width))
                columns = tf.where(is_tall, _rounded_ratio(width * self.height, height), goal[1])
                size = tf.cast(tf.stack([rows, columns]), tf.int32)
            resized = tf.cast(tf.image.resize(source, size, self.method, antialias=self.antialias), tf.float32)
            if self.aspect == "pad":
                top, left = (self.height - size[0]) // 2, (self.width - size[1]) // 2
                margins = [[top, self.height - size[0] - top], [left, self.width - size[1] - left], [0, 0]]
                resized = tf.pad(resized, margins, constant_values=background)
            return resized

        def finish(pixels):
            if self.channels == 1:
                pixels = tf.reduce_sum(tf.cast(pixels, tf.float32) * [0.299, 0.587, 0.114], axis=-1, keepdims=True)
            if pixels.dtype == tf.float32:
                pixels += 0.5
                # A filter without negative weights stays inside by itself.
                pixels = pixels if self.method in _POSITIVE else tf.clip_by_value(pixels, 0, 255)
            return tf.cast(pixels, tf.uint8)

        if self.method in _INTERPOLATING:
            is_target = tf.reduce_all(tf.shape(image)[:2] == target)
            pixels = tf.cond(is_target, lambda: finish(image), lambda: finish(fit()))
        else:
            pixels = finish(fit())
        return tf.ensure_shape(pixels, (*target, self.channels))

    @property
    def pixels(self) -> ImagePreprocessor:
        """Itself: the one that makes pixels, where features of a backbone are the other choice."""
        return self

    def load(self, images: Iterable[Picture] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Decode or resize a list of pictures eagerly, telling which of them fail.

        Args:
            images: list of paths, of what has a path's `read_bytes()`, of encoded pictures (`bytes`) or of uint8 arrays
                (h, w, 3), (h, w, 1) or (h, w); or one uint8 array (N, h, w, 3).

        Returns:
            uint8 NumPy array (N, height, width, channels).

        Raises:
            UnreadablePictures: names the path or the position of each picture that fails, and what is wrong with it.
            MmkerasError: one picture in place of a list.
        """
        if isinstance(images, (str, bytes, os.PathLike)):
            raise MmkerasError(f"Expected a list of pictures. Received: images={str(images)[:80]!r}; write [images]")
        images = list(images)
        with Progress("Reading pictures", len(images), "picture") as bar:
            pixels, reasons = self.load_readable(images, advance=bar.advance)
        if reasons:
            raise UnreadablePictures(reasons)
        return pixels

    def load_readable(
        self,
        images: Sequence[Picture] | NDArray[np.uint8],
        positions: Sequence[int] | None = None,
        advance: Callable[[int], Any] = lambda count: None,
    ) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Decode or resize those of a list of pictures that can be read.

        Args:
            images: as for `load`.
            positions: list of N ints, what the messages call the pictures; by default 0 to N - 1.
            advance: is told of each picture, by a 1.

        Returns:
            uint8 NumPy array (K, height, width, channels) of those that can be read, in their order; and a dict from
            the position of each other to the message about it.
        """
        reasons = {}
        pixels = np.empty((len(images), *self.output_shape), np.uint8)

        def load_one(row, image, position):
            try:
                pixels[row] = self._load_one(image, position)
            except MmkerasError as error:
                reasons[position] = str(error)
                return False
            return True

        if not len(images):
            return pixels, reasons
        positions = range(len(images)) if positions is None else positions
        # TensorFlow works outside Python's lock, so threads share the cores.
        with ThreadPoolExecutor(min(len(images), os.cpu_count() or 1)) as pool:
            reads = []
            for read in pool.map(load_one, range(len(images)), images, positions):
                reads.append(read)
                advance(1)
        return pixels if all(reads) else pixels[np.array(reads)], reasons

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Shape of one picture that comes out."""
        return self.height, self.width, self.channels

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)

    def _load_one(self, image, position):
        name, image = read_picture(image, position)
        if isinstance(image, bytes):
            try:
                return self._decode_graph(tf.constant(image)).numpy()
            except tf.errors.InvalidArgumentError as error:
                raise MmkerasError(f"Cannot read {name}: {_reason(error)}") from None
        array = np.asarray(image)
        is_picture = array.ndim in (2, 3) and array.shape[2:] in ((), (1,), (3,)) and 0 not in array.shape
        if array.dtype != np.uint8 or not is_picture:
            raise MmkerasError(
                f"Expected a path, bytes or a uint8 array (h, w, 3), (h, w, 1) or (h, w). "
                f"Received: {name} = {array.dtype} {array.shape}"
            )
        array = array.reshape(*array.shape[:2], -1)
        return self._resize_graph(tf.constant(np.broadcast_to(array, (*array.shape[:2], 3)))).numpy()

    def _decode_rows(self, image_bytes):
        # A scalar or a matrix of strings must not reach a kernel of a server, which checks no shapes itself.
        image_bytes = tf.ensure_shape(image_bytes, [None])
        return tf.map_fn(
            lambda row: self._decode_row(row[0], row[1]),
            (image_bytes, tf.range(tf.size(image_bytes))),
            fn_output_signature=tf.TensorSpec((self.height, self.width, self.channels), tf.uint8),
        )

    def _decode_row(self, image_bytes, row):
        return self.resize(decode_image(image_bytes, self.background, self.max_pixels, row))


def read_picture(picture: Any, position: int = 0) -> tuple[str, Any]:
    """Return a name for messages, and the content of a file or of what has `read_bytes()`; others are left as they are.

    Raises:
        MmkerasError: a file that cannot be read.
    """
    if isinstance(picture, (str, os.PathLike)):
        picture = Path(picture)
    if not hasattr(picture, "read_bytes"):
        return f"picture {position} of the list", picture
    name = f"picture {str(picture)!r}"
    try:
        return name, picture.read_bytes()
    except OSError as error:
        raise MmkerasError(f"Expected a readable picture file. Received: {name} ({error.strerror})") from error


def _rounded_ratio(numerator, denominator):
    return tf.maximum((2 * numerator + denominator) // (2 * denominator), 1)


def _is_int(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _reason(error):
    """Return the one line of TensorFlow's message that concerns the picture."""
    own = re.search(r"assertion failed: \[(.*)\]", error.message)
    if own:
        return own.group(1)
    lines = [re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", line).strip() for line in error.message.splitlines()]
    told = [line for line in lines if re.search(r"invalid|failed|size|channels|empty|decode", line, re.I)]
    return (told or lines)[-1]
