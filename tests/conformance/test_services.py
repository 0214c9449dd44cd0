"""Section 1 of the contract: what is on the gRPC port, its limits and its deadlines."""

import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf

from .asking import inference_request, multi_request, predict, predict_request, spec, status_request
from .server import KIND

UNIMPLEMENTED = [
    "/tensorflow.serving.SessionService/SessionRun",
    "/tensorflow.serving.PredictionService/PredictStreamed",
    "/tensorflow.serving.PredictionService/Nonsense",
    "/nonsense.Service/Method",
]


@pytest.mark.parametrize(
    ("method", "request_message"),
    [
        ("Predict", inference_request("Predict", spec())),
        ("Classify", inference_request("Classify", spec(signature="classify"))),
        ("Regress", inference_request("Regress", spec(signature="regress"))),
        ("MultiInference", multi_request((spec("multi", "regress_y"), "regress"))),
        ("GetModelMetadata", inference_request("GetModelMetadata", spec())),
        ("GetModelStatus", status_request("dense")),
    ],
)
def test_served(server, method, request_message):
    """HandleReloadConfigRequest, which is served too, is what put the fixtures on the server."""
    assert server.call(method, request_message).ByteSize() > 0


@pytest.mark.parametrize("method", UNIMPLEMENTED)
def test_not_served(server, method):
    assert server.raw(method, b"") == ("UNIMPLEMENTED", "")


def test_health_by_default(server):
    """Off by default on the original; the embedded server always answers."""
    assert server.raw("/grpc.health.v1.Health/Check", b"") in [("UNIMPLEMENTED", ""), ("OK", b"\x08\x01")]


def test_reflection(server):
    """The embedded server has none: its messages are described under names of their own."""
    call = server.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    list_services = b"\x3a\x00"
    try:
        replies = b"".join(call(iter([list_services]), timeout=10))
    except grpc.RpcError as error:
        assert KIND != "binary"
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    else:
        assert b"tensorflow.serving.PredictionService" in replies


@pytest.mark.parametrize(
    "method", ["PredictionService/Predict", "PredictionService/Classify", "ModelService/GetModelStatus"]
)
def test_undecodable_bytes(server, method):
    assert server.raw(f"/tensorflow.serving.{method}", b"\xff\xff\xff") == ("INTERNAL", "")


def test_a_request_of_36_mb(server):
    feats = tf.make_tensor_proto(np.ones([3_000_000, 3], np.float32))
    request = predict_request(spec(version=1), {"feats": feats}, ["mean"])
    assert request.ByteSize() > 36_000_000
    response = server.call("Predict", request, 60)
    assert tf.make_ndarray(response.outputs["mean"]).sum() == 9_000_000


def test_a_client_with_default_options_takes_4_mib(server):
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    feats = tf.make_tensor_proto(np.ones([1_100_000, 3], np.float32))
    request = predict_request(spec(), {"feats": feats}, ["mean"])
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(server.address, options) as channel, pytest.raises(grpc.RpcError) as caught:
        PredictionServiceStub(channel).Predict(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "eceived message larger than max (44000" in caught.value.details()


def test_a_deadline_ends_the_work(server):
    request = predict_request(spec(signature="slow"), {"steps": tf.make_tensor_proto(2**31 - 1, tf.int32)})
    started = time.monotonic()
    code, _ = server.refusal("Predict", request, seconds=0.3)
    assert code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - started < 2
    assert predict(server, {"feats": [[1.0, 2, 3]]}, version=1) == {"mean": [6.0], "sum": [12.0]}


def test_more_calls_than_threads(start, start_config):
    """By default the embedded server lets them wait; here both have a limit."""
    limited = start(start_config, max_threads=8)
    request = predict_request(spec(signature="slow"), {"steps": tf.make_tensor_proto(2**31 - 1, tf.int32)})
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(limited.refusal("Predict", request, seconds=0.8)))
        for _ in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {code for code, _ in answers} == {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    refused = {text for code, text in answers if code == "RESOURCE_EXHAUSTED"}
    assert refused == {"Server Threadpool Exhausted"}


def test_a_unix_socket(start, start_config, tmp_path):
    path = tmp_path / "socket"
    start(start_config, flags=[f"--grpc_socket_path={path}"])
    with grpc.insecure_channel(f"unix:{path}") as channel:
        call = channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus")
        assert call(status_request("dense").SerializeToString(), timeout=10)
