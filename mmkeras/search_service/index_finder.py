"""`IndexFinder`: the indexes that belong to a version of a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.search.exported import exported_index
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.item_batch import MODALITIES, Modality
from mmkeras.search.manifest import FILE
from mmkeras.search_service.api_error import ApiError
from mmkeras.serving.versions import find_versions, version_folder


class IndexFinder:
    """Finds the indexes of a version: those that its export came with, or those of its space among some folders.

    Args:
        folders: index folders; or one folder of a model with its versions, `savedmodels/NAME`, in which each version
            has its own.

    Raises:
        MmkerasError: no folder, one that is neither, or an index that cannot be opened.

    Example:
        >>> IndexFinder(["savedmodels/photos"]).find(3, space_id)["image"].count
        31783
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]]) -> None:
        self.folders = [Path(folder) for folder in folders]
        if not self.folders:
            raise MmkerasError("Expected an index folder or the folder of a model. Received: none")
        self.of_versions = len(self.folders) == 1 and not (self.folders[0] / FILE).exists()
        if self.of_versions:
            find_versions(self.folders[0])
        else:
            for folder in self.folders:
                EmbeddingIndex(folder).close()

    def find(self, version: int, space_id: str) -> dict[Modality, EmbeddingIndex]:
        """Return the indexes of a version.

        Args:
            version: number of the version.
            space_id: that of its embeddings.

        Returns:
            dict from modality to the first `EmbeddingIndex` that has embeddings of it in this space.

        Raises:
            ApiError: 503, there is none of this space.
        """
        found: dict[Modality, EmbeddingIndex] = {}
        others = []
        for folder in self._candidates(version):
            try:
                index = EmbeddingIndex(folder)
            except MmkerasError as error:
                others.append(str(error))
                continue
            if index.space_id != space_id:
                others.append(f"{folder} is of the space {index.space_id[:12]}")
                continue
            found = dict.fromkeys(index.modalities, index) | found
        if not found:
            raise ApiError(
                503,
                f"The model server answers by version {version} in the space {space_id[:12]}, and there is no index of "
                f"it here: {'; '.join(others)}",
            )
        return {modality: found[modality] for modality in MODALITIES if modality in found}

    def _candidates(self, version):
        if not self.of_versions:
            return self.folders
        try:
            folder = version_folder(self.folders[0], version)
            return list(dict.fromkeys(exported_index(folder, texts) for texts in (False, True)))
        except MmkerasError as error:
            raise ApiError(
                503, f"The model server answers by version {version}, of which there is no index here: {error}"
            ) from error
