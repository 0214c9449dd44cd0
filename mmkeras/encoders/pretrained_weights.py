"""Published weights into the encoders: DeiT-base into ViT, bert-base-uncased into the text and the fusion encoder."""

from __future__ import annotations

import os
import re
from typing import Any

from numpy.typing import NDArray

from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.fusion import FusionEncoder
from mmkeras.encoders.weight_places import (
    WeightPlace,
    attention_places,
    block_places,
    fill,
    first_rows,
    linear_places,
    norm_places,
    patch_places,
    position_place,
    vector_place,
    without_blocks_from,
)
from mmkeras.encoders.weights_file import read_weights
from mmkeras.layers.masked_language_head import MaskedLanguageHead

# What files call the parts of a block, behind what names the block.
DEIT_BLOCK = {
    "attention_norm": "norm1",
    "packed": "attn.qkv",
    "output": "attn.proj",
    "feed_forward_norm": "norm2",
    "expand": "mlp.fc1",
    "contract": "mlp.fc2",
}
BERT_BLOCK = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "expand": "intermediate.dense",
    "contract": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}


def load_deit(image_encoder: Encoder, weights: str | os.PathLike[str] | dict[str, NDArray[Any]]) -> None:
    """Give a vision transformer the weights of a published one, such as DeiT-base.

    Names are those of DeiT's authors and of timm (`blocks.0.attn.qkv.weight`, ...; `deit_base_patch16_224`). Position
    embeddings are resized to the encoder's pictures. The classifier of the file is left out, the encoder's own
    projection stays as it is.

    Args:
        image_encoder: what `vit_image_encoder` returned.
        weights: path of a `.safetensors` or `.npz` file, or a dict of its arrays.

    Raises:
        MmkerasError: a file that lacks a weight, holds one that the encoder has no place for, or one of another shape.

    Example:
        >>> encoder = vit_image_encoder(256, 256)
        >>> load_deit(encoder, "deit_base_patch16_224.safetensors")
    """
    arrays, source = arrays_of(weights)
    fill(*deit_places(image_encoder, arrays), source)


def deit_places(
    image_encoder: Encoder, arrays: dict[str, NDArray[Any]]
) -> tuple[list[WeightPlace], dict[str, NDArray[Any]]]:
    """Return what `load_deit` fills, and the arrays by its names without those that it leaves out.

    Args:
        image_encoder: see `load_deit`.
        arrays: dict from name to array.
    """
    arrays = {name: array for name, array in arrays.items() if not re.match(r"(head|head_dist)\.", name)}
    patches = image_encoder.patches
    places = [
        vector_place("cls_token", patches.class_token, axes=2),
        position_place("pos_embed", arrays.get("pos_embed"), patches),
        *patch_places("patch_embed.proj", patches),
        *norm_places("norm", image_encoder.norm),
    ]
    for index, block in enumerate(image_encoder.blocks):
        places += block_places(f"blocks.{index}.", DEIT_BLOCK, block)
    return places, arrays


def load_bert(
    text_encoder: Encoder,
    weights: str | os.PathLike[str] | dict[str, NDArray[Any]],
    fusion_encoder: FusionEncoder | None = None,
    language_head: MaskedLanguageHead | None = None,
    partial: bool = False,
) -> None:
    """Give a text encoder the lower blocks of a published BERT, bert-base-uncased say, and a fusion encoder the others.

    Names are those of transformers (`bert.encoder.layer.0.attention.self.query.weight`, ...), with or without the
    prefix `bert.`, normalisations as `weight` and `bias` or as `gamma` and `beta`. The file's blocks are shared out in
    order: the first to the text encoder, all others to the fusion encoder's self-attention and feed-forward parts. Its
    attention to the picture, which BERT has not, stays as it is, unless the file holds that too, as ALBEF's do under
    `crossattention`. Of the tables of positions and of segment types the first rows are taken; pooler and next-sentence
    head are left out.

    Args:
        text_encoder: what `bert_text_encoder` returned, of the file's vocabulary.
        weights: path of a `.safetensors` or `.npz` file, or a dict of its arrays.
        fusion_encoder: `FusionEncoder`, built; `None` where the text encoder has all blocks of the file.
        language_head: `MaskedLanguageHead`, built, filled from `cls.predictions`; `None` leaves that out.
        partial: whether the file may hold more blocks than the encoders, of which the first are taken then.

    Raises:
        MmkerasError: a file that lacks a weight, holds one that there is no place for, or one of another shape.

    Example:
        >>> text_encoder = bert_text_encoder(vocabulary_size=30522, sequence_length=25, class_id=None)
        >>> fusion = FusionEncoder()
        >>> fusion.build((None, None, 768), (None, None, 768))
        >>> load_bert(text_encoder, "bert-base-uncased.safetensors", fusion)
    """
    arrays, source = arrays_of(weights)
    places, arrays = bert_places(text_encoder, arrays, fusion_encoder, language_head, partial)
    fill(places, arrays, source)


def bert_places(
    text_encoder: Encoder,
    arrays: dict[str, NDArray[Any]],
    fusion_encoder: FusionEncoder | None = None,
    language_head: MaskedLanguageHead | None = None,
    partial: bool = False,
) -> tuple[list[WeightPlace], dict[str, NDArray[Any]]]:
    """Return what `load_bert` fills, and the arrays by its names without those that it leaves out.

    Args:
        text_encoder: see `load_bert`.
        arrays: dict from name to array.
        fusion_encoder: see `load_bert`.
        language_head: see `load_bert`.
        partial: see `load_bert`.
    """
    left_out = r"embeddings\.position_ids|pooler\.|cls\.seq_relationship\.|cls\.predictions\.decoder\."
    left_out += "" if language_head else r"|cls\."
    arrays = {_bert_name(name): array for name, array in arrays.items()}
    arrays = {name: array for name, array in arrays.items() if not re.match(left_out, name)}
    embedding = text_encoder.token_embedding
    places = [
        vector_place("embeddings.word_embeddings.weight", embedding.token_embedding.embeddings),
        first_rows("embeddings.position_embeddings.weight", embedding.position_embedding, arrays),
        *norm_places("embeddings.LayerNorm", text_encoder.norm),
    ]
    if embedding.types:
        places.append(first_rows("embeddings.token_type_embeddings.weight", embedding.type_embedding, arrays))
    else:
        arrays.pop("embeddings.token_type_embeddings.weight", None)
    looks = any(".crossattention." in name for name in arrays)
    blocks = text_encoder.blocks + (fusion_encoder.blocks if fusion_encoder else [])
    if partial:
        arrays = without_blocks_from(len(blocks), arrays, r"encoder\.layer\.")
    for index, block in enumerate(blocks):
        at = f"encoder.layer.{index}."
        places += block_places(at, BERT_BLOCK, block)
        if looks and block.cross_attention:
            places += attention_places(f"{at}cross", BERT_BLOCK, block.context_attention)
            places += norm_places(f"{at}crossattention.output.LayerNorm", block.context_norm)
    if language_head:
        places += linear_places("cls.predictions.transform.dense", language_head.dense)
        places += norm_places("cls.predictions.transform.LayerNorm", language_head.norm)
        places.append(vector_place("cls.predictions.bias", language_head.bias))
    return places, arrays


def arrays_of(
    weights: str | os.PathLike[str] | dict[str, NDArray[Any]],
) -> tuple[dict[str, NDArray[Any]], str]:
    """Return the arrays of a file, or of a dict, by name, and what to call them in an error."""
    return (dict(weights), "the weights") if isinstance(weights, dict) else (read_weights(weights), repr(str(weights)))


def _bert_name(name):
    name = name.removeprefix("bert.")
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
