"""`Network`: a network in a model file, on LiteRT."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.on_device.model_file import ModelFile


class Network:
    """A network of one row in, one embedding out. May be used by several threads, one of which computes at a time.

    Args:
        model: `ModelFile`.
        signature: name of the network's signature.
        threads: how many threads the interpreter takes.

    Raises:
        MmkerasError: a network that LiteRT refuses, fewer threads than one.
        MissingPartError: LiteRT is not installed.
    """

    def __init__(self, model: ModelFile, signature: str, threads: int = 1) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise MmkerasError(f"Expected one thread or more. Received: threads={threads!r}")
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingPartError("An encoder on a device needs LiteRT", "on-device") from error
        self.embedding_dim: int = model.settings["embedding_dim"]
        self._turn = threading.Lock()
        try:
            # By its path the file is mapped, not copied; what was digested is what is mapped, unless it is exchanged.
            self._interpreter = Interpreter(model_path=str(model.file), num_threads=threads)
            self._run = self._interpreter.get_signature_runner(signature)
        except (ValueError, RuntimeError) as error:
            raise MmkerasError(f"{model.file} does not run on this LiteRT: {error}") from error
        (self._input,) = self._run.get_input_details()

    def embed(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Embed rows, one after the other.

        Args:
            rows: array (N, ...) of what the network takes.

        Returns:
            float32 (N, D), unit norm.
        """
        embeddings = np.empty((len(rows), self.embedding_dim), np.float32)
        with self._turn:
            for row, out in zip(rows, embeddings, strict=True):
                out[:] = self._run(**{self._input: row[np.newaxis]})["embedding"][0]
        return embeddings
