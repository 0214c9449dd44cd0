"""Keras layers; they know nothing of the other rooms."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "BatchNormalization": "batch_normalization",
        "CategoryHead": "category_head",
        "CrossModalAutoencoder": "cross_modal_autoencoder",
        "CrossModalDiscriminators": "cross_modal_discriminators",
        "Discriminator": "discriminator",
        "GradientReversal": "gradient_reversal",
        "MaskedMaxPooling": "masked_pooling",
        "MaskedMeanPooling": "masked_pooling",
        "ModalityClassifier": "modality_classifier",
        "ProjectionBlock": "projection_block",
        "TokenAndPositionEmbedding": "token_and_position_embedding",
        "TransformerBlock": "attention",
    },
)
