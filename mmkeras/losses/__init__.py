"""Losses: pure functions and thin `keras.losses.Loss` classes; none holds a model."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CategoryCrossentropy": "category",
        "DiscriminatorCrossentropy": "discriminator",
        "InfoNCE": "contrastive",
        "ModalityCrossentropy": "adversarial",
        "Triplet": "triplet",
        "category_crossentropy": "category",
        "discriminator_crossentropy": "discriminator",
        "fooling_crossentropy": "discriminator",
        "info_nce": "contrastive",
        "modality_crossentropy": "adversarial",
        "triplet_loss": "triplet",
    },
)
