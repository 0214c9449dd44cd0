"""The vision transformer, as it was published for ImageNet."""

from __future__ import annotations

from typing import Any

from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.encoders.checkpoints.clip_towers import vision_arguments
from mmkeras.encoders.checkpoints.image_settings import ImageSettings
from mmkeras.encoders.checkpoints.model import PublishedModel, pair
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.vit import vit_image_encoder
from mmkeras.encoders.weight_places import (
    WeightPlace,
    block_places,
    fill,
    norm_places,
    patch_places,
    position_place,
    vector_place,
)

# What holds where config.json is silent, as transformers has it.
CONFIG = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,
}
BLOCK = {
    "query": "attention.attention.query",
    "key": "attention.attention.key",
    "value": "attention.attention.value",
    "output": "attention.output.dense",
    "attention_norm": "layernorm_before",
    "feed_forward_norm": "layernorm_after",
    "expand": "intermediate.dense",
    "contract": "output.dense",
}


class ViT(PublishedModel):
    """ViT, transformers' `ViTModel` or `ViTForImageClassification`: an image tower alone.

    Its features are the class token; the published pooler, a layer that was trained for the classes, is left out.

    Args:
        checkpoint: `Checkpoint` with the model type `vit`.

    Reference:
        Dosovitskiy et al. 2021 (arXiv 2010.11929), section 3.1.
    """

    family = "vit"
    known = r"(vit\.)?(embeddings|encoder|layernorm)\."
    left_out = r"classifier\.|(vit\.)?(pooler\.|embeddings\.mask_token$)|decoder\."

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.config = {**CONFIG, **checkpoint.config}
        self.require(qkv_bias=(self.config["qkv_bias"], True))

    @property
    def image_settings(self) -> ImageSettings:
        height, width = pair(self.config["image_size"])
        default = {
            "size": {"height": height, "width": width},
            "do_center_crop": False,
            "resample": 2,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        }
        return ImageSettings.read(self.checkpoint, default)

    def image_tower(self, height: int | None = None, width: int | None = None) -> Encoder:
        config, settings = self.config, self.image_settings
        height, width, cropped = self.size(height, width, pair(config["image_size"]), config["patch_size"])
        encoder = vit_image_encoder(
            height,
            width,
            **vision_arguments(self, config),
            mean=settings.mean,
            deviation=settings.deviation,
            cropped=cropped,
        )
        arrays = {name.removeprefix("vit."): array for name, array in self.arrays.items()}
        places = embedding_places(encoder, arrays)
        for index, block in enumerate(encoder.blocks):
            places += block_places(f"encoder.layer.{index}.", BLOCK, block)
        fill(places, arrays, self.source)
        return encoder


def embedding_places(encoder: Encoder, arrays: dict[str, Any], antialias: bool = False) -> list[WeightPlace]:
    """Return the places of what ViT and DINOv2 have before and after their blocks."""
    name = "embeddings.position_embeddings"
    return [
        vector_place("embeddings.cls_token", encoder.patches.class_token, axes=2),
        *patch_places("embeddings.patch_embeddings.projection", encoder.patches),
        position_place(name, arrays.get(name), encoder.patches, antialias=antialias),
        *norm_places("layernorm", encoder.norm),
    ]
