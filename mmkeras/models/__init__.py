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
        "ModalityInvariant": "modality_invariant",
        "RepeatedSteps": "repeated_steps",
        "SoftMask": "soft_mask",
        "list_presets": "preset",
        "load_preset": "preset",
    },
)
