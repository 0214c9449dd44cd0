"""The layouts in which people keep pictures with captions: a short file each, found by `find_layout`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .finding import find_layout as find_layout
    from .layout import Layout as Layout
    from .row import Row as Row
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
