"""Reading the model of a `.keras` file in a process that has imported none of its classes."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.archives import check_members, read_member
from mmkeras.errors import MmkerasError

if TYPE_CHECKING:
    import keras


def load_model_file(file: str | os.PathLike[str]) -> keras.Model:
    """Load the model of a `.keras` file; what can be told without TensorFlow is told before it is loaded.

    Args:
        file: path of the file.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        MmkerasError: a file that is no Keras archive, that is damaged, or that holds a model of another package.
    """
    file = Path(file)
    _check_archive(file)
    import keras

    _register_classes()
    try:
        # Optimizers of a last stage that left some parts alone would not fit the whole model.
        return keras.saving.load_model(file, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if unknown := re.search(r"Could not locate (class|function) '([^']*)'", str(error)):
            raise MmkerasError(
                f"{file} holds the {unknown[1]} {unknown[2]}, which is none of mmkeras'. Import the module that "
                "registers it with keras.saving.register_keras_serializable first"
            ) from error
        raise MmkerasError(f"{file} is no readable model: {str(error).partition(chr(10))[0]}") from error


def _check_archive(file):
    """Raise where a file is no Keras archive or holds a model that Keras alone could have made."""
    try:
        with zipfile.ZipFile(file) as archive:
            check_members(archive)
            text = read_member(archive, "config.json").decode()
        config = json.loads(text)
        built_in = (config["module"] or "").partition(".")[0] == "keras"  # None: a class of the script that saved it
    except (OSError, KeyError, TypeError, AttributeError, ValueError, zipfile.BadZipFile) as error:
        raise MmkerasError(f"{file} is no readable model: Expected a Keras archive, .keras ({error})") from error
    if file.suffix != ".keras":
        raise MmkerasError(f"Expected the name of a Keras archive to end in .keras. Received: {file}")
    if built_in and '"mmkeras>' not in text:
        raise MmkerasError(
            f"{file} is no model of mmkeras: it holds a {config.get('class_name')} of Keras' own layers, which "
            "keras.saving.load_model reads"
        )


def _register_classes():
    """Import every class of ours of which a model is made, so that Keras knows the names that its file may hold."""
    import mmkeras.encoders
    import mmkeras.layers
    import mmkeras.models
    import mmkeras.preprocessing

    for package in (mmkeras.models, mmkeras.encoders, mmkeras.layers, mmkeras.preprocessing):
        for name in package.__all__:
            getattr(package, name)
