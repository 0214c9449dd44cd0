"""Loading a trained model, from its run folder or a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.errors import MmkerasError
from mmkeras.models.model_file import load_model_file
from mmkeras.training.run import Run

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel


def load_model(path: str | os.PathLike[str]) -> ImageTextModel:
    """Load a trained model from its run folder, or from a `.keras` file that holds one.

    Keras' own function of this name finds only classes that were imported before; this one imports those of mmkeras. A
    class of your own is found once the module is imported that registers it. What can be told without TensorFlow, such
    as a path with nothing there, is told before it is loaded.

    Args:
        path: a run folder, as `mmkeras train` makes it, or a `.keras` file.

    Returns:
        `ImageTextModel`, ready to embed and not compiled: `compile` it before it is trained any further. Of a file that
        holds an encoder alone, its functional `keras.Model`.

    Raises:
        MmkerasError: nothing at `path`, a folder that is no run, a run that has not finished, a file that is no Keras
            archive, that is damaged, or that holds a model of another package.

    Example:
        >>> model = mmkeras.load_model("runs/glyphs_dual_encoder")
        >>> model.encode_text(["GREEK SMALL LETTER OMEGA"]).shape
        (1, 256)
    """
    path = Path(path)
    if path.is_dir():
        return Run(path).load_model()
    if not path.exists():
        raise MmkerasError(f"Expected a run folder or a .keras file. Received: path={str(path)!r}, which is missing")
    return load_model_file(path)
