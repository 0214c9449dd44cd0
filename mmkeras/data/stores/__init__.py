"""Where pictures lie, and how one of them is read when a batch wants it: files, zips and tars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .open_places import OpenPlaces as OpenPlaces
    from .opening import open_first as open_first
    from .opening import open_store as open_store
    from .picture_store import PictureStore as PictureStore
    from .stored_picture import StoredPicture as StoredPicture
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
