"""`PicturesOnDemand`: pictures that are decoded when somebody looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mmkeras.preprocessing.image import ImagePreprocessor


class PicturesOnDemand:
    """A sequence of pictures as an array of them would be read, of which none is kept in memory.

    Data of features have it beside them: a model reads the features, a report shows a few pictures.

    Args:
        pictures: list of what `image_preprocessor.load` takes: paths, members of a zip, bytes or arrays.
        image_preprocessor: `ImagePreprocessor`.

    Example:
        >>> PicturesOnDemand(paths, ImagePreprocessor(224, 224))[3].shape
        (224, 224, 3)
    """

    def __init__(self, pictures: Sequence[Any], image_preprocessor: ImagePreprocessor) -> None:
        self.pictures = pictures
        self.image_preprocessor = image_preprocessor

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, rows):
        """Return one picture, uint8 (H, W, C), or for an array of rows the sequence of those."""
        if np.ndim(rows):
            return PicturesOnDemand([self.pictures[row] for row in rows], self.image_preprocessor)
        return self.image_preprocessor.load([self.pictures[rows]])[0]
