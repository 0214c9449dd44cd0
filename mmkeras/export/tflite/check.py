"""Whether a preset's text encoder will run on devices, before it is trained."""

from __future__ import annotations

import os
from typing import Any

import mmkeras.models
from mmkeras.encoders.image import build_image_encoder
from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.conversion import KINDS, check_takes_ids, convert, has_loop
from mmkeras.export.tflite.operators import operators
from mmkeras.models.preset import Preset
from mmkeras.preprocessing.text import TextPreprocessor

# A vocabulary of these is enough: the operators do not depend on its size.
_TEXTS = ("latin small letter a", "greek capital letter omega", "upwards arrow", "a dog runs on the beach") * 3


def check_preset(preset: str | os.PathLike[str] | dict[str, Any]) -> dict[str, dict[str, int]]:
    """Convert the untrained text encoder of a preset, with a vocabulary of a few words.

    Args:
        preset: see `Preset.load`.

    Returns:
        dict from kind, `ids`, `text` or `mediapipe`, to the operators by number; a kind that this network cannot have
        is left out.

    Raises:
        MmkerasError: no such preset, or a text encoder that cannot be converted, with the operators in the way.

    Example:
        >>> sorted(check_preset("dual_encoder_glyphs"))
        ['ids', 'mediapipe', 'text']
    """
    preset = Preset.load(preset)
    kind = preset.text_encoder["kind"]
    tokenizer = preset.text_preprocessor
    if kind == "features" or kind == "hub" or tokenizer.get("kind", "sentencepiece") != "sentencepiece":
        raise MmkerasError(
            f"Expected a text encoder over the ids of a TextPreprocessor. Received: kind {kind!r}, which takes "
            f"{'feature vectors' if kind == 'features' else 'strings and holds its own tokenizer'}"
        )
    text_preprocessor = TextPreprocessor.train(_TEXTS, 100, tokenizer.get("sequence_length", 16))
    text_encoder = _text_encoder(preset, text_preprocessor)
    check_takes_ids(text_encoder, text_preprocessor)
    kinds = [kind for kind in KINDS if kind != "mediapipe" or not has_loop(text_encoder)]
    return {kind: operators(convert(text_encoder, text_preprocessor, kind, "float32")) for kind in kinds}


def _text_encoder(preset, text_preprocessor):
    """Build what the preset's system would export: with a stand-in for a pretrained network, where it takes both."""
    system = getattr(mmkeras.models, preset.model)
    if not system.builds_upon_encoders:
        return preset.build_text_encoder(text_preprocessor)
    image = preset.image_encoder
    image_encoder = None
    if image["kind"] in ("hub", "backbone"):
        image_encoder = build_image_encoder(
            kind="features", features=4, hidden=[], embedding_dim=image.get("embedding_dim")
        )
    categories = {"label_names": ["one", "other"]} if "categories" in system.supervision else {}
    model = system.from_preset(preset, text_preprocessor=text_preprocessor, image_encoder=image_encoder, **categories)
    return model.text_encoder
