"""From a trained model to what is served."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "export_run": "release",
        "export_saved_model": "saved_model",
        "space_id": "space",
    },
)
