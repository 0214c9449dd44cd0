"""A SavedModel with a signature per encoder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mmkeras.errors import MmkerasError
from mmkeras.export.request_bounds import RequestBounds
from mmkeras.export.signatures import model_signatures
from mmkeras.limits import MAX_ROWS, MAX_TEXT_BYTES
from mmkeras.preprocessing.tokenizer import Tokenizer
from mmkeras.progress import Progress

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel


def export_saved_model(
    model: ImageTextModel,
    folder: str | os.PathLike[str],
    *,
    max_rows: int = MAX_ROWS,
    max_text_bytes: int = MAX_TEXT_BYTES,
) -> None:
    """Write a model's encoders as a SavedModel that takes bytes and strings.

    Every signature takes a batch and returns a dict with the batch first; floats are float32, also where the model
    computes in half precision. String inputs are of rank 1 and refused otherwise; a picture that cannot be decoded
    fails its batch, and names its row unless it is damaged in its middle. More rows than `max_rows`, and a longer text
    than `max_text_bytes`, are refused before anything else, on every server. `serving_default` is `encode_text`.

    | signature | inputs | outputs |
    |---|---|---|
    | `encode_text` | `text` string (N,) | `embedding` float32 (N, D) |
    | `encode_image` | `image_bytes` string (N,) | `embedding` float32 (N, D) |
    | `encode_image_tolerant` | `image_bytes` string (N,) | `embedding` float32 (N, D), `valid` bool (N,) |
    | `encode_pixels` | `image` uint8 (N, H, W, C) at the model's own size | `embedding` float32 (N, D) |
    | `match` | `image_bytes` string (N,), `text` string (N,) | `score` float32 (N,) |
    | `describe` | `probe` string (N,) | `space_id` string (N,) |
    | `classify_text` | `text` string (N,) | `probabilities` float32 (N, C), `labels` string (N, C) |
    | `classify_image` | `image_bytes` string (N,) | `probabilities` float32 (N, C), `labels` string (N, C) |
    | `classify_text_examples` | `inputs` string (N,) | `classes` string (N, C), `scores` float32 (N, C) |
    | `classify_image_examples` | `inputs` string (N,) | `classes` string (N, C), `scores` float32 (N, C) |

    In `encode_image_tolerant` a row that cannot be decoded has `valid` False and an embedding of zeros, and changes no
    other row; it takes 1.0 to 1.8 times as long.

    The classify signatures are there where the model has categories; every row of `labels` and `classes` holds
    `label_names`, in their order, because a server that joins requests cuts all outputs by rows. Those of `_examples`
    are for PredictionService.Classify: `inputs` are serialized tf.Examples with a feature `text` or `image_bytes`.
    Models over feature vectors have `encode_features` (`image` float32 (N, F)) in place of the four that take pictures,
    `classify_features` in place of `classify_image`, and `classify_features_examples` (a feature `image` of F floats).
    Models over feature vectors of texts have `encode_text_features` (`text` float32 (N, F)) in place of `encode_text`
    and as `serving_default`, `classify_text_features` and `classify_text_features_examples` in place of those of
    strings, and no `match`.

    What trains and does not serve, a discriminator or a gradient reversal, is not in the graph.

    Args:
        model: `ImageTextModel`.
        folder: where to write; it may exist and be empty.
        max_rows: the most rows of a request. A server that joins requests must not join more.
        max_text_bytes: the longest text in bytes. `RequestBounds` says why none is cut.

    Raises:
        MmkerasError: a model without a text_preprocessor that takes no features either, a bound below 1, or
            TensorFlow could not write the files.
    """
    if model.text_preprocessor is None and model.text_encoder.takes != "features":
        raise MmkerasError("Expected a model with a text_preprocessor: its signatures take strings. Received: None")
    bounds = RequestBounds(max_rows, max_text_bytes)
    archive = keras.export.ExportArchive()
    # Tracked inside of a module: as layers, their weights would be written a second time beside those that follow from
    # the endpoints, the category head's among them. What must be tracked is lookup tables and
    # models of tokenizers.
    encoders = tf.Module()
    encoders.all = [model.image_encoder, model.text_encoder]
    if isinstance(model.text_preprocessor, Tokenizer):
        encoders.tokenizer = model.text_preprocessor.resources()
    archive.track(encoders)
    # The first endpoint becomes serving_default too.
    signatures = model_signatures(model, bounds)
    with Progress("Tracing signatures", len(signatures), "signature") as bar:
        for name, (function, inputs) in signatures.items():
            archive.add_endpoint(name, function, inputs)
            bar.advance()
    try:
        with Progress("Writing the SavedModel"):
            archive.write_out(str(folder), verbose=False)
    except tf.errors.OpError as error:
        raise MmkerasError(f"The SavedModel {folder} could not be written: {error.message}") from error


def written_signatures(folder: str | os.PathLike[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Return what a SavedModel's signatures take and give, in words, for people.

    Returns:
        {signature: {"inputs": {name: "string (N,)"}, "outputs": {...}}}, without TensorFlow's own and the default.
    """
    saved_model = saved_model_pb2.SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    return {
        name: {
            "inputs": {key: _in_words(info) for key, info in signature.inputs.items()},
            "outputs": {key: _in_words(info) for key, info in signature.outputs.items()},
        }
        for name, signature in sorted(saved_model.meta_graphs[0].signature_def.items())
        if not name.startswith("__") and name != "serving_default"
    }


def _in_words(info):
    dims = ["N" if dim.size < 0 else str(dim.size) for dim in info.tensor_shape.dim]
    shape = f"({dims[0]},)" if len(dims) == 1 else f"({', '.join(dims)})"
    return f"{tf.dtypes.as_dtype(info.dtype).name} {shape}"
