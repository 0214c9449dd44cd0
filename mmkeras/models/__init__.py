"""Models that put images and texts into one space."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .adversarial_backprop import AdversarialBackprop as AdversarialBackprop
    from .albef_weights import load_albef as load_albef
    from .cm_gan import CMGAN as CMGAN
    from .dual_encoder import DualEncoder as DualEncoder
    from .fused_adam import FusedAdam as FusedAdam
    from .image_text_model import ImageTextModel as ImageTextModel
    from .learnt_bias import LearntBias as LearntBias
    from .learnt_temperature import LearntTemperature as LearntTemperature
    from .modality_adversary import ModalityAdversary as ModalityAdversary
    from .modality_invariant import ModalityInvariant as ModalityInvariant
    from .momentum_teacher import MomentumTeacher as MomentumTeacher
    from .pair_fusion import PairFusion as PairFusion
    from .preset import Preset as Preset
    from .preset import list_presets as list_presets
    from .repeated_steps import RepeatedSteps as RepeatedSteps
    from .soft_mask import SoftMask as SoftMask
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
