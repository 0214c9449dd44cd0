"""`PictureCaptions`: all captions of a picture, where an export keeps its texts in an index of their own."""

from __future__ import annotations

import threading

from mmkeras.search.index import EmbeddingIndex

MOST_TEXTS = 300_000  # whose pictures are noted in memory


class PictureCaptions:
    """All captions of a picture, found among the items of an index of texts, which name their pictures in `images`.

    At the first question all texts are read once; of more than 300,000 none is, and no picture has other captions than
    its own.

    Args:
        texts: `EmbeddingIndex` of the texts, or None.
    """

    def __init__(self, texts: EmbeddingIndex | None) -> None:
        self.texts = texts if texts is not None and texts.count <= MOST_TEXTS else None
        self._rows: dict[str, list[int]] | None = None
        self._lock = threading.Lock()

    def of(self, picture: str) -> list[str]:
        """Return the captions of a picture by its id, a list of str; it is empty where none is known."""
        if self.texts is None:
            return []
        with self._lock:
            if self._rows is None:
                self._rows = {}
                for row in range(self.texts.count):
                    for name in self.texts.item(row).get("images", ()):
                        self._rows.setdefault(str(name), []).append(row)
        return [str(self.texts.item(row).get("text", "")) for row in self._rows.get(picture, ())]
