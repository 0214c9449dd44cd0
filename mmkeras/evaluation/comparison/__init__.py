"""Runs side by side, read from their files: the tables that the terminal shows, and a page with curves."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Comparison": "comparison",
        "write_comparison": "page",
    },
)
