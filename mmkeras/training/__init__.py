"""Experiments: recipes as data, runs in folders, checkpoints that resume exactly."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Recipe": "recipe",
        "ReversalSchedule": "reversal_schedule",
        "Run": "run",
        "list_recipes": "recipe",
        "load_checkpoint": "checkpoint",
        "load_model": "loading",
        "save_checkpoint": "checkpoint",
        "train": "trainer",
    },
)
