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
        "Dropout": "dropout",
        "FeatureQueue": "feature_queue",
        "GradientReversal": "gradient_reversal",
        "LayerNormalization": "layer_normalization",
        "MaskedMaxPooling": "masked_pooling",
        "MaskedMeanPooling": "masked_pooling",
        "MaskedLanguageHead": "masked_language_head",
        "ModalityClassifier": "modality_classifier",
        "MultiHeadAttention": "multi_head_attention",
        "PatchEmbedding": "patch_embedding",
        "PrependToken": "prepend_token",
        "ProjectionBlock": "projection_block",
        "SoftMasking": "soft_masking",
        "TokenAndPositionEmbedding": "token_and_position_embedding",
        "TokenMasking": "token_masking",
        "TransformerBlock": "transformer_block",
        "gathered_from_replicas": "replica_gathering",
        "masked_image_tokens": "soft_masking",
        "momentum_copy": "momentum",
        "momentum_update": "momentum",
        "normalized_attention": "soft_masking",
        "word_attention": "soft_masking",
    },
)
