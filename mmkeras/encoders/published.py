"""What a published model is and how it wants its pictures, by its folder or name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mmkeras.encoders.backbone import backbones
from mmkeras.encoders.checkpoints import Checkpoint, PublishedModel, find_checkpoint, published_model
from mmkeras.errors import MmkerasError

APPLICATION = {"height": 224, "width": 224, "aspect": "squash", "method": "bicubic"}


def open_published(checkpoint: str | os.PathLike[str]) -> PublishedModel:
    """Return a published model by its folder or name, see `find_checkpoint` and `published_model`."""
    return published_model(Checkpoint(find_checkpoint(checkpoint)))


def picture_settings(checkpoint: str | Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `ImagePreprocessor` that published networks of pictures want, of several the largest's.

    Args:
        checkpoint: see `pretrained_image_encoder`.

    Raises:
        MmkerasError: a model without pictures, or one that cannot be read.
    """
    settings = []
    for name in [checkpoint] if isinstance(checkpoint, str) else checkpoint:
        own = dict(APPLICATION) if name in backbones() else open_published(name).image_preprocessing
        if not own:
            raise MmkerasError(f"Expected a published model of pictures. Received: {name}, which has no image encoder")
        settings.append(own)
    return max(settings, key=lambda own: own["height"] * own["width"])


def pair_arguments(checkpoint: str) -> dict[str, Any]:
    """Return the arguments of `DualEncoder` that go on with what a published pair was trained by.

    Args:
        checkpoint: folder or name of a published pair.

    Raises:
        MmkerasError: no pair, or one that cannot be read.
    """
    published = open_published(checkpoint)
    if published.temperature is None:
        raise MmkerasError(
            f"Expected a published pair of encoders, such as CLIP or SigLIP. Received: {checkpoint}, a "
            f"{published.family}; name it as --image-encoder or --text-encoder beside another"
        )
    lowest = min(0.01, published.temperature)
    arguments: dict[str, Any] = {"temperature": {"initial": published.temperature, "lowest": lowest}}
    if published.loss == "sigmoid":
        arguments |= {"loss": "sigmoid", "logit_bias": {"initial": published.logit_bias}}
    return arguments
