"""SigLIP and the fixed sizes of SigLIP 2: towers trained by a sigmoid loss of every pair."""

from __future__ import annotations

import math
import re
from typing import Literal

from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.encoders.checkpoints.clip_towers import (
    fill_text_tower,
    merged,
    text_arguments,
    vision_arguments,
    vision_places,
)
from mmkeras.encoders.checkpoints.image_settings import ImageSettings
from mmkeras.encoders.checkpoints.model import Projection, PublishedModel, pair
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.transformer_text import transformer_text_encoder
from mmkeras.encoders.vit import vit_image_encoder
from mmkeras.encoders.weight_places import attention_places, fill, linear_places, norm_places, vector_place
from mmkeras.errors import MmkerasError

# What holds where config.json is silent, as transformers has it.
VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
    "vision_use_head": True,
}
TEXT = {
    "vocab_size": 32000,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 64,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
SIGLIP2_VOCABULARY = 256_000  # Gemma's


class SigLIP(PublishedModel):
    """SigLIP, and SigLIP 2 of one size of pictures, which has the same form: transformers' `SiglipModel`.

    The image tower's features are in the shared space; the text tower's go there by the published head,
    `text_projection`. A text fills all positions of the text tower, padding as the tokenizer pads, see
    `Encoder.padding_counts`.

    Args:
        checkpoint: `Checkpoint` with the model type `siglip`.

    Reference:
        Zhai et al. 2023 (arXiv 2303.15343), section 3; Tschannen et al. 2025 (SigLIP 2, arXiv 2502.14786).
    """

    loss: Literal["info_nce", "sigmoid"] = "sigmoid"
    known = r"(text_model|vision_model)\.|logit_(scale|bias)$"
    left_out = r".*\.embeddings\.position_ids$"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.vision = merged(checkpoint.config, "vision_config", VISION)
        self.text = merged(checkpoint.config, "text_config", TEXT)
        self.family = "siglip2" if self.text["vocab_size"] == SIGLIP2_VOCABULARY else "siglip"
        self.require(vision_use_head=(self.vision["vision_use_head"], True))
        self.sequence_length = self.text["max_position_embeddings"]

    @property
    def image_settings(self) -> ImageSettings:
        height, width = pair(self.vision["image_size"])
        default = {
            "size": {"height": height, "width": width},
            "do_center_crop": False,
            "resample": 3,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        }
        return ImageSettings.read(self.checkpoint, default)

    @property
    def text_projection(self) -> Projection:
        return self.projection("text_model.head")

    @property
    def temperature(self) -> float:
        return math.exp(-float(self.array("logit_scale").reshape(())))

    @property
    def logit_bias(self) -> float:
        return float(self.array("logit_bias").reshape(()))

    def image_tower(self, height: int | None = None, width: int | None = None) -> Encoder:
        vision, settings = self.vision, self.image_settings
        height, width, cropped = self.size(height, width, pair(vision["image_size"]), vision["patch_size"])
        encoder = vit_image_encoder(
            height,
            width,
            **vision_arguments(self, vision),
            mean=settings.mean,
            deviation=settings.deviation,
            pooling="attention",
            class_token=False,
            cropped=cropped,
        )
        # Torch's attention has no dot before the names of what it packed.
        arrays = {re.sub(r"\.in_proj_", ".in_proj.", name): one for name, one in self.below("vision_model.").items()}
        places = vision_places(encoder, arrays) + _pooling_places(encoder.pooling)
        fill(places, arrays, f"vision_model of {self.source}")
        return encoder

    def text_tower(self, sequence_length: int | None = None, depth: int | None = None) -> Encoder:
        if sequence_length not in (None, self.sequence_length):
            raise MmkerasError(
                f"Expected a sequence_length of {self.sequence_length}: the text tower of {self.source} looks at all "
                f"its positions and ends in the last. Received: sequence_length={sequence_length}"
            )
        arguments = text_arguments(self, self.text, sequence_length, depth)
        encoder = transformer_text_encoder(**arguments, pooling="last")
        arrays = self.below("text_model.", but=r"head\.")
        fill_text_tower(encoder, arrays, f"text_model of {self.source}")
        return encoder


def _pooling_places(pooling):
    names = {"packed": "in_proj", "output": "out_proj"}
    return [
        vector_place("head.probe", pooling.probe, axes=2),
        *attention_places("head.attention.", names, pooling.attention),
        *norm_places("head.layernorm", pooling.norm),
        *linear_places("head.mlp.fc1", pooling.expand),
        *linear_places("head.mlp.fc2", pooling.contract),
    ]
