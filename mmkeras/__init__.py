"""mmkeras: image-text representation learning on Keras 3 and TensorFlow, from pixels to a served query."""

from mmkeras._lazy import lazy_exports

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "data": "data",
        "encoders": "encoders",
        "evaluation": "evaluation",
        "export": "export",
        "layers": "layers",
        "load_model": "training.loading",
        "losses": "losses",
        "metrics": "metrics",
        "models": "models",
        "on_device": "on_device",
        "parity": "parity",
        "preprocessing": "preprocessing",
        "search": "search",
        "serving": "serving",
        "training": "training",
    },
)
