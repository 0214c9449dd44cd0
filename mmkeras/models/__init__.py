"""Models that put images and texts into one space."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AdversarialBackprop": "adversarial_backprop",
        "CMGAN": "cm_gan",
        "DualEncoder": "dual_encoder",
        "FusedAdam": "fused_adam",
        "ImageTextModel": "image_text_model",
        "LearntTemperature": "learnt_temperature",
        "ModalityAdversary": "modality_adversary",
        "ModalityInvariant": "modality_invariant",
        "MomentumTeacher": "momentum_teacher",
        "PairFusion": "pair_fusion",
        "RepeatedSteps": "repeated_steps",
        "SoftMask": "soft_mask",
        "Preset": "preset",
        "list_presets": "preset",
    },
)
