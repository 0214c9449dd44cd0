"""`FeatureScaling`: features of a frozen network, each number by its own mean and deviation over the training data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class FeatureScaling(ConfigFromSignature, keras.layers.Layer):
    """Bring every number of feature vectors to mean 0 and deviation 1 over the training data, or its root.

    Features of several networks side by side, or of several depths of one, come in different sizes: a layer
    normalisation, which sees one vector, leaves to the largest what it scales by. Means of ReLU activations are skewed
    besides, a few high ones among many near 0, and their root is less so. What stands before this layer makes the
    features; its statistics are weights that no optimizer moves.

    Args:
        root: whether the root is taken first, of negative numbers that of their size with their sign.
        epsilon: added to deviations, so that numbers that are always equal stay finite.

    Call arguments:
        features: (B, F).

    Returns:
        float32 (B, F), under any dtype policy. Until `adapt` numbers are only rooted.

    Example:
        >>> scaling = FeatureScaling(root=True)
        >>> scaling.adapt(training_features)
        >>> scaling(features).shape
        (8, 2560)
    """

    def __init__(self, root: bool = False, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.root, self.epsilon = root, epsilon

    def build(self, features_shape: Shape) -> None:
        size = features_shape[-1:]
        self.mean = self.add_weight(shape=size, initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape=size, initializer="ones", trainable=False, name="deviation")

    def adapt(self, features: ArrayLike) -> None:
        """Take mean and deviation of features.

        Args:
            features: (N, F), those of the training's items.
        """
        features = np.asarray(features, np.float32)
        features = np.sign(features) * np.sqrt(np.abs(features)) if self.root else features
        self.mean.assign(features.mean(axis=0, dtype=np.float64))
        self.deviation.assign(features.std(axis=0, dtype=np.float64))

    def call(self, features: TensorLike) -> Tensor:
        x = ops.cast(features, "float32")
        x = ops.sign(x) * ops.sqrt(ops.abs(x)) if self.root else x
        return (x - self.mean) / (self.deviation + self.epsilon)

    def compute_output_shape(self, features_shape: Shape) -> Shape:
        return features_shape
