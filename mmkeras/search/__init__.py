"""Search over embedded items: one index format for queries, clients, devices and the web. No TensorFlow."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"EmbeddingIndex": "index", "IndexWriter": "writer", "SearchResult": "search_result"}
)
