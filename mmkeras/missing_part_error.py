"""`MissingPartError`: something is not installed, and what installs it."""

from __future__ import annotations

import importlib.util

from mmkeras.errors import MmkerasError


class MissingPartError(MmkerasError, ImportError):
    """A part of mmkeras, or a package that it needs, is not installed; the message ends with the command that does.

    Two distributions hold this package: `mmkeras`, all of it, and `mmkeras-client`, some of its files. The command
    names the one that is to be installed. It is an `ImportError` to who tries an import, and a `MmkerasError` to the
    command line, which prints it as one line.

    Args:
        needs: what is missing, a sentence without its full stop.
        extra: the extra of either distribution that brings it.
        whole: True where `mmkeras` alone brings it.

    Example:
        >>> raise MissingPartError("TextEncoder needs LiteRT and SentencePiece", "on-device")
        MissingPartError: TextEncoder needs LiteRT and SentencePiece: pip install 'mmkeras[on-device]'
    """

    def __init__(self, needs: str, extra: str = "", whole: bool = False) -> None:
        self.needs, self.extra, self.whole = needs, extra, whole
        distribution = "mmkeras" if whole or not _only_client() else "mmkeras-client"
        package = f"'{distribution}[{extra}]'" if extra else distribution
        super().__init__(f"{needs}: pip install {package}")

    def __reduce__(self) -> tuple[type[MissingPartError], tuple[str, str, bool]]:
        return type(self), (self.needs, self.extra, self.whole)

    @classmethod
    def of(cls, error: ModuleNotFoundError) -> MissingPartError | None:
        """Return the error to tell in place of a `ModuleNotFoundError`, or `None` where a name is wrong, not missing.

        Args:
            error: `ModuleNotFoundError`.
        """
        module = error.name or ""
        if module.partition(".")[0] != "mmkeras":
            return cls(f"The module {module} is not installed")
        if _only_client():
            return cls(f"{module} is not in mmkeras-client, which is installed here", whole=True)
        return None


def _only_client():
    return importlib.util.find_spec("mmkeras.training") is None
