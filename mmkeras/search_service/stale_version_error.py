"""`StaleVersionError`: the version that was asked is not what it was."""

from mmkeras.errors import MmkerasError


class StaleVersionError(MmkerasError):
    """The server has gone to another version, or answers in another space under the same number."""
