"""`SavedModelEncoder`: a SavedModel in this process."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.embeddings.corpus_encoder import CorpusEncoder
from mmkeras.errors import MmkerasError, without_graph
from mmkeras.missing_part_error import MissingPartError
from mmkeras.serving.errors import STATUS_NAMES, ServingError


class SavedModelEncoder(CorpusEncoder):
    """Loads a version of an exported model with TensorFlow; Keras and the code that made it are not needed.

    Args:
        folder: of the version, `savedmodels/photos/1`.
        signature: name of the signature.

    Raises:
        MmkerasError: it cannot be loaded, or has no such signature.
        MissingPartError: TensorFlow is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], signature: str) -> None:
        self.folder = Path(folder)
        self._tensorflow = _import_tensorflow()
        logger = self._tensorflow.get_logger()
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            self._loaded = self._tensorflow.saved_model.load(str(folder))
        except (self._tensorflow.errors.OpError, OSError, ValueError, KeyError, RuntimeError) as error:
            reason = getattr(error, "message", None) or error
            raise MmkerasError(f"{folder} is no SavedModel that loads: {reason}") from error
        finally:
            logger.setLevel(level)
        self._functions = {name: self._loaded.signatures[name] for name in self._loaded.signatures}
        signatures = {
            name: (list(function.structured_input_signature[1]), list(function.structured_outputs))
            for name, function in self._functions.items()
        }
        super().__init__(signature, signatures, str(folder))
        dim = self._functions[signature].structured_outputs["embedding"].shape[-1]
        if dim is None:
            raise MmkerasError(f"{folder}: expected {signature} to say its dimension. Received: an unknown one")
        self.dim = int(dim)
        probe = np.array([b""], object)
        self.space_id = self.call("describe", "probe", probe)["space_id"][0].decode()
        numbered = self.folder.name.isascii() and self.folder.name.isdecimal()
        self.model = (self.folder.resolve().parent if numbered else self.folder.resolve()).name
        self.version = str(int(self.folder.name)) if numbered else ""

    def call(self, signature: str, name: str, values: NDArray[np.object_]) -> dict[str, NDArray[Any]]:
        try:
            outputs = self._functions[signature](**{name: self._tensorflow.constant(values, self._tensorflow.string)})
        except self._tensorflow.errors.OpError as error:
            code = STATUS_NAMES.get(error.error_code, "UNKNOWN")
            raise ServingError(code, without_graph(error.message), f"{signature} of {self.folder}") from error
        return {name: value.numpy() for name, value in outputs.items()}

    def close(self) -> None:
        self._functions, self._loaded = {}, None


def _import_tensorflow():
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        raise MissingPartError("A SavedModel needs TensorFlow, and --server needs none", whole=True) from error
    with contextlib.suppress(ImportError):  # the operators of tokenizers, which a model of pictures alone has none of
        import tensorflow_text  # noqa: F401
    return tensorflow
