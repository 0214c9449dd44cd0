"""`Preset`: a model's configuration, as data: the JSON files in `mmkeras/models/presets`, or one's own.

Reading one loads no TensorFlow: what a preset builds is imported when it is built.
"""

import copy
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mmkeras.encoders.checkpoints.names import find_checkpoint, is_checkpoint
from mmkeras.errors import MmkerasError

if TYPE_CHECKING:
    from mmkeras.encoders.encoder import Encoder
    from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, Tokenizer

PRESET_FORMAT = 2  # of the settings; raised when an older reader could misread them
# Where an encoder kind says what its backbone is read from.
BACKBONE_KEYS = {"backbone": "weights", "hub": "handle", "vit": "weights"}
# What a head behind a pretrained network takes, whichever network that is.
HEAD_KEYS = ("hidden", "embedding_dim", "dropout", "feature_dropout")
PRETRAINED_KEYS = (
    *HEAD_KEYS,
    "scaling",
    "stages",
    "mirrored",
    "class_token",
    "bag",
    "bag_dropout",
)  # what the kind `pretrained` knows besides
TEXT_FEATURE_DROPOUT = 0.2


def list_presets() -> list[str]:
    """Return the names of the presets inside the package, sorted."""
    folder = resources.files("mmkeras.models") / "presets"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a model is made of, before it has weights or a tokenizer.

    Args:
        name: what messages call it.
        model: name of the system, such as `DualEncoder`.
        image_encoder: dict of `kind` and the settings of that encoder, see `build_image_encoder`.
        text_encoder: dict of `kind` and the settings of that encoder, see `build_text_encoder`.
        image_preprocessor: dict of the arguments of `ImagePreprocessor`; empty for a model over feature vectors.
        text_preprocessor: dict of the arguments of `TextPreprocessor.train`, or with `kind` `strings` of
            `StringPreprocessor`, with `published` of `published_tokenizer`; empty for a model over features of texts.
        arguments: dict of the system's constructor arguments; those of a part in a dict of its own.
        description: a sentence for people.
        format: version of these settings.

    Raises:
        MmkerasError: settings of another format, or an encoder without a kind.

    Example:
        >>> preset = Preset.load("dual_encoder_glyphs")
        >>> preset.model, preset.image_encoder["kind"]
        ('DualEncoder', 'conv')
    """

    name: str
    model: str
    image_encoder: dict
    text_encoder: dict
    image_preprocessor: dict = dataclasses.field(default_factory=dict)
    text_preprocessor: dict = dataclasses.field(default_factory=dict)
    arguments: dict = dataclasses.field(default_factory=dict)
    description: str = ""
    format: int = PRESET_FORMAT

    def __post_init__(self) -> None:
        if self.format != PRESET_FORMAT:
            raise MmkerasError(
                f"Preset {self.name} has format {self.format!r}; this version of mmkeras reads format {PRESET_FORMAT}"
            )
        for encoder in ("image_encoder", "text_encoder"):
            if "kind" not in getattr(self, encoder):
                raise MmkerasError(f"Preset {self.name} lacks the kind of its {encoder}")

    @classmethod
    def load(cls, preset: str | os.PathLike[str] | dict[str, Any] | Self) -> Self:
        """Read a preset.

        Args:
            preset: the name of one inside the package, the path of a JSON file, a dict of the same settings, or a
                `Preset`, which is returned as it is.

        Raises:
            MmkerasError: no such preset, or a file or dict that is no preset.
        """
        if isinstance(preset, cls):
            return preset
        if isinstance(preset, dict):
            return cls._of("dict", preset)
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
        return cls._of(name, settings)

    @classmethod
    def _of(cls, name, settings):
        if not isinstance(settings, dict):
            raise MmkerasError(f"Preset {name} is no preset: expected an object. Received: {type(settings).__name__}")
        fields = {field.name: field for field in dataclasses.fields(cls) if field.name != "name"}
        required = {"model", "image_encoder", "text_encoder"}
        if missing := required - set(settings):
            raise MmkerasError(f"Preset {name} lacks {', '.join(sorted(missing))}")
        if unknown := set(settings) - set(fields):
            raise MmkerasError(
                f"Preset {name} has an unknown setting {', '.join(sorted(unknown))}. "
                f"There are: {', '.join(sorted(fields))}"
            )
        for key, value in settings.items():
            if type(value) is not fields[key].type:
                raise MmkerasError(
                    f"Preset {name}: expected {key} to be of type {fields[key].type.__name__}. "
                    f"Received: {type(value).__name__}"
                )
        return cls(name, **copy.deepcopy(settings))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as a dict of their own, ready to be changed, or written as JSON."""
        settings = dataclasses.asdict(self)
        del settings["name"]
        return {key: value for key, value in settings.items() if value not in ({}, "")}

    def with_backbone(self, backbone: str) -> Self:
        """Return this preset with another pretrained network behind its image encoder.

        Args:
            backbone: the folder or name of a published model, see `find_checkpoint`, or several of them joined by `+`;
                the name of a network of `keras.applications`; a module of TensorFlow Hub, a folder or a URL; or for the
                kinds `backbone` and `vit` a file of their `weights`.

        Raises:
            MmkerasError: a preset whose image encoder has no pretrained network.
        """
        kind, head = self.image_encoder["kind"], _head(self.image_encoder)
        if names := _checkpoints(backbone):
            encoder = {"kind": "pretrained", "checkpoint": names if len(names) > 1 else names[0], **head}
            pictures = {"kind": "published", "checkpoint": encoder["checkpoint"]}
            return dataclasses.replace(self, image_encoder=encoder, image_preprocessor=pictures)
        if kind not in BACKBONE_KEYS:
            raise MmkerasError(
                f"Expected backbone for a preset with an image encoder of kind {', '.join(BACKBONE_KEYS)}. "
                f"Received: backbone={backbone!r} for preset {self.name}, of kind {kind}"
            )
        encoder = {**self.image_encoder, BACKBONE_KEYS[kind]: backbone}
        if kind == "backbone" and ((Path(backbone) / "saved_model.pb").is_file() or "://" in backbone):
            head = {key: value for key, value in encoder.items() if key not in ("kind", "backbone", "weights")}
            encoder = {"kind": "hub", "handle": backbone, **head}
        return dataclasses.replace(self, image_encoder=encoder)

    def with_text_backbone(self, backbone: str) -> Self:
        """Return this preset with a pretrained network as its text encoder, and the tokenizer that goes with it.

        Args:
            backbone: the folder or name of a published model with texts, see `find_checkpoint`; or a sentence encoder
                of TensorFlow Hub, a folder or a URL.

        Raises:
            MmkerasError: neither.
        """
        head = {"hidden": [], "feature_dropout": TEXT_FEATURE_DROPOUT, **_head(self.text_encoder)}
        head["dropout"] = 0.0 if self.text_encoder["kind"] == "bag_of_tokens" else head.get("dropout", 0.0)
        if is_checkpoint(backbone):
            encoder = {"kind": "pretrained", "checkpoint": backbone, **head}
            texts: dict[str, Any] = {"kind": "published", "checkpoint": backbone}
        elif "://" in backbone or (Path(backbone) / "saved_model.pb").is_file():
            head = {key: value for key, value in head.items() if key in HEAD_KEYS}
            encoder, texts = {"kind": "hub", "handle": backbone, **head}, {"kind": "strings"}
        else:
            raise MmkerasError(
                "Expected a text encoder as the folder or name of a published model, or a sentence encoder of "
                f"TensorFlow Hub, a folder or a URL. Received: text_backbone={backbone!r}"
            )
        return dataclasses.replace(self, text_encoder=encoder, text_preprocessor=texts)

    def with_pair(self, checkpoint: str) -> Self:
        """Return this preset with both encoders of a published pair, their projections and their preprocessing.

        Args:
            checkpoint: the folder or name of a published pair, such as CLIP or SigLIP, see `find_checkpoint`.

        Raises:
            MmkerasError: no published model.
        """
        if not is_checkpoint(checkpoint):
            raise MmkerasError(
                "Expected the folder of a published pair, which holds config.json, model.safetensors and its "
                f"tokenizer's files, or its name. Received: {checkpoint!r}"
            )
        encoder = {"kind": "pretrained", "checkpoint": checkpoint, "head": "published"}
        published = {"kind": "published", "checkpoint": checkpoint}
        return dataclasses.replace(
            self,
            image_encoder=dict(encoder),
            text_encoder=dict(encoder),
            image_preprocessor=dict(published),
            text_preprocessor=dict(published),
        )

    @property
    def checkpoints(self) -> list[str]:
        """The published models that it is built upon, by folder or name, each once."""
        named = [encoder.get("checkpoint", ()) for encoder in (self.image_encoder, self.text_encoder)]
        flat = [[each] if isinstance(each, str) else each for each in named]
        return list(dict.fromkeys(name for names in flat for name in names if name))

    def build_arguments(self) -> dict[str, Any]:
        """Return the system's arguments: the preset's, and over none of them those of a published pair.

        Raises:
            MmkerasError: a pair that cannot be read.
        """
        if self.image_encoder.get("head") != "published":
            return copy.deepcopy(self.arguments)
        from mmkeras.encoders.published import pair_arguments

        return {**pair_arguments(self.image_encoder["checkpoint"]), **copy.deepcopy(self.arguments)}

    def build_image_encoder(self) -> "Encoder":
        """Return the image encoder, untrained.

        Raises:
            MmkerasError: settings that it does not take, or a pretrained network that cannot be read.
        """
        from mmkeras.encoders.image import build_image_encoder

        image_preprocessor = self.build_image_preprocessor()
        size = {}
        if image_preprocessor is not None:
            size = {key: getattr(image_preprocessor, key) for key in ("height", "width", "channels")}
        encoder = self.image_encoder
        if encoder["kind"] == "hub" and not encoder.get("handle"):
            raise MmkerasError(
                "This preset names no pretrained network for its pictures. Expected the folder of a SavedModel as "
                "TensorFlow Hub has them, or a URL: backbone=PATH for a recipe, handle in a preset of your own. "
                f"Received: handle={encoder.get('handle')!r}"
            )
        return build_image_encoder(**size, **encoder)

    def build_text_encoder(self, text_preprocessor: "Tokenizer | StringPreprocessor | None" = None) -> "Encoder":
        """Return the text encoder, untrained.

        Args:
            text_preprocessor: what feeds it; `None` for one over features.

        Raises:
            MmkerasError: settings that it does not take.
        """
        from mmkeras.encoders.text import build_text_encoder

        kind = self.text_encoder["kind"]
        if kind != "pretrained" and (pad_id := getattr(text_preprocessor, "pad_id", 0)):
            raise MmkerasError(
                f"Expected a tokenizer that pads with id 0: encoders of kind {kind} take that for padding. Received: a "
                f"{type(text_preprocessor).__name__} that pads with {pad_id}, for kind pretrained alone"
            )
        return build_text_encoder(
            vocabulary_size=getattr(text_preprocessor, "vocabulary_size", None),
            sequence_length=getattr(text_preprocessor, "sequence_length", None),
            **self.text_encoder,
        )

    def build_image_preprocessor(self) -> "ImagePreprocessor | None":
        """Return the `ImagePreprocessor`, or `None` for a model over feature vectors."""
        from mmkeras.preprocessing import ImagePreprocessor

        if not self.image_preprocessor:
            return None
        settings = dict(self.image_preprocessor)
        try:
            if settings.pop("kind", "") == "published":
                from mmkeras.encoders.published import picture_settings

                settings = picture_settings(settings.pop("checkpoint")) | settings
            return ImagePreprocessor(**settings)
        except TypeError as error:
            raise MmkerasError(f"image_preprocessor does not take these settings: {error}") from error

    def build_text_preprocessor(self, texts: Iterable[str]) -> "Tokenizer | StringPreprocessor":
        """Return the text preprocessor: one learnt from `texts`, `strings` as they are, or a `published` tokenizer.

        Raises:
            MmkerasError: a preset without `text_preprocessor`, or with settings that it does not take.
        """
        from mmkeras.preprocessing import StringPreprocessor, TextPreprocessor
        from mmkeras.preprocessing.published_tokenizer import published_tokenizer

        if not self.text_preprocessor:
            raise MmkerasError(f"Preset {self.name} lacks text_preprocessor, the tokenizer's settings")
        settings = dict(self.text_preprocessor)
        kind = settings.pop("kind", "sentencepiece")
        makers: dict[str, Callable[..., Tokenizer | StringPreprocessor]] = {
            "sentencepiece": lambda **given: TextPreprocessor.train(texts, **given),
            "strings": StringPreprocessor,
            "published": lambda checkpoint, **given: published_tokenizer(
                find_checkpoint(checkpoint), **given, texts=texts
            ),
        }
        if kind not in makers:
            allowed = ", ".join(makers)
            raise MmkerasError(f"Expected a text_preprocessor kind of {allowed}. Received: kind={kind!r}")
        try:
            return makers[kind](**settings)
        except TypeError as error:
            raise MmkerasError(f"text_preprocessor does not take these settings: {error}") from error


def _head(encoder):
    """The settings of an encoder's head, which another network may stand before."""
    return {key: value for key, value in encoder.items() if key in PRETRAINED_KEYS}


def _checkpoints(backbone):
    """The published networks that are named, joined by `+` where there are several; none where it is something else."""
    names = [backbone] if is_checkpoint(backbone) else backbone.split("+")
    application = re.compile("[A-Z][A-Za-z0-9]+")  # the functions of keras.applications are named so
    known = (is_checkpoint(name) or (application.fullmatch(name) and not Path(name).exists()) for name in names)
    return names if all(known) else []
