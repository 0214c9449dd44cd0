"""`ItemBatch`: some items with their embeddings, on their way into an index."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.nearest import check_unit_norm

Modality: TypeAlias = Literal["image", "text"]

MODALITIES = get_args(Modality)


@dataclasses.dataclass(frozen=True)
class ItemBatch:
    """Some items with their embeddings.

    Args:
        items: list of dicts of strings, numbers and lists, each with `id` and `text`; `picture` names an entry of
            `pictures`.
        embeddings: dict from `"image"` or `"text"` to float32 (N, D), unit norm, a row for each item.
        pictures: dict from name to encoded bytes.
        origin: what the batch came from, said before its errors; such as a file's name.
    """

    items: Sequence[Mapping[str, Any]]
    embeddings: Mapping[Modality, NDArray[np.float32]]
    pictures: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    origin: str = ""

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return next(iter(self.embeddings.values())).shape[-1]

    def check(self) -> None:
        """Check that items, embeddings and pictures fit together.

        Raises:
            MmkerasError: shapes that do not fit, a row of embeddings that is not finite or not of unit norm, an item
                without `id` or `text` or whose picture is missing, each named by its row.
        """
        of = f"{self.origin}: " if self.origin else ""
        dims = next(iter(self.embeddings.values())).shape[1:]
        for modality, values in self.embeddings.items():
            if values.ndim != 2 or values.shape != (len(self.items), *dims):
                raise MmkerasError(
                    f"{of}Expected {modality}_embeddings of shape ({len(self.items)}, D), D the same for both "
                    f"modalities. Received: shape {values.shape}"
                )
            finite = np.isfinite(values).all(axis=1)
            if not finite.all():
                raise MmkerasError(f"{of}{modality}_embeddings: row {int(finite.argmin())} holds NaN or infinity")
            try:
                check_unit_norm(f"{modality}_embeddings", values)
            except MmkerasError as error:
                raise MmkerasError(f"{of}{error}") from error
        for row, item in enumerate(self.items):
            if not {"id", "text"} <= set(item):
                raise MmkerasError(f"{of}Item {row} needs an id and a text. Received: {item}")
            if item.get("picture") and item["picture"] not in self.pictures:
                raise MmkerasError(f"{of}Item {row} ({item['id']}): its picture {item['picture']} is missing")
