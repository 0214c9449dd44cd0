"""EfficientNet-Lite and MobileNetV2: networks of pictures that run on phones."""

from __future__ import annotations

from typing import Any

from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.encoders.checkpoints.model import PublishedModel
from mmkeras.encoders.efficientnet_lite import VARIANTS, efficientnet_lite_tower
from mmkeras.encoders.efficientnet_lite import network as efficientnet_lite
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.folded_convolutions import folded_convolutions
from mmkeras.encoders.mobilenet_v2 import NETWORK as MOBILENET_V2
from mmkeras.encoders.mobilenet_v2 import SIZE, mobilenet_v2_tower

EFFICIENTNET = "efficientnet_"


class InvertedResidual(PublishedModel):
    """EfficientNet-Lite 0 to 4 or MobileNetV2, whichever the arrays are of.

    A folder holds `weights.npz`, arrays numbered in the order of the convolutions, or timm's `model.safetensors` with
    the `architecture` `tf_efficientnet_lite0` to `4` in config.json; see `folded_convolutions`.

    Args:
        checkpoint: `Checkpoint` with such arrays.

    Raises:
        MmkerasError: arrays of another network.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        networks = {f"{EFFICIENTNET}{variant}": efficientnet_lite(variant) for variant in VARIANTS}
        self.family, _ = folded_convolutions(checkpoint.arrays, {**networks, "mobilenet_v2": MOBILENET_V2})

    @property
    def image_preprocessing(self) -> dict[str, Any]:
        lite = self.family.startswith(EFFICIENTNET)
        size = VARIANTS[self.family.removeprefix(EFFICIENTNET)][2] if lite else SIZE
        return {"height": size, "width": size, "aspect": "squash", "method": "bicubic"}

    def image_tower(self, height: int | None = None, width: int | None = None) -> Encoder:
        build = efficientnet_lite_tower if self.family.startswith(EFFICIENTNET) else mobilenet_v2_tower
        return build(self.checkpoint.arrays, height, width)
