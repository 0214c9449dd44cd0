"""`efficientnet_lite_tower`: EfficientNet-Lite as an image tower, from its published weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.folded_convolutions import folded_convolutions
from mmkeras.encoders.inverted_residuals import BlockStage, Convolution, convolutions, inverted_residual_tower

# EfficientNet-B0: Tan & Le 2019 (arXiv 1905.11946), table 1.
STAGES = (
    BlockStage(3, 1, 1, 16, 1),
    BlockStage(3, 2, 6, 24, 2),
    BlockStage(5, 2, 6, 40, 2),
    BlockStage(3, 2, 6, 80, 3),
    BlockStage(5, 1, 6, 112, 3),
    BlockStage(5, 2, 6, 192, 4),
    BlockStage(3, 1, 6, 320, 1),
)
# Width and depth over B0's, and px of a picture's side; the first and the last stage keep their depth, stem and head
# their width.
VARIANTS = {
    "lite0": (1.0, 1.0, 224),
    "lite1": (1.0, 1.1, 240),
    "lite2": (1.1, 1.2, 260),
    "lite3": (1.2, 1.4, 280),
    "lite4": (1.4, 1.8, 300),
}
STEM, HEAD = 32, 1280
# Of (pixel - mean) / deviation: the authors' own files, and what timm feeds its conversions of them.
SCALING, TIMM_SCALING = (127.0, 128.0), (127.5, 127.5)


def efficientnet_lite_tower(
    arrays: Mapping[str, NDArray[Any]],
    height: int | None = None,
    width: int | None = None,
    name: str = "image_encoder",
) -> Encoder:
    """Build EfficientNet-Lite as an image tower, filled with its published weights.

    It is EfficientNet without squeeze-and-excitation and with ReLU6 for phones' processors. Which of lite0 to lite4 it
    is follows from the arrays.

    Args:
        arrays: dict from name to array, as `folded_convolutions` reads them: `00_w`, `00_b`, ... or the names of timm's
            `tf_efficientnet_lite0` to `4`.
        height: px; by default the published size, 224 px for lite0 to 300 px for lite4.
        width: px; by default the published size.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, 3), which it scales itself: `tokens` (B, T,
        1280) are the cells of the last feature map, one for 32 x 32 px, `embedding` (B, 1280) their mean.

    Raises:
        MmkerasError: arrays of another network.

    Example:
        >>> encoder = efficientnet_lite_tower(read_weights("efficientnet_lite2/weights.npz"))
        >>> encoder(images)["embedding"].shape
        (8, 1280)

    Reference:
        Tan & Le 2019 (arXiv 1905.11946), table 1 and equation 3, with the changes of its authors' EfficientNet-Lite.
    """
    networks = {f"efficientnet_{variant}": network(variant) for variant in VARIANTS}
    found, weights = folded_convolutions(arrays, networks)
    size = VARIANTS[found.removeprefix("efficientnet_")][2]
    mean, deviation = TIMM_SCALING if "conv_stem.weight" in arrays else SCALING
    scaling = 1 / deviation, -mean / deviation
    return inverted_residual_tower(networks[found], weights, height or size, width or size, *scaling, name)


def network(variant: str) -> list[Convolution]:
    """Return the convolutions of a variant, `"lite0"` to `"lite4"`."""
    width, depth, _ = VARIANTS[variant]
    last = len(STAGES) - 1
    stages = [
        stage._replace(
            width=_rounded(stage.width * width),
            repeats=stage.repeats if number in (0, last) else math.ceil(stage.repeats * depth),
        )
        for number, stage in enumerate(STAGES)
    ]
    return list(convolutions(STEM, stages, HEAD))


def _rounded(width):
    """The multiple of 8 that is closest to a width, and not less than nine tenths of it."""
    closest = max(8, int(width + 4) // 8 * 8)
    return closest + 8 if closest < 0.9 * width else closest
