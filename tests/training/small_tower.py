"""A small vision transformer that stands for a pretrained network, in place of a preset's image encoder."""

from mmkeras.encoders import vit_image_encoder

from ..models.small_towers import SIZES, around


def small_tower(preset):
    """The image encoder of a preset's sizes: what stands for `Preset.build_image_encoder`."""
    size = preset.build_image_preprocessor()
    shape = size.height, size.width, size.channels
    vit = vit_image_encoder(*shape, mean=0.5, deviation=0.5, patch=8, token_width=8, dropout=0.1, **SIZES)
    return around(vit, "image_encoder", batch_norm=True, trainable=True, dim=preset.image_encoder["embedding_dim"])
