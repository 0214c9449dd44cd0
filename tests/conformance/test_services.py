"""Section 1 of the contract: what is on the gRPC port, its limits and its deadlines."""

import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from mmkeras.serving import protos

from .asking import inference_request, multi_request, predict, predict_request, spec, status_request, wait_for

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


def reflected(server, *questions):
    """Answers of the reflection service to (field, text) pairs."""
    call = server.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    requests = [protos.ServerReflectionRequest(**{field: text}) for field, text in questions]
    answers = call(iter([request.SerializeToString() for request in requests]), timeout=10)
    return [protos.ServerReflectionResponse.FromString(answer) for answer in answers]


def test_reflection_lists_services(server):
    (answer,) = reflected(server, ("list_services", ""))
    services = {service.name for service in answer.list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= services


def test_reflection_knows_no_other_symbol(server):
    (answer,) = reflected(server, ("file_containing_symbol", "nonsense.Service"))
    assert answer.error_response.error_code == 5


def test_asking_with_nothing_but_what_reflection_tells(server):
    """As grpcurl does: the method's description, the files that it imports, messages from them, a request in JSON."""
    files, missing = {}, [("file_containing_symbol", "tensorflow.serving.ModelService")]
    while missing:
        for answer in reflected(server, *missing):
            assert answer.WhichOneof("message_response") == "file_descriptor_response"
            for content in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(content)
                files[file.name] = file
        imported = {name for file in files.values() for name in file.dependency}
        missing = [("file_by_filename", name) for name in sorted(imported - set(files))]
    pool = descriptor_pool.DescriptorPool()
    while files:
        name = next(name for name, file in files.items() if not set(file.dependency) & set(files))
        pool.Add(files.pop(name))
    method = pool.FindServiceByName("tensorflow.serving.ModelService").methods_by_name["GetModelStatus"]
    request, response = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
    json_format.ParseDict({"modelSpec": {"name": "dense", "version": "1"}}, asked := request())
    code, content = server.raw("/tensorflow.serving.ModelService/GetModelStatus", asked.SerializeToString())
    assert code == "OK"
    (status,) = json_format.MessageToDict(response.FromString(content))["modelVersionStatus"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")


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
    # The work, of hours, ended with the deadlines: its threads are free again.
    good = predict_request(spec(), {"feats": [[1.0, 2, 3]]}).SerializeToString()
    wait_for(lambda: limited.raw("/tensorflow.serving.PredictionService/Predict", good)[0] == "OK", seconds=5)


def test_a_unix_socket(start, start_config, tmp_path):
    path = tmp_path / "socket"
    start(start_config, flags=[f"--grpc_socket_path={path}"])
    with grpc.insecure_channel(f"unix:{path}") as channel:
        call = channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus")
        assert call(status_request("dense").SerializeToString(), timeout=10)
