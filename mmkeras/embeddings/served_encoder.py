"""`ServedEncoder`: a model on a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmkeras.embeddings.corpus_encoder import CorpusEncoder
from mmkeras.errors import MmkerasError
from mmkeras.serving.client import Client
from mmkeras.serving.errors import ServingError
from mmkeras.serving.reaching import reaching

TIMEOUT = 300.0  # seconds of a request, its repetitions included
RETRIES = 30  # about half a minute in which a server restarts


class ServedEncoder(CorpusEncoder):
    """Asks one version of a model on `EmbeddedServer` or TensorFlow Serving, several requests at a time.

    The version is asked for once, and named in each request: a server that goes on to another one does not mix two
    spaces, it refuses.

    Args:
        server: address, as `Client` takes it.
        model: the model's name on the server.
        signature: name of the signature.
        version: of the model; the server's choice, its newest, where `None`.
        retries: how often a request is repeated while the server is away, see `Client`.
        timeout: seconds of a request, its repetitions included.

    Raises:
        MmkerasError: no server answers, or the model has no such signature.
    """

    in_flight: ClassVar[int] = 4

    def __init__(
        self,
        server: str,
        model: str,
        signature: str,
        version: int | None = None,
        retries: int = RETRIES,
        timeout: float = TIMEOUT,
    ) -> None:
        self.server, self.model = server, model
        where = f"model {model!r} at {server}"
        with reaching(server, model), Client(server, model, version, retries=2) as client:
            metadata = client.metadata()
        signatures = {name: (list(one["inputs"]), list(one["outputs"])) for name, one in metadata["signatures"].items()}
        super().__init__(signature, signatures, where)
        shape = metadata["signatures"][signature]["outputs"]["embedding"]["shape"]
        if not shape or shape[-1] is None:
            raise MmkerasError(f"{where}: expected {signature} to say its dimension. Received: shape {shape}")
        self.dim = int(shape[-1])
        self.version = str(metadata["version"])
        self._client = Client(server, model, metadata["version"], timeout, retries=retries)
        with reaching(server, model):
            self.space_id = self._client.space_id()

    def call(self, signature: str, name: str, values: NDArray[np.object_]) -> dict[str, NDArray[Any]]:
        with self._telling():
            return self._client.predict(signature, {name: values})

    def close(self) -> None:
        self._client.close()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Say what to do where the server does not answer, or has the version no longer."""
        try:
            with reaching(self.server, self.model):
                yield
        except ServingError as error:
            if error.code != "NOT_FOUND":
                raise
            raise MmkerasError(
                f"{error}. The version of a run stays the same, so that its embeddings are of one space"
            ) from error
