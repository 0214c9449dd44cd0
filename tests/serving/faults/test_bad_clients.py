"""Clients that leave, hang, send garbage or crowd the ports: good requests are answered, and nothing is left."""

import contextlib
import http.client
import os
import resource
import socket
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest

from mmkeras.serving import Client, EmbeddedServer, protos
from mmkeras.serving.server import grpc_service, running_server
from mmkeras.serving.server.open_files import raise_file_limit
from mmkeras.serving.tensors import encode_tensor

PREDICT = "/tensorflow.serving.PredictionService/Predict"
REST_PREDICT = b"POST /v1/models/times:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"
LONGEST = 5.0  # seconds that a good request may take, on a machine that is busy
IDLE = 1000
# More than there are turns and threads.
MANY = 4 * (os.cpu_count() or 1) + 12


@pytest.fixture
def server(publish, base_path):
    publish(1)
    with EmbeddedServer(base_path, rest_port=0, poll_seconds=0, max_rows=None) as server:
        yield server


@pytest.fixture
def answers(server):
    """A function that asks over both ports, each over a new connection, and says whether both answer well in time."""

    def answers():
        for address in (server.address, f"http://{server.rest_address}"):
            with Client(address, "times", timeout=LONGEST, retries=0) as client:
                if client.predict("", {"x": [3.0]})["y"].tolist() != [3.0]:
                    return False
        return True

    assert answers()  # and what is made at a first request is there
    return answers


@contextlib.contextmanager
def connections(address, count, first=b""):
    """That many TCP connections, each of which has sent `first`."""
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            with contextlib.suppress(ConnectionError):  # it need not wait for the end of garbage
                connection.sendall(first)
            opened.append(connection)
        yield opened


@pytest.fixture
def many_files():
    """Room for 1,000 connections a port, both ends of them in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if raise_file_limit() < 4 * IDLE + 500:
        pytest.skip(f"this process may open {before[1]} files")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_thousand_idle_connections_on_each_port(many_files, server, answers, open_files, settles):
    files, threads = open_files(), threading.active_count()
    with connections(server.address, IDLE), connections(server.rest_address, IDLE):
        # Both ends of all of them, less what the client before closes meanwhile.
        assert settles(lambda: open_files() >= files + 4 * IDLE - 10)
        assert answers()
        assert threading.active_count() <= threads + 2
    assert settles(lambda: open_files() <= files)
    assert answers()
    assert threading.active_count() <= threads + 2


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\r\n\r\n" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # the beginning of TLS
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500,
        b"POST /v1/models/times:predict HTTP/1.1\r\nContent-Length: -5\r\n\r\n{}",
        b"POST /v1/models/times:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"A" * 200_000,
    ],
    ids=["bytes", "tls", "http", "http2", "length", "chunks", "long"],
)
def test_garbage(server, answers, open_files, settles, garbage):
    files, threads = open_files(), threading.active_count()
    for address in (server.address, server.rest_address):
        with connections(address, 20, garbage):
            assert answers()
    assert answers()
    assert settles(lambda: open_files() <= files)
    assert threading.active_count() <= threads + 2


def test_clients_that_leave_in_the_middle_of_a_body(server, answers, open_files, settles):
    files, threads = open_files(), threading.active_count()
    for _ in range(3):
        with connections(server.rest_address, MANY, REST_PREDICT % (100_000, b'{"instances": [1, 2')):
            assert answers()
    assert settles(lambda: open_files() <= files)
    assert answers()
    assert threading.active_count() <= threads


def test_clients_that_send_a_byte_now_and_then(server, answers):
    request = REST_PREDICT % (16, b'{"inputs": [2]} ')
    with connections(server.rest_address, MANY) as slow:
        for position in range(len(request)):
            for connection in slow:
                connection.sendall(request[position : position + 1])
            if position % 20 == 0:
                assert answers()
        # They are answered too, when they have come to the end.
        assert {connection.recv(12) for connection in slow} == {b"HTTP/1.1 200"}


def test_calls_that_are_cancelled(server, answers):
    request = protos.PredictRequest(
        model_spec={"name": "times"}, inputs={"x": encode_tensor(np.ones(100_000, np.float32))}
    ).SerializeToString()
    assert answers()
    with grpc.insecure_channel(server.address, [("grpc.max_receive_message_length", -1)]) as channel:
        for _ in range(5):
            calls = [channel.unary_unary(PREDICT).future(request) for _ in range(40)]
            time.sleep(0.01)
            for call in calls:
                call.cancel()
            assert answers()  # many more than there are turns: each has given its own back


def test_calls_whose_message_never_comes(server, answers, settles):
    end = threading.Event()

    def no_message():
        end.wait(30)
        yield from ()

    with grpc.insecure_channel(server.address) as channel:
        calls = [channel.stream_unary(PREDICT).future(no_message()) for _ in range(MANY)]
        threads = threading.active_count()
        time.sleep(0.2)
        for _ in range(3):
            assert answers()
        for call in calls:
            call.cancel()
        end.set()
        assert answers()
        # The threads that waited for a message are there for the next ones.
        calls = [channel.stream_unary(PREDICT).future(no_message()) for _ in range(MANY)]
        assert settles(lambda: all(call.done() for call in calls))
        assert threading.active_count() <= threads + 2


def test_a_client_that_hangs_is_disconnected(publish, base_path, monkeypatch):
    monkeypatch.setattr(grpc_service, "_PING_SECONDS", 0.2)
    monkeypatch.setattr(grpc_service, "_PING_TIMEOUT_SECONDS", 0.2)
    publish(1)
    preface_and_settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with EmbeddedServer(base_path, poll_seconds=0) as server:
        with Client(server.address, "times", timeout=20, retries=0) as lively:
            with connections(server.address, 1, preface_and_settings) as [frozen]:
                received = b"..."
                while received:  # settings and pings, none of which it answers
                    received = frozen.recv(4096)
            assert lively.predict("", {"x": [3.0]})["y"].tolist() == [3.0]


def test_connections_past_the_limit(publish, base_path, monkeypatch, settles):
    monkeypatch.setattr(running_server, "connection_limit", lambda ports: 20)
    publish(1)
    with EmbeddedServer(base_path, rest_port=0, poll_seconds=0) as server, contextlib.ExitStack() as stack:
        held = [
            stack.enter_context(Client(address, "times", timeout=20, retries=0))
            for address in (server.address, f"http://{server.rest_address}")
        ]

        def held_answer():
            return [client.predict("", {"x": [3.0]})["y"].tolist() for client in held] == [[3.0], [3.0]]

        assert held_answer()
        with connections(server.address, 40) as grpc_ends, connections(server.rest_address, 40):
            # Over HTTP they wait; over gRPC they are closed.
            assert settles(lambda: sum(map(is_closed, grpc_ends)) >= 20)
            assert held_answer()
        with Client(f"http://{server.rest_address}", "times", timeout=20) as client:
            assert client.predict("", {"x": [3.0]})["y"].tolist() == [3.0]
        assert held_answer()
        with Client(server.address, "times", timeout=20) as client:
            assert client.predict("", {"x": [3.0]})["y"].tolist() == [3.0]


def is_closed(connection):
    """Whether the other side has closed; what it has sent before is read."""
    connection.settimeout(0.001)
    try:
        while connection.recv(4096):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("port", ["gRPC", "HTTP"])
def test_a_batch_fills_although_each_of_its_requests_waits_in_a_thread(publish, base_path, tmp_path, port):
    publish(1)
    rows = MANY + 20
    (tmp_path / "batching.config").write_text(
        f"max_batch_size {{ value: {rows} }} batch_timeout_micros {{ value: 60000000 }}"
    )
    with EmbeddedServer(base_path, rest_port=0, batching_file=tmp_path / "batching.config") as server:
        address = server.address if port == "gRPC" else f"http://{server.rest_address}"
        with Client(address, "times", timeout=30, retries=0) as client, futures.ThreadPoolExecutor(rows) as pool:
            values = pool.map(lambda x: client.predict("", {"x": [float(x)]})["y"].tolist(), range(rows))
            assert list(values) == [[float(x)] for x in range(rows)]


def test_a_reply_that_nobody_waits_for(server, answers):
    body = b'{"inputs": [%s]}' % b",".join([b"1"] * 100_000)
    for _ in range(MANY):
        connection = http.client.HTTPConnection(server.rest_address, timeout=20)
        connection.request("POST", "/v1/models/times:predict", body)
        connection.close()
    assert answers()
