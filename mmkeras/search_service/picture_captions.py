"""`PictureCaptions`: all captions of a picture, where an export keeps its texts in an index of their own."""

from __future__ import annotations

import threading

from mmkeras.search.index import EmbeddingIndex

MOST_TEXTS = 300_000  # whose pictures are noted in memory


class PictureCaptions:
    """All captions of a picture, found among the items of an index of texts, which name their pictures in `images`.

    All texts are read once, by `read` or at the first question; of more than 300,000 none is, and no picture has other
    captions than its own.

    Args:
        texts: `EmbeddingIndex` of the texts, or None.
    """

    def __init__(self, texts: EmbeddingIndex | None) -> None:
        self.texts = texts if texts is not None and texts.count <= MOST_TEXTS else None
        self._rows: dict[str, list[int]] | None = None
        self._lock = threading.Lock()

    def read(self) -> dict[str, list[int]]:
        """Read which texts belong to which picture, unless that was done; return a dict from its id to their rows."""
        with self._lock:
            if self._rows is None:
                rows: dict[str, list[int]] = {}
                for row in range(0 if self.texts is None else self.texts.count):
                    for name in self.texts.item(row).get("images", ()):
                        rows.setdefault(str(name), []).append(row)
                self._rows = rows
            return self._rows

    def of(self, picture: str) -> list[str]:
        """Return the captions of a picture by its id, a list of str; it is empty where none is known."""
        return [str(self.texts.item(row).get("text", "")) for row in self.read().get(picture, ())]
