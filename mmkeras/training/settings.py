"""Settings that a user writes: dataclasses whose keys, types and ranges are checked, with errors that help."""

import dataclasses
import difflib
import math

from mmkeras.errors import MmkerasError

POSITIVE = ("epochs", "batch_size", "learning_rate", "checkpoint_steps", "halving_epochs", "augment_crop")
SHARES = ("reversal_ramp", "adam_beta_1", "augment_crop", "augment_flip")
DECAYS = ("cosine", "halving")
CHOICES = {
    "targets": ("", "category", "tags"),
    "augment_distortion": ("", "shape", "colour"),
    "precision": ("float32", "mixed_float16", "mixed_bfloat16"),
    "select": ("last", "best"),
}
LARGEST_INT = 2**31 - 1  # TensorFlow makes int32 of a Python number


def kind_of(settings_class, key, where=""):
    """Return the type of a setting.

    Raises:
        MmkerasError: no such setting; the nearest is named.
    """
    kinds = {field.name: field.type for field in dataclasses.fields(settings_class)}
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


def check_choices(settings):
    """Check the words of a dataclass of settings.

    Raises:
        MmkerasError: one that is none of its setting's.
    """
    for field in dataclasses.fields(settings):
        allowed, value = CHOICES.get(field.name), getattr(settings, field.name)
        if allowed and value not in allowed:
            raise MmkerasError(
                f"Expected {field.name} to be one of {', '.join(map(repr, allowed))}. Received: {value!r}"
            )


def check_range(settings, zero=()):
    """Check the numbers of a dataclass of settings.

    Args:
        settings: the dataclass.
        zero: names of numbers that may be 0 here, where others of the name have to be more.

    Raises:
        MmkerasError: a number that is negative, not finite, or out of the range of its name.
    """
    for field in dataclasses.fields(settings):
        if field.type in (int, float):
            _check_number(field.name, getattr(settings, field.name), field.name in POSITIVE and field.name not in zero)
    if settings.adam_beta_1 == 1:
        raise MmkerasError("Expected adam_beta_1 to be below 1. Received: adam_beta_1=1.0")
    if settings.final_learning_rate > settings.learning_rate:
        raise MmkerasError(
            f"Expected final_learning_rate to be at most learning_rate, {settings.learning_rate}. "
            f"Received: final_learning_rate={settings.final_learning_rate}"
        )


def check_schedule(settings):
    """Check that the settings of a learning rate's schedule go together.

    Raises:
        MmkerasError: an unknown decay, or settings that it does not know.
    """
    if settings.decay not in DECAYS:
        raise MmkerasError(f"Expected decay to be one of {', '.join(map(repr, DECAYS))}. Received: {settings.decay!r}")
    if settings.decay == "halving" and (settings.warmup_steps or settings.final_learning_rate):
        raise MmkerasError(
            'Expected warmup_steps = 0 and final_learning_rate = 0 with decay = "halving". Received: '
            f"warmup_steps={settings.warmup_steps}, final_learning_rate={settings.final_learning_rate}"
        )


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


def _check_number(key, value, positive):
    if positive and not value > 0:
        raise MmkerasError(f"Expected {key} to be more than 0. Received: {key}={value}")
    if not value >= 0:  # written so that NaN fails
        raise MmkerasError(f"Expected {key} to be 0 or more. Received: {key}={value}")
    if key in SHARES and value > 1:
        raise MmkerasError(f"Expected {key} to be a share, 1 at most. Received: {key}={value}")
    if not math.isfinite(value) or (isinstance(value, int) and value > LARGEST_INT):
        raise MmkerasError(f"Expected {key} to be {LARGEST_INT} at most. Received: {key}={value}")
