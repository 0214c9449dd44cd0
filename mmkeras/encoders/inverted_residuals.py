"""`inverted_residual_tower`: networks of inverted residuals, with batch normalisation folded into convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
from keras import layers
from numpy.typing import NDArray

from mmkeras.encoders.embedding_head import embedding_head
from mmkeras.encoders.encoder import Encoder


class BlockStage(NamedTuple):
    """Blocks of one width, one behind the other.

    Args:
        kernel: px of the depthwise convolutions' sides.
        stride: of the first block; all others have 1.
        expansion: channels inside a block over those that come in; with 1 there is no first convolution.
        width: channels that leave a block.
        repeats: blocks.
    """

    kernel: int
    stride: int
    expansion: int
    width: int
    repeats: int


class Convolution(NamedTuple):
    """One convolution of a network, in the order in which they are computed.

    Args:
        name: the layer's name.
        shape: of its kernel: (height, width, channels in, channels out), and where it is depthwise (height, width,
            channels, 1).
        stride: 1 or 2.
        depthwise: whether each channel is convolved alone.
        active: whether a ReLU6 follows.
        opens: whether it is the first of a block.
        residual: whether what came into the block is added to its output.
        stage: number of the stage whose block it closes; `None` where it closes none.
    """

    name: str
    shape: tuple[int, int, int, int]
    stride: int = 1
    depthwise: bool = False
    active: bool = True
    opens: bool = False
    residual: bool = False
    stage: int | None = None


def convolutions(stem: int, stages: Sequence[BlockStage], head: int) -> Iterator[Convolution]:
    """Go through the convolutions of a network for RGB, in the order in which they are computed.

    Args:
        stem: channels after the first, 3 x 3 with stride 2.
        stages: the blocks.
        head: channels after the last, 1 x 1.

    Yields:
        `Convolution`.
    """
    yield Convolution("stem", (3, 3, 3, stem), stride=2)
    width = stem
    for number, stage in enumerate(stages):
        for repeat in range(stage.repeats):
            at, inner = f"block_{number}_{repeat}", width * stage.expansion
            if stage.expansion > 1:
                yield Convolution(f"{at}_expand", (1, 1, width, inner), opens=True)
            kernel, stride = (stage.kernel, stage.kernel, inner, 1), stage.stride if repeat == 0 else 1
            yield Convolution(f"{at}_depthwise", kernel, stride, depthwise=True, opens=stage.expansion == 1)
            residual = stride == 1 and width == stage.width
            kernel = (1, 1, inner, stage.width)
            yield Convolution(f"{at}_project", kernel, active=False, residual=residual, stage=number)
            width = stage.width
    yield Convolution("head", (1, 1, width, head))


def inverted_residual_tower(
    network: Sequence[Convolution],
    weights: Sequence[tuple[NDArray, NDArray]],
    height: int,
    width: int,
    scale: float,
    offset: float,
    name: str = "image_encoder",
) -> Encoder:
    """Build such a network as an image tower with its weights.

    Batch normalisation is folded into kernels and biases: the network is the same in training and inference, and tuned
    it trains what is left, kernels and biases.

    Args:
        network: what `convolutions` yields.
        weights: a kernel and a bias for each, the kernel of the shape that `network` says.
        height: px.
        width: px.
        scale: what pixels in 0..255 are multiplied by.
        offset: what is added to them then.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, 3): `tokens` (B, T, W) are the cells of the
        last feature map, row by row, and `embedding` (B, W) is their mean, float32 and not normalised. `stages`,
        float32 (B, S), are the means of the feature maps of the two stages before the last, side by side: what a
        network sees before it decides about classes.

    Reference:
        Sandler et al. 2018 (arXiv 1801.04381), section 3.3.
    """
    # === Layers ===
    image = keras.Input((height, width, 3), name="image")
    # float32, also under mixed precision: a half would round the pixels.
    x = layers.Rescaling(scale, offset=offset, dtype="float32", name="rescaling")(image)
    block_input, made, stages = x, [], {}
    for one in network:
        block_input, size = x if one.opens else block_input, one.shape[0]
        if one.depthwise:
            layer = layers.DepthwiseConv2D(size, one.stride, "same", name=one.name)
        else:
            layer = layers.Conv2D(one.shape[3], size, one.stride, "same", name=one.name)
        made.append(layer)
        x = layer(x)
        x = layers.ReLU(6.0, name=f"{one.name}_relu")(x) if one.active else x
        x = layers.Add(name=f"{one.name}_add")([x, block_input]) if one.residual else x
        if one.stage is not None:
            stages[one.stage] = x  # the last of each stage stays
    tokens = layers.Reshape((-1, network[-1].shape[3]), name="tokens")(x)
    earlier = [layers.GlobalAveragePooling2D(name=f"stage_{stage}")(stages[stage]) for stage in sorted(stages)[-3:-1]]

    # === Functional Model ===
    pooled = layers.GlobalAveragePooling2D(name="pooling")(x)
    outputs = {
        "tokens": tokens,
        "embedding": embedding_head(pooled, None),
        "stages": layers.Concatenate(dtype="float32", name="stages")(earlier),
    }
    encoder = Encoder(image, outputs, name=name)
    for layer, (kernel, bias) in zip(made, weights, strict=True):
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    return encoder
