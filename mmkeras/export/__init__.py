"""From a trained model to what is served."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .release import export_run as export_run
    from .saved_model import export_saved_model as export_saved_model
    from .space import space_id as space_id
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
