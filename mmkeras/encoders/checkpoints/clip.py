"""CLIP: a vision transformer and a causal transformer of texts, trained by contrast."""

from __future__ import annotations

import math

from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.encoders.checkpoints.clip_towers import (
    fill_text_tower,
    merged,
    text_arguments,
    vision_arguments,
    vision_places,
)
from mmkeras.encoders.checkpoints.image_settings import CLIP_DEVIATION, CLIP_MEAN, ImageSettings
from mmkeras.encoders.checkpoints.model import Projection, PublishedModel, pair
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.transformer_text import transformer_text_encoder
from mmkeras.encoders.vit import vit_image_encoder
from mmkeras.encoders.weight_places import fill, norm_places, vector_place

# What holds where config.json is silent, as transformers has it.
VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}
# Old configs end texts with an id that they do not use; then the highest id is the end.
UNUSED_END_ID = 2


class CLIP(PublishedModel):
    """CLIP of OpenAI, OpenCLIP's and others' in the same form: transformers' `CLIPModel`.

    The image tower's tokens are normalised as its class token is, where transformers' are not.

    Args:
        checkpoint: `Checkpoint` with the model type `clip`.

    Reference:
        Radford et al. 2021 (arXiv 2103.00020), sections 2.4 and 2.5.
    """

    family = "clip"
    known = r"(text_model|vision_model)\.|(text|visual)_projection\.weight$|logit_scale$"
    left_out = r".*\.embeddings\.position_ids$"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.vision = merged(checkpoint.config, "vision_config", VISION)
        self.text = merged(checkpoint.config, "text_config", TEXT)
        self.sequence_length = self.text["max_position_embeddings"]

    @property
    def image_settings(self) -> ImageSettings:
        size = pair(self.vision["image_size"])
        default = {
            "size": {"shortest_edge": size[0]},
            "crop_size": {"height": size[0], "width": size[1]},
            "do_center_crop": True,
            "resample": 3,
            "image_mean": CLIP_MEAN,
            "image_std": CLIP_DEVIATION,
        }
        return ImageSettings.read(self.checkpoint, default)

    @property
    def image_projection(self) -> Projection:
        return self.projection("visual_projection")

    @property
    def text_projection(self) -> Projection:
        return self.projection("text_projection")

    @property
    def temperature(self) -> float:
        return math.exp(-float(self.array("logit_scale").reshape(())))

    def image_tower(self, height: int | None = None, width: int | None = None) -> Encoder:
        vision, settings = self.vision, self.image_settings
        height, width, cropped = self.size(height, width, pair(vision["image_size"]), vision["patch_size"])
        encoder = vit_image_encoder(
            height,
            width,
            **vision_arguments(self, vision),
            mean=settings.mean,
            deviation=settings.deviation,
            pre_norm=True,
            patch_bias=False,
            cropped=cropped,
        )
        arrays = self.below("vision_model.")
        places = [vector_place("embeddings.class_embedding", encoder.patches.class_token)]
        places += norm_places("pre_layrnorm", encoder.norms[0])  # so it was published
        fill(places + vision_places(encoder, arrays), arrays, f"vision_model of {self.source}")
        return encoder

    def text_tower(self, sequence_length: int | None = None, depth: int | None = None) -> Encoder:
        end_id = self.text["eos_token_id"]
        encoder = transformer_text_encoder(
            **text_arguments(self, self.text, sequence_length, depth),
            pooling="end",
            end_id=None if end_id == UNUSED_END_ID else end_id,
        )
        fill_text_tower(encoder, self.below("text_model."), f"text_model of {self.source}")
        return encoder
