"""Checks of arguments that models take, and that a stage may change."""

from mmkeras.errors import MmkerasError


def not_negative(name: str, value: object) -> None:
    """Check a weight or a number of steps."""
    if not isinstance(value, (int, float)) or not value >= 0:
        raise MmkerasError(f"Expected {name} to be 0 or more. Received: {value!r}")


def at_least_one(name: str, value: object) -> None:
    """Check a number of steps or rows."""
    if not isinstance(value, int) or value < 1:
        raise MmkerasError(f"Expected {name} of 1 or more. Received: {name}={value!r}")


def rows(name: str, value: object) -> None:
    """Check a number of rows, or 0 for all."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MmkerasError(f"Expected {name} as a number of rows, 0 for all. Received: {name}={value!r}")


def boolean(name: str, value: object) -> None:
    """Check what is true or false."""
    if not isinstance(value, bool):
        raise MmkerasError(f"Expected {name} to be true or false. Received: {name}={value!r}")


def share(name: str, value: object) -> None:
    """Check a number in [0, 1]."""
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise MmkerasError(f"Expected {name} in [0, 1]. Received: {name}={value!r}")
