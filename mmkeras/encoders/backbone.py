"""`Backbone`: a network of `keras.applications`, by its name, that stays as it is or is tuned."""

from __future__ import annotations

import difflib
import inspect
import os
import warnings
from typing import Any

import keras
from keras import layers, ops

from mmkeras.errors import MmkerasError

# What each family of keras.applications wants to see, by its module there: pixels in -1..1 ("tf"), in 0..1 less the
# mean and over the deviation of ImageNet's channels ("torch"), BGR less its mean ("caffe"); None: its first layers
# scale.
FAMILY_SCALING = {
    "convnext": None,
    "densenet": "torch",
    "efficientnet": None,
    "efficientnet_v2": None,
    "inception_resnet_v2": "tf",
    "inception_v3": "tf",
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "mobilenet_v3": None,
    "nasnet": "tf",
    "resnet": "caffe",
    "resnet_v2": "tf",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "xception": "tf",
}


@keras.saving.register_keras_serializable("mmkeras")
class Backbone(keras.Model):
    """A functional network that runs in inference mode whenever it is frozen, and trains when it is trainable.

    `network(x, training=False)` inside another functional model is not enough: an outer call with `training=True`
    overrides it, and dropout in the frozen network works again.

    Args:
        inputs: Keras tensor, see `keras.Model`.
        outputs: Keras tensor that follows from `inputs`.

    Call arguments:
        inputs: tensor.
        training: bool; heeded while `trainable` is set.

    Returns:
        As the network.

    Example:
        >>> network = keras.applications.MobileNetV2(include_top=False, weights=None)
        >>> backbone = Backbone(network.inputs, network.outputs[0])
        >>> backbone.trainable = False
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        freeze_again(self)

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=bool(training) and self.trainable, mask=mask)


def freeze_again(model: keras.Model) -> None:
    """Freeze a model that was built of its config and is said to be frozen there, whole.

    Keras tells the layers of such a model, and not those that they make when they are built: a loaded transformer would
    train. Setting what is set already it takes for nothing to do.
    """
    if not model.trainable:
        model.trainable = True
        model.trainable = False


def backbones():
    """Return the names of all networks of `keras.applications`, sorted."""
    return sorted(name for name, value in vars(keras.applications).items() if inspect.isfunction(value))


def scaled(image, scaling):
    """Bring pixels in 0..255 to what a family takes: one of the values of `FAMILY_SCALING`."""
    if scaling is None:
        return image
    # float32, also under mixed precision: a half would round the pixels.
    if scaling == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="rescaling")(image)
    if scaling == "torch":
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        scale = [1 / (255 * one) for one in deviation]
        offset = [-one / other for one, other in zip(mean, deviation, strict=True)]
    else:
        image = ops.flip(image, axis=-1)
        scale, offset = [1.0, 1.0, 1.0], [-103.939, -116.779, -123.68]
    return layers.Rescaling(scale, offset, dtype="float32", name="rescaling")(image)


def load_backbone(backbone, weights, shape):
    """Return a network without its top, as a `Backbone`, and the scaling of its family; see `backbone_image_encoder`.

    Raises:
        MmkerasError: an unknown network, a size that it does not take, weights that cannot be had or do not fit.
    """
    if backbone not in backbones():
        close = {name.lower(): name for name in backbones()}
        nearest = difflib.get_close_matches(str(backbone).lower(), close, n=3, cutoff=0.0)
        raise MmkerasError(
            f"Expected the name of a network of keras.applications, such as {', '.join(map(close.get, nearest))}. "
            f"Received: backbone={backbone!r}"
        )
    if shape[-1] != 3:
        raise MmkerasError(f"Expected channels=3: {backbone} takes RGB. Received: channels={shape[-1]}")
    if weights not in (None, "imagenet") and not os.path.isfile(weights):
        raise MmkerasError(f"Expected weights of None, 'imagenet' or the path of a file. Received: weights={weights!r}")
    build = getattr(keras.applications, backbone)
    try:
        with warnings.catch_warnings():
            # MobileNets say that their 224 px weights serve other sizes too.
            warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
            network = build(include_top=False, weights="imagenet" if weights == "imagenet" else None, input_shape=shape)
    except ValueError as error:
        raise MmkerasError(f"{backbone} cannot be built for pictures of {shape[0]} x {shape[1]} px: {error}") from error
    except Exception as error:  # what Keras' download raises has no class of its own
        raise MmkerasError(
            f"The ImageNet weights of {backbone} are not in Keras' cache and could not be downloaded: {error}. Copy "
            "that file into ~/.keras/models (or models in $KERAS_HOME); or name other weights, backbone=PATH: a Keras "
            "file or a SavedModel as TensorFlow Hub has them; or take a recipe that needs none, such as "
            "photos_from_scratch, whose results are far weaker"
        ) from error
    if weights not in (None, "imagenet"):
        try:
            with warnings.catch_warnings():
                # What the file lacks, Keras would leave random, with a warning alone.
                warnings.filterwarnings("error", message="Skipping")
                network.load_weights(weights)
        except Exception as error:  # of h5py, of zipfile, or a ValueError
            raise MmkerasError(f"{weights} holds no weights of {backbone} without its top: {error}") from error
    # EfficientNetV2 takes no other name than its own.
    network = Backbone(network.inputs, network.outputs[0], name="backbone")
    return network, FAMILY_SCALING[build.__module__.rpartition(".")[2]]
