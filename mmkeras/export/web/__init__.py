"""From a trained model to a folder of files that searches in a browser."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .release import export_web as export_web
    from .runtime import check_runtime as check_runtime
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
