"""The functions behind the signatures of a SavedModel."""

import tensorflow as tf

from mmkeras.encoders.encoder import vectors_of
from mmkeras.export.example_signatures import example_signature
from mmkeras.export.space import space_id
from mmkeras.preprocessing.tolerant_decoding import decode_tolerantly


def model_signatures(model, bounds):
    """Return the signatures of a model, the default one first; `export_saved_model` lists them.

    Args:
        model: `ImageTextModel` with a text_preprocessor, or over features of texts.
        bounds: `RequestBounds`, which every signature begins with.

    Returns:
        {name: (function of tensors that returns a dict, [tf.TensorSpec, ...])}. XLA stays off, which a stock server
        refuses.
    """
    identity = space_id(model)
    image_features, text_features = model.image_preprocessor is None, model.text_encoder.takes == "features"

    def strings(name):
        return tf.TensorSpec([None], tf.string, name=name)

    def token_ids(text):
        # Serving never checks shapes, and tokenizer kernels do not survive a scalar.
        return model.text_preprocessor(bounds.texts(tf.ensure_shape(text, [None])))

    def pixels(image_bytes):
        return model.image_preprocessor(bounds.rows(tf.ensure_shape(image_bytes, [None])))

    def features(batch, encoder):
        return bounds.rows(tf.ensure_shape(batch, encoder.input.shape))

    def encoded_text(text):
        inputs = features(text, model.text_encoder) if text_features else token_ids(text)
        return _of_any_batch(lambda batch: vectors_of(model.text_encoder(batch, training=False)), inputs)

    def encoded_pixels(image):
        image = features(image, model.image_encoder)
        return _of_any_batch(lambda batch: vectors_of(model.image_encoder(batch, training=False)), image)

    def encode_text(text):
        return {"embedding": encoded_text(text)["embedding"]}

    def encode_pixels(image):
        return {"embedding": encoded_pixels(image)["embedding"]}

    def encode_image(image_bytes):
        return encode_pixels(pixels(image_bytes))

    def encode_image_tolerant(image_bytes):
        images, valid = decode_tolerantly(model.image_preprocessor, bounds.rows(tf.ensure_shape(image_bytes, [None])))
        embedding = encode_pixels(images)["embedding"]
        return {"embedding": tf.where(valid[:, tf.newaxis], embedding, 0), "valid": valid}

    def match(image_bytes, text):
        same = tf.debugging.assert_equal(
            tf.shape(image_bytes),
            tf.shape(text),
            message="match takes pairs: image_bytes and text must hold the same number of rows",
        )
        with tf.control_dependencies([same]):
            return {"score": _of_any_batch(model.match, pixels(image_bytes), token_ids(text))}

    def classified(encoded, modality):
        rows = tf.shape(encoded["embedding"])[0]
        labels = tf.tile(tf.constant([model.label_names], tf.string), [rows, 1])
        return {"probabilities": model.classify(encoded, modality), "labels": labels}

    def classify_text(text):
        return classified(encoded_text(text), "text")

    def classify_pixels(image):
        return classified(encoded_pixels(image), "image")

    def classify_image(image_bytes):
        return classify_pixels(pixels(image_bytes))

    def describe(probe):
        return {"space_id": tf.fill(tf.shape(bounds.rows(tf.ensure_shape(probe, [None]))), identity)}

    image = tf.TensorSpec(model.image_encoder.input.shape, tf.float32 if image_features else tf.uint8, name="image")
    text = strings("text")
    if text_features:
        text = tf.TensorSpec(model.text_encoder.input.shape, tf.float32, name="text")
    signatures = {"encode_text_features" if text_features else "encode_text": (encode_text, [text])}
    if image_features:
        signatures["encode_features"] = (encode_pixels, [image])
    else:
        signatures["encode_image"] = (encode_image, [strings("image_bytes")])
        signatures["encode_image_tolerant"] = (encode_image_tolerant, [strings("image_bytes")])
        signatures["encode_pixels"] = (encode_pixels, [image])
    if not image_features and not text_features:
        signatures["match"] = (match, [strings("image_bytes"), strings("text")])
    if model.label_names:
        of_pictures = ("classify_image", classify_image, strings("image_bytes"))
        of_features = ("classify_features", classify_pixels, image)
        for name, classify, spec in (
            ("classify_text_features" if text_features else "classify_text", classify_text, text),
            of_features if image_features else of_pictures,
        ):
            signatures[name] = (classify, [spec])
            signatures[f"{name}_examples"] = example_signature(classify, spec, bounds)
    return {**signatures, "describe": (describe, [strings("probe")])}


def _of_any_batch(function, *batches):
    """Return `function(*batches)`, also for no rows, which oneDNN's convolutions answer with a wrong shape."""
    rows = tf.shape(batches[0])[0]
    missing = tf.cast(rows == 0, tf.int32)
    padded = [tf.pad(batch, [[0, missing], *[[0, 0]] * (batch.shape.rank - 1)]) for batch in batches]
    for batch, one in zip(batches, padded, strict=True):
        one.set_shape([None, *batch.shape[1:]])
    return tf.nest.map_structure(lambda output: output[:rows], function(*padded))
