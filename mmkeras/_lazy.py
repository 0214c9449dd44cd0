"""Lazy re-exports for package `__init__` files (PEP 562)."""

import importlib

from mmkeras.missing_part_error import MissingPartError


def lazy_exports(package, exports):
    """Return `__getattr__`, `__dir__` and `__all__` that import a name's module at its first use.

    The client and the device code run without TensorFlow, so importing a package must not import its heavy modules.

    Args:
        package: the package's `__name__`.
        exports: dict from public name to the module, relative to `package`, that defines it. The module itself is
            handed on when name and module are the same word (a sub-package).

    The functions raise `MissingPartError` for a name whose module is not installed: `mmkeras-client` has some only.

    Example:
        >>> __getattr__, __dir__, __all__ = lazy_exports(__name__, {"EmbeddingIndex": "index"})
    """

    def __getattr__(name):
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {sorted(exports)}")
        try:
            module = importlib.import_module(f"{package}.{exports[name]}")
        except ModuleNotFoundError as error:
            if missing := MissingPartError.of(error):
                raise missing from error
            raise
        return module if exports[name] == name else getattr(module, name)

    return __getattr__, lambda: sorted(exports), sorted(exports)
