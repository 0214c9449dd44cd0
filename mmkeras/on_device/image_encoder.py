"""`ImageEncoder`: pictures to embeddings on LiteRT, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.on_device.model_file import ModelFile
from mmkeras.on_device.network import Network
from mmkeras.on_device.picture_decoding import decode_picture
from mmkeras.on_device.resizing import resize_picture

if TYPE_CHECKING:
    from PIL.Image import Image

DevicePicture: TypeAlias = "str | Path | bytes | NDArray[np.uint8] | Image"


class ImageEncoder:
    """The image encoder of a trained model in a small process: Pillow decodes, NumPy resizes, LiteRT runs the network.

    The pixels are those that the model was trained on, as the file says: turned as EXIF asks, transparent pixels over
    the background, the aspect, method and antialias of its `ImagePreprocessor`. Pillow and TensorFlow share the
    decoders' libraries, not their code: values may be one off. A PNG of 16 bits a colour is cut to 8 in place of
    rounded, and a JPEG that was cut off and closed again is not told. May be used by several threads, one of which
    computes at a time.

    Args:
        file: an `image_encoder_*_pixels.tflite` that `mmkeras tflite` wrote.
        threads: how many threads the interpreter takes.

    Attributes:
        space_id: the embedding space, 64 hexadecimal characters; embeddings of two spaces cannot be compared.
        embedding_dim: D.
        shape: (H, W, C) of the pixels that the network takes.
        precision: `float32`, `float16`, `dynamic` or `int8`.

    Raises:
        MmkerasError: a file that is missing, damaged, cut off, of another kind, or refused by LiteRT.
        MissingPartError: LiteRT is not installed.

    Example:
        >>> encoder = ImageEncoder("device/image_encoder_int8_pixels.tflite")
        >>> encoder.encode_image(["photo.jpg"])  # float32 (1, D), unit norm
    """

    space_id: str
    embedding_dim: int
    shape: tuple[int, int, int]
    precision: Literal["float32", "float16", "dynamic", "int8"]

    def __init__(self, file: str | os.PathLike[str], threads: int = 1) -> None:
        model = ModelFile(file)
        settings = model.settings
        if settings.get("kind") != "pixels":
            raise MmkerasError(
                f"{file} is no image encoder (kind {settings.get('kind')!r}). "
                "Expected a file image_encoder_*_pixels.tflite"
            )
        self.space_id = settings["space_id"]
        self.embedding_dim = settings["embedding_dim"]
        self.precision = settings["precision"]
        self._settings = settings["image_preprocessor"]
        self.shape = tuple(self._settings[key] for key in ("height", "width", "channels"))
        self._network = Network(model, "encode_pixels", threads)

    def pixels(self, pictures: Iterable[DevicePicture]) -> NDArray[np.uint8]:
        """Return what the network takes of pictures, uint8 (N, H, W, C).

        Args:
            pictures: list of paths, encoded pictures (bytes: JPEG, PNG, BMP, WebP, GIF), Pillow images, or uint8 arrays
                (h, w, 3), (h, w, 1) or (h, w), of any size and in any mix.

        Raises:
            MmkerasError: one picture in place of a list; one that is missing, too large, cut off, damaged or of another
                format, by its path or its position.
        """
        if isinstance(pictures, (str, bytes, os.PathLike)) or hasattr(pictures, "convert"):
            raise MmkerasError(f"Expected a list of pictures. Received: one {type(pictures).__name__}; write [picture]")
        if isinstance(pictures, np.ndarray) and pictures.ndim != 4:
            # The rows of a single picture would pass for pictures.
            raise MmkerasError(f"Expected a list of pictures or an array (N, h, w, c). Received: {pictures.shape}")
        pictures = list(pictures)
        found = np.empty((len(pictures), *self.shape), np.uint8)
        limits = self._settings["background"], self._settings["max_pixels"]
        for position, (picture, out) in enumerate(zip(pictures, found, strict=True)):
            decoded = decode_picture(picture, f"picture {position} of the list", *limits)
            out[:] = resize_picture(decoded, self._settings)
        return found

    def encode_image(self, pictures: Iterable[DevicePicture]) -> NDArray[np.float32]:
        """Embed pictures, one after the other.

        Args:
            pictures: see `pixels`.

        Returns:
            float32 (N, D), unit norm.

        Raises:
            MmkerasError: see `pixels`.
        """
        return self._network.embed(self.pixels(pictures))
