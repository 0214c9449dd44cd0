"""From a trained model to a text encoder for phones and browsers."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "check_preset": "check",
        "convert": "conversion",
        "export_tflite": "release",
    },
)
