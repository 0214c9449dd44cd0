"""Saying what to do where no server answers."""

import contextlib
import socket

from mmkeras.errors import MmkerasError
from mmkeras.printable import mmkeras_command
from mmkeras.serving.errors import ServingError

# How gRPC's details begin, and what an HTTP connection raises, where nobody listens or there is no such host.
_NOT_REACHED = ("failed to connect", "errors resolving", "DNS resolution failed")
_NOT_CONNECTED = (ConnectionRefusedError, socket.gaierror)
# What they say where somebody listens who speaks something else: HTTP in place of gRPC, or TLS.
_OTHER_WORDS = ("http1.x", "Socket closed", "SETTINGS", "reset by peer", "RemoteDisconnected", "BadStatusLine")
_DEFAULT_PORT = "8500"  # of `mmkeras serve`


@contextlib.contextmanager
def reaching(server, model):
    """Turn the error of a server that was not reached into one that says how to start it.

    Args:
        server: address, as `Client` takes it.
        model: name of the model that is asked.

    Raises:
        MmkerasError: nobody listens at the address, or nobody who speaks the protocol, or the answer took too long.
            What a server itself refuses stays a `ServingError`.
    """
    try:
        yield
    except ServingError as error:
        if error.code == "DEADLINE_EXCEEDED":
            raise MmkerasError(
                f"The server at {server} did not answer in time. Is the address right, and is the server busy?"
            ) from error
        if error.code != "UNAVAILABLE":
            raise
        not_reached = error.details.startswith(_NOT_REACHED)
        if any(words in error.details for words in _OTHER_WORDS) and (not_reached or "://" in server):
            raise MmkerasError(
                f"At {server} somebody listens, and not with the protocol that the address asks for. HOST:PORT is "
                "gRPC, http://HOST:PORT is HTTP, without TLS either"
            ) from error
        if not not_reached and not isinstance(error.__cause__, _NOT_CONNECTED):
            raise
        port = server.rpartition(":")[2]
        option = ["--port", port] if port.isdigit() and port != _DEFAULT_PORT and "/" not in server else []
        start = mmkeras_command("serve", f"savedmodels/{model}", *option)
        raise MmkerasError(f"No server answers at {server}. Is it running? {start}") from error
