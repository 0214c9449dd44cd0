"""`EmbeddingIndex`: embedded items in a folder, memory-mapped, searched exactly."""

from __future__ import annotations

import functools
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from mmkeras.archives import read_member
from mmkeras.errors import MmkerasError
from mmkeras.search.nearest import check_unit_norm, nearest
from mmkeras.search.precision import PRECISIONS, Precision
from mmkeras.search.search_result import SearchResult

INDEX_FORMAT = 1  # of the folder's layout; raised when an older reader could misread it
Modality: TypeAlias = Literal["image", "text"]

MODALITIES = get_args(Modality)


class EmbeddingIndex:
    """Items with their image and text embeddings.

    The folder holds `index.json` (`format`, `space_id`, `dim`, `count`), `items.jsonl` (an item a line), for each
    modality that the items have `image_embeddings.npy` or `text_embeddings.npy` (float32 (count, dim), unit norm) and
    `pictures.zip` with the items' pictures. A compact one says `precision` in `index.json`: `float16`, or `int8`, then
    with `image_scales.npy` or `text_scales.npy` (float32 (count,)); its scores are those of the rounded embeddings.

    Args:
        folder: an index folder, as `IndexWriter` writes it.

    Attributes:
        modalities: tuple of those that the items have embeddings of, of `"image"` and `"text"`.
        precision: type of the embeddings' numbers, `float32`, `float16` or `int8`.

    Raises:
        MmkerasError: no index, one of another format, or parts that do not fit together.

    Example:
        >>> index = EmbeddingIndex("savedmodels/glyphs/1/assets.extra/index")
        >>> index.search(client.encode_text(["greek small letter omega"]), "image", k=5)[0][0].item["text"]
    """

    space_id: str
    dim: int
    count: int
    precision: Precision
    modalities: tuple[Modality, ...]

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            info = json.loads((self.folder / "index.json").read_text())
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{folder} is no index: {error}") from error
        if not isinstance(info, dict) or info.get("format") != INDEX_FORMAT:
            has = info.get("format") if isinstance(info, dict) else "unknown"
            raise MmkerasError(f"{folder} is an index of format {has}. This version reads {INDEX_FORMAT}")
        try:
            self.space_id, self.dim, self.count = info["space_id"], info["dim"], info["count"]
        except KeyError as error:
            raise MmkerasError(f"{self.folder / 'index.json'} is damaged: it has no {error}") from error
        self.precision = info.get("precision", "float32")
        if self.precision not in PRECISIONS:
            raise MmkerasError(f"{folder} holds embeddings as {self.precision}. This version reads {[*PRECISIONS]}")
        self._embeddings = {modality: self._open(modality) for modality in MODALITIES}
        self.modalities = tuple(modality for modality, values in self._embeddings.items() if values is not None)
        if not self.modalities:
            raise MmkerasError(f"{folder} is no whole index: it has neither image nor text embeddings")

    def __len__(self) -> int:
        return self.count

    @functools.cached_property
    def items(self) -> list[dict[str, Any]]:
        """The items' entries, a list of dicts."""
        file = self.folder / "items.jsonl"
        try:
            with open(file, encoding="utf-8") as stream:
                items = [json.loads(line) for line in stream]
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{file} is damaged: {error}") from error
        if len(items) != self.count:
            raise MmkerasError(f"{file}: expected {self.count} items. Received: {len(items)}")
        return items

    def check_space(self, space_id: str) -> None:
        """Refuse embeddings of another space.

        Raises:
            MmkerasError: `space_id` is not the one that this index was made in.
        """
        if space_id != self.space_id:
            raise MmkerasError(
                f"The index {self.folder} was made in the space {self.space_id[:12]}, the model answers in "
                f"{space_id[:12]}: their embeddings cannot be compared. Use the index exported with that model"
            )

    def search(self, queries: ArrayLike, modality: Modality, k: int = 10) -> list[list[SearchResult]]:
        """Find the items nearest to each query by cosine.

        Args:
            queries: float (Q, D), unit norm.
            modality: which embeddings of the items to search, `"image"` or `"text"`.
            k: results a query, at most `len(self)`.

        Returns:
            List of Q lists of `SearchResult`, best first; equal scores in the items' order. Items of equal embeddings
            have equal scores.

        Raises:
            MmkerasError: a modality that the index does not have, queries of another shape, not finite or not of unit
                norm, a k that is no whole number of 1 or more.
        """
        gallery = self._embeddings.get(modality)
        if gallery is None:
            raise MmkerasError(
                f"Expected a modality of this index, {' or '.join(self.modalities)}. Received: modality={modality!r}"
            )
        queries = np.asarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise MmkerasError(f"Expected queries of shape (Q, {self.dim}). Received: shape {queries.shape}")
        finite = np.isfinite(queries).all(axis=1)
        if not finite.all():
            raise MmkerasError(f"Expected finite queries. Received: NaN or infinity in row {int(finite.argmin())}")
        check_unit_norm("queries", queries)
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise MmkerasError(f"Expected k as a whole number of 1 or more. Received: k={k!r}")
        found = []
        embeddings, scales = gallery
        for rows, scores in nearest(queries, embeddings, scales, min(k, self.count)):
            best = enumerate(zip(rows.tolist(), scores.tolist(), strict=True), 1)
            found.append([SearchResult(rank, score, self.items[row]) for rank, (row, score) in best])
        return found

    def picture(self, item: Mapping[str, Any]) -> bytes | None:
        """Return an item's picture as encoded bytes, or `None` where it has none.

        Raises:
            MmkerasError: `pictures.zip` is missing, damaged or lacks the picture.
        """
        if not item.get("picture"):
            return None
        file = self.folder / "pictures.zip"
        try:
            with zipfile.ZipFile(file) as pictures:
                return read_member(pictures, item["picture"])
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise MmkerasError(f"{file}: the picture {item['picture']} could not be read: {error}") from error

    def _open(self, modality):
        """The embeddings of a modality and their scales, or `None` where the items have none."""
        file = self.folder / f"{modality}_embeddings.npy"
        if not file.exists():
            return None
        embeddings = _mapped(file, (self.count, self.dim), PRECISIONS[self.precision])
        if self.precision != "int8":
            return embeddings, None
        return embeddings, _mapped(self.folder / f"{modality}_scales.npy", (self.count,), PRECISIONS["float32"])


def _mapped(file, shape, dtype):
    try:
        values = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise MmkerasError(f"{file} is damaged: {error}") from error
    if values.shape != shape or values.dtype != dtype:
        raise MmkerasError(
            f"{file}: expected {dtype} of shape {shape}. Received: {values.dtype} of shape {values.shape}"
        )
    return values
