"""Runs side by side, read from their files: the tables that the terminal shows, and a page with curves."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .comparison import Comparison as Comparison
    from .page import write_comparison as write_comparison
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
