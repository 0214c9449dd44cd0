"""A corpus embedded by an exported model, shard by shard, and the Parquet files that hand it over; no TensorFlow here.

The SavedModel is loaded where rows are embedded, or a server is asked.
"""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .embedding_job import EmbeddingJob as EmbeddingJob
    from .encoder_settings import EncoderSettings as EncoderSettings
    from .parquet_embeddings import ParquetEmbeddings as ParquetEmbeddings
    from .part import list_parts as list_parts
    from .part import read_info as read_info
    from .part import read_part as read_part
    from .part_info import PartInfo as PartInfo
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
