"""Where arrays of published files go: all of them, or none where one is missing, too many or of another shape."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mmkeras.encoders.position_embedding import resize_position_embedding
from mmkeras.errors import MmkerasError
from mmkeras.layers.multi_head_attention import MultiHeadAttention
from mmkeras.layers.transformer_block import TransformerBlock


@dataclasses.dataclass(frozen=True)
class WeightPlace:
    """Where an array of a file goes.

    Args:
        name: what the file calls it.
        shape: tuple of ints, its shape there.
        variable: what is filled.
        convert: makes the variable's value of the array.
    """

    name: str
    shape: tuple[int, ...]
    variable: keras.Variable
    convert: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray


def linear_places(name: str, dense: Any, inputs: int = 1, part: int = 0, parts: int = 1) -> list[WeightPlace]:
    """Return the places of a linear layer, whose kernel has its inputs on the first axes; files have them on the last.

    Args:
        name: of the layer in the file, of which there are a `weight` and a `bias`.
        dense: built layer with `kernel` and `bias`.
        inputs: how many of the kernel's axes are inputs.
        part: which of several layers that the file holds in one, one under the other, from 0.
        parts: how many there are.
    """
    kernel, bias = dense.kernel, dense.bias
    size_in, size_out = int(np.prod(kernel.shape[:inputs])), int(np.prod(kernel.shape[inputs:]))
    rows = slice(part * size_out, (part + 1) * size_out)
    return [
        WeightPlace(
            f"{name}.weight", (parts * size_out, size_in), kernel, lambda array: array[rows].T.reshape(kernel.shape)
        ),
        WeightPlace(f"{name}.bias", (parts * size_out,), bias, lambda array: array[rows].reshape(bias.shape)),
    ]


def attention_places(at: str, names: Mapping[str, str], attention: MultiHeadAttention) -> list[WeightPlace]:
    """Return the places of a `MultiHeadAttention`.

    Args:
        at: what the file's names begin with.
        names: dict of the rest of them, for its linear layers `query`, `key`, `value` and `output`; or, where the first
            three are one layer in the file, one under the other, `packed` and `output`.
        attention: built layer.
    """
    places = linear_places(at + names["output"], attention.output_dense, inputs=2)
    for part, dense in enumerate((attention.query_dense, attention.key_dense, attention.value_dense)):
        if "packed" in names:
            places += linear_places(at + names["packed"], dense, part=part, parts=3)
        else:
            places += linear_places(at + names[("query", "key", "value")[part]], dense)
    return places


def block_places(at: str, names: Mapping[str, str], block: TransformerBlock) -> list[WeightPlace]:
    """Return the places of a `TransformerBlock`, but for its attention to a context.

    Args:
        at: what the file's names begin with.
        names: dict of the rest of them: see `attention_places`, and for `attention_norm`, `feed_forward_norm`, `expand`
            and `contract`; where it has them for `attention_scale` and `feed_forward_scale`.
        block: built layer.
    """
    places = attention_places(at, names, block.attention)
    places += norm_places(at + names["attention_norm"], block.attention_norm)
    places += norm_places(at + names["feed_forward_norm"], block.feed_forward_norm)
    places += linear_places(at + names["expand"], block.expand) + linear_places(at + names["contract"], block.contract)
    if block.layer_scale is not None:
        places.append(vector_place(at + names["attention_scale"], block.attention_scale))
        places.append(vector_place(at + names["feed_forward_scale"], block.feed_forward_scale))
    return places


def vector_place(name: str, variable: keras.Variable, axes: int = 0) -> WeightPlace:
    """Return the place of a variable that the file holds as it is, but for `axes` first axes of length 1."""
    shape = tuple(variable.shape)
    return WeightPlace(name, (1,) * axes + shape, variable, lambda array: array.reshape(shape))


def norm_places(name: str, norm: Any) -> list[WeightPlace]:
    """Return the places of a layer normalisation, of which the file has a `weight` and a `bias`."""
    return [vector_place(f"{name}.weight", norm.gamma), vector_place(f"{name}.bias", norm.beta)]


def first_rows(name: str, variable: keras.Variable, arrays: Mapping[str, NDArray[Any]]) -> WeightPlace:
    """Return the place of a table of which the first rows are taken, as many as the variable has."""
    rows, width = variable.shape
    return WeightPlace(name, (max(rows, len(arrays.get(name, ()))), width), variable, lambda array: array[:rows])


def patch_places(name: str, patches: Any) -> list[WeightPlace]:
    """Return the places of a `PatchEmbedding`'s projection, whose kernel is (W, C, height, width) in the file."""
    kernel, bias = patches.projection.kernel, patches.projection.bias
    shape = tuple(kernel.shape[axis] for axis in (3, 2, 0, 1))
    places = [WeightPlace(f"{name}.weight", shape, kernel, lambda array: array.transpose(2, 3, 1, 0))]
    return places + ([vector_place(f"{name}.bias", bias)] if patches.use_bias else [])


def position_place(
    name: str, array: NDArray[Any] | None, patches: Any, batched: bool = True, antialias: bool = False
) -> WeightPlace:
    """Return the place of the position embeddings of a square grid of patches, brought to the encoder's own.

    Args:
        name: of the array in the file.
        array: what the file has there.
        patches: built `PatchEmbedding`.
        batched: whether the array is (1, leading + N, W), or without its first axis.
        antialias: see `resize_position_embedding`.
    """
    leading, rank = patches.leading, 3 if batched else 2
    own = patches.grid[0] * patches.grid[1]
    count = own if array is None or array.ndim != rank else array.shape[-2] - leading
    side = round(max(count, 0) ** 0.5)
    # A square of the file's own size, or else only what needs no resizing.
    grid = (side, side) if side * side == count else patches.grid
    shape = (leading + grid[0] * grid[1], patches.width)

    def convert(array):
        return resize_position_embedding(array.reshape(shape), grid, patches.grid, leading, antialias)

    return WeightPlace(name, (1, *shape) if batched else shape, patches.position_embedding, convert)


def without_blocks_from(depth: int, arrays: Mapping[str, NDArray[Any]], at: str) -> dict[str, NDArray[Any]]:
    """Return arrays but for those of blocks from number `depth` on, whose names are `at`, a number and a dot.

    Args:
        depth: of how many blocks, from the first, the arrays are kept.
        arrays: dict from name to array.
        at: a regular expression.
    """
    numbers = {name: re.match(rf"{at}(\d+)\.", name) for name in arrays}
    return {name: array for name, array in arrays.items() if not (found := numbers[name]) or int(found[1]) < depth}


def fill(places: Sequence[WeightPlace], arrays: Mapping[str, NDArray[Any]], source: str) -> None:
    """Assign all arrays, or none where one is missing, too many or of another shape.

    Args:
        places: where they go.
        arrays: dict from name to array.
        source: what to call them in an error.

    Raises:
        MmkerasError: which are missing, or have no place, or are of another shape.
    """
    wanted = {place.name for place in places}
    if missing := sorted(wanted - set(arrays)):
        hint = "The file may hold fewer blocks than the encoders have"
        raise MmkerasError(f"Expected {_named(missing)} in {source}. {hint}")
    if extra := sorted(set(arrays) - wanted):
        hint = "The file may hold more blocks than the encoders have"
        raise MmkerasError(f"There is no place for {_named(extra)} of {source}. {hint}")
    misshapen = [place for place in places if np.shape(arrays[place.name]) != place.shape]
    if misshapen:
        place, others = misshapen[0], sorted({place.name for place in misshapen[1:]} - {misshapen[0].name})
        raise MmkerasError(
            f"Expected {place.name} of shape {place.shape}, as the encoders have it. "
            f"Received: {np.shape(arrays[place.name])} in {source}"
            + (f"; of another shape too: {_named(others)}" if others else "")
        )
    for place in places:
        place.variable.assign(place.convert(np.asarray(arrays[place.name])))


def _named(names: Collection[str]) -> str:
    names = list(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
