"""Published models in folders as Hugging Face has them: read, and brought into encoders of ours, a file a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .checkpoint import Checkpoint as Checkpoint
    from .finding import published_model as published_model
    from .model import PublishedModel as PublishedModel
    from .names import find_checkpoint as find_checkpoint
    from .names import is_checkpoint as is_checkpoint
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
