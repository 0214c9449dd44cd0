"""Asking and offering a SavedModel over TensorFlow Serving's interface; the client loads no TensorFlow."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .async_client import AsyncClient as AsyncClient
    from .client import Client as Client
    from .embedded_server import EmbeddedServer as EmbeddedServer
    from .errors import ServingError as ServingError
    from .tls_files import TlsFiles as TlsFiles
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
