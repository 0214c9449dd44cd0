"""The port itself: health, how many requests at once, sizes, TLS, and the real client's stubs."""

import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, EmbeddedServer, protos
from mmkeras.serving.tensors import encode_tensor

HEALTH = "/grpc.health.v1.Health/Check"
UNBOUNDED = [("grpc.max_send_message_length", -1)]
STATUS = "ModelService/GetModelStatus"
SLOW = protos.PredictRequest(
    model_spec=protos.ModelSpec(name="toy", signature_name="slow"),
    inputs={"steps": encode_tensor(np.int32(2_000_000_000))},
)


def asker(channel):
    """A function of (method, request, response class) that asks over a channel."""

    def ask(method, request, response_class=protos.PredictResponse, timeout=20):
        name = method if method.startswith("/") else f"/tensorflow.serving.{method}"
        content = channel.unary_unary(name)(request.SerializeToString(), timeout=timeout)
        return response_class.FromString(content)

    return ask


def refused(ask, *arguments, **keywords):
    with pytest.raises(grpc.RpcError) as caught:
        ask(*arguments, **keywords)
    return caught.value.code().name, caught.value.details()


def test_health(call, refusal):
    for service in ("", "PredictionService", "ModelService"):
        response = call(HEALTH, protos.HealthCheckRequest(service=service), protos.HealthCheckResponse)
        assert response.status == protos.ServingStatus["SERVING"]
    request = protos.HealthCheckRequest(service="tensorflow.serving.PredictionService")
    assert refusal(HEALTH, request) == ("NOT_FOUND", "service name unknown")


@pytest.mark.parametrize("timeout", [None, 1e6])
def test_a_client_may_be_patient(call, timeout):
    request = protos.PredictRequest(
        model_spec={"name": "toy"}, inputs={"x": encode_tensor(np.ones([1, 3], np.float32))}
    )
    assert call("PredictionService/Predict", request, timeout=timeout).outputs["y"].float_val[:] == [6.0, 6.0]


@pytest.mark.parametrize("method", ["Classify", "Regress", "MultiInference"])
def test_the_model_is_looked_for_first(refusal, method):
    request_class = {
        "Classify": protos.ClassificationRequest,
        "Regress": protos.RegressionRequest,
        "MultiInference": protos.MultiInferenceRequest,
    }[method]
    nope = {"model_spec": {"name": "nope"}}
    for request, answer in (
        (request_class(**({"tasks": [nope]} if method == "MultiInference" else nope)), "Latest(nope)"),
        (request_class(), "ModelSpec has no name specified." if method == "MultiInference" else "Missing ModelSpec"),
    ):
        code, text = refusal(f"PredictionService/{method}", request)
        assert code == ("NOT_FOUND" if "nope" in answer else "INVALID_ARGUMENT")
        assert answer in text


def test_the_real_stubs_classify_and_reload(tmp_path):
    import tensorflow as tf
    from tensorflow_serving.apis import classification_pb2, model_management_pb2
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    class Sizes(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def sizes(self, inputs):
            return {"scores": tf.cast(tf.strings.length(inputs), tf.float32)[:, None]}

    module = Sizes()
    tf.saved_model.save(module, str(tmp_path / "sizes" / "1"), signatures=module.sizes)
    with (
        EmbeddedServer(tmp_path / "sizes", allow_reload_config=True) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        request = classification_pb2.ClassificationRequest()
        request.model_spec.name = "sizes"
        example = request.input.example_list.examples.add()
        example.features.feature["x"].bytes_list.value.append(b"abc")
        response = PredictionServiceStub(channel).Classify(request, timeout=20)
        assert response.result.classifications[0].classes[0].score == len(example.SerializeToString())
        request = model_management_pb2.ReloadConfigRequest()
        request.config.model_config_list.config.add(
            name="again", base_path=str(tmp_path / "sizes"), model_platform="tensorflow"
        )
        response = ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=20)
        assert (response.status.error_code, response.status.error_message) == (0, "")
        assert server.models.statuses("again")[0][:2] == (1, "AVAILABLE")


def test_reload_takes_a_list_of_models_only(refusal):
    text = (
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    )
    for request in (protos.ReloadConfigRequest(), protos.ReloadConfigRequest(config={"custom_model_config": {}})):
        assert refusal("ModelService/HandleReloadConfigRequest", request) == ("INVALID_ARGUMENT", text)


def test_no_more_than_max_threads_at_once(toy_path):
    with EmbeddedServer(toy_path, max_threads=2) as server, grpc.insecure_channel(server.address) as channel:
        ask = asker(channel)
        with futures.ThreadPoolExecutor(2) as pool:
            slow = [pool.submit(refused, ask, "PredictionService/Predict", SLOW, timeout=1.5) for _ in range(2)]
            time.sleep(0.7)
            started = time.monotonic()
            for _ in range(20):
                busy = refused(ask, "PredictionService/Predict", SLOW, timeout=10)
                assert busy == ("RESOURCE_EXHAUSTED", "Server Threadpool Exhausted")
            # Who looks after the server can still ask.
            ask(HEALTH, protos.HealthCheckRequest(), protos.HealthCheckResponse)
            ask(STATUS, protos.GetModelStatusRequest(model_spec={"name": "toy"}), protos.GetModelStatusResponse)
            assert time.monotonic() - started < 0.7
            assert {future.result()[0] for future in slow} == {"DEADLINE_EXCEEDED"}
        with Client(server.address, "toy", timeout=20) as client:
            assert client.encode_text(["a"]).shape == (1, 2)


def test_a_reload_that_takes_long_keeps_nobody_waiting(toy_path):
    loading, loaded = threading.Event(), threading.Event()
    with EmbeddedServer(toy_path, max_threads=1, poll_seconds=0, allow_reload_config=True) as server:
        load = server.models.load

        def load_slowly(*arguments):
            loading.set()
            loaded.wait(20)
            return load(*arguments)

        server.models.load = load_slowly
        config = {"name": "again", "base_path": str(toy_path), "model_platform": "tensorflow"}
        first = {**config, "name": "toy"}
        request = protos.ReloadConfigRequest(config={"model_config_list": {"config": [first, config]}})
        with grpc.insecure_channel(server.address) as channel, futures.ThreadPoolExecutor(1) as pool:
            ask = asker(channel)
            reload = pool.submit(ask, "ModelService/HandleReloadConfigRequest", request, protos.ReloadConfigResponse)
            assert loading.wait(20)
            with Client(server.address, "toy", retries=0) as client:
                assert client.encode_text(["xx"])[0, 0] == 2
            assert not reload.done()
            loaded.set()
            assert reload.result().status.error_code == 0


def test_a_request_larger_than_max_message_bytes(toy_path):
    with EmbeddedServer(toy_path, max_message_bytes=10_000) as server, grpc.insecure_channel(server.address) as channel:
        request = protos.PredictRequest(
            model_spec={"name": "toy"}, inputs={"x": encode_tensor(np.ones([1000, 3], np.float32))}
        )
        code, text = refused(asker(channel), "PredictionService/Predict", request)
        assert code == "RESOURCE_EXHAUSTED" and "larger than max" in text
        with Client(server.address, "toy") as client:
            assert client.encode_text(["a"]).shape == (1, 2)


def test_a_packed_request_is_measured_unpacked(toy_path, caplog):
    content = predict_content(bytes(130 * 2**20))
    with EmbeddedServer(toy_path) as server, grpc.insecure_channel(server.address, UNBOUNDED) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            call(content, timeout=20, compression=grpc.Compression.Gzip)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in caught.value.details()
        answer = call(predict_content(b"omega"), timeout=20, compression=grpc.Compression.Gzip)
        assert protos.PredictResponse.FromString(answer).outputs["upper"].string_val[:] == [b"OMEGA"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def predict_content(text):
    spec = {"name": "toy", "signature_name": "upper"}
    return protos.PredictRequest(model_spec=spec, inputs={"text": encode_tensor([text])}).SerializeToString()


def test_what_is_wrong_with_an_argument_is_told(toy_path, tmp_path):
    for arguments, text in (
        ({}, "base_path or config_file"),
        ({"base_path": toy_path, "config_file": "x"}, "base_path or config_file"),
        ({"config_file": "x", "name": "m"}, "name and version in config_file only"),
        ({"config_file": tmp_path / "gone.config"}, "gone.config"),
        ({"base_path": toy_path, "max_threads": 0}, "max_threads"),
        ({"base_path": toy_path, "max_message_bytes": 0}, "max_message_bytes"),
        ({"base_path": toy_path, "poll_seconds": -1}, "poll_seconds"),
        ({"base_path": toy_path, "ssl_file": tmp_path / "gone.config"}, "gone.config"),
    ):
        with pytest.raises(MmkerasError, match=text):
            EmbeddedServer(**arguments)


@pytest.fixture(scope="module")
def pem(certificates):
    """PEM texts by file name."""
    return {path.name: path.read_bytes() for path in certificates.iterdir()}


def ssl_file(folder, **fields):
    """Write an ssl.config; PEM texts on one line, as protobuf's text format wants them."""
    path = folder / "ssl.config"
    lines = [
        f'{name}: "{value.decode().encode("unicode_escape").decode()}"' if isinstance(value, bytes) else f"{name}: true"
        for name, value in fields.items()
    ]
    path.write_text("\n".join(lines))
    return path


def code_over(address, credentials):
    """Ask for health over TLS, or plainly where None; return the status code's name."""
    target = address.replace("127.0.0.1", "localhost")
    options = [("grpc.enable_http_proxy", 0)]
    opened = (
        grpc.insecure_channel(target, options)
        if credentials is None
        else grpc.secure_channel(target, credentials, options)
    )
    with opened as channel:
        try:
            asker(channel)(HEALTH, protos.HealthCheckRequest(), protos.HealthCheckResponse, timeout=5)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"


def test_tls(half_plus_two_path, pem, tmp_path):
    path = ssl_file(tmp_path, server_key=pem["server.key"], server_cert=pem["server.pem"])
    with EmbeddedServer(half_plus_two_path, ssl_file=path) as server:
        assert code_over(server.address, grpc.ssl_channel_credentials(pem["authority.pem"])) == "OK"
        assert code_over(server.address, grpc.ssl_channel_credentials(pem["client.pem"])) == "UNAVAILABLE"
        assert code_over(server.address, None) == "UNAVAILABLE"


def test_mutual_tls(half_plus_two_path, pem, tmp_path):
    path = ssl_file(
        tmp_path,
        server_key=pem["server.key"],
        server_cert=pem["server.pem"],
        custom_ca=pem["authority.pem"],
        client_verify=True,
    )
    with EmbeddedServer(half_plus_two_path, ssl_file=path) as server:
        known = grpc.ssl_channel_credentials(pem["authority.pem"], pem["client.key"], pem["client.pem"])
        assert code_over(server.address, known) == "OK"
        assert code_over(server.address, grpc.ssl_channel_credentials(pem["authority.pem"])) == "UNAVAILABLE"


def test_a_key_that_is_none(half_plus_two_path, pem, tmp_path):
    garbage = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    path = ssl_file(tmp_path, server_key=garbage, server_cert=pem["server.pem"])
    with pytest.raises(MmkerasError, match="server_key and server_cert are no pair"):
        EmbeddedServer(half_plus_two_path, ssl_file=path).start()


def test_a_client_that_goes_away_or_sends_garbage_harms_nobody(half_plus_two_path):
    import socket

    with EmbeddedServer(half_plus_two_path) as server:
        host, _, port = server.address.partition(":")
        sockets = []
        for content in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 5000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100):
            opened = socket.create_connection((host, int(port)))
            opened.sendall(content)
            sockets.append(opened)
        sockets += [socket.create_connection((host, int(port))) for _ in range(200)]  # and say nothing
        with grpc.insecure_channel(server.address) as channel:
            request = protos.PredictRequest(model_spec={"name": "half plus two"}, inputs={"x": encode_tensor([1.0])})
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            for _ in range(20):
                call.future(request.SerializeToString()).cancel()
            assert asker(channel)("PredictionService/Predict", request).outputs["y"].float_val[:] == [2.5]
        for opened in sockets:
            opened.close()


def test_requests_wait_for_their_turn_where_no_limit_is_given(toy_path):
    with EmbeddedServer(toy_path) as server, Client(server.address, "toy", timeout=60) as client:
        gate = threading.Barrier(64)

        def ask(_):
            gate.wait()
            return client.predict("slow", {"steps": np.int32(300)})["total"] > 0

        with futures.ThreadPoolExecutor(64) as pool:
            assert all(pool.map(ask, range(64)))
