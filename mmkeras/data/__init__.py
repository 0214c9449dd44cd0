"""Data sets as arrays with correspondence, and the tf.data pipelines that feed `fit`."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Glyphs": "glyphs",
        "PairedData": "paired",
        "contact_sheet": "glyph_rendering",
        "load_captions": "captions",
        "load_features": "features",
        "load_source": "sources",
        "mismatched_batches": "pipeline",
        "training_batches": "pipeline",
        "unpaired_batches": "pipeline",
    },
)
