"""DINOv2, with registers and without: an image tower that was trained without texts or labels."""

from __future__ import annotations

from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.encoders.checkpoints.clip_towers import vision_arguments
from mmkeras.encoders.checkpoints.image_settings import IMAGENET_DEVIATION, IMAGENET_MEAN, ImageSettings
from mmkeras.encoders.checkpoints.model import PublishedModel, pair
from mmkeras.encoders.checkpoints.vit import BLOCK as VIT_BLOCK
from mmkeras.encoders.checkpoints.vit import embedding_places
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.vit import vit_image_encoder
from mmkeras.encoders.weight_places import block_places, fill, vector_place

# What holds where config.json is silent, as transformers has it.
CONFIG = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "mlp_ratio": 4,
    "num_channels": 3,
    "image_size": 224,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "qkv_bias": True,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
}
BLOCK = VIT_BLOCK | {
    "attention_norm": "norm1",
    "attention_scale": "layer_scale1.lambda1",
    "feed_forward_norm": "norm2",
    "expand": "mlp.fc1",
    "contract": "mlp.fc2",
    "feed_forward_scale": "layer_scale2.lambda1",
}


class DINOv2(PublishedModel):
    """DINOv2, transformers' `Dinov2Model` and `Dinov2WithRegistersModel`: an image tower alone.

    Its features are the class token. The published positions are of 37 x 37 patches; they are resized to the pictures,
    as transformers does, which widens the kernel for the models with registers alone. The giant model's other
    feed-forward part (SwiGLU) is refused.

    Args:
        checkpoint: `Checkpoint` with the model type `dinov2` or `dinov2_with_registers`.

    Reference:
        Oquab et al. 2024 (arXiv 2304.07193); registers are Darcet et al. 2024 (arXiv 2309.16588), section 2.2.
    """

    family = "dinov2"
    known = r"(dinov2\.|dinov2_with_registers\.)?(embeddings|encoder|layernorm)\."
    left_out = r"classifier\.|(dinov2\.|dinov2_with_registers\.)?embeddings\.mask_token$"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.has_registers = checkpoint.config["model_type"] == "dinov2_with_registers"
        default = {**CONFIG, "num_register_tokens": 4 if self.has_registers else 0}
        default["patch_size"] = 16 if self.has_registers else 14
        self.config = {**default, **checkpoint.config}
        self.config["intermediate_size"] = self.config["hidden_size"] * self.config["mlp_ratio"]
        self.require(qkv_bias=(self.config["qkv_bias"], True), use_swiglu_ffn=(self.config["use_swiglu_ffn"], False))

    @property
    def image_settings(self) -> ImageSettings:
        default = {
            "size": {"shortest_edge": 256},
            "crop_size": {"height": 224, "width": 224},
            "do_center_crop": True,
            "resample": 3,
            "image_mean": IMAGENET_MEAN,
            "image_std": IMAGENET_DEVIATION,
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
            registers=config["num_register_tokens"],
            layer_scale=config["layerscale_value"],
            cropped=cropped,
        )
        prefix = f"{config['model_type']}."
        arrays = {name.removeprefix(prefix): array for name, array in self.arrays.items()}
        places = embedding_places(encoder, arrays, antialias=self.has_registers)
        if self.has_registers:
            places.append(vector_place("embeddings.register_tokens", encoder.patches.register_tokens, axes=1))
        for index, block in enumerate(encoder.blocks):
            places += block_places(f"encoder.layer.{index}.", BLOCK, block)
        fill(places, arrays, self.source)
        return encoder
