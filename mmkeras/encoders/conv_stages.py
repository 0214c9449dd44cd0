"""Convolutions from scratch, for small pictures."""

from keras import layers

from mmkeras.layers.fused.fused_batch_normalization import FusedBatchNormalization


def conv_stages(x, widths, strides):
    """Add a convolution with batch normalisation and ReLU a stage to a functional model; the first sees 5 x 5 px.

    Args:
        x: (B, height, width, C), scaled.
        widths: feature maps of each stage.
        strides: stride of each stage, as many.

    Returns:
        (B, height / product of the strides, width / likewise, last of the widths), rounded up.
    """
    for stage, (filters, stride) in enumerate(zip(widths, strides, strict=True)):
        x = layers.Conv2D(filters, 5 if stage == 0 else 3, stride, "same", use_bias=False, name=f"conv_{stage}")(x)
        x = FusedBatchNormalization(momentum=0.9, name=f"norm_{stage}")(x)
        x = layers.Activation("relu", name=f"relu_{stage}")(x)
    return x
