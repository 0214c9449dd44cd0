"""Published weights into the encoders: DeiT-base into ViT, bert-base-uncased into the text and the fusion encoder."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.fusion import FusionEncoder
from mmkeras.encoders.position_embedding import resize_position_embedding
from mmkeras.encoders.weights_file import read_weights
from mmkeras.errors import MmkerasError
from mmkeras.layers.masked_language_head import MaskedLanguageHead


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where an array of a file goes: its name there, its shape there, and what makes the variable's value of it."""

    name: str
    shape: tuple
    variable: keras.Variable
    convert: Callable


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
    arrays, source = _arrays(weights)
    arrays = {name: array for name, array in arrays.items() if not re.match(r"(head|head_dist)\.", name)}
    embedding = image_encoder.patches
    width = embedding.width
    places = [
        _Place("cls_token", (1, 1, width), embedding.class_token, lambda array: array[0, 0]),
        _positions(arrays.get("pos_embed"), embedding),
        _Place(
            "patch_embed.proj.weight",
            tuple(embedding.projection.kernel.shape[axis] for axis in (3, 2, 0, 1)),
            embedding.projection.kernel,
            lambda array: array.transpose(2, 3, 1, 0),
        ),
        _Place("patch_embed.proj.bias", (width,), embedding.projection.bias, np.asarray),
        *_norm("norm", image_encoder.norm),
    ]
    for index, block in enumerate(image_encoder.blocks):
        at = f"blocks.{index}"
        places += _norm(f"{at}.norm1", block.attention_norm)
        for part, dense in enumerate(
            (block.attention.query_dense, block.attention.key_dense, block.attention.value_dense)
        ):
            places += _linear(f"{at}.attn.qkv", dense, part=part, parts=3)
        places += _linear(f"{at}.attn.proj", block.attention.output_dense, inputs=2)
        places += _norm(f"{at}.norm2", block.feed_forward_norm)
        places += _linear(f"{at}.mlp.fc1", block.expand) + _linear(f"{at}.mlp.fc2", block.contract)
    _fill(places, arrays, source)


def load_bert(
    text_encoder: Encoder,
    weights: str | os.PathLike[str] | dict[str, NDArray[Any]],
    fusion_encoder: FusionEncoder | None = None,
    language_head: MaskedLanguageHead | None = None,
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

    Raises:
        MmkerasError: a file that lacks a weight, holds one that there is no place for, or one of another shape.

    Example:
        >>> text_encoder = bert_text_encoder(vocabulary_size=30522, sequence_length=25, class_id=None)
        >>> fusion = FusionEncoder()
        >>> fusion.build((None, None, 768), (None, None, 768))
        >>> load_bert(text_encoder, "bert-base-uncased.safetensors", fusion)
    """
    arrays, source = _arrays(weights)
    left_out = r"embeddings\.position_ids|pooler\.|cls\.seq_relationship\.|cls\.predictions\.decoder\."
    left_out += "" if language_head else r"|cls\."
    arrays = {_bert_name(name): array for name, array in arrays.items()}
    arrays = {name: array for name, array in arrays.items() if not re.match(left_out, name)}
    embedding = text_encoder.token_embedding
    table = embedding.token_embedding.embeddings
    places = [
        _Place("embeddings.word_embeddings.weight", tuple(table.shape), table, np.asarray),
        _rows("embeddings.position_embeddings.weight", embedding.position_embedding, arrays),
        *_norm("embeddings.LayerNorm", text_encoder.norm),
    ]
    if embedding.types:
        places.append(_rows("embeddings.token_type_embeddings.weight", embedding.type_embedding, arrays))
    else:
        arrays.pop("embeddings.token_type_embeddings.weight", None)
    blocks = text_encoder.blocks + (fusion_encoder.blocks if fusion_encoder else [])
    for index, block in enumerate(blocks):
        at = f"encoder.layer.{index}"
        places += _bert_attention(f"{at}.attention", block.attention, block.attention_norm)
        if f"{at}.crossattention.self.query.weight" in arrays and block.cross_attention:
            places += _bert_attention(f"{at}.crossattention", block.context_attention, block.context_norm)
        places += _linear(f"{at}.intermediate.dense", block.expand) + _linear(f"{at}.output.dense", block.contract)
        places += _norm(f"{at}.output.LayerNorm", block.feed_forward_norm)
    if language_head:
        bias = language_head.bias
        places += _linear("cls.predictions.transform.dense", language_head.dense)
        places += _norm("cls.predictions.transform.LayerNorm", language_head.norm)
        places.append(_Place("cls.predictions.bias", tuple(bias.shape), bias, np.asarray))
    _fill(places, arrays, source)


def _arrays(weights):
    """The arrays by name, and what to call them in an error."""
    return (dict(weights), "the weights") if isinstance(weights, dict) else (read_weights(weights), repr(str(weights)))


def _bert_name(name):
    name = name.removeprefix("bert.")
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


def _bert_attention(at, attention, norm):
    places = []
    for part in ("query", "key", "value"):
        places += _linear(f"{at}.self.{part}", getattr(attention, f"{part}_dense"))
    places += _linear(f"{at}.output.dense", attention.output_dense, inputs=2)
    return places + _norm(f"{at}.output.LayerNorm", norm)


def _linear(name, dense, inputs=1, part=0, parts=1):
    """Kernel and bias of a layer whose kernel has its inputs on the first axes; files have them on the last.

    With `parts` the file holds several such layers in one, one under the other, of which this is number `part`.
    """
    kernel, bias = dense.kernel, dense.bias
    size_in, size_out = int(np.prod(kernel.shape[:inputs])), int(np.prod(kernel.shape[inputs:]))
    rows = slice(part * size_out, (part + 1) * size_out)
    return [
        _Place(
            f"{name}.weight", (parts * size_out, size_in), kernel, lambda array: array[rows].T.reshape(kernel.shape)
        ),
        _Place(f"{name}.bias", (parts * size_out,), bias, lambda array: array[rows].reshape(bias.shape)),
    ]


def _norm(name, norm):
    return [
        _Place(f"{name}.weight", tuple(norm.gamma.shape), norm.gamma, np.asarray),
        _Place(f"{name}.bias", tuple(norm.beta.shape), norm.beta, np.asarray),
    ]


def _rows(name, variable, arrays):
    """A table of which the first rows are taken, as many as there are."""
    rows, width = variable.shape
    return _Place(name, (max(rows, len(arrays.get(name, ()))), width), variable, lambda array: array[:rows])


def _positions(array, embedding):
    """Position embeddings of a square grid of patches, the file's, brought to the encoder's own."""
    patches = int(np.prod(embedding.grid)) if array is None or array.ndim != 3 else array.shape[1] - 1
    side = round(max(patches, 0) ** 0.5)
    # A square of the file's own size, or else only what needs no resizing.
    grid = (side, side) if side * side == patches else embedding.grid
    return _Place(
        "pos_embed",
        (1, 1 + grid[0] * grid[1], embedding.width),
        embedding.position_embedding,
        lambda array: resize_position_embedding(array[0], grid, embedding.grid),
    )


def _fill(places, arrays, source):
    """Assign all arrays, or none where one is missing, too many or of another shape."""
    wanted = {place.name for place in places}
    if missing := sorted(wanted - set(arrays)):
        hint = "The file may hold fewer blocks than the encoders have"
        raise MmkerasError(f"Expected {_named(missing)} in {source}. {hint}")
    if extra := sorted(set(arrays) - wanted):
        hint = "The file may hold more blocks than the encoders have"
        raise MmkerasError(f"There is no place for {_named(extra)} of {source}. {hint}")
    for place in places:
        if (shape := np.shape(arrays[place.name])) != place.shape:
            raise MmkerasError(
                f"Expected {place.name} of shape {place.shape}, as the encoders have it. Received: {shape} in {source}"
            )
    for place in places:
        place.variable.assign(place.convert(np.asarray(arrays[place.name])))


def _named(names):
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
