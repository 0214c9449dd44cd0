"""Whether a preset's encoders will run on devices, before they are trained."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import mmkeras.models
from mmkeras.encoders.image import build_image_encoder
from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.conversion import convert, encoder_input
from mmkeras.export.tflite.operators import operators
from mmkeras.models.preset import Preset
from mmkeras.preprocessing.text import TextPreprocessor

# A vocabulary of these is enough: the operators do not depend on its size.
_TEXTS = ("latin small letter a", "greek capital letter omega", "upwards arrow", "a dog runs on the beach") * 3
_PUBLISHED = ("hub", "backbone")


def check_preset(preset: str | os.PathLike[str] | dict[str, Any]) -> dict[str, dict[str, int]]:
    """Convert the untrained encoders of a preset, that of texts with a vocabulary of a few words.

    Published networks that it names are read, or downloaded, with their weights and their tokenizer.

    Args:
        preset: see `Preset.load`.

    Returns:
        dict from kind, `ids`, `text`, `mediapipe` or `pixels`, to the operators by number; a kind that these networks
        cannot have is left out, and so is `pixels` of a preset whose pictures go through a module of TensorFlow Hub,
        which is converted when it is there.

    Raises:
        MmkerasError: no such preset; one that is to be given a published network and names none; an encoder that cannot
            be converted, with the operators in the way.

    Example:
        >>> sorted(check_preset("dual_encoder_glyphs"))
        ['ids', 'mediapipe', 'pixels', 'text']
    """
    preset = Preset.load(preset)
    text_preprocessor = _tokenizer(preset)
    text_encoder, image_encoder = _encoders(preset, text_preprocessor)
    found = {}
    for encoder, preprocessor in (
        (text_encoder, text_preprocessor),
        (image_encoder, preset.build_image_preprocessor()),
    ):
        if encoder is None:
            continue
        source = encoder_input(encoder, preprocessor)
        kinds = [kind for kind in source.kinds if not source.impossible(kind, "float32")]
        found |= {kind: operators(convert(encoder, preprocessor, kind, "float32")) for kind in kinds}
    return found


def _tokenizer(preset):
    """What makes ids: a tokenizer of a few words, or the published one that the preset names."""
    for encoder in (preset.image_encoder, preset.text_encoder):
        if encoder["kind"] == "pretrained" and not encoder.get("checkpoint"):
            raise MmkerasError(
                f"Preset {preset.name} names no pretrained network: training is given one. Expected a preset of your "
                "own with the folder or the name of a published model as checkpoint of each encoder and preprocessor"
            )
    kind, settings = preset.text_encoder["kind"], preset.text_preprocessor
    made = settings.get("kind", "sentencepiece")
    if kind == "features" or made == "strings":
        raise MmkerasError(
            f"Expected a text encoder over the ids of a tokenizer. Received: kind {kind!r}, which takes "
            f"{'feature vectors' if kind == 'features' else 'strings and holds its own tokenizer'}"
        )
    if made == "sentencepiece":
        return TextPreprocessor.train(_TEXTS, 100, settings.get("sequence_length", 16))
    return preset.build_text_preprocessor(_TEXTS)


def _encoders(preset, text_preprocessor):
    """Build what the preset's system would export, with random weights in place of a published network's.

    Of pictures there is `None` where they are features, or where the network is not known before it is given.
    """
    system = getattr(mmkeras.models, preset.model)
    image = preset.image_encoder
    takes_pictures = image["kind"] not in ("features", "hub")
    if "weights" in image:
        preset = dataclasses.replace(preset, image_encoder={**image, "weights": None})
    if not system.builds_upon_encoders:
        return preset.build_text_encoder(text_preprocessor), preset.build_image_encoder() if takes_pictures else None
    image_encoder = None
    if image["kind"] in _PUBLISHED:
        image_encoder = build_image_encoder(
            kind="features", features=4, hidden=[], embedding_dim=image.get("embedding_dim")
        )
    categories = {"label_names": ["one", "other"]} if "categories" in system.supervision else {}
    model = system.from_preset(preset, text_preprocessor=text_preprocessor, image_encoder=image_encoder, **categories)
    return model.text_encoder, model.image_encoder if takes_pictures and image_encoder is None else None
