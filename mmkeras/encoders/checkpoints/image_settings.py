"""`ImageSettings`: how a published model's pictures are made, in the terms of `ImagePreprocessor`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.errors import MmkerasError

CLIP_MEAN, CLIP_DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# PIL's numbers of them, by what tf.image calls them.
METHODS = {0: "nearest", 1: "lanczos3", 2: "bilinear", 3: "bicubic", 4: "area"}


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """What a folder's `preprocessor_config.json` says.

    Where the published model first brings a picture's short side to a size, and then cuts a smaller centre out of it,
    as DINOv2 does (256 px, then 224), ours takes the whole centre: it shows an eighth more of a picture's side.

    Args:
        height: px.
        width: px.
        aspect: `"crop"` or `"squash"`, see `ImagePreprocessor`.
        method: of the resize, see `ImagePreprocessor`.
        mean: list, subtracted from pixels in 0..1, a number a channel.
        deviation: list, what they are divided by then.

    Attributes:
        preprocessing: dict of arguments of `ImagePreprocessor`; the tower itself scales pixels.
    """

    height: int
    width: int
    aspect: str
    method: str
    mean: list[float]
    deviation: list[float]

    @property
    def preprocessing(self) -> dict[str, Any]:
        names = ("height", "width", "aspect", "method")
        return {name: getattr(self, name) for name in names} | {"antialias": True}

    @classmethod
    def read(cls, checkpoint: Checkpoint, default: Mapping[str, Any]) -> Self:
        """Read them from a folder.

        Args:
            checkpoint: of the folder.
            default: dict of what holds where the file, or a key of it, is missing, by the file's own keys; `size` as
                `{"shortest_edge": 224}` or `{"height": 224, "width": 224}`.

        Raises:
            MmkerasError: another form of size, another resize, or pixels that are not divided by 255.
        """
        found = checkpoint.settings("preprocessor_config.json")
        if found is None:
            found = (checkpoint.settings("processor_config.json") or {}).get("image_processor", {})
        settings = {**default, **{name: value for name, value in found.items() if value is not None}}
        where = f"the image processor of {str(checkpoint.folder)!r}"
        size, crops = settings["size"], settings["do_center_crop"]
        if isinstance(size, int):
            size = {"shortest_edge": size} if "shortest_edge" in default["size"] else {"height": size, "width": size}
        crop = settings.get("crop_size", size.get("shortest_edge"))
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        if set(size) == {"height", "width"} and (not crops or crop == size):
            aspect, target = "squash", size
        elif set(size) == {"shortest_edge"} and crops:
            aspect, target = "crop", crop
        else:
            raise MmkerasError(
                "Expected a size of height and width and no crop of it, or a shortest_edge with do_center_crop. "
                f"Received: size={size}, do_center_crop={crops}, crop_size={crop} of {where}"
            )
        if settings["resample"] not in METHODS:
            raise MmkerasError(
                f"Expected a resample of {', '.join(map(str, METHODS))}. "
                f"Received: resample={settings['resample']!r} of {where}"
            )
        factor = settings.get("rescale_factor", 1 / 255)
        if not settings.get("do_rescale", True) or abs(factor * 255 - 1) > 1e-3:
            raise MmkerasError(f"Expected pixels to be divided by 255. Received: another scale of {where}")
        normalises = settings.get("do_normalize", True)
        return cls(
            target["height"],
            target["width"],
            aspect,
            METHODS[settings["resample"]],
            settings["image_mean"] if normalises else [0.0] * 3,
            settings["image_std"] if normalises else [1.0] * 3,
        )
