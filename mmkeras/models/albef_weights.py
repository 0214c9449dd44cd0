"""ALBEF's own checkpoint, into a `SoftMask`."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mmkeras.encoders.pretrained_weights import arrays_of, bert_places, deit_places
from mmkeras.encoders.weight_places import WeightPlace, fill, linear_places
from mmkeras.errors import MmkerasError
from mmkeras.layers.feature_queue import NO_PICTURE
from mmkeras.models.soft_mask import SoftMask

# Numbers of pictures in the data set that the checkpoint was tuned on, which say nothing of another.
LEFT_OUT = r"idx_queue$"


def load_albef(
    model: SoftMask, weights: str | os.PathLike[str] | dict[str, NDArray[Any]], with_queue: bool = True
) -> None:
    """Give a `SoftMask` the weights of a published ALBEF: all of its parts, its teacher and its queue.

    Names are those of its authors' code: `visual_encoder.blocks.0.attn.qkv.weight`, `text_encoder.bert.encoder...` (or
    `text_encoder.encoder...`, as checkpoints tuned for retrieval have it), `vision_proj`, `text_proj`, `itm_head`,
    `temp`, the teacher's with `_m` behind the part's name, `image_queue`, `text_queue` and `queue_ptr`. The blocks of
    `text_encoder` are shared out, the first to the text encoder, all others to the fusion encoder. Position embeddings
    are resized to the model's pictures. A checkpoint without a masked language head, as the tuned ones are, leaves the
    model's own; one without a teacher leaves the teacher to become the model at the first step.

    The authors' file is a pickled one; this makes `ALBEF.safetensors` of it, where PyTorch is installed:

        python -c "import torch; from safetensors.torch import save_file; \\
            arrays = torch.load('ALBEF.pth', map_location='cpu', weights_only=True)['model']; \\
            save_file({name: array.clone() for name, array in arrays.items()}, 'ALBEF.safetensors')"

    Args:
        model: `SoftMask` of the sizes of the checkpoint: the preset `soft_mask_base`, with BERT's vocabulary and
            `class_id` 101, or `None` where the ids begin with it.
        weights: path of a `.safetensors` or `.npz` file, or a dict of its arrays.
        with_queue: whether the queue is taken too, which has to be as long as the model's then.

    Raises:
        MmkerasError: weights that lack an array, or have one that there is no place for or one of another shape; the
            model is then as it was.

    Example:
        >>> model = SoftMask.from_preset(preset, text_preprocessor=tokenizer)
        >>> load_albef(model, "ALBEF.safetensors")

    Reference:
        Li et al. 2021 (arXiv 2107.07651), section 3.
    """
    arrays, source = arrays_of(weights)
    arrays = {name: array for name, array in arrays.items() if not re.match(LEFT_OUT, name)}
    has_teacher = any(re.match(r"(visual_encoder|text_encoder|vision_proj|text_proj)_m\.", name) for name in arrays)
    places: list[WeightPlace] = []
    found: dict[str, NDArray[Any]] = {}
    for suffix, parts in (("", model.students), ("_m", model.teacher.copies))[: 1 + has_teacher]:
        more, of_parts = _side(parts, suffix, arrays)
        places, found = places + more, found | of_parts
    places += linear_places("itm_head", model.fusion.matching_head)
    places.append(_temperature_place(model.temperature))
    queue = model.teacher.queue
    if with_queue:
        for name in ("image_queue", "text_queue"):
            places.append(_transposed(name, getattr(queue, name)))
        places.append(WeightPlace("queue_ptr", (1,), queue.pointer, lambda array: array[0]))
    queue_names = ("image_queue", "text_queue", "queue_ptr")
    encoders = re.compile(r"(visual_encoder|text_encoder)(_m)?\.")
    rest = {name: array for name, array in arrays.items() if not encoders.match(name)}
    found |= {name: array for name, array in rest.items() if with_queue or name not in queue_names}
    fill(places, found, source)
    if with_queue:
        for ids in (queue.image_id_queue, queue.text_id_queue):
            ids.assign(np.full(ids.shape, NO_PICTURE, "int64"))
    # A step of number 0 would make the teacher the model again.
    model.teacher.steps.assign(int(has_teacher))


def _side(parts: Mapping[str, Any], suffix: str, arrays: Mapping[str, NDArray[Any]]):
    """Places of the parts of model or teacher, and the arrays of their encoders by the names of the places."""
    image_encoder, text_encoder = parts["image_encoder"], parts["text_encoder"]
    for name, encoder in (("image_encoder", image_encoder), ("text_encoder", text_encoder)):
        if encoder.projection is None or not encoder.projection.use_bias:
            raise MmkerasError(
                f"Expected {name} with a projection of its own and batch_norm=False, as ALBEF has it. Received: another"
            )
    image, text = (_below(f"{name}_encoder{suffix}.", arrays) for name in ("visual", "text"))
    head = parts["language_head"] if any(name.startswith("cls.predictions.") for name in text) else None
    places, found = [], {}
    for prefix, (more, rest) in (
        (f"visual_encoder{suffix}.", deit_places(image_encoder, image)),
        (f"text_encoder{suffix}.", bert_places(text_encoder, text, parts["fusion"], head)),
    ):
        places += [dataclasses.replace(place, name=prefix + place.name) for place in more]
        found |= {prefix + name: array for name, array in rest.items()}
    places += linear_places(f"vision_proj{suffix}", image_encoder.projection)
    places += linear_places(f"text_proj{suffix}", text_encoder.projection)
    return places, found


def _below(prefix, arrays):
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _temperature_place(temperature):
    """ALBEF's own clamp comes at its next step: a temperature is taken within the model's bounds."""

    def convert(array):
        value = float(np.clip(array, temperature.lowest, temperature.highest))
        return math.log(value) if temperature.logarithmic else value

    return WeightPlace("temp", (), temperature.learnt, convert)


def _transposed(name: str, variable: keras.Variable) -> WeightPlace:
    rows, width = variable.shape
    return WeightPlace(name, (width, rows), variable, lambda array: array.T)
