"""What towers of CLIP's form have in common: settings, and where their weights go."""

from __future__ import annotations

from typing import Any

from mmkeras.encoders.checkpoints.model import PublishedModel
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.weight_places import (
    WeightPlace,
    block_places,
    fill,
    first_rows,
    norm_places,
    patch_places,
    position_place,
    vector_place,
    without_blocks_from,
)

BLOCK = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "output": "self_attn.out_proj",
    "attention_norm": "layer_norm1",
    "feed_forward_norm": "layer_norm2",
    "expand": "mlp.fc1",
    "contract": "mlp.fc2",
}


def merged(config: dict[str, Any], name: str, default: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of one tower: those of config.json upon the family's own.

    Where config.json has a second dict of them, `text_config_dict` or `vision_config_dict`, that one counts, and what
    it lacks is the family's, as in transformers.
    """
    settings = {**default, **(config.get(name) or {})}
    second = config.get(f"{name}_dict")
    return settings if second is None else {**settings, **default, **second}


def vision_arguments(model: PublishedModel, vision: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of `vit_image_encoder` that follow from a vision config of CLIP's form."""
    return {
        "channels": vision["num_channels"],
        "patch": vision["patch_size"],
        "depth": vision["num_hidden_layers"],
        "token_width": vision["hidden_size"],
        "heads": vision["num_attention_heads"],
        "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
        "embedding_dim": None,
        "activation": model.activation(vision["hidden_act"]),
        "epsilon": vision["layer_norm_eps"],
    }


def text_arguments(
    model: PublishedModel, text: dict[str, Any], sequence_length: int | None, depth: int | None
) -> dict[str, Any]:
    """Return arguments of `transformer_text_encoder` that follow from a text config of CLIP's form."""
    return {
        "vocabulary_size": text["vocab_size"],
        "sequence_length": model.length(sequence_length, text["max_position_embeddings"]),
        "width": text["hidden_size"],
        "depth": model.depth(depth, text["num_hidden_layers"]),
        "heads": text["num_attention_heads"],
        "embedding_dim": None,
        "dropout": 0.0,
        "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        "activation": model.activation(text["hidden_act"]),
        "epsilon": text["layer_norm_eps"],
    }


def vision_places(encoder: Encoder, arrays: dict[str, Any]) -> list[WeightPlace]:
    """Return the places of what CLIP's and SigLIP's image towers have in common."""
    name = "embeddings.position_embedding.weight"
    places = patch_places("embeddings.patch_embedding", encoder.patches)
    places.append(position_place(name, arrays.get(name), encoder.patches, batched=False))
    for index, block in enumerate(encoder.blocks):
        places += block_places(f"encoder.layers.{index}.", BLOCK, block)
    return places + norm_places("post_layernorm", encoder.norms[-1])


def fill_text_tower(encoder: Encoder, arrays: dict[str, Any], source: str) -> None:
    """Fill a text tower of CLIP's form; blocks that it does not have are left out."""
    embedding = encoder.token_embedding
    places = [
        vector_place("embeddings.token_embedding.weight", embedding.token_embedding.embeddings),
        first_rows("embeddings.position_embedding.weight", embedding.position_embedding, arrays),
        *norm_places("final_layer_norm", encoder.norms[-1]),
    ]
    for index, block in enumerate(encoder.blocks):
        places += block_places(f"encoder.layers.{index}.", BLOCK, block)
    fill(places, without_blocks_from(len(encoder.blocks), arrays, r"encoder\.layers\."), source)
