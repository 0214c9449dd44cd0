"""Writing an index folder."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mmkeras.atomic import new_folder
from mmkeras.errors import MmkerasError
from mmkeras.search.index import INDEX_FORMAT
from mmkeras.search.nearest import check_unit_norm
from mmkeras.search.precision import PRECISIONS, Precision, rounded


class IndexWriter:
    """Collects items with their embeddings and writes them as one index folder.

    Args:
        space_id: the space of the embeddings, from the model's `describe` signature.
        precision: `float32`; `float16` in half the bytes; `int8`, each row with a scale of its own, in a quarter.

    Raises:
        MmkerasError: another precision.

    Example:
        >>> IndexWriter(space_id).write("index", items, image_embeddings=image_embeddings, pictures={"a.png": png})
    """

    def __init__(self, space_id: str, precision: Precision = "float32") -> None:
        if precision not in PRECISIONS:
            raise MmkerasError(f"Expected one of {', '.join(PRECISIONS)}. Received: precision={precision!r}")
        self.space_id = space_id
        self.precision = precision

    def write(
        self,
        folder: str | os.PathLike[str],
        items: Sequence[Mapping[str, Any]],
        image_embeddings: ArrayLike | None = None,
        text_embeddings: ArrayLike | None = None,
        pictures: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write the index beside `folder` and rename it.

        Args:
            folder: must not exist.
            items: list of dicts, each with `id` and `text`; `picture` names an entry of `pictures`.
            image_embeddings: float (N, D), unit norm; optional.
            text_embeddings: float (N, D), unit norm; optional.
            pictures: dict from name to encoded bytes; optional.

        Raises:
            MmkerasError: no items or no embeddings, shapes that do not fit, a row of embeddings that is not finite or
                not of unit norm, an item without `id` or `text` or whose picture is missing, each named by its row; a
                folder that exists or cannot be written.
        """
        given = {"image": image_embeddings, "text": text_embeddings}
        embeddings = {modality: np.asarray(e, np.float32) for modality, e in given.items() if e is not None}
        if not embeddings or not items:
            raise MmkerasError("An index needs items, and image_embeddings or text_embeddings of them")
        dims = next(iter(embeddings.values())).shape[1:]
        for modality, values in embeddings.items():
            if values.ndim != 2 or values.shape != (len(items), *dims):
                raise MmkerasError(
                    f"Expected {modality}_embeddings of shape ({len(items)}, D), D the same for both modalities. "
                    f"Received: shape {values.shape}"
                )
            finite = np.isfinite(values).all(axis=1)
            if not finite.all():
                raise MmkerasError(f"{modality}_embeddings: row {int(finite.argmin())} holds NaN or infinity")
            check_unit_norm(f"{modality}_embeddings", values)
        for row, item in enumerate(items):
            if not {"id", "text"} <= set(item):
                raise MmkerasError(f"Item {row} needs an id and a text. Received: {item}")
            if item.get("picture") and item["picture"] not in (pictures or {}):
                raise MmkerasError(f"Item {row} ({item['id']}): its picture {item['picture']} is missing")
        with new_folder(folder) as beside:
            for modality, values in embeddings.items():
                values, scales = rounded(values, self.precision)
                np.save(beside / f"{modality}_embeddings.npy", values)
                if scales is not None:
                    np.save(beside / f"{modality}_scales.npy", scales)
            with open(beside / "items.jsonl", "w", encoding="utf-8") as stream:
                stream.writelines(json.dumps(item, ensure_ascii=False, default=_plain) + "\n" for item in items)
            if pictures:
                # Stored, with a fixed date: PNG and JPEG are compressed already, and equal items give equal bytes.
                with zipfile.ZipFile(beside / "pictures.zip", "w", zipfile.ZIP_STORED) as archive:
                    for name, content in pictures.items():
                        entry = zipfile.ZipInfo(name)
                        entry.external_attr = 0o644 << 16  # without it `unzip` leaves files that nobody may read
                        archive.writestr(entry, content)
            info = {"format": INDEX_FORMAT, "space_id": self.space_id, "dim": dims[0], "count": len(items)}
            if self.precision != "float32":
                info["precision"] = self.precision
            (beside / "index.json").write_text(json.dumps(info, indent=2) + "\n")


def _plain(value):
    """A number or an array of NumPy as JSON has it."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise MmkerasError(f"Expected items of strings, numbers and lists. Received: {value!r}")
