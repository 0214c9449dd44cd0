"""`EncoderSettings`: which model embeds, in words that another process opens it by."""

from __future__ import annotations

import dataclasses
import threading

from mmkeras.embeddings.corpus_encoder import CorpusEncoder

_OPENED: dict[EncoderSettings, CorpusEncoder] = {}
_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """Which model embeds.

    Args:
        model: path of a version's folder; with a server the model's name there.
        signature: name of the signature.
        server: address; empty where the SavedModel is loaded into the process.
        version: of the model on the server; `None` leaves it to the server.
    """

    model: str
    signature: str
    server: str = ""
    version: int | None = None

    def open(self) -> CorpusEncoder:
        """Return the encoder.

        Raises:
            MmkerasError: see `SavedModelEncoder` and `ServedEncoder`.
        """
        if self.server:
            from mmkeras.embeddings.served_encoder import ServedEncoder

            return ServedEncoder(self.server, self.model, self.signature, self.version)
        from mmkeras.embeddings.saved_model_encoder import SavedModelEncoder

        return SavedModelEncoder(self.model, self.signature)

    def opened(self) -> CorpusEncoder:
        """Return the encoder that this process has, which is opened once and stays: what workers of an engine call."""
        with _LOCK:
            if self not in _OPENED:
                _OPENED[self] = self.open()
            return _OPENED[self]
