"""Build a SavedModel as TensorFlow Hub has them from a folder of MobileNetV2 weights, to check hub encoders against.

    python scripts/build_hub_model.py OUT [--weights FOLDER] [--output feature_vector|logits]

FOLDER is $MMKERAS_DATA/mobilenet_v2 by default and holds `weights.npz`: `NN_w` and `NN_b`, NN = 00 to 52 in the order
of execution, batch normalisation folded in. Success: a line with the folder OUT, which `tensorflow_hub.load` reads:

    module = tensorflow_hub.load(OUT)
    module(images)  # float32 0..1 (N, 224, 224, 3) -> (N, 1280), or (N, 1001) for logits

with `variables`, `trainable_variables`, `regularization_losses` and a `training` argument, as reusable SavedModels have
them. The network is written in plain TensorFlow, so that it checks Keras' own as well.

Reference: Sandler et al. 2018 (arXiv 1801.04381), table 2; weight decay 4e-5 as in their section 6.1.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = [(1, 1, 1), (6, 2, 2), (6, 3, 2), (6, 4, 2), (6, 3, 1), (6, 3, 2), (6, 1, 1)]  # expansion, repeats, stride
OUTPUTS = ("feature_vector", "logits")
LAYERS = 53
WEIGHT_DECAY = 4e-5
SIZE = 224


def convolutions():
    """What each of the layers 00 to 51 does: (stride, is depthwise, activation, opens a block, closes it)."""
    yield 2, False, True, False, False
    for expansion, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            if expansion > 1:
                yield 1, False, True, True, False
            yield stride if repeat == 0 else 1, True, True, expansion == 1, False
            yield 1, False, False, False, True
    yield 1, False, True, False, False


def network(weights, output):
    """A reusable SavedModel's object, still unsaved.

    Args:
        weights: dict of arrays, `NN_w` and `NN_b`.
        output: "feature_vector" or "logits".
    """
    import tensorflow as tf

    module = tf.train.Checkpoint()
    used = LAYERS if output == "logits" else LAYERS - 1
    kernels = [tf.Variable(weights[f"{layer:02d}_w"], name=f"layer_{layer:02d}/kernel") for layer in range(used)]
    biases = [tf.Variable(weights[f"{layer:02d}_b"], name=f"layer_{layer:02d}/bias") for layer in range(used)]

    def forward(images, training=False):
        # Nothing depends on `training`: with batch normalisation folded in there are no statistics to keep.
        x = images * 2 - 1
        block_input = None
        for layer, (stride, is_depthwise, is_active, opens, closes) in enumerate(convolutions()):
            block_input = x if opens else block_input
            if is_depthwise:
                x = tf.nn.depthwise_conv2d(x, kernels[layer], [1, stride, stride, 1], "SAME")
            else:
                x = tf.nn.conv2d(x, kernels[layer], stride, "SAME")
            x = tf.nn.bias_add(x, biases[layer])
            x = tf.nn.relu6(x) if is_active else x
            if closes and x.shape[1:] == block_input.shape[1:]:
                x += block_input
        features = tf.reduce_mean(x, axis=[1, 2])
        if output == "feature_vector":
            return features
        return tf.nn.bias_add(tf.matmul(features, kernels[-1][0, 0]), biases[-1])

    def decay(kernel):
        return tf.function(lambda: WEIGHT_DECAY * tf.nn.l2_loss(kernel), input_signature=[])

    module.__call__ = tf.function(forward)
    pictures = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="images")
    for training in (False, True):
        module.__call__.get_concrete_function(pictures, training=training)
    module.variables = kernels + biases
    module.trainable_variables = kernels + biases
    module.regularization_losses = [decay(kernel) for kernel in kernels]
    return module


def build(weights_folder, out, output="feature_vector"):
    """Write the SavedModel `out`.

    Raises:
        MmkerasError: weights that are missing or not these, or `out` exists.
    """
    import numpy as np
    import tensorflow as tf

    from mmkeras.atomic import new_folder
    from mmkeras.errors import MmkerasError

    if output not in OUTPUTS:
        raise MmkerasError(f"Expected an output of {', '.join(OUTPUTS)}. Received: output={output!r}")
    file = Path(weights_folder) / "weights.npz"
    try:
        with np.load(file) as archive:
            weights = dict(archive)
    except (OSError, ValueError) as error:
        raise MmkerasError(f"Expected the weights of MobileNetV2 in {file}: {error}") from error
    names = {f"{layer:02d}_{part}" for layer in range(LAYERS) for part in "wb"}
    if missing := sorted(names - set(weights)):
        raise MmkerasError(f"Expected the {LAYERS} layers of MobileNetV2 in {file}. It lacks {missing[0]}")
    with new_folder(out) as beside:
        tf.saved_model.save(network(weights, output), str(beside))


def main(arguments=None):
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--output", choices=OUTPUTS, default=OUTPUTS[0])
    settings = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    from mmkeras.errors import MmkerasError

    folder = settings.weights
    if folder is None:
        if not os.environ.get("MMKERAS_DATA"):
            parser.error("MMKERAS_DATA is unset: name the folder of the weights with --weights")
        folder = Path(os.environ["MMKERAS_DATA"]) / "mobilenet_v2"
    try:
        build(folder, settings.out, settings.output)
    except MmkerasError as error:
        print(f"build_hub_model: {error}", file=sys.stderr)
        return 2
    print(f"{settings.out}: MobileNetV2, {settings.output}, as a hub handle")
    return 0


if __name__ == "__main__":
    sys.exit(main())
