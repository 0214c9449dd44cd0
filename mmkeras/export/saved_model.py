"""A SavedModel with a signature per encoder."""

from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mmkeras.errors import MmkerasError
from mmkeras.export.space import space_id


def export_saved_model(model, folder):
    """Write a model's encoders as a SavedModel that takes bytes and strings.

    Every signature takes a batch and returns a dict with the batch first. String inputs are of rank 1 and refused
    otherwise; a picture that cannot be decoded fails its batch, and names its row unless it is damaged in its middle.
    `serving_default` is `encode_text`.

    | signature | inputs | outputs |
    |---|---|---|
    | `encode_text` | `text` string (N,) | `embedding` float32 (N, D) |
    | `encode_image` | `image_bytes` string (N,) | `embedding` float32 (N, D) |
    | `encode_pixels` | `image` uint8 (N, H, W, C) at the model's own size | `embedding` float32 (N, D) |
    | `match` | `image_bytes` string (N,), `text` string (N,) | `score` float32 (N,) |
    | `describe` | `probe` string (N,) | `space_id` string (N,) |
    | `classify_text` | `text` string (N,) | `probabilities` float32 (N, C), `labels` string (N, C) |
    | `classify_image` | `image_bytes` string (N,) | `probabilities` float32 (N, C), `labels` string (N, C) |

    The last two where the model has categories; every row of `labels` holds `label_names`, in their order, because a
    server that joins requests cuts all outputs by rows. Models over feature vectors have `encode_features` (`image`
    float32 (N, F)) in place of the three that take pictures, and `classify_features` in place of `classify_image`.

    What trains and does not serve, a discriminator or a gradient reversal, is not in the graph.

    Args:
        model: `ImageTextModel`.
        folder: where to write; it may exist and be empty.

    Raises:
        MmkerasError: a model without a text_preprocessor, or TensorFlow could not write the files.
    """
    if model.text_preprocessor is None:
        raise MmkerasError("Expected a model with a text_preprocessor: its signatures take strings. Received: None")
    archive = keras.export.ExportArchive()
    # Tracked inside of a module: as layers, their weights would be written a second time beside those that follow from
    # the endpoints, the category head's among them. What must be tracked is lookup tables.
    encoders = tf.Module()
    encoders.all = [model.image_encoder, model.text_encoder]
    archive.track(encoders)
    # The first endpoint becomes serving_default too.
    for name, (function, inputs) in _signatures(model).items():
        archive.add_endpoint(name, function, inputs)
    try:
        archive.write_out(str(folder), verbose=False)
    except tf.errors.OpError as error:
        raise MmkerasError(f"The SavedModel {folder} could not be written: {error.message}") from error


def written_signatures(folder):
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


def _signatures(model):
    """Return {name: (function, [tf.TensorSpec, ...])}; XLA stays off, which a stock server refuses."""
    identity = space_id(model)

    def strings(name):
        return tf.TensorSpec([None], tf.string, name=name)

    def token_ids(text):
        # Serving never checks shapes, and tokenizer kernels do not survive a scalar.
        return model.text_preprocessor(tf.ensure_shape(text, [None]))

    def pixels(image_bytes):
        return model.image_preprocessor(tf.ensure_shape(image_bytes, [None]))

    def embed_text(token_ids):
        return model.text_encoder(token_ids, training=False)["embedding"]

    def embed_image(image):
        return model.image_encoder(image, training=False)["embedding"]

    def encode_text(text):
        return {"embedding": _of_any_batch(embed_text, token_ids(text))}

    def encode_pixels(image):
        return {"embedding": _of_any_batch(embed_image, tf.ensure_shape(image, model.image_encoder.input.shape))}

    def encode_image(image_bytes):
        return encode_pixels(pixels(image_bytes))

    def match(image_bytes, text):
        same = tf.debugging.assert_equal(
            tf.shape(image_bytes),
            tf.shape(text),
            message="match takes pairs: image_bytes and text must hold the same number of rows",
        )
        with tf.control_dependencies([same]):
            return {"score": _of_any_batch(model.match, pixels(image_bytes), token_ids(text))}

    def classified(embedding):
        rows = tf.shape(embedding)[0]
        labels = tf.tile(tf.constant([model.label_names], tf.string), [rows, 1])
        return {"probabilities": model.classify(embedding), "labels": labels}

    def classify_text(text):
        return classified(**encode_text(text))

    def classify_pixels(image):
        return classified(**encode_pixels(image))

    def classify_image(image_bytes):
        return classified(**encode_image(image_bytes))

    def describe(probe):
        return {"space_id": tf.fill(tf.shape(tf.ensure_shape(probe, [None])), identity)}

    signatures = {"encode_text": (encode_text, [strings("text")])}
    if model.image_preprocessor is None:
        features = tf.TensorSpec(model.image_encoder.input.shape, tf.float32, name="image")
        signatures["encode_features"] = (encode_pixels, [features])
    else:
        image = tf.TensorSpec(model.image_encoder.input.shape, tf.uint8, name="image")
        signatures["encode_image"] = (encode_image, [strings("image_bytes")])
        signatures["encode_pixels"] = (encode_pixels, [image])
        signatures["match"] = (match, [strings("image_bytes"), strings("text")])
    if model.label_names:
        signatures["classify_text"] = (classify_text, [strings("text")])
        if model.image_preprocessor is None:
            signatures["classify_features"] = (classify_pixels, [features])
        else:
            signatures["classify_image"] = (classify_image, [strings("image_bytes")])
    return {**signatures, "describe": (describe, [strings("probe")])}


def _of_any_batch(function, *batches):
    """Return `function(*batches)`, also for no rows, which oneDNN's convolutions answer with a wrong shape."""
    rows = tf.shape(batches[0])[0]
    missing = tf.cast(rows == 0, tf.int32)
    padded = [tf.pad(batch, [[0, missing], *[[0, 0]] * (batch.shape.rank - 1)]) for batch in batches]
    for batch, one in zip(batches, padded, strict=True):
        one.set_shape([None, *batch.shape[1:]])
    return function(*padded)[:rows]
