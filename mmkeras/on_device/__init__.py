"""The text encoder and the search where no TensorFlow is: `pip install 'mmkeras-client[on-device]'`."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"DeviceSearch": "search", "ModelFile": "model_file", "TextEncoder": "text_encoder"}
)
