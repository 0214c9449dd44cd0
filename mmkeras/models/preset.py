"""Presets: model configurations as JSON files in `mmkeras/models/presets`; they are read without TensorFlow."""

import json
from importlib import resources
from pathlib import Path

from mmkeras.errors import MmkerasError

# Where an encoder kind says what its backbone is read from.
BACKBONE_KEYS = {"backbone": "weights", "hub": "handle", "vit": "weights"}
REQUIRED = {"model", "image_encoder", "text_encoder"}
OPTIONAL = {"description", "image_preprocessor", "text_preprocessor", "arguments"}


def list_presets():
    """Return the names of the presets inside the package, sorted."""
    folder = resources.files("mmkeras.models") / "presets"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def load_preset(preset):
    """Return a preset's settings.

    Args:
        preset: the name of one inside the package, the path of a JSON file, or a dict of the same settings.

    Raises:
        MmkerasError: no such preset, or a file or dict that is no preset.
    """
    if isinstance(preset, dict):
        return _checked("dict", preset)
    name = str(preset)
    if name in list_presets():
        text = (resources.files("mmkeras.models") / "presets" / f"{name}.json").read_text("utf-8")
    elif name.endswith(".json") and Path(name).is_file():
        text = Path(name).read_text("utf-8")
    else:
        raise MmkerasError(
            f"Expected a preset ({', '.join(list_presets())}) or the path of a JSON file. Received: preset={name!r}"
        )
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise MmkerasError(f"Preset {name} is no valid JSON: {error}") from error
    return _checked(name, settings)


def with_backbone(preset, backbone):
    """Return a preset's settings with another pretrained network behind its image encoder.

    Args:
        preset: see `load_preset`.
        backbone: for the kind `hub` its `handle`, for the kinds `backbone` and `vit` its `weights`.

    Raises:
        MmkerasError: a preset whose image encoder has no pretrained network.
    """
    settings = load_preset(preset)
    kind = settings["image_encoder"]["kind"]
    if kind not in BACKBONE_KEYS:
        raise MmkerasError(
            f"Expected backbone for a preset with an image encoder of kind {', '.join(BACKBONE_KEYS)}. "
            f"Received: backbone={backbone!r} for preset {preset}, of kind {kind}"
        )
    return {**settings, "image_encoder": {**settings["image_encoder"], BACKBONE_KEYS[kind]: backbone}}


def preset_image_encoder(preset):
    """Return the image encoder of a preset, untrained.

    Raises:
        MmkerasError: settings that it does not take, or a pretrained network that cannot be read.
    """
    from mmkeras.encoders.image import build_image_encoder

    settings = load_preset(preset)
    image_preprocessor = preset_image_preprocessor(settings)
    size = {}
    if image_preprocessor is not None:
        size = {key: getattr(image_preprocessor, key) for key in ("height", "width", "channels")}
    encoder = settings["image_encoder"]
    if encoder["kind"] == "hub" and not encoder.get("handle"):
        raise MmkerasError(
            "This preset names no pretrained network for its pictures. Expected the folder of a SavedModel as "
            "TensorFlow Hub has them, or a URL: backbone=PATH for a recipe, handle in a preset of your own. "
            f"Received: handle={encoder.get('handle')!r}"
        )
    return build_image_encoder(**size, **encoder)


def preset_image_preprocessor(preset):
    """Return the `ImagePreprocessor` of a preset, or `None` for one over feature vectors."""
    from mmkeras.preprocessing.image import ImagePreprocessor

    settings = load_preset(preset).get("image_preprocessor")
    if not settings:
        return None
    try:
        return ImagePreprocessor(**settings)
    except TypeError as error:
        raise MmkerasError(f"image_preprocessor does not take these settings: {error}") from error


def preset_text_preprocessor(preset, texts):
    """Return the text preprocessor of a preset: one that learns its tokenizer from `texts`, or `strings` as they are.

    Raises:
        MmkerasError: a preset without `text_preprocessor`, or with settings that it does not take.
    """
    from mmkeras.preprocessing.strings import StringPreprocessor
    from mmkeras.preprocessing.text import TextPreprocessor

    if "text_preprocessor" not in (settings := load_preset(preset)):
        raise MmkerasError(f"Preset {preset!r} lacks text_preprocessor, the tokenizer's settings")
    settings = dict(settings["text_preprocessor"])
    kind = settings.pop("kind", "sentencepiece")
    if kind not in ("sentencepiece", "strings"):
        raise MmkerasError(f"Expected a text_preprocessor kind of sentencepiece or strings. Received: kind={kind!r}")
    try:
        return StringPreprocessor(**settings) if kind == "strings" else TextPreprocessor.train(texts, **settings)
    except TypeError as error:
        raise MmkerasError(f"text_preprocessor does not take these settings: {error}") from error


def _checked(name, settings):
    if not isinstance(settings, dict):
        raise MmkerasError(f"Preset {name} is no preset: expected an object. Received: {type(settings).__name__}")
    if missing := REQUIRED - set(settings):
        raise MmkerasError(f"Preset {name} lacks {', '.join(sorted(missing))}")
    if unknown := set(settings) - REQUIRED - OPTIONAL:
        raise MmkerasError(
            f"Preset {name} has an unknown setting {', '.join(sorted(unknown))}. "
            f"There are: {', '.join(sorted(REQUIRED | OPTIONAL))}"
        )
    for encoder in ("image_encoder", "text_encoder"):
        if "kind" not in settings[encoder]:
            raise MmkerasError(f"Preset {name} lacks the kind of its {encoder}")
    return settings
