"""`RunData`: the data of a run, as its model takes them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.equal_texts import Normalizer, relate_equal_texts
from mmkeras.data.paired import PairedData
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.encoders.frozen_texts import FrozenTexts
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.training.augmentation import SETTINGS, augmenting
from mmkeras.training.run import Run


class RunData:
    """The splits that a run trains on and measures each epoch on.

    Where an encoder's backbone is frozen they hold the features that it makes of each picture or text, computed once; a
    stage that trains the backbone too reads the pictures or texts.

    Args:
        run: `Run`.
        image_encoder: `Encoder` of the run's preset.
        image_preprocessor: the preset's, or `None`.
        frozen_features: whether frozen backbones' features stand for pictures and texts.

    Raises:
        MmkerasError: a recipe that augments pictures of which training reads features.
    """

    def __init__(
        self,
        run: Run,
        image_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None,
        frozen_features: bool = True,
    ) -> None:
        self.run = run
        self._related: Callable[[PairedData], PairedData] = lambda data: data
        self._frozen_texts: FrozenTexts | None = None
        self._text_features: dict[str, NDArray[np.float32]] = {}
        self.image_preprocessor = image_preprocessor
        self.frozen_features = frozen_features
        self.loader = picture_loader(image_encoder, image_preprocessor) if frozen_features else image_preprocessor
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

    def cache_texts(self, text_encoder: Encoder, text_preprocessor: Callable[[Any], Any] | None) -> None:
        """Let the data hold the features of texts from now on, where the text encoder's backbone is frozen.

        Args:
            text_encoder: `Encoder` of the run's model.
            text_preprocessor: the model's.
        """
        backbone = text_encoder.frozen_backbone() if self.frozen_features else None
        if backbone is not None and text_preprocessor is not None:
            self._frozen_texts = FrozenTexts(backbone, text_preprocessor)

    def splits(self, pixels: bool = False, strings: bool = False) -> tuple[PairedData, PairedData]:
        """Return the training split and the dev split, two `PairedData`.

        Args:
            pixels: whether with pictures, also where their backbone is frozen.
            strings: whether with texts alone, also where their backbone is frozen.
        """
        train, dev = self._load(pixels and self.loader is not self.image_preprocessor)
        train, dev = self._related(train), self._related(dev)
        if strings or self._frozen_texts is None:
            return train, dev
        return self._with_features(train), self._with_features(dev)

    def _with_features(self, data):
        if data.name not in self._text_features:
            self._text_features[data.name] = self._frozen_texts.load(data.texts)
        return dataclasses.replace(data, text_inputs=self._text_features[data.name])

    @functools.cache  # noqa: B019 - it lives as long as a training
    def _load(self, pixels):
        loader = self.image_preprocessor if pixels else self.loader
        return tuple(self.run.load_splits(("train", "dev"), loader))
