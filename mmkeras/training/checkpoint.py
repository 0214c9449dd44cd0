"""Checkpoints: every variable that training changes, in one file, with the step they belong to."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError

if TYPE_CHECKING:
    import keras


def save_checkpoint(file: str | os.PathLike[str], model: keras.Model, step: int) -> None:
    """Write weights, random states, optimizer states and metric states.

    The file is written beside and renamed: a run that is killed while writing keeps its last checkpoint.

    Args:
        file: `.npz` path.
        model: a built and compiled `keras.Model`.
        step: the steps trained so far, over all epochs.
    """
    arrays = {key: _copies(variable)[0].numpy() for key, variable in _state(model).items()}
    with replacing_file(file) as beside, open(beside, "wb") as stream:
        np.savez(stream, **arrays, step=np.int64(step))


def load_checkpoint(file: str | os.PathLike[str], model: keras.Model) -> int:
    """Restore what `save_checkpoint` wrote into a model that is built and compiled in the same way.

    Returns:
        The step. Metric states are restored too, but `fit` resets them when it starts: see `metric_states`.

    Raises:
        MmkerasError: not a checkpoint, or one of another model: the first variable that differs is named, and the
            model is left as it was.
    """
    arrays = _read(file)
    _restore(file, arrays, _state(model))
    return int(arrays["step"])


def load_weights(file: str | os.PathLike[str], model: keras.Model) -> None:
    """Restore the model's own variables from a checkpoint, whatever optimizers it was written with.

    Raises:
        MmkerasError: as `load_checkpoint`.
    """
    arrays = _read(file)
    _restore(file, {key: array for key, array in arrays.items() if key.startswith("model/")}, _weights(model))


def saved_step(file: Path) -> int:
    """Return the step of a checkpoint, 0 where there is no file.

    Raises:
        MmkerasError: not a checkpoint.
    """
    return int(_read(file)["step"]) if file.exists() else 0


def _restore(file, arrays, state):
    """Assign all of `state`, or nothing where the arrays are another model's."""
    for key, variable in state.items():
        if key not in arrays:
            raise MmkerasError(f"{file} is no checkpoint of this model: it lacks {variable.path}")
        if arrays[key].shape != tuple(variable.shape):
            raise MmkerasError(
                f"{file} is no checkpoint of this model: {variable.path} has shape {arrays[key].shape}, "
                f"the model's {tuple(variable.shape)}"
            )
    if extra := set(arrays) - set(state) - {"step"}:
        raise MmkerasError(f"{file} is no checkpoint of this model: the model has no {sorted(extra)[0]}")
    for key, variable in state.items():
        _assign(variable, arrays[key])


def metric_states(model: keras.Model) -> list[NDArray[Any]]:
    """Return copies of the metrics' variables, to be put back with `restore_metric_states`."""
    return [_copies(variable)[0].numpy() for variable in model.metrics_variables]


def restore_metric_states(model: keras.Model, states: Sequence[NDArray[Any]]) -> None:
    """Put back what `metric_states` returned."""
    for variable, value in zip(model.metrics_variables, states, strict=True):
        _assign(variable, value)


def _copies(variable):
    """The variable itself, or of a metric the copy of each device, which have all counted the same."""
    if variable.synchronization != "on_read":
        return [variable]
    return list(tf.distribute.get_strategy().experimental_local_results(variable.value))


def _assign(variable, value):
    for copy in _copies(variable):
        copy.assign(value)


def _weights(model):
    return _by_position({"model": model.variables})


def _state(model):
    # A Keras model that is none of ours has one.
    optimizers = getattr(model, "optimizers", None) or {"main": model.optimizer}
    groups = {f"optimizers/{role}": optimizer.variables for role, optimizer in optimizers.items()}
    return _by_position({"model": model.variables, "metrics": model.metrics_variables, **groups})


def _by_position(groups):
    return {
        # By position: a path holds automatic names, which differ from the second model in a process on.
        f"{group}/{position}": variable
        for group, variables in groups.items()
        for position, variable in enumerate(variables)
    }


def _read(file):
    try:
        with open(file, "rb") as stream, np.load(stream) as archive:
            arrays = dict(archive)
    except FileNotFoundError as error:
        raise MmkerasError(f"There is no checkpoint {file}") from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:  # cut off, or something else
        raise MmkerasError(
            f"{file} is no readable checkpoint: {error}. Restore it from a copy, or start a new run"
        ) from error
    if "step" not in arrays:
        raise MmkerasError(f"{file} is no checkpoint: it has no step")
    return arrays
