"""The block that cross-modal GANs are built of, with batch statistics for each modality that goes through it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.fused.normalize_by_batch import normalize_by_batch
from mmkeras.layers.initialization import linear
from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class ProjectionBlock(ConfigFromSignature, keras.layers.Layer):
    """A linear layer, batch normalisation and a leaky ReLU; several streams may share it.

        y = Dropout( LeakyReLU( gamma * (Wx + b - mean_k) / sqrt(variance_k + epsilon) + beta ) )

    Kernel, bias, gamma and beta are those of all streams; each stream k has moving statistics of its own, since one
    moving average over two modalities fits neither. In training a call is normalised by its own batch.

    Args:
        units: outputs, 1 or more.
        streams: how many distributions go through it, each in calls of its own, 1 or more.
        momentum: what the moving statistics keep of themselves in a step, in [0, 1).
        epsilon: added to the variance.
        negative_slope: slope of the leaky ReLU below 0.
        dropout: rate in training, in [0, 1).

    Call arguments:
        inputs: (B, F).
        stream: int, whose statistics are used and updated.
        training: whether the batch's own statistics are used, and outputs dropped.

    Returns:
        float32 (B, units), also under mixed precision: it is normalised in float32.

    Raises:
        ValueError: no units, no stream, a momentum or a dropout outside [0, 1).

    Example:
        >>> block = ProjectionBlock(1024, streams=2)
        >>> image, text = block(image, stream=0, training=True), block(text, stream=1, training=True)

    Reference:
        The building block of Peng, Qi & Yuan 2019 (arXiv 1710.05106) in the authors' code, where gamma starts from
        N(1, 0.02). The moving variance is the batch's own, as in Keras, and not scaled by B / (B - 1), as in Torch.
    """

    def __init__(
        self,
        units: int,
        streams: int = 1,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1 or streams < 1:
            raise ValueError(f"Expected one unit and one stream or more. Received: units={units}, streams={streams}")
        if not 0 <= momentum < 1:
            raise ValueError(f"Expected a momentum in [0, 1). Received: momentum={momentum}")
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected a dropout in [0, 1). Received: dropout={dropout}")
        self.units = units
        self.streams = streams
        self.momentum = momentum
        self.epsilon = epsilon
        self.negative_slope = negative_slope
        self.dropout = dropout
        if dropout:
            self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Shape) -> None:
        self.projection = linear(self.units, input_shape[-1], dtype=self.dtype_policy, name="projection")

        def add(name, initializer, trainable=True):
            return self.add_weight(
                shape=(self.units,),
                initializer=initializer,
                trainable=trainable,
                dtype="float32",
                autocast=False,
                name=name,
            )

        self.gamma = add("gamma", keras.initializers.RandomNormal(1.0, 0.02))
        self.beta = add("beta", "zeros")
        self.moving_means = [add(f"moving_mean_{stream}", "zeros", False) for stream in range(self.streams)]
        self.moving_variances = [add(f"moving_variance_{stream}", "ones", False) for stream in range(self.streams)]

    def call(self, inputs: TensorLike, stream: int = 0, training: bool | None = None) -> Tensor:
        x = ops.cast(self.projection(inputs), "float32")
        moving = self.moving_means[stream], self.moving_variances[stream]
        if training and self.trainable:
            x, *statistics = normalize_by_batch(x, self.gamma, self.beta, self.epsilon)
            for average, value in zip(moving, statistics, strict=True):
                average.assign(average * self.momentum + value * (1 - self.momentum))
        else:
            x = ops.batch_normalization(x, *moving, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon)
        x = ops.leaky_relu(x, self.negative_slope)
        return keras.random.dropout(x, self.dropout, seed=self.seed_generator) if training and self.dropout else x

    def compute_output_spec(
        self, inputs: keras.KerasTensor, stream: int = 0, training: bool | None = None
    ) -> keras.KerasTensor:
        return keras.KerasTensor((*inputs.shape[:-1], self.units), "float32")
