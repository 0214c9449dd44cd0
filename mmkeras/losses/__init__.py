"""Losses: pure functions and thin `keras.losses.Loss` classes; none holds a model."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CategoryCrossentropy": "category",
        "InfoNCE": "contrastive",
        "ModalityCrossentropy": "adversarial",
        "Triplet": "triplet",
        "category_crossentropy": "category",
        "info_nce": "contrastive",
        "modality_crossentropy": "adversarial",
        "triplet_loss": "triplet",
    },
)
