"""`RunData`: the data of a run, as its model takes them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from mmkeras.data.equal_texts import Normalizer, relate_equal_texts
from mmkeras.data.paired import PairedData
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.training.augmentation import SETTINGS, augmenting
from mmkeras.training.run import Run


class RunData:
    """The splits that a run trains on and measures each epoch on.

    Where the image encoder's backbone is frozen they hold the features that it makes of each picture, computed once; a
    stage that trains the backbone too reads the pictures.

    Args:
        run: `Run`.
        image_encoder: `Encoder` of the run's preset.
        image_preprocessor: the preset's, or `None`.

    Raises:
        MmkerasError: a recipe that augments pictures of which training reads features.
    """

    def __init__(
        self,
        run: Run,
        image_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None,
    ) -> None:
        self.run = run
        self._related: Callable[[PairedData], PairedData] = lambda data: data
        self.image_preprocessor = image_preprocessor
        self.loader = picture_loader(image_encoder, image_preprocessor)
        if self.loader is not image_preprocessor:
            for name, value in augmenting(run.recipe).items():
                raise MmkerasError(
                    f"Expected {name}={SETTINGS[name]!r}: the backbone is frozen, and training reads the features that "
                    f"it made of each picture once. Received: {name}={value!r}"
                )

    @property
    def train(self) -> PairedData:
        """The training split, `PairedData`."""
        return self.splits()[0]

    def relate_equal_texts(self, normalizer: Normalizer | None) -> None:
        """Let equal texts be right answers to each other's pictures from now on, see `mmkeras.data.relate_equal_texts`.

        Args:
            normalizer: the run's text preprocessor.
        """
        self._related = lambda data: relate_equal_texts(data, normalizer)

    def splits(self, pixels: bool = False) -> tuple[PairedData, PairedData]:
        """Return the training split and the dev split, two `PairedData`.

        Args:
            pixels: whether with pictures, also where the backbone is frozen.
        """
        train, dev = self._load(pixels and self.loader is not self.image_preprocessor)
        return self._related(train), self._related(dev)

    @functools.cache  # noqa: B019 - it lives as long as a training
    def _load(self, pixels):
        loader = self.image_preprocessor if pixels else self.loader
        return tuple(self.run.load_splits(("train", "dev"), loader))
