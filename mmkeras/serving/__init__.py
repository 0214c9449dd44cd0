"""Asking and offering a SavedModel over TensorFlow Serving's interface; the client loads no TensorFlow."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AsyncClient": "async_client",
        "Client": "client",
        "EmbeddedServer": "embedded_server",
        "ServingError": "errors",
        "TlsFiles": "tls_files",
    },
)
