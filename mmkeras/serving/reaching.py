"""Saying what to do where no server answers."""

import contextlib
import socket

from mmkeras.errors import MmkerasError
from mmkeras.serving.errors import ServingError

# How gRPC's details begin, and what an HTTP connection raises, where nobody listens or there is no such host.
_NOT_REACHED = ("failed to connect", "errors resolving", "DNS resolution failed")
_NOT_CONNECTED = (ConnectionRefusedError, socket.gaierror)
_DEFAULT_PORT = "8500"  # of `mmkeras serve`


@contextlib.contextmanager
def reaching(server, model):
    """Turn the error of a server that was not reached into one that says how to start it.

    Args:
        server: address, as `Client` takes it.
        model: name of the model that is asked.

    Raises:
        MmkerasError: nobody listens at the address. What a server itself refuses stays a `ServingError`.
    """
    try:
        yield
    except ServingError as error:
        nobody = error.details.startswith(_NOT_REACHED) or isinstance(error.__cause__, _NOT_CONNECTED)
        if error.code != "UNAVAILABLE" or not nobody:
            raise
        port = server.rpartition(":")[2]
        option = f" --port {port}" if port.isdigit() and port != _DEFAULT_PORT and "/" not in server else ""
        raise MmkerasError(
            f"No server answers at {server}. Is it running? mmkeras serve savedmodels/{model}{option}"
        ) from error
