"""Data sets as arrays with correspondence, and the tf.data pipelines that feed `fit`."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .captioned_pictures import CaptionedPictures as CaptionedPictures
    from .equal_texts import relate_equal_texts as relate_equal_texts
    from .features import load_features as load_features
    from .glyph_rendering import contact_sheet as contact_sheet
    from .glyphs import Glyphs as Glyphs
    from .packing import pack as pack
    from .paired import PairedData as PairedData
    from .pipeline import epoch_batches as epoch_batches
    from .pipeline import mismatched_batches as mismatched_batches
    from .pipeline import training_batches as training_batches
    from .pipeline import unpaired_batches as unpaired_batches
    from .reading import read as read
    from .sources import load_source as load_source
    from .stored_pictures import StoredPictures as StoredPictures
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
