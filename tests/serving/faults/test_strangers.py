"""Who means ill locks nobody out: health, status and predict are answered while calls hang by the thousand."""

import contextlib
import resource
import socket
import threading
import time
import urllib.request

import grpc
import numpy as np
import pytest

from mmkeras.serving import Client, EmbeddedServer, protos
from mmkeras.serving.server import grpc_calls
from mmkeras.serving.tensors import encode_tensor
from tests.serving.faults.http2 import Http2

PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
LONGEST = 2.0  # seconds that each answer may take meanwhile
MEMORY = 6 * 2**30  # of addresses, which TensorFlow reserves more of than it uses
HTTP = b"POST /v1/models/times:predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{"


def bounded():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def answers(server):
    """Ask all that others rely on, each over new connections; return how long the slowest took."""
    slowest = 0.0
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        for method, request, response_class in (
            (HEALTH, protos.HealthCheckRequest(), protos.HealthCheckResponse),
            (STATUS, protos.GetModelStatusRequest(model_spec={"name": "times"}), protos.GetModelStatusResponse),
            (
                PREDICT,
                protos.PredictRequest(
                    model_spec={"name": "times"}, inputs={"x": encode_tensor(np.array([3.0], np.float32))}
                ),
                protos.PredictResponse,
            ),
        ):
            started = time.monotonic()
            response = response_class.FromString(
                channel.unary_unary(method)(request.SerializeToString(), timeout=10 * LONGEST)
            )
            slowest = max(slowest, time.monotonic() - started)
            if method == PREDICT:
                assert response.outputs["y"].float_val[:] == [3.0]
    rest_address = server.rest_address.removeprefix("http://")
    started = time.monotonic()
    with urllib.request.urlopen(f"http://{rest_address}/v1/models/times", timeout=10 * LONGEST) as reply:
        assert b"AVAILABLE" in reply.read()
    slowest = max(slowest, time.monotonic() - started)
    started = time.monotonic()
    with Client(f"http://{rest_address}", "times", timeout=10 * LONGEST, retries=0) as client:
        assert client.predict("", {"x": [3.0]})["y"].tolist() == [3.0]
    return max(slowest, time.monotonic() - started)


def test_a_thousand_idle_streams_and_half_sent_messages_of_every_kind(serve, publish, base_path):
    publish(1)
    server = serve(base_path, "--port", 0, "--rest-port", 0, preexec_fn=bounded)
    host, _, port = server.rest_address.removeprefix("http://").rpartition(":")
    assert answers(server) < 10 * LONGEST  # and what is made at a first request is there
    with contextlib.ExitStack() as stack:
        crowded = stack.enter_context(contextlib.closing(Http2(server.address)))
        for _ in range(1000):
            crowded.begin(REFLECTION)
        for _ in range(10):
            connection = stack.enter_context(contextlib.closing(Http2(server.address)))
            for _ in range(100):
                connection.begin(REFLECTION)
        for method in (PREDICT, HEALTH, STATUS, REFLECTION):
            connection = stack.enter_context(contextlib.closing(Http2(server.address)))
            for _ in range(50):
                connection.begin(method, message=2**20, sent=bytes(100))
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            connection.sendall(HTTP)
        time.sleep(0.5)
        for _ in range(5):
            assert answers(server) < LONGEST
        assert server.process.poll() is None
    assert answers(server) < LONGEST


@pytest.fixture
def server(publish, base_path):
    publish(1)
    with EmbeddedServer(base_path, rest_port=0, poll_seconds=0) as server:
        yield server


def never(end):
    """Requests of a stream that never come."""
    end.wait(30)
    yield from ()


def ended(call):
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    return caught.value.code().name, caught.value.details()


@pytest.mark.parametrize(
    "constant, method, text",
    [
        ("_MESSAGE_SECONDS", PREDICT, "The message did not arrive in time"),
        ("_MESSAGE_SECONDS", HEALTH, "The message did not arrive in time"),
        ("_REFLECTION_SECONDS", REFLECTION, "The stream was open for too long"),
    ],
)
def test_what_hangs_is_given_up_after_a_while(publish, base_path, monkeypatch, constant, method, text):
    monkeypatch.setattr(grpc_calls, constant, 0.5)
    publish(1)
    end = threading.Event()
    with EmbeddedServer(base_path) as server, grpc.insecure_channel(server.address) as channel:
        started = time.monotonic()
        call = channel.stream_stream(method)(never(end))
        assert ended(call) == ("DEADLINE_EXCEEDED", text)
        assert 0.4 < time.monotonic() - started < 10
        end.set()


def test_past_so_many_the_oldest_is_given_up_and_the_new_ones_answered(publish, base_path, monkeypatch, settles):
    monkeypatch.setattr(grpc_calls, "_MOST_ARRIVING", 5)
    monkeypatch.setattr(grpc_calls, "_MOST_REFLECTIONS", 5)
    publish(1)
    end = threading.Event()
    with EmbeddedServer(base_path, rest_port=0) as server, grpc.insecure_channel(server.address) as channel:
        hanging = [channel.stream_stream(PREDICT)(never(end)) for _ in range(6)]
        streams = [channel.stream_stream(REFLECTION)(never(end)) for _ in range(6)]
        assert settles(lambda: sum(call.done() for call in hanging) == sum(call.done() for call in streams) == 1)
        for _ in range(2):
            assert answers(server) < 10 * LONGEST
        # The first of these messages took a place, and left it for the others.
        given_up = [call for call in hanging if call.done()]
        assert [ended(call) for call in given_up] == [("DEADLINE_EXCEEDED", "The message did not arrive in time")] * 2
        assert sum(call.done() for call in streams) == 1
        end.set()


def test_a_connection_has_few_streams(server):
    connection = Http2(server.address)
    for _ in range(2000):
        connection.begin(REFLECTION)
    refused = read_frames(connection.socket, kind=3, least=1000)  # RST_STREAM
    assert {code for _, code in refused} <= {7, 11}  # REFUSED_STREAM, or slow down
    connection.close()
    assert answers(server) < 10 * LONGEST


def read_frames(connection, kind, least):
    """Return [(stream, code)] of so many frames of a kind, or fewer where the connection ends before."""
    found, held = [], b""
    connection.settimeout(20)
    while len(found) < least and (received := connection.recv(65536)):
        held += received
        while len(held) >= 9 and len(held) >= 9 + (size := int.from_bytes(held[:3])):
            if held[3] == kind:
                found.append((int.from_bytes(held[5:9]), int.from_bytes(held[9:13])))
            held = held[9 + size :]
    return found


def test_long_messages_do_not_hold_the_loop(server):
    with grpc.insecure_channel(server.address) as channel:
        for method, request in (
            (HEALTH, protos.HealthCheckRequest(service="x" * 100_000)),
            (STATUS, protos.GetModelStatusRequest(model_spec={"name": "x" * 100_000})),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(method)(request.SerializeToString(), timeout=20)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details().startswith("Expected a message of at most 65536 bytes. Received: 1000")
