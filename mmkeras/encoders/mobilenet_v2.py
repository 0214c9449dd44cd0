"""`mobilenet_v2_tower`: MobileNetV2 as an image tower, from its published weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.folded_convolutions import folded_convolutions
from mmkeras.encoders.inverted_residuals import BlockStage, convolutions, inverted_residual_tower
from mmkeras.errors import MmkerasError

STAGES = (
    BlockStage(3, 1, 1, 16, 1),
    BlockStage(3, 2, 6, 24, 2),
    BlockStage(3, 2, 6, 32, 3),
    BlockStage(3, 2, 6, 64, 4),
    BlockStage(3, 1, 6, 96, 3),
    BlockStage(3, 2, 6, 160, 3),
    BlockStage(3, 1, 6, 320, 1),
)
STEM, HEAD, SIZE = 32, 1280, 224
NETWORK = tuple(convolutions(STEM, STAGES, HEAD))


def mobilenet_v2_tower(
    arrays: Mapping[str, NDArray[Any]],
    height: int | None = None,
    width: int | None = None,
    name: str = "image_encoder",
) -> Encoder:
    """Build MobileNetV2 of width 1 as an image tower, filled with weights of TensorFlow's kind.

    Args:
        arrays: dict from name to array, `00_w`, `00_b`, ... as `folded_convolutions` reads them.
        height: px; by default 224.
        width: px; by default 224.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, 3), which it scales itself: `tokens` (B, T,
        1280) are the cells of the last feature map, one for 32 x 32 px, `embedding` (B, 1280) their mean.

    Raises:
        MmkerasError: arrays of another network, or of PyTorch's MobileNetV2, which pads pictures otherwise.

    Reference:
        Sandler et al. 2018 (arXiv 1801.04381), table 2.
    """
    if "conv_stem.weight" in arrays:
        raise MmkerasError(
            "Expected MobileNetV2 of TensorFlow's kind, arrays 00_w, 00_b, ... Received: one of PyTorch's kind, "
            "conv_stem.weight, ..., which pads pictures otherwise"
        )
    _, weights = folded_convolutions(arrays, {"mobilenet_v2": NETWORK})
    return inverted_residual_tower(NETWORK, weights, height or SIZE, width or SIZE, 1 / 127.5, -1.0, name)
