"""`DeviceSearch`: pictures found by a text or by a picture, on one machine and without TensorFlow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mmkeras.errors import MmkerasError
from mmkeras.on_device.text_encoder import TextEncoder
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.search_result import SearchResult

if TYPE_CHECKING:
    from mmkeras.on_device.image_encoder import DevicePicture, ImageEncoder


class DeviceSearch:
    """One or both encoders and an index of embedded pictures, of one space.

    Args:
        encoder: `TextEncoder`, or the path of a `text_encoder_*_ids.tflite`; `None` to search by pictures alone.
        index: `EmbeddingIndex`, or its folder; a compact one of 100,000 pictures is mapped, not read.
        image_encoder: `ImageEncoder`, or the path of an `image_encoder_*_pixels.tflite`; `None` to search by texts
            alone.

    Raises:
        MmkerasError: neither encoder, an index of another space than an encoder's, a file that is damaged.
        MissingPartError: LiteRT, or the library that makes the ids, is not installed.

    Example:
        >>> search = DeviceSearch(
        ...     "device/text_encoder_dynamic_ids.tflite", "device/index", "device/image_encoder_int8_pixels.tflite"
        ... )
        >>> [result.item["id"] for result in search("a dog runs on the beach", k=5)]
        >>> [result.item["id"] for result in search.by_picture("photo.jpg", k=5)]
    """

    def __init__(
        self,
        encoder: TextEncoder | str | os.PathLike[str] | None,
        index: EmbeddingIndex | str | os.PathLike[str],
        image_encoder: ImageEncoder | str | os.PathLike[str] | None = None,
    ) -> None:
        if encoder is None and image_encoder is None:
            raise MmkerasError("Expected a text encoder or an image encoder. Received: neither")
        self.index = index if isinstance(index, EmbeddingIndex) else EmbeddingIndex(index)
        self.encoder = TextEncoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        if isinstance(image_encoder, (str, os.PathLike)):
            from mmkeras.on_device.image_encoder import ImageEncoder  # Pillow, which a search by text does not need

            image_encoder = ImageEncoder(image_encoder)
        self.image_encoder = image_encoder
        for one in (self.encoder, self.image_encoder):
            if one is not None:
                self.index.check_space(one.space_id)

    def __call__(self, text: str | bytes, k: int = 5, where: str | None = None) -> list[SearchResult]:
        """Find the pictures nearest to a text.

        Args:
            text: str.
            k: results.
            where: find only items for which this expression is true, see `EmbeddingIndex.where`.

        Returns:
            List of `SearchResult`, best first.

        Raises:
            MmkerasError: a search without a text encoder; an index without pictures; see `TextEncoder.token_ids` and
                `EmbeddingIndex.search`.
        """
        if self.encoder is None:
            raise MmkerasError(
                "Expected a text_encoder_*_ids.tflite, with which a text is searched by. Received: encoder=None"
            )
        return self.index.search(self.encoder.encode_text([text]), "image", k, where)[0]

    def by_picture(self, picture: DevicePicture, k: int = 5, where: str | None = None) -> list[SearchResult]:
        """Find the pictures nearest to a picture; one that is in the index is the nearest to itself.

        Args:
            picture: a path, an encoded picture (bytes), a Pillow image or a uint8 array, see `ImageEncoder.pixels`.
            k: results.
            where: find only items for which this expression is true, see `EmbeddingIndex.where`.

        Returns:
            List of `SearchResult`, best first.

        Raises:
            MmkerasError: a search without an image encoder; an index without pictures; see `ImageEncoder.pixels` and
                `EmbeddingIndex.search`.
        """
        if self.image_encoder is None:
            raise MmkerasError(
                "Expected an image_encoder_*_pixels.tflite, with which a picture is searched by. "
                "Received: image_encoder=None"
            )
        return self.index.search(self.image_encoder.encode_image([picture]), "image", k, where)[0]
