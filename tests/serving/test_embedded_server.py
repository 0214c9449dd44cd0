"""The server around Predict: which model answers, metadata, status, ports, start and stop."""

import gc
import shutil
import socket
import threading
import time
import weakref
from concurrent import futures

import grpc
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, EmbeddedServer, protos
from mmkeras.serving.server.grpc_calls import cut_details
from mmkeras.serving.tensors import encode_tensor

PREDICT = "PredictionService/Predict"
METADATA = "PredictionService/GetModelMetadata"
STATUS = "ModelService/GetModelStatus"


def spec(name="toy", version=None, label=None):
    message = protos.ModelSpec(name=name)
    if version is not None:
        message.version.value = version
    if label is not None:
        message.version_label = label
    return message


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


SPEC_CASES = [
    (None, "INVALID_ARGUMENT", "Missing ModelSpec"),
    (spec(name=""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    (spec(name="nope"), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
    (spec(version=9), "NOT_FOUND", "Servable not found for request: Specific(toy, 9)"),
    (spec(name="nope", version=2), "NOT_FOUND", "Servable not found for request: Specific(nope, 2)"),
    (spec(version=1), "NOT_FOUND", "Servable not found for request: Specific(toy, 1)"),
    (spec(label="stable"), "INVALID_ARGUMENT", "Unrecognized servable version label: stable"),
]


@pytest.mark.parametrize(("model_spec", "code", "text"), SPEC_CASES)
def test_model_spec_of_predict_and_metadata(refusal, model_spec, code, text):
    assert refusal(PREDICT, protos.PredictRequest(model_spec=model_spec)) == (code, text)
    request = protos.GetModelMetadataRequest(model_spec=model_spec, metadata_field=["signature_def"])
    assert refusal(METADATA, request) == (code, text)


def test_long_texts_are_cut(refusal):
    assert cut_details("x" * 1024) == "x" * 1024
    assert cut_details("x" * 1025) == "x" * 1024 + "...TRUNCATED"
    code, text = refusal(
        PREDICT, protos.PredictRequest(model_spec=protos.ModelSpec(name="toy", signature_name="zz" * 1000))
    )
    assert code == "FAILED_PRECONDITION"
    assert len(text) == 1024 + len("...TRUNCATED") and text.endswith("zz...TRUNCATED")


def test_undecodable_bytes(refusal):
    for method in (PREDICT, METADATA, STATUS):
        assert refusal(method, b"\xff\xff\xff") == ("INTERNAL", "")


@pytest.mark.parametrize(
    "method",
    [
        "PredictionService/Nothing",
        "PredictionService/PredictStreamed",
        "SessionService/SessionRun",
        "/grpc.health.v1.Health/Watch",
    ],
)
def test_other_methods_are_unimplemented(refusal, method):
    assert refusal(method, b"") == ("UNIMPLEMENTED", "")


def test_the_real_client_stubs_understand_it(toy_server):
    import tensorflow as tf
    from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, predict_pb2
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    with grpc.insecure_channel(toy_server.address) as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "toy"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones([1, 3], np.float32)))
        response = PredictionServiceStub(channel).Predict(request, timeout=20)
        assert tf.make_ndarray(response.outputs["y"]).tolist() == [[6.0, 6.0]]
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "toy"
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=20)
        assert [str(entry.status.error_code) for entry in status.model_version_status] == ["0"]


def test_metadata_is_the_saved_models_own(call, toy_path):
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = protos.GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"])
    response = call(METADATA, request, get_model_metadata_pb2.GetModelMetadataResponse)
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (2, "")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    saved = saved_model_pb2.SavedModel.FromString((toy_path / "2" / "saved_model.pb").read_bytes())
    expected = saved.meta_graphs[0].signature_def
    assert dict(signatures.signature_def) == dict(expected)
    assert "__saved_model_init_op" in signatures.signature_def


def test_metadata_refuses(refusal):
    request = protos.GetModelMetadataRequest(model_spec=spec())
    text = "GetModelMetadataRequest must specify at least one metadata_field"
    assert refusal(METADATA, request) == ("INVALID_ARGUMENT", text)
    request.metadata_field.append("foo")
    assert refusal(METADATA, request) == ("INVALID_ARGUMENT", "Metadata field foo is not supported")


def test_status(call, refusal):
    def ask(model_spec):
        return call(STATUS, protos.GetModelStatusRequest(model_spec=model_spec), protos.GetModelStatusResponse)

    def refused(model_spec):
        return refusal(STATUS, protos.GetModelStatusRequest(model_spec=model_spec))

    for model_spec in (spec(), spec(version=2), spec(label="ignored")):
        (entry,) = ask(model_spec).model_version_status
        assert (entry.version, entry.state, entry.status.error_code) == (2, protos.State["AVAILABLE"], 0)
        assert entry.HasField("status")
    assert refused(None) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    assert refused(spec(name="")) == ("NOT_FOUND", "Could not find any versions of model ")
    assert refused(spec(name="nope")) == ("NOT_FOUND", "Could not find any versions of model nope")
    assert refused(spec(version=9)) == ("NOT_FOUND", "Could not find version 9 of model toy")


def test_names_versions_and_ports(toy_path, half_plus_two_path, toy_server):
    assert (toy_server.name, toy_server.version) == ("toy", 2)
    assert toy_server.address.startswith("127.0.0.1:")
    server = EmbeddedServer(toy_path, name="other", version=1)
    with server, Client(server.address, "other") as client:
        assert client.predict("", {"x": np.ones([1, 3], np.float32)})["y"].tolist() == [[3.0, 3.0]]
        with pytest.raises(MmkerasError, match="already running"):
            server.start()
    assert server.address is None
    server.stop()
    with server, Client(server.address, "other") as client:  # it can be started again
        assert client.status()[0]["version"] == 1
    with EmbeddedServer(half_plus_two_path) as server, Client(server.address, "half plus two") as client:
        assert client.predict("", {"x": [1.0, 2.0, 5.0]})["y"].tolist() == [2.5, 3.0, 4.5]


def test_a_port_in_use_is_named(half_plus_two_path, toy_server):
    port = int(toy_server.address.partition(":")[2])
    with pytest.raises(MmkerasError, match=rf"Received: port={port}\b"):
        EmbeddedServer(half_plus_two_path, port=port).start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MmkerasError, match=rf"Received: port={port}\b"):
            EmbeddedServer(half_plus_two_path, port=port).start()
    for port in (-1, 65536, "8500"):
        with pytest.raises(MmkerasError, match="Expected port"):
            EmbeddedServer(half_plus_two_path, port=port)


def test_a_unix_socket_beside_the_port(half_plus_two_path, tmp_path):
    path = tmp_path / "socket"
    with EmbeddedServer(half_plus_two_path, socket_path=path) as server:
        for address in (f"unix:{path}", server.address):
            with Client(address, "half plus two") as client:
                assert client.predict("", {"x": [1.0]})["y"].tolist() == [2.5]
    assert not path.exists()
    for wrong in (tmp_path / "missing" / "socket", tmp_path / ("long" * 30)):
        with pytest.raises(MmkerasError, match=f"Expected socket_path .* Received: socket_path='{wrong}'"):
            EmbeddedServer(half_plus_two_path, socket_path=wrong).start()


def test_it_is_not_reachable_from_outside(toy_server):
    port = int(toy_server.address.partition(":")[2])
    with socket.socket() as other:
        other.settimeout(1)
        # Another address of this machine: only what listens on all addresses would answer.
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_stop_lets_running_requests_end(toy_path):
    server = EmbeddedServer(toy_path).start()
    with Client(server.address, "toy") as client, futures.ThreadPoolExecutor(1) as pool:
        seconds = -time.monotonic()
        client.predict("slow", {"steps": np.int32(10_000)})
        seconds += time.monotonic()
        # For about a second, however fast this machine is.
        running = pool.submit(client.predict, "slow", {"steps": np.int32(10_000 / seconds)})
        time.sleep(0.2)
        assert not running.done()
        waiting = threading.Thread(target=server.wait)
        waiting.start()
        server.stop()
        assert running.result()["total"] > 0
        waiting.join(5)
        assert not waiting.is_alive()


def test_versions_are_followed_under_load(toy_path, tmp_path):
    base_path = tmp_path / "toy"
    shutil.copytree(toy_path / "00000001", base_path / "1")

    def publish(source, version):
        shutil.copytree(toy_path / source, base_path / ".tmp-new")
        (base_path / ".tmp-new").rename(base_path / str(version))

    with EmbeddedServer(base_path, poll_seconds=0.05) as server, Client(server.address, "toy", timeout=20) as client:
        ended, answers = threading.Event(), []

        def ask():
            while not ended.is_set():
                answers.append(client.encode_text(["abc"])[0].tolist())

        with futures.ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask) for _ in range(3)]
            for version in (2, 3, 4):
                publish("2" if version % 2 == 0 else "00000001", version)
                wait_for(lambda version=version: server.version == version)
            (base_path / "5").mkdir()  # half written
            (base_path / "5" / "saved_model.pb").write_bytes(b"\xff" * 10)
            wait_for(lambda: len(client.status()) == 5)
            ended.set()
            for future in asking:
                future.result()
        assert {tuple(answer) for answer in answers} == {(3, 3), (3, 6)}
        assert answers[-1] == [3, 6]
        states = [(entry["version"], entry["state"], entry["error_code"]) for entry in client.status()]
        assert states == [
            (5, "END", "UNKNOWN"),
            (4, "AVAILABLE", "OK"),
            *((version, "END", "OK") for version in (3, 2, 1)),
        ]
        assert "hold a SavedModel" in client.status()[0]["error_message"]
        with pytest.raises(MmkerasError, match=r"NOT_FOUND: Servable not found for request: Specific\(toy, 5\)"):
            Client(server.address, "toy", version=5).encode_text(["a"])


def test_a_models_config_with_policies_and_labels(toy_path, half_plus_two_path, tmp_path):
    def config(*lines):
        entries = " ".join(f'config {{ model_platform: "tensorflow" {line} }}' for line in lines)
        (tmp_path / "models.config").write_text(f"model_config_list {{ {entries} }}")
        return tmp_path / "models.config"

    half = f'name: "half" base_path: "{half_plus_two_path}"'
    toy = (
        f'name: "toy" base_path: "{toy_path}" model_version_policy {{ all {{}} }} '
        'version_labels { key: "stable" value: 1 }'
    )
    with EmbeddedServer(config_file=config(toy, half), poll_seconds=0.05) as server:
        assert (server.name, server.version) == ("toy", 2)
        with Client(server.address, "half") as client:
            assert client.predict("", {"x": [1.0]})["y"].tolist() == [2.5]
        with grpc.insecure_channel(server.address) as channel:
            predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            request = protos.PredictRequest(
                model_spec=spec(label="stable"), inputs={"x": encode_tensor(np.ones([1, 3], np.float32))}
            )
            response = protos.PredictResponse.FromString(predict(request.SerializeToString(), timeout=20))
            assert response.model_spec.version.value == 1
            assert response.outputs["y"].float_val[:] == [3.0, 3.0]
        config(half)
        wait_for(lambda: server.models.newest("toy") is None)
        assert server.models.newest("half") == 123


def test_memory_is_level_over_version_changes(half_plus_two_path, tmp_path):
    base_path = tmp_path / "half"
    shutil.copytree(half_plus_two_path / "123", base_path / "1")
    with EmbeddedServer(base_path, poll_seconds=0) as server:
        sessions = []
        for version in range(2, 6):
            (base_path / str(version - 1)).rename(base_path / str(version))
            with server.models.resolve(spec("half")) as servable:
                sessions.append(weakref.ref(servable))
            del servable
            server.models.look()
        gc.collect()
        assert [reference() for reference in sessions] == [None] * 4
