"""Losses: pure functions and thin `keras.losses.Loss` classes; none holds a model."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .adversarial import ModalityCrossentropy as ModalityCrossentropy
    from .adversarial import modality_crossentropy as modality_crossentropy
    from .category import CategoryCrossentropy as CategoryCrossentropy
    from .category import category_crossentropy as category_crossentropy
    from .contrastive import InfoNCE as InfoNCE
    from .contrastive import info_nce as info_nce
    from .discriminator import DiscriminatorCrossentropy as DiscriminatorCrossentropy
    from .discriminator import discriminator_crossentropy as discriminator_crossentropy
    from .discriminator import fooling_crossentropy as fooling_crossentropy
    from .image_text_contrastive import ImageTextContrastive as ImageTextContrastive
    from .image_text_contrastive import candidate_logits as candidate_logits
    from .image_text_contrastive import image_text_contrast as image_text_contrast
    from .image_text_contrastive import soft_targets as soft_targets
    from .masked_language import MaskedLanguageCrossentropy as MaskedLanguageCrossentropy
    from .masked_language import masked_language_crossentropy as masked_language_crossentropy
    from .matching import MatchingCrossentropy as MatchingCrossentropy
    from .matching import matching_crossentropy as matching_crossentropy
    from .matching import sample_hard_negatives as sample_hard_negatives
    from .shared_ids import share_id as share_id
    from .sigmoid import SigmoidContrast as SigmoidContrast
    from .sigmoid import sigmoid_contrast as sigmoid_contrast
    from .triplet import Triplet as Triplet
    from .triplet import triplet_loss as triplet_loss
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
