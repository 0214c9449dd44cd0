"""`model_size`: how many weights each part of a model has, and how much memory they take."""

import math

import tensorflow as tf

from mmkeras.models.image_text_model import ImageTextModel


def model_size(model: ImageTextModel) -> dict[str, dict[str, int]]:
    """Count a model's weights by part, frozen ones too, and their bytes.

    Parts are each encoder, with a backbone within, and the rest; what the encoders share counts by itself, and so does
    each thing that the model keeps for its training alone.

    Args:
        model: `ImageTextModel`.

    Returns:
        dict of `parameters` and `parameter_bytes`, dicts of ints by part: `image_encoder`, `text_encoder`,
        `both_encoders` where they share any, `rest`, and the names of `kept_for_training`.
    """
    kept = model.kept_for_training()
    parts = {"image_encoder": model.image_encoder.weights, "text_encoder": model.text_encoder.weights, **kept}
    ids = {name: {id(variable) for variable in variables} for name, variables in parts.items()}
    shared = ids["image_encoder"] & ids["text_encoder"]
    whole = {id(variable): variable for variable in model.weights}
    groups = {
        "image_encoder": ids["image_encoder"] - shared,
        "text_encoder": ids["text_encoder"] - shared,
        **({"both_encoders": shared} if shared else {}),
        "rest": whole.keys() - set().union(*ids.values()),
        **{name: ids[name] for name in kept},
    }
    counts = {key: math.prod(variable.shape) for key, variable in whole.items()}
    sizes = {key: count * tf.as_dtype(whole[key].dtype).size for key, count in counts.items()}
    return {
        "parameters": {name: sum(counts[key] for key in keys) for name, keys in groups.items()},
        "parameter_bytes": {name: sum(sizes[key] for key in keys) for name, keys in groups.items()},
    }
