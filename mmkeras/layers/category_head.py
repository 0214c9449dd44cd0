"""The category head that both modalities share."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class CategoryHead(ConfigFromSignature, keras.layers.Layer):
    """Category logits as cosines: how far an embedding points along the direction of each category.

        logit_c = scale * <z, w_c> / |w_c| + b_c

    A dense layer over a unit embedding finds its categories in a small part of it, by growing its weights; the rest of
    the embedding is then free for what has nothing to do with them, and search by cosine suffers. Here the logits are
    bounded, so the loss pulls whole embeddings towards the directions of their categories.

    Args:
        classes: C, 2 or more.
        scale: of the cosines, more than 0; the loss of an embedding that points straight at its category falls with it.
        initial_bias: where the bias of each category starts. With a sigmoid for each of many categories, of which an
            item has few, start low: from 0 the quickest way to a lower loss is one point for all embeddings, away from
            all categories.

    Call arguments:
        embedding: (B, D), unit norm.

    Returns:
        float32 (B, C).

    Raises:
        ValueError: fewer than two classes, a scale that is not positive and finite.

    Example:
        >>> logits = CategoryHead(classes=35)(embedding)  # (B, 35)

    Reference:
        Wang et al. 2017, NormFace (arXiv 1704.06369), section 3.2, with a bias for the frequency of a category;
        its start as in Lin et al. 2017, Focal loss (arXiv 1708.02002), section 3.3.
    """

    def __init__(self, classes: int, scale: float = 10.0, initial_bias: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if classes < 2:
            raise ValueError(f"Expected at least two classes. Received: classes={classes}")
        if not 0 < scale < math.inf:
            raise ValueError(f"Expected a finite scale of more than 0. Received: scale={scale}")
        self.classes = classes
        self.scale = scale
        self.initial_bias = float(initial_bias)

    def build(self, embedding_shape: Shape) -> None:
        self.directions = self.add_weight(
            shape=(embedding_shape[-1], self.classes), initializer="orthogonal", name="directions"
        )
        start = keras.initializers.Constant(self.initial_bias)
        self.bias = self.add_weight(shape=(self.classes,), initializer=start, name="bias")

    def call(self, embedding: TensorLike) -> Tensor:
        # float32, as the embedding is under any policy: a softmax over halves would round the small probabilities away.
        embedding, directions, bias = (ops.cast(x, "float32") for x in (embedding, self.directions, self.bias))
        return self.scale * ops.matmul(embedding, ops.normalize(directions, axis=0)) + bias

    def compute_output_spec(self, embedding: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor((*embedding.shape[:-1], self.classes), "float32")
