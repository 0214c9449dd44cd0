import builtins
import contextlib
import http.client
import json
import socket
import threading
import time
import urllib.request
from concurrent import futures

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving.server import http_server
from mmkeras.serving.server.http_server import HttpServer
from mmkeras.serving.server.rest import RestApplication
from tests.serving.server.function_servable import FixedModels, FunctionServable

PREDICT = "/v1/models/toy:predict"
ROWS = b'{"instances": [[1, 2, 3]]}'


class Gate:
    """A signature that answers when it may."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def run(self, x):
        self.entered.release()
        self.open.wait(20)
        return {"y": x}

    def functions(self):
        spec = {"x": ("FLOAT", [-1])}
        return {"serving_default": (spec, {"y": ("FLOAT", [-1])}, self.run)}


@pytest.fixture
def server():
    with HttpServer(RestApplication(FixedModels(FunctionServable())), max_threads=2) as server:
        yield server


def post(address, body=ROWS, path=PREDICT, timeout=20):
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("POST", path, body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_answers_on_the_loopback_address(server):
    assert server.address.startswith("127.0.0.1:")
    status, body = post(server.address)
    assert (status, json.loads(body)) == (200, {"predictions": [[6.0, 1.0]]})
    with urllib.request.urlopen(f"http://{server.address}/v1/models/toy", timeout=20) as reply:
        assert reply.headers["Content-Type"] == "application/json"
        assert "model_version_status" in json.load(reply)


def test_one_connection_asks_many_times(server):
    connection = http.client.HTTPConnection(server.address, timeout=20)
    for _ in range(20):
        connection.request("POST", PREDICT, ROWS)
        assert connection.getresponse().read() == b'{"predictions": [[6.0, 1.0]]}'
    connection.close()


def test_a_body_in_chunks(server):
    connection = http.client.HTTPConnection(server.address, timeout=20)
    connection.request("POST", PREDICT, iter([ROWS[:5], ROWS[5:]]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


def test_idle_and_garbage_connections_keep_nobody_waiting(server):
    host, port = server.address.split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(300)]
    half = [socket.create_connection((host, int(port))) for _ in range(20)]
    for connection in half:
        connection.sendall(b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    with socket.create_connection((host, int(port))) as garbage:
        garbage.sendall(b"\x00\xff\r\n\r\n")
        assert garbage.recv(100).startswith(b"HTTP/1.0 400")
    assert post(server.address)[0] == 200
    for connection in idle + half:
        connection.close()
    assert post(server.address)[0] == 200


class LargeReplies:
    """A WSGI application with replies that no socket's buffers hold."""

    def __call__(self, environ, start_response):
        body = bytes(30_000_000) if environ["PATH_INFO"] == "/large" else b"small"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def drain(self, seconds):
        return True


def test_who_reads_no_reply_keeps_nobody_waiting_and_is_disconnected(monkeypatch):
    monkeypatch.setattr(http_server, "_IDLE_SECONDS", 2)
    with HttpServer(LargeReplies(), max_threads=2) as server:
        host, port = server.address.split(":")
        deaf = [socket.create_connection((host, int(port)), timeout=20) for _ in range(4)]
        for connection in deaf:
            # A second request at once: waitress sees to the first one's reply before it answers it.
            connection.sendall(b"GET /large HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        for _ in range(10):
            assert get(server.address) == b"small"
            time.sleep(0.02)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            deadline = time.monotonic() + 20
            while server._server.active_channels and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not server._server.active_channels
        for connection in deaf:
            connection.close()


def get(address):
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_body_that_is_too_long_is_not_read():
    application = RestApplication(FixedModels(FunctionServable()), max_body_bytes=1000)
    with HttpServer(application, max_body_bytes=1000) as server:
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
            assert b" 413 " in connection.recv(100)
        assert post(server.address, b" " * 1000)[0] == 400


def test_at_most_so_many_requests_run_at_once():
    gate = Gate()
    with HttpServer(RestApplication(FixedModels(FunctionServable(gate.functions()))), max_threads=2) as server:
        body = b'{"instances": [1]}'
        found = []
        threads = [threading.Thread(target=lambda: found.append(post(server.address, body)[0])) for _ in range(5)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            assert gate.entered.acquire(timeout=20)
        assert not gate.entered.acquire(timeout=0.1)
        gate.open.set()
        for thread in threads:
            thread.join(20)
    assert found == [200] * 5


def test_stopping_answers_what_is_running():
    gate = Gate()
    server = HttpServer(RestApplication(FixedModels(FunctionServable(gate.functions())))).start()
    address, found = server.address, []
    asking = threading.Thread(target=lambda: found.append(post(address, b'{"instances": [1]}')))
    asking.start()
    assert gate.entered.acquire(timeout=20)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    time.sleep(0.1)
    with pytest.raises(OSError):
        post(address, timeout=1)
    gate.open.set()
    asking.join(20)
    stopping.join(20)
    assert not stopping.is_alive()
    assert found == [(200, b'{"predictions": [1.0]}')]
    assert server.address is None
    server.stop()


def post_in_vain(address):
    with contextlib.suppress(OSError, http.client.HTTPException):
        post(address, b'{"instances": [1]}')


def test_stopping_waits_no_longer_than_it_may():
    gate = Gate()
    server = HttpServer(RestApplication(FixedModels(FunctionServable(gate.functions())))).start()
    address = server.address
    asking = threading.Thread(target=post_in_vain, args=(address,))
    asking.start()
    assert gate.entered.acquire(timeout=20)
    started = time.monotonic()
    server.stop(seconds=0.1)
    assert time.monotonic() - started < 2
    gate.open.set()
    asking.join(20)


def test_no_thread_is_left():
    before = set(threading.enumerate())
    with HttpServer(RestApplication(FixedModels(FunctionServable())), max_threads=3) as server:
        post(server.address)
    assert set(threading.enumerate()) <= before


def test_a_port_in_use_is_told(server):
    port = int(server.address.split(":")[1])
    second = HttpServer(RestApplication(FixedModels()), port=port)
    before = set(threading.enumerate())
    with pytest.raises(MmkerasError, match=f"Received: port={port}"):
        second.start()
    assert set(threading.enumerate()) <= before
    with pytest.raises(MmkerasError, match="already running"):
        server.start()


@pytest.mark.parametrize("arguments", [{"port": -1}, {"port": "http"}, {"max_threads": 0}])
def test_arguments_out_of_range(arguments):
    with pytest.raises(MmkerasError):
        HttpServer(None, **arguments)


def test_without_waitress_the_error_names_the_extra(monkeypatch):
    imports = builtins.__import__

    def without(name, *arguments, **keywords):
        if name == "waitress":
            raise ImportError(name)
        return imports(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MmkerasError, match=r"mmkeras\[rest\]"):
        HttpServer(None)


def test_status_is_told_while_all_threads_ask_models():
    gate = Gate()
    application = RestApplication(FixedModels(FunctionServable(gate.functions())))
    with HttpServer(application, max_threads=2) as server, futures.ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(post, server.address, b'{"instances": [1]}') for _ in range(6)]
        assert gate.entered.acquire(timeout=20) and gate.entered.acquire(timeout=20)
        for _ in range(20):
            with urllib.request.urlopen(f"http://{server.address}/v1/models/toy", timeout=2) as reply:
                assert json.loads(reply.read())["model_version_status"][0]["state"] == "AVAILABLE"
        assert not any(future.done() for future in asking)
        gate.open.set()
        assert {future.result() for future in asking} == {(200, b'{"predictions": [1.0]}')}


def test_a_request_that_never_comes_to_its_end_is_given_up(monkeypatch):
    monkeypatch.setattr(http_server, "_IDLE_SECONDS", 2)
    with HttpServer(RestApplication(FixedModels(FunctionServable()))) as server:
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
            started = time.monotonic()
            with pytest.raises(ConnectionError):  # never idle, and never done
                while time.monotonic() < started + 20:
                    connection.sendall(b" ")
                    time.sleep(0.1)
            assert time.monotonic() - started > 1.5
        assert post(server.address)[0] == 200


def test_connections_without_a_request_make_room():
    with HttpServer(RestApplication(FixedModels(FunctionServable())), max_connections=12) as server:
        known = http.client.HTTPConnection(server.address, timeout=20)
        known.request("POST", PREDICT, ROWS)
        assert known.getresponse().read()
        host, _, port = server.address.partition(":")
        with contextlib.ExitStack() as stack:
            for number in range(40):
                connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
                connection.sendall(b"POST /v1" * (number % 2))
            started = time.monotonic()
            # Behind more than there is room for, three times.
            assert post(server.address)[0] == 200
            assert time.monotonic() - started < 15
            known.request("POST", PREDICT, ROWS)
            assert json.loads(known.getresponse().read()) == {"predictions": [[6.0, 1.0]]}
        known.close()
