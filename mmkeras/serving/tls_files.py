"""The files of an encrypted connection, on the client's side."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.errors import MmkerasError

if TYPE_CHECKING:
    import ssl


@dataclasses.dataclass(frozen=True)
class TlsFiles:
    """PEM files for TLS and mutual TLS; for gRPC and REST alike.

    Args:
        root_certificate: certificates of the authorities that may have signed the server's; the system's where None.
        client_certificate: this client's certificate chain, for a server that wants to know its clients.
        client_key: the private key of `client_certificate`; both or none.

    Raises:
        MmkerasError: one of certificate and key without the other, or a file that cannot be read.

    Example:
        >>> Client("models.example:8500", "glyphs", tls=TlsFiles("authority.pem", "client.pem", "client.key"))
    """

    root_certificate: str | Path | None = None
    client_certificate: str | Path | None = None
    client_key: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise MmkerasError(
                "Expected client_certificate and client_key together. Received: "
                f"client_certificate={self.client_certificate!r}, client_key={self.client_key!r}"
            )

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Return (root certificates, client key, client certificate) as bytes, None for what was not given."""
        return (
            _read("root_certificate", self.root_certificate),
            _read("client_key", self.client_key),
            _read("client_certificate", self.client_certificate),
        )

    def ssl_context(self) -> ssl.SSLContext:
        """Return an `ssl.SSLContext` that checks the server's certificate and name."""
        import ssl

        self.read()
        try:
            context = ssl.create_default_context(cafile=self.root_certificate)
            if self.client_certificate is not None:
                context.load_cert_chain(self.client_certificate, self.client_key)
        except ssl.SSLError as error:
            raise MmkerasError(f"Expected PEM files of certificates and a key. Received: {self} ({error})") from error
        return context


def _read(name: str, file: str | Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise MmkerasError(f"Expected {name} to be a readable PEM file. Received: {error}") from error
