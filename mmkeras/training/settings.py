"""Settings that a user writes: dataclasses whose fields declare type, default, check and meaning in one place."""

import dataclasses
import difflib
import math
import textwrap

from mmkeras.errors import MmkerasError

LARGEST_INT = 2**31 - 1  # TensorFlow makes int32 of a Python number


def setting(default, help, choices=None, least=None, above=None, most=None, below=None):
    """Declare a setting: a field of a dataclass of settings.

    Args:
        default: its value where it is left out; `dataclasses.MISSING` for one that has to be given, a type for a fresh
            value of that type.
        help: what it means, in a line that can be read alone.
        choices: the words that it may be.
        least: the least number that it may be; 0 where no bound is given.
        above: a number that it has to be more than.
        most: the greatest number that it may be.
        below: a number that it has to be less than.
    """
    bounds = {"least": least, "above": above, "most": most, "below": below}
    if isinstance(default, (int, float)) and least is None and above is None:
        bounds["least"] = 0
    metadata = {"help": " ".join(help.split()), "choices": choices, **bounds}
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def settings_of(settings_class):
    """Return the fields of a dataclass of settings, its own before those of its bases: a list."""
    fields = {field.name: field for field in dataclasses.fields(settings_class)}
    own = [name for base in settings_class.__mro__ for name in vars(base).get("__annotations__", {})]
    return [fields[name] for name in dict.fromkeys(own)]


def documented(settings_class):
    """Complete the docstring of a dataclass of settings with its fields: a class decorator."""
    lines = []
    for field in settings_of(settings_class):
        text = f"{field.name}: {field.metadata['help']}"
        lines += textwrap.wrap(text, 112, initial_indent=" " * 8, subsequent_indent=" " * 12)
    settings_class.__doc__ = settings_class.__doc__.replace("{fields}", "\n".join(lines).lstrip())
    return settings_class


def kind_of(settings_class, key, where=""):
    """Return the type of a setting.

    Raises:
        MmkerasError: no such setting; the nearest is named.
    """
    kinds = {field.name: field.type for field in settings_of(settings_class)}
    if key not in kinds:
        near = difflib.get_close_matches(key, kinds, 1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(kinds)}"
        raise MmkerasError(f"Unknown setting {key}{where and f' in {where}'}. {hint}")
    return kinds[key]


def checked_settings(settings_class, settings, where=""):
    """Check every key and type of a dict of settings; whole numbers may stand for floats.

    Returns:
        dict, ready for the class.

    Raises:
        MmkerasError: an unknown key, or a value of another type.
    """
    checked = {}
    for key, value in settings.items():
        kind = kind_of(settings_class, key, where)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            place = f" in {where}" if where else ""
            raise MmkerasError(f"Expected {key}{place} to be of type {kind.__name__}. Received: {key}={value!r}")
        checked[key] = value
    return checked


def check_values(settings):
    """Check every value of a dataclass of settings by what its field declares.

    Raises:
        MmkerasError: a word that is none of its setting's, a number that is not finite or out of its range.
    """
    for field in dataclasses.fields(settings):
        value, rules = getattr(settings, field.name), field.metadata
        if rules["choices"] and value not in rules["choices"]:
            allowed = ", ".join(map(repr, rules["choices"]))
            raise MmkerasError(f"Expected {field.name} to be one of {allowed}. Received: {value!r}")
        if field.type in (int, float):
            _check_number(field.name, value, rules)


def parse_setting(settings_class, key, text):
    """Read the value of a setting from the command line.

    Raises:
        MmkerasError: no such setting, or no value of its type.
    """
    kind = kind_of(settings_class, key)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise MmkerasError(f"Expected {key} to be true or false. Received: {key}={text}")
        return text.lower() == "true"
    if kind in (list, dict, tuple):
        raise MmkerasError(f"Expected {key} in a recipe's file, not on the command line. Received: {key}={text}")
    try:
        return kind(text)
    except ValueError as error:
        raise MmkerasError(f"Expected {key} to be of type {kind.__name__}. Received: {key}={text}") from error


def _check_number(key, value, rules):
    # Each comparison is written so that NaN fails.
    if rules["above"] is not None and not value > rules["above"]:
        raise MmkerasError(f"Expected {key} to be more than {rules['above']}. Received: {key}={value}")
    if rules["least"] is not None and not value >= rules["least"]:
        raise MmkerasError(f"Expected {key} to be {rules['least']} or more. Received: {key}={value}")
    if rules["most"] is not None and not value <= rules["most"]:
        raise MmkerasError(f"Expected {key} to be {rules['most']} at most. Received: {key}={value}")
    if rules["below"] is not None and not value < rules["below"]:
        raise MmkerasError(f"Expected {key} to be below {rules['below']}. Received: {key}={value}")
    if not math.isfinite(value) or (isinstance(value, int) and value > LARGEST_INT):
        raise MmkerasError(f"Expected {key} to be {LARGEST_INT} at most. Received: {key}={value}")
