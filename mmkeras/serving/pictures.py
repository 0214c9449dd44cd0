"""A caller's pictures as a column of encoded files."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.serving.png import encode_png

if TYPE_CHECKING:
    from PIL.Image import Image

# A list of pictures in any mix, or one array (N, H, W, C).
Images: TypeAlias = (
    "Iterable[str | Path | bytes | bytearray | memoryview | NDArray[np.uint8] | Image] | NDArray[np.uint8]"
)


class Pictures:
    """A list of pictures, of which a slice is the encoded files as an object array of bytes.

    Paths are read and arrays encoded when a slice is taken, so a long list is never in memory at once. An array becomes
    a PNG, which is without loss: whatever its size, the server prepares it as it would a file with these pixels. A
    Pillow image becomes one too, turned as its EXIF says.

    Args:
        images: list of paths, encoded files (bytes), uint8 arrays (H, W) or (H, W, C), or Pillow images, in any mix;
            or one uint8 array (N, H, W, C).

    Attributes:
        sizes: list of bytes that each takes, at most.

    Raises:
        MmkerasError: something else, or a path that is no file; nothing was read.

    Example:
        >>> Pictures(["a.jpg", np.zeros([32, 32, 3], np.uint8)])[:2].dtype
        dtype('O')
    """

    sizes: list[int]

    def __init__(self, images: Images) -> None:
        if isinstance(images, str | bytes | bytearray | memoryview | Path) or hasattr(images, "convert"):
            raise MmkerasError(f"Expected images to be a list of paths or bytes. Received: one {type(images).__name__}")
        if isinstance(images, np.ndarray) and images.dtype != object and images.ndim != 4:
            # The rows of a single picture would pass for pictures.
            raise MmkerasError(f"Expected a list of images or an array (N, H, W, C). Received: shape={images.shape}")
        self._images = list(images)
        self.sizes = [_checked_size(image, f"images[{position}]") for position, image in enumerate(self._images)]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        contents = [_content(image, f"images[{position}]") for position, image in list(enumerate(self._images))[rows]]
        return object_array(contents)


def object_array(values):
    """Return a list as a 1-D object array; NumPy's own strings would lose trailing zero bytes."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _checked_size(image, name):
    """Return the bytes of a picture, its pixels' where it is not a file yet."""
    if isinstance(image, str | Path):
        try:
            found = os.stat(image)
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            found = None
        if found is None or not stat.S_ISREG(found.st_mode):
            raise MmkerasError(f"Expected {name} to be a readable file. Received: {image}")
        return found.st_size
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise MmkerasError(
                f"Expected an array among images to be uint8 (H, W) or (H, W, C). Received: {name} of "
                f"{type(image).__name__}, dtype={image.dtype}, shape={image.shape}"
            )
        return image.nbytes
    if hasattr(image, "convert"):
        if image.mode[0] in "IF":
            # Pillow cuts these off at 255, where the server's decoder scales them.
            raise MmkerasError(f"Expected a picture of 8 bits a channel. Received: {name} of mode {image.mode}")
        return image.width * image.height * 4
    if not isinstance(image, bytes | bytearray | memoryview):
        raise MmkerasError(
            f"Expected images to be paths, bytes or uint8 arrays. Received: {name} of {type(image).__name__}"
        )
    return len(image)


def _content(image, name):
    if isinstance(image, str | Path):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise MmkerasError(f"Expected {name} to be a readable file. Received: {error}") from error
    if hasattr(image, "convert"):  # Pillow's, which is not imported for this
        image = _upright(image)
        image = np.asarray(image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGBA"))
    if isinstance(image, np.ndarray):
        try:
            return encode_png(image)
        except MmkerasError as error:
            raise MmkerasError(f"{name}: {error}") from error
    return bytes(image)


def _upright(image):
    """Turn a Pillow picture as its EXIF says, as a server turns the file; one with damaged EXIF stays as it is."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, struct.error):  # what Pillow raises where EXIF has no header
        return image
