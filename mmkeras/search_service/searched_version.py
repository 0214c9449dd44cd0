"""`SearchedVersion`: one version of a model with the indexes of its space, which answer a request together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.search.column_facts import column_facts, keeps_pictures
from mmkeras.search.exported import exported_space
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.item_batch import Modality
from mmkeras.search_service.picture_captions import PictureCaptions
from mmkeras.serving.client import Client

TEXT, PICTURE, MATCH = "encode_text", "encode_image", "match"  # signatures


@dataclasses.dataclass(frozen=True, eq=False)
class SearchedVersion:
    """One version of a model with the indexes of its space. A request is answered by one of these from start to end.

    Args:
        version: number of the version.
        space_id: identity of the space of its embeddings.
        client: `Client` that asks this version and no other.
        signatures: names of the version's signatures.
        indexes: dict from modality to `EmbeddingIndex`; one of both modalities stands under both.

    Attributes:
        items: `EmbeddingIndex` of the items that are shown: of the pictures, where there are any.
        space: dict of what the export says of its space, see `exported_space`.
        columns: what `column_facts` says of `items`.
        pictures: whether items keep pictures.
        captions: `PictureCaptions`.
    """

    version: int
    space_id: str
    client: Client
    signatures: frozenset[str]
    indexes: Mapping[Modality, EmbeddingIndex]
    items: EmbeddingIndex = dataclasses.field(init=False)
    space: dict[str, Any] = dataclasses.field(init=False)
    columns: list[dict[str, Any]] = dataclasses.field(init=False)
    pictures: bool = dataclasses.field(init=False)
    captions: PictureCaptions = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        items = next(iter(self.indexes.values()))
        texts = self.indexes.get("text")
        told = {
            "items": items,
            "space": exported_space(items),
            "columns": column_facts(items),
            "pictures": keeps_pictures(items),
            "captions": PictureCaptions(None if texts is items else texts),
        }
        for name, value in told.items():
            object.__setattr__(self, name, value)

    @property
    def scores(self) -> dict[str, float | None]:
        """What the scores of this model say, see `score_scale`; None where the export does not say it."""
        told = self.space.get("scores")
        names = ("random_mean", "random_deviation", "threshold")
        return {name: told.get(name) if isinstance(told, dict) else None for name in names}

    def changed(self) -> bool:
        """Return whether one of the indexes was changed on disk. One that is gone is as it was: its files are open."""
        for index in dict.fromkeys(self.indexes.values()):
            try:
                if index.refreshed() is not index:
                    return True
            except MmkerasError:
                continue
        return False
