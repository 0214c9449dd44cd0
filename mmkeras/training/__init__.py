"""Experiments: recipes as data, runs in folders, checkpoints that resume exactly."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .checkpoint import load_checkpoint as load_checkpoint
    from .checkpoint import save_checkpoint as save_checkpoint
    from .loading import load_model as load_model
    from .recipe import Recipe as Recipe
    from .recipe import list_recipes as list_recipes
    from .reversal_schedule import ReversalSchedule as ReversalSchedule
    from .run import Run as Run
    from .trainer import train as train
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
