"""`ConfigFromSignature`: the config of a Keras object, read from the signature of its constructor."""

from __future__ import annotations

import inspect
from typing import Any


class ConfigFromSignature:
    """A mix-in whose `get_config` holds every constructor argument, so that each is named once.

    The rule that makes it work: a constructor keeps each argument in an attribute of the same name. Arguments of base
    classes count as far as the constructor hands `**kwargs` on to them; the config of the first base that is not of
    this kind, Keras' own, is the rest. Tuples become lists, as they do in JSON.

    Example:
        >>> @keras.saving.register_keras_serializable("mmkeras")
        ... class Scale(ConfigFromSignature, keras.layers.Layer):
        ...     def __init__(self, factor=2.0, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.factor = factor
        >>> Scale(3.0).get_config()["factor"]
        3.0
    """

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in constructor_arguments(type(self))}
        config: dict[str, Any] = getattr(super(), "get_config", dict)()  # of Keras' class, where it is mixed into one
        return {**config, **{name: _plain(value) for name, value in own.items()}}


def constructor_arguments(cls: type) -> tuple[str, ...]:
    """Return the names of the arguments that a `ConfigFromSignature` class takes, its bases' too: a tuple of strings.

    Args:
        cls: the class.
    """
    names = []
    for base in cls.__mro__:
        if base is ConfigFromSignature or not issubclass(base, ConfigFromSignature):
            break
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names += [one.name for one in parameters if one.kind in named and one.name != "self"]
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
            break
    return tuple(dict.fromkeys(names))


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def laid_over(arguments: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with others over them; of a part, which both give as a dict, those that differ.

    Args:
        arguments: a preset's.
        overrides: what is written over them.
    """
    laid = dict(arguments)
    for name, value in overrides.items():
        both = isinstance(value, dict) and isinstance(laid.get(name), dict)
        laid[name] = laid[name] | value if both else value
    return laid
