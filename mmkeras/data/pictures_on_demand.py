"""`PicturesOnDemand`: pictures that are decoded when somebody looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmkeras.data.picture_loader import PictureLoader


class PicturesOnDemand:
    """A sequence of pictures as an array of them would be read, of which none is kept in memory.

    Data of features have it beside them: a model reads the features, a report shows a few pictures.

    Args:
        pictures: list of what `loader.load` takes: paths, members of a zip, bytes or arrays.
        loader: `PictureLoader` of pixels, such as `ImagePreprocessor`.

    Example:
        >>> PicturesOnDemand(paths, ImagePreprocessor(224, 224))[3].shape
        (224, 224, 3)
    """

    def __init__(self, pictures: Sequence[Any], loader: PictureLoader) -> None:
        self.pictures = pictures
        self.loader = loader

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, rows):
        """Return one picture, uint8 (H, W, C), or for an array of rows the sequence of those."""
        if np.ndim(rows):
            return PicturesOnDemand([self.pictures[row] for row in rows], self.loader)
        return self.loader.load([self.pictures[rows]])[0]
