"""Search over embedded items: one index format for queries, clients, devices and the web. No TensorFlow."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .index import EmbeddingIndex as EmbeddingIndex
    from .index_editor import IndexEditor as IndexEditor
    from .item_batch import ItemBatch as ItemBatch
    from .search_result import SearchResult as SearchResult
    from .writer import IndexWriter as IndexWriter
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
