"""The arguments of a model that a stage of its training may change: checked, set and put back."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from mmkeras.errors import MmkerasError

# From an argument's name to the check of its value, a function (name, value); or to such a dict of what it holds.
StageArguments: TypeAlias = "Mapping[str, Callable[[str, Any], None] | StageArguments]"


def changes_of(
    owner: Any, allowed: StageArguments, arguments: Mapping[str, Any], prefix: str = ""
) -> list[tuple[Any, str, Any]]:
    """Return what a stage is to set, checked: (object, attribute, value) of each argument, parts' arguments too.

    Args:
        owner: a model or a part of it, whose attributes the arguments are.
        allowed: which may change, with the check of each.
        arguments: dict of new values; of a part, a dict of its own.
        prefix: what stands before an argument's name in messages.

    Raises:
        MmkerasError: an argument that may not change, or a value that it does not take.
    """
    changes = []
    for name, value in arguments.items():
        check = allowed.get(name)
        if check is None:
            names = ", ".join(prefix + one for one in allowed) or "it has none"
            raise MmkerasError(
                f"Expected arguments of {type(owner).__name__} that a stage may change: {names}. "
                f"Received: {prefix}{name}={value!r}"
            )
        if isinstance(check, dict):
            if not isinstance(value, dict):
                raise MmkerasError(
                    f"Expected {prefix}{name} as a table of {', '.join(check)}. Received: {name}={value!r}"
                )
            changes += changes_of(_get(owner, name), check, value, f"{prefix}{name}.")
        else:
            check(f"{prefix}{name}", value)
            changes.append((owner, name, value))
    return changes


def values_of(owner: Any, allowed: StageArguments) -> dict[str, Any]:
    """Return the arguments that a stage may change as they are: a dict, and in it one of each part or dict."""
    return {
        name: values_of(_get(owner, name), check) if isinstance(check, dict) else _get(owner, name)
        for name, check in allowed.items()
    }


def _get(owner, name):
    return owner[name] if isinstance(owner, dict) else getattr(owner, name)


def set_values(changes: Iterable[tuple[Any, str, Any]]) -> None:
    """Set what `changes_of` returned."""
    for owner, name, value in changes:
        if isinstance(owner, dict):
            owner[name] = value
        else:
            setattr(owner, name, value)
