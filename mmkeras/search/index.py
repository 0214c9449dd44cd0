"""`EmbeddingIndex`: embedded items in a folder, memory-mapped, searched exactly."""

import dataclasses
import functools
import json
import zipfile
from pathlib import Path

import numpy as np

from mmkeras.errors import MmkerasError

INDEX_FORMAT = 1  # of the folder's layout; raised when an older reader could misread it
MODALITIES = ("image", "text")


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """One found item.

    Args:
        rank: from 1.
        score: cosine with the query, -1 to 1.
        item: the item's entry in `items.jsonl`: `id`, `text`, `picture`, `seen` and whatever was written with it.
    """

    rank: int
    score: float
    item: dict


class EmbeddingIndex:
    """Items with their image and text embeddings.

    The folder holds `index.json` (`format`, `space_id`, `dim`, `count`), `items.jsonl` (an item a line), for each
    modality that the items have `image_embeddings.npy` or `text_embeddings.npy` (float32 (count, dim), unit norm) and
    `pictures.zip` with the items' pictures.

    Args:
        folder: an index folder, as `IndexWriter` writes it.

    Raises:
        MmkerasError: no index, one of another format, or parts that do not fit together.

    Example:
        >>> index = EmbeddingIndex("savedmodels/glyphs/1/assets.extra/index")
        >>> index.search(client.encode_text(["greek small letter omega"]), "image", k=5)[0][0].item["text"]
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        try:
            info = json.loads((self.folder / "index.json").read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise MmkerasError(f"{folder} is no index: {error}") from error
        if info.get("format") != INDEX_FORMAT:
            raise MmkerasError(
                f"{folder} is an index of format {info.get('format')}. This version reads {INDEX_FORMAT}"
            )
        self.space_id = info["space_id"]
        self.dim = info["dim"]
        self.count = info["count"]
        self._embeddings = {modality: self._open(modality) for modality in MODALITIES}

    def __len__(self):
        return self.count

    @functools.cached_property
    def items(self):
        """The items' entries, a list of dicts."""
        with open(self.folder / "items.jsonl", encoding="utf-8") as stream:
            items = [json.loads(line) for line in stream]
        if len(items) != self.count:
            raise MmkerasError(f"{self.folder}: expected {self.count} items in items.jsonl. Received: {len(items)}")
        return items

    def check_space(self, space_id):
        """Refuse embeddings of another space.

        Raises:
            MmkerasError: `space_id` is not the one that this index was made in.
        """
        if space_id != self.space_id:
            raise MmkerasError(
                f"The index {self.folder} was made in the space {self.space_id[:12]}, the model answers in "
                f"{space_id[:12]}: their embeddings cannot be compared. Use the index exported with that model"
            )

    def search(self, queries, modality, k=10):
        """Find the items nearest to each query by cosine.

        Args:
            queries: float (Q, D), unit norm.
            modality: which embeddings of the items to search, `"image"` or `"text"`.
            k: results a query, at most `len(self)`.

        Returns:
            List of Q lists of `SearchResult`, best first; equal scores in the items' order.
        """
        gallery = self._embeddings.get(modality)
        if gallery is None:
            has = [name for name, values in self._embeddings.items() if values is not None]
            raise MmkerasError(
                f"Expected a modality of this index, {' or '.join(has)}. Received: modality={modality!r}"
            )
        queries = np.asarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise MmkerasError(f"Expected queries of shape (Q, {self.dim}). Received: shape {queries.shape}")
        if k < 1:
            raise MmkerasError(f"Expected at least one result. Received: k={k}")
        k = min(k, self.count)
        scores = queries @ gallery.T
        nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.lexsort((nearest, -np.take_along_axis(scores, nearest, axis=1)))
        nearest = np.take_along_axis(nearest, order, axis=1)
        return [
            [
                SearchResult(rank, float(scores[query, row]), self.items[row])
                for rank, row in enumerate(map(int, rows), 1)
            ]
            for query, rows in enumerate(nearest)
        ]

    def picture(self, item):
        """Return an item's picture as encoded bytes, or `None` where it has none."""
        if not item.get("picture"):
            return None
        with zipfile.ZipFile(self.folder / "pictures.zip") as pictures:
            return pictures.read(item["picture"])

    def _open(self, modality):
        file = self.folder / f"{modality}_embeddings.npy"
        if not file.exists():
            return None
        try:
            embeddings = np.load(file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{file} is damaged: {error}") from error
        if embeddings.shape != (self.count, self.dim):
            raise MmkerasError(f"{file}: expected shape {(self.count, self.dim)}. Received: {embeddings.shape}")
        return embeddings
