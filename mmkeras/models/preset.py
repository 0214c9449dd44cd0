"""Presets: model configurations as JSON files in `mmkeras/models/presets`."""

import json
from importlib import resources
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import ImagePreprocessor


def list_presets():
    """Return the names of the presets inside the package, sorted."""
    folder = resources.files("mmkeras.models") / "presets"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def load_preset(preset):
    """Return a preset's settings.

    Args:
        preset: the name of one inside the package, the path of a JSON file, or a dict (returned as it is).

    Raises:
        MmkerasError: no such preset, or a file that is no preset.
    """
    if isinstance(preset, dict):
        return preset
    name = str(preset)
    if name in list_presets():
        text = (resources.files("mmkeras.models") / "presets" / f"{name}.json").read_text()
    elif name.endswith(".json") and Path(name).is_file():
        text = Path(name).read_text()
    else:
        raise MmkerasError(
            f"Expected a preset ({', '.join(list_presets())}) or the path of a JSON file. Received: preset={name!r}"
        )
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise MmkerasError(f"Preset {name} is no valid JSON: {error}") from error
    missing = {"model", "image_encoder", "text_encoder"} - set(settings)
    if missing:
        raise MmkerasError(f"Preset {name} lacks {', '.join(sorted(missing))}")
    return settings


def preset_image_preprocessor(preset):
    """Return the `ImagePreprocessor` of a preset, or `None` for one over feature vectors."""
    settings = load_preset(preset).get("image_preprocessor")
    return ImagePreprocessor(**settings) if settings else None
