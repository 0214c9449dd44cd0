"""Losses: pure functions and thin `keras.losses.Loss` classes; none holds a model."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CategoryCrossentropy": "category",
        "DiscriminatorCrossentropy": "discriminator",
        "ImageTextContrastive": "image_text_contrastive",
        "InfoNCE": "contrastive",
        "MaskedLanguageCrossentropy": "masked_language",
        "MatchingCrossentropy": "matching",
        "ModalityCrossentropy": "adversarial",
        "Triplet": "triplet",
        "candidate_logits": "image_text_contrastive",
        "category_crossentropy": "category",
        "discriminator_crossentropy": "discriminator",
        "fooling_crossentropy": "discriminator",
        "image_text_contrast": "image_text_contrastive",
        "info_nce": "contrastive",
        "masked_language_crossentropy": "masked_language",
        "matching_crossentropy": "matching",
        "modality_crossentropy": "adversarial",
        "positive_candidates": "image_text_contrastive",
        "sample_hard_negatives": "matching",
        "soft_targets": "image_text_contrastive",
        "triplet_loss": "triplet",
    },
)
