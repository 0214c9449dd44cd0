"""What is said where no model server answers: what to do, in place of gRPC's words."""

import contextlib
import socket
import threading

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, ServingError
from mmkeras.serving.reaching import reaching


@contextlib.contextmanager
def listening(content):
    """The port of a server that answers everything with the same bytes and closes."""

    def answer(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(content)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=[listener], daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("scheme", "content"),
    [
        ("", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("", b"\x15\x03\x01\x00\x02\x02\x46"),  # the alert of a TLS server
        ("", b""),
        ("http://", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"),  # the settings of a gRPC server
        ("http://", b""),
    ],
    ids=["HTTP for gRPC", "TLS for gRPC", "nothing for gRPC", "gRPC for HTTP", "nothing for HTTP"],
)
def test_another_protocol(scheme, content):
    with listening(content) as port:
        address = f"{scheme}127.0.0.1:{port}"
        told = f"At {address} somebody listens, and not with the protocol that the address asks for"
        with pytest.raises(MmkerasError, match=told), reaching(address, "m"), Client(address, "m", retries=1) as client:
            client.status()


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_nobody(scheme):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{unused.getsockname()[1]}"
        told = f"No server answers at {address}. Is it running\\? mmkeras serve savedmodels/m"
        with pytest.raises(MmkerasError, match=told), reaching(address, "m"), Client(address, "m", retries=1) as client:
            client.status()


def test_an_answer_that_takes_too_long():
    with pytest.raises(MmkerasError, match="The server at HOST:8500 did not answer in time. Is the address right"):
        with reaching("HOST:8500", "m"):
            raise ServingError("DEADLINE_EXCEEDED", "Deadline Exceeded", "Predict of model 'm'")


@pytest.mark.parametrize(
    ("code", "details"),
    [("UNAVAILABLE", "The batch queue is full"), ("NOT_FOUND", "Servable not found"), ("INTERNAL", "")],
)
def test_what_a_server_refuses_stays(code, details):
    with pytest.raises(ServingError) as caught, reaching("HOST:8500", "m"):
        raise ServingError(code, details)
    assert caught.value.code == code
