"""The page of a data check: figures, problems and a sheet of pictures."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .page import write_data_page as write_data_page
    from .sheet import picture_sheet as picture_sheet
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
