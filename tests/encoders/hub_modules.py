"""Two small modules as TensorFlow Hub has them, of pictures and of sentences, and models on them."""

import numpy as np
import tensorflow as tf

from mmkeras.encoders import conv_image_encoder, hub_image_encoder, hub_text_encoder
from mmkeras.models import DualEncoder
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), "uint8")
TEXTS = ["a dog", "two dogs run", "zebra"]
STRINGS = tf.constant(TEXTS)


def traced(module, function, spec):
    """Give a module its `__call__`, traced with and without training, and what reusable SavedModels list."""
    module.__call__ = tf.function(function)
    for training in (False, True):
        module.__call__.get_concrete_function(spec, training=training)
    return module


def write_pictures(folder, height=4, width=6):
    """A module from pictures in 0..1 to a feature map and a vector, with statistics that training moves."""
    module = tf.train.Checkpoint()
    kernel = tf.Variable(np.random.default_rng(1).normal(size=(3, 5)), dtype="float32", name="conv/kernel")
    mean = tf.Variable(tf.zeros(5), trainable=False, name="norm/moving_mean")
    head = tf.Variable(tf.ones((5, 2)), name="unused/kernel")

    def function(images, training=False):
        cells = tf.nn.relu(images @ kernel)
        if training:
            mean.assign(0.5 * mean + 0.5 * tf.reduce_mean(cells, [0, 1, 2]))
        cells -= mean
        return {"map": cells, "vector": tf.reduce_mean(cells, [1, 2]), "count": tf.ones(tf.shape(images)[:1], "int32")}

    module.variables, module.trainable_variables = [kernel, mean, head], [kernel, head]
    module.regularization_losses = [tf.function(lambda: 0.5 * tf.reduce_sum(kernel**2), input_signature=[])]
    spec = tf.TensorSpec((None, height, width, 3), tf.float32)
    tf.saved_model.save(traced(module, function, spec), folder / "pictures")
    return str(folder / "pictures")


def write_sentences(folder):
    """A module from strings to the sum of their words' vectors; the vocabulary is a file beside the graph."""
    (folder / "words.txt").write_text("a\ndog\ndogs\ntwo\n")
    lines = tf.lookup.TextFileInitializer(
        str(folder / "words.txt"),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    module = tf.train.Checkpoint()
    module.table = tf.lookup.StaticVocabularyTable(lines, 3)
    vectors = tf.Variable(np.random.default_rng(2).normal(size=(7, 4)), dtype="float32", name="vectors")
    calls = tf.Variable(0, trainable=False, dtype="int64", name="calls")

    def function(text, training=False):
        if training:
            calls.assign_add(1)
        words = tf.strings.split(text)
        found = tf.gather(vectors, module.table.lookup(words.flat_values))
        return tf.math.unsorted_segment_sum(found, words.value_rowids(), words.nrows())

    module.variables, module.trainable_variables = [vectors, calls], [vectors]
    tf.saved_model.save(traced(module, function, tf.TensorSpec((None,), tf.string)), folder / "sentences")
    (folder / "words.txt").unlink()
    return str(folder / "sentences")


def image_encoder(handle, **settings):
    settings = {"height": 4, "width": 6, "hidden": (6,), "embedding_dim": 5, "output_key": "map", **settings}
    return hub_image_encoder(handle, **settings)


def text_encoder(handle, **settings):
    return hub_text_encoder(handle, **{"hidden": (6,), "embedding_dim": 5, **settings})


def dual_encoder(sentences, trainable=True):
    return DualEncoder(
        conv_image_encoder(8, 8, widths=(4,), embedding_dim=5),
        text_encoder(sentences, trainable=trainable),
        ImagePreprocessor(8, 8),
        StringPreprocessor(),
    )


def batches(texts=TEXTS):
    images = np.random.default_rng(3).integers(0, 256, (len(texts), 8, 8, 3), "uint8")
    batch = {"image": images, "token_ids": tf.constant(texts), "image_id": np.arange(len(texts))}
    return tf.data.Dataset.from_tensors(batch).repeat()


def hub_weights(model):
    return {weight.path: weight.numpy() for weight in model.text_encoder.get_layer("hub").weights}
