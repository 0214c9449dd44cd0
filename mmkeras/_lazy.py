"""Lazy re-exports for package `__init__` files (PEP 562), declared once as imports that a type checker reads too."""

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmkeras.missing_part_error import MissingPartError


def lazy_exports(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` that import a name's module at its first use.

    The client and the device code run without TensorFlow, so importing a package must not import its heavy modules.
    A package declares its exports as imports below `if TYPE_CHECKING:`. Type checkers and editors follow those and skip
    the `else` branch, whose `__getattr__` would give every misspelt name a type.

    Args:
        package: the package's `__name__`.
        file: its `__file__`, whose source declares the exports.

    The functions raise `MissingPartError` for a name whose module is not installed: `mmkeras-client` has some only.

    Example:
        >>> if TYPE_CHECKING:
        ...     from .index import EmbeddingIndex as EmbeddingIndex
        ... else:
        ...     __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
    """
    exports = declared_exports(Path(file).read_text(encoding="utf-8"))
    names = sorted(exports)

    def __getattr__(name: str) -> Any:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {names}")
        try:
            module = importlib.import_module(f"{package}.{exports[name] or name}")
        except ModuleNotFoundError as error:
            if missing := MissingPartError.of(error):
                raise missing from error
            raise
        return module if exports[name] is None else getattr(module, name)

    return __getattr__, lambda: names, names


def declared_exports(source: str) -> dict[str, str | None]:
    """Return public name to the module, relative to the package, that the source of an `__init__.py` imports it from.

    The module is None where the name is a module of the package itself: `from . import index as index`.
    """
    exports: dict[str, str | None] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            for statement in node.body:
                if not isinstance(statement, ast.ImportFrom) or statement.level != 1:
                    raise ImportError(
                        "Expected imports like `from .module import name as name` below `if TYPE_CHECKING:`. "
                        f"Received: {ast.unparse(statement)!r} on line {statement.lineno}"
                    )
                exports |= dict.fromkeys((alias.name for alias in statement.names), statement.module)
    return exports
