"""From a trained model to encoders for phones and browsers."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .check import check_preset as check_preset
    from .conversion import convert as convert
    from .release import export_tflite as export_tflite
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
