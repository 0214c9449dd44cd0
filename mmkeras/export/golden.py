"""Golden examples: inputs with the outputs that Keras gave for them, and the warm-up requests made from them."""

import numpy as np
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.export.example_signatures import serialized_examples
from mmkeras.export.pictures import encode_png

GOLDEN_ROWS = 16
GOLDEN_ITEMS = 64  # that are loaded for them: some may be one item, or have no pair


def golden_examples(model, data, space_id):
    """Return, for each signature, a few inputs and what Keras itself answers.

    Args:
        model: `ImageTextModel`.
        data: `PairedData`; its first pairs are used, and where it has none its first pictures and texts. Of a model of
            pictures that was trained on features of them alone, the pictures are made up.
        space_id: what `describe` answers.

    Returns:
        dict of arrays `<signature>/inputs/<name>` and `<signature>/outputs/<name>`.
    """
    images, texts = _first_rows(model, data.one_image_an_item())
    of_texts = "text_features" if data.text_features else "text"
    text = texts if data.text_features else np.array([text.encode() for text in texts])
    text_embedding, image_embedding = model.encode_text(texts), model.encode_image(images)
    examples = {
        f"encode_{of_texts}": ({"text": text}, {"embedding": text_embedding}),
        "describe": (
            {"probe": np.array([b""] * len(texts))},
            {"space_id": np.array([space_id.encode()] * len(texts))},
        ),
    }
    if model.image_preprocessor is None:
        examples["encode_features"] = ({"image": images}, {"embedding": image_embedding})
    else:
        # A bytes array drops trailing zeros; a PNG ends with a checksum's 0x82.
        image_bytes = np.array([encode_png(image) for image in images])
        # A PNG keeps every pixel, so both ways in must give the same embedding.
        examples["encode_pixels"] = ({"image": images}, {"embedding": image_embedding})
        examples["encode_image"] = ({"image_bytes": image_bytes}, {"embedding": image_embedding})
        examples["encode_image_tolerant"] = _with_a_broken_picture(image_bytes, image_embedding)
        if not data.text_features:
            # As a graph: layer by layer, a large network's outputs would all be in memory, a gigabyte of 16 pictures.
            match = tf.function(model.match, autograph=False)
            score = match(tf.constant(images), model.text_preprocessor(tf.constant(texts))).numpy()
            examples["match"] = ({"image_bytes": image_bytes, "text": text}, {"score": score})
    if model.label_names:
        labels = np.array([[name.encode() for name in model.label_names]] * len(texts))
        of_image, of_text = model.classify_image(images), model.classify_text(texts)
        kind = "features" if model.image_preprocessor is None else "image"
        inputs, _ = examples[f"encode_{kind}"]
        examples[f"classify_{kind}"] = (inputs, {"probabilities": of_image, "labels": labels})
        examples[f"classify_{of_texts}"] = ({"text": text}, {"probabilities": of_text, "labels": labels})
        for name, probabilities in ((f"classify_{kind}", of_image), (f"classify_{of_texts}", of_text)):
            ((feature, rows),) = examples[name][0].items()
            outputs = {"classes": labels, "scores": probabilities}
            examples[f"{name}_examples"] = ({"inputs": serialized_examples(feature, rows)}, outputs)
    return {
        f"{signature}/{side}/{name}": value
        for signature, sides in examples.items()
        for side, values in zip(("inputs", "outputs"), sides, strict=True)
        for name, value in values.items()
    }


def _with_a_broken_picture(image_bytes, embedding):
    """Return (inputs, outputs) of `encode_image_tolerant`; the second row, where there is one, is no picture."""
    valid = np.arange(len(image_bytes)) != 1
    return (
        {"image_bytes": np.where(valid, image_bytes, b"no picture")},
        {"embedding": np.where(valid[:, np.newaxis], embedding, np.float32(0)), "valid": valid},
    )


def _first_rows(model, data):
    """As many pictures (or vectors, for a model of these) as texts, at most `GOLDEN_ROWS`."""
    pairs = data.pairs[:GOLDEN_ROWS]
    if not len(pairs):
        rows = np.arange(min(len(data.images), len(data.texts), GOLDEN_ROWS))
        pairs = np.column_stack([rows, rows])
    texts = data.texts[pairs[:, 1]] if data.text_features else [data.texts[row] for row in pairs[:, 1]]
    if model.image_preprocessor is None:
        return data.images[pairs[:, 0]], texts
    if data.pictures is None:
        return made_up_pictures(len(pairs), model.image_preprocessor.output_shape), texts
    return np.stack([data.pictures[row] for row in pairs[:, 0]]), texts


def made_up_pictures(count, shape):
    """Tiles of random colours, uint8 (count, H, W, C): of a few kilobytes as PNG, where noise takes a hundred."""
    height, width, channels = shape
    tile = 16
    grid = count, -(-height // tile), -(-width // tile), channels
    tiles = np.random.default_rng(0).integers(0, 256, grid, np.uint8)
    return tiles.repeat(tile, axis=1).repeat(tile, axis=2)[:, :height, :width]


def by_signature(golden):
    """Turn the flat dict of `golden_examples` into {signature: {"inputs": {...}, "outputs": {...}}}."""
    nested = {}
    for key, value in golden.items():
        signature, side, name = key.split("/")
        nested.setdefault(signature, {"inputs": {}, "outputs": {}})[side][name] = value
    return nested


def write_warm_up(file, model_name, golden, rows=(1, 4)):
    """Write the requests with which a server warms every signature up, as a TFRecord of PredictionLog.

    The row that is no picture, in the example of `encode_image_tolerant`, is left out: of each such row TensorFlow logs
    a warning, which a server's log would show at each start.

    Args:
        file: `assets.extra/tf_serving_warmup_requests`.
        model_name: stands in the requests; a server does not route by it.
        golden: what `golden_examples` returned.
        rows: batch sizes, a request each and signature.

    Raises:
        MmkerasError: TensorFlow could not write the file.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    records = []
    for signature, example in by_signature(golden).items():
        for count in rows:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name, values in example["inputs"].items():
                good = values[example["outputs"].get("valid", slice(None))]
                request.inputs[name].CopyFrom(tf.make_tensor_proto(good[:count]))
            records.append(log.SerializeToString())
    try:
        with tf.io.TFRecordWriter(str(file)) as writer:
            for record in records:
                writer.write(record)
    except tf.errors.OpError as error:
        raise MmkerasError(f"The warm-up requests {file} could not be written: {error.message}") from error
