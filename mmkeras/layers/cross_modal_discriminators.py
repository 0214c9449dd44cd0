"""The discriminators of a cross-modal GAN: within a modality, and between the two."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.discriminator import Discriminator
from mmkeras.tensors import Array, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class CrossModalDiscriminators(ConfigFromSignature, keras.layers.Layer):
    """Four discriminators, two a modality.

    The intra-modality ones tell features from their reconstructions, by a single linear layer. The inter-modality ones
    tell whether a representation is that of a feature, or of something else: another modality's, another item's.

    Args:
        image_features: length of the pictures' features.
        text_features: length of the texts' features.
        representation_dim: length of the representations.
        hidden: units of the inter-modality discriminators.

    Example:
        >>> discriminators = CrossModalDiscriminators(4096, 300, representation_dim=1024)
        >>> logits = discriminators.inter("image", representation, feature, training=True)

    Reference:
        Peng, Qi & Yuan 2019 (arXiv 1710.05106): the cross-modal adversarial mechanism; sizes as in the authors' code.
    """

    def __init__(
        self, image_features: int, text_features: int, representation_dim: int, hidden: int = 512, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.image_features = image_features
        self.text_features = text_features
        self.representation_dim = representation_dim
        self.hidden = hidden

        def discriminator(name, inputs, units):
            layer = Discriminator(units, dtype=self.dtype_policy, name=name)
            layer.build((None, inputs))
            return layer

        self.image_intra = discriminator("image_intra", image_features, 0)
        self.text_intra = discriminator("text_intra", text_features, 0)
        self.image_inter = discriminator("image_inter", representation_dim + image_features, hidden)
        self.text_inter = discriminator("text_inter", representation_dim + text_features, hidden)
        self.built = True

    def intra(self, modality: Literal["image", "text"], feature: TensorLike, training: bool | None = None) -> Tensor:
        """Return how much like real features these look: logits, float32 (B,).

        Args:
            modality: `"image"` or `"text"`.
            feature: (B, F), features or reconstructions of them.
            training: see `Discriminator`.
        """
        return getattr(self, f"{modality}_intra")(feature, training=training)

    def inter(
        self,
        modality: Literal["image", "text"],
        representation: Array,
        feature: TensorLike,
        training: bool | None = None,
    ) -> Tensor:
        """Return how much each representation looks like that of the feature beside it: logits, float32 (B,).

        Args:
            modality: of the feature, `"image"` or `"text"`.
            representation: (B, D), of either modality.
            feature: (B, F).
            training: see `Discriminator`.
        """
        pair = ops.concatenate([representation, ops.cast(feature, representation.dtype)], axis=-1)
        return getattr(self, f"{modality}_inter")(pair, training=training)
