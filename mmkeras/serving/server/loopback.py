"""The one address that the embedded server listens on, and ports."""

import socket

from mmkeras.errors import MmkerasError

# The server knows no users: nobody outside of this machine reaches it.
HOST = "127.0.0.1"
# Where TensorFlow Serving listens.
ANY_HOST = "0.0.0.0"


def check_port_number(name, value):
    """Refuse what is no number of a port, or 0 for any; `name` is the argument's."""
    if not isinstance(value, int) or not 0 <= value <= 65535:
        raise MmkerasError(f"Expected {name} to be a number from 0 to 65535. Received: {name}={value!r}")


def bound_socket(port, host=HOST):
    """Return a socket on a port, 0 for a free one; raise MmkerasError where it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise port_taken(port, error, host) from error
    return listener


def port_taken(port, reason, host=HOST):
    """Return the error of a port that cannot be listened on."""
    free = f"free on {host}, or 0 for any" if host == HOST else "free on all addresses of this machine"
    return MmkerasError(f"Expected a port that is {free}. Received: port={port} ({reason})")
