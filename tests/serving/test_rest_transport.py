"""What is REST's own: connections that are kept, answers that are none, and what JSON cannot carry."""

import socket
import ssl
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, ServingError

from .fake_servers import FakeModel, FakeRestServer


class RawServer:
    """Answer every connection's requests with the next of a list of byte strings; b"" closes it."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                while self.answers and connection.recv(1 << 16):
                    answer = self.answers.pop(0)
                    connection.sendall(answer)
                    if b"keep-alive" not in answer:
                        break

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._socket.close()


def http(status, body, *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


STATUS = http("200 OK", b'{"model_version_status":[{"version":"4","state":"AVAILABLE"}]}')


def test_connections_are_kept():
    with FakeRestServer(FakeModel()) as server, Client(server.address, "toy", max_batch=1, concurrency=2) as client:
        for _ in range(5):
            client.encode_text(["a"])
        assert server.connections == 1
        client.encode_text(["a"] * 10)
        assert server.connections == 2


def test_the_signature_is_asked_for_once():
    with FakeRestServer(FakeModel()) as server, Client(server.address, "toy") as client:
        for _ in range(3):
            client.encode_text(["a"])
        assert server.paths == ["/v1/models/toy:predict", "/v1/models/toy/metadata", *["/v1/models/toy:predict"] * 2]


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure():
    model = FakeModel()
    with FakeRestServer(model) as server, Client(server.address, "toy", retries=0) as client:
        server.close_after_each = True
        for _ in range(4):
            client.encode_text(["a"])
            time.sleep(0.02)
        assert server.connections >= 4 and model.asked == 4


def test_a_path_before_the_models_and_names_that_need_quoting():
    with FakeRestServer(FakeModel()) as server:
        with Client(f"{server.address}/behind/proxy/", "a b/c", retries=0, timeout=5) as client:
            with pytest.raises(ServingError):
                client.status()
        assert server.paths[-1] == "/behind/proxy/v1/models/a%20b%2Fc"


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (http("404 Not Found", b"<html>"), "NOT_FOUND", "HTTP 404 Not Found: <html>"),
        (http("502 Bad Gateway", b""), "UNAVAILABLE", "HTTP 502 Bad Gateway"),
        (http("418 Teapot", b'{"error": "short and stout"}'), "UNKNOWN", "short and stout"),
        (http("301 Moved", b"", "Location: /"), "UNKNOWN", "HTTP 301"),
        (http("200 OK", b"{}" * 9).replace(b"18", b"99"), "UNAVAILABLE", "IncompleteRead"),
        (b"SSH-2.0\r\n", "UNAVAILABLE", "BadStatusLine"),
    ],
)
def test_answers_of_others(answer, code, text):
    with RawServer(answer) as server, Client(server.address, "toy", retries=0, timeout=5) as client:
        with pytest.raises(ServingError, match=text) as caught:
            client.status()
    assert caught.value.code == code


@pytest.mark.parametrize("body", [b"", b"[1]", b"{}", b'{"model_version_status":[{"version":"x"}]}', b"\xff{"])
def test_an_answer_that_is_no_model_servers(body):
    with RawServer(http("200 OK", body)) as server, Client(server.address, "toy") as client:
        with pytest.raises(MmkerasError, match="JSON of a model server"):
            client.status()


def test_an_answer_in_pieces_and_one_that_never_ends():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = STATUS.partition(b"\r\n\r\n")[2]
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:7], body[7:])) + b"0\r\n\r\n"
    with RawServer(chunked + pieces) as server, Client(server.address, "toy") as client:
        assert client.status()[0]["version"] == 4
    silent = socket.create_server(("127.0.0.1", 0))
    started = time.monotonic()
    with silent, Client(f"http://127.0.0.1:{silent.getsockname()[1]}", "toy", timeout=0.3) as client:
        with pytest.raises(ServingError) as caught:
            client.status()
    assert caught.value.code == "DEADLINE_EXCEEDED" and time.monotonic() - started < 1.5


def test_a_refusal_before_the_request_was_read():
    """A server with a limit on bodies answers and closes; its text must not drown in a broken pipe."""
    refusal = http("413 Too Large", b'{"error": "at most 1 MB"}', "Connection: close")
    with RawServer(refusal) as server, Client(server.address, "toy", retries=0) as client:
        with pytest.raises(ServingError) as caught:
            client.encode_text(["x" * 100_000])
    assert (caught.value.code, caught.value.details) == ("INVALID_ARGUMENT", "at most 1 MB")


def test_what_json_cannot_carry():
    with Client("http://127.0.0.1:9", "toy") as client:
        with pytest.raises(MmkerasError, match="x of dtype float16"):
            client.predict("half", {"x": np.zeros(2, np.float16)})


def test_an_answer_that_does_not_fit_the_signature(monkeypatch):
    model = FakeModel()
    with FakeRestServer(model) as server, Client(server.address, "toy") as client:
        client.encode_text(["a"])
        monkeypatch.setattr(FakeModel, "_outputs", lambda *_: {"a": np.zeros(1), "b": np.zeros(1)})
        with pytest.raises(ServingError, match="does not fit the signature"):
            client.encode_text(["a"])


def test_addresses():
    for address, text in (
        ("http://", "http://host:port"),
        ("http://a:b", "to be a URL"),
        ("http://me:secret@a", "http://host:port"),
        ("http://a?b", "http://host:port"),
        ("ftp://a", "URL of http or https"),
    ):
        with pytest.raises(MmkerasError, match=text):
            Client(address, "toy")
    with pytest.raises(MmkerasError, match="https address"):
        Client("http://a", "toy", tls=True)


def test_https(certificates):
    from mmkeras.serving import TlsFiles

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "authority.pem")
    trusting = TlsFiles(certificates / "authority.pem")
    with FakeRestServer(FakeModel(), context) as server:
        with Client(server.address, "toy", tls=trusting, max_batch=1) as client:
            assert client.encode_text(["a"] * 5).shape == (5, 2)
        with Client(server.address, "toy", retries=0) as client, pytest.raises(ServingError, match="CERTIFICATE"):
            client.encode_text(["a"])
        context.verify_mode = ssl.CERT_REQUIRED
        known = TlsFiles(certificates / "authority.pem", certificates / "client.pem", certificates / "client.key")
        with Client(server.address, "toy", tls=known) as client:
            assert client.encode_text(["a"]).shape == (1, 2)
        with Client(server.address, "toy", tls=trusting, retries=0) as client, pytest.raises(ServingError) as caught:
            client.encode_text(["a"])
        assert caught.value.code == "UNAVAILABLE"


def test_rest_needs_no_grpc():
    with FakeRestServer(FakeModel()) as server:
        program = f"""
import sys
sys.modules["grpc"] = None  # an import of it fails
from mmkeras.serving import Client
with Client({server.address!r}, "toy") as client:
    print(client.encode_text(["abc"]).tolist())
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[[3.0, 1.0]]\n", done.stderr


def test_an_answer_after_which_the_server_closes():
    answer = http("200 OK", STATUS.partition(b"\r\n\r\n")[2], "Connection: close")
    until_closed = b"HTTP/1.0 200 OK\r\n\r\n" + STATUS.partition(b"\r\n\r\n")[2]
    with RawServer(answer, until_closed, answer) as server, Client(server.address, "toy", retries=0) as client:
        assert [client.status()[0]["version"] for _ in range(3)] == [4, 4, 4]
