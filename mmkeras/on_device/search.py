"""`DeviceSearch`: pictures found by a text, on one machine and without TensorFlow."""

from __future__ import annotations

import os

from mmkeras.on_device.text_encoder import TextEncoder
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.search_result import SearchResult


class DeviceSearch:
    """A text encoder and an index of embedded pictures, of one space.

    Args:
        encoder: `TextEncoder`, or the path of an `*_ids.tflite`.
        index: `EmbeddingIndex`, or its folder; a compact one of 100,000 pictures is mapped, not read.

    Raises:
        MmkerasError: an index of another space than the encoder's, or one without pictures; a file that is damaged.
        ImportError: LiteRT or SentencePiece is not installed.

    Example:
        >>> search = DeviceSearch("device/text_encoder_dynamic_ids.tflite", "device/index")
        >>> [result.item["id"] for result in search("a dog runs on the beach", k=5)]
    """

    def __init__(
        self, encoder: TextEncoder | str | os.PathLike[str], index: EmbeddingIndex | str | os.PathLike[str]
    ) -> None:
        self.encoder = encoder if isinstance(encoder, TextEncoder) else TextEncoder(encoder)
        self.index = index if isinstance(index, EmbeddingIndex) else EmbeddingIndex(index)
        self.index.check_space(self.encoder.space_id)

    def __call__(self, text: str | bytes, k: int = 5) -> list[SearchResult]:
        """Find the pictures nearest to a text.

        Args:
            text: str.
            k: results.

        Returns:
            List of `SearchResult`, best first.

        Raises:
            MmkerasError: see `TextEncoder.token_ids` and `EmbeddingIndex.search`.
        """
        return self.index.search(self.encoder.encode_text([text]), "image", k)[0]
