"""Section 8 of the contract: metrics, health, TLS and models.config that is edited."""

import re
import shutil
import time

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from .asking import available, predict, predict_request, spec, states, status_request, wait_for
from .server import KIND, models_config

METRICS = "/monitoring/prometheus/metrics"
MONITORING = f'prometheus_config {{ enable: true path: "{METRICS}" }}'
X = {"x": [2.0]}


@pytest.fixture(scope="module")
def half(folders):
    return models_config(folders[1], {"half": "latest {}"})


@pytest.fixture(scope="module")
def metrics(start_for_module, folders):
    """(content type, text) of the metrics after a warm-up, two good requests, a bad one and a look at the status."""
    warmed = folders[0] / "warmed" / "1"
    shutil.rmtree(warmed.parent, ignore_errors=True)
    shutil.copytree(folders[0] / "half" / "1", warmed)
    (warmed / "assets.extra").mkdir()
    record = prediction_log_pb2.PredictionLog()
    record.predict_log.request.CopyFrom(predict_request(spec("warmed"), X))
    with tf.io.TFRecordWriter(str(warmed / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(record.SerializeToString())
    server = start_for_module(
        models_config(folders[1], {"half": "latest {}", "warmed": "latest {}"}),
        monitoring=MONITORING,
        batching="max_batch_size { value: 8 }",
    )
    predict(server, X, name="half")
    server.refusal("Predict", predict_request(spec("half", "zz"), X))
    assert server.http("POST", "/v1/models/half:predict", {"instances": [2.0]})[0] == 200
    assert server.http("GET", "/v1/models/half")[0] == 200
    status, content_type, content, _ = server.http("GET", METRICS)
    assert status == 200
    return content_type, content.decode()


def value(text, name, **labels):
    """The value of a metric's line with these labels, in whatever order; None where there is none."""
    for line in text.splitlines():
        match = re.fullmatch(r"([^{\s]+)(?:\{(.*)\})? (\S+)", line)
        if match and match[1] == name and dict(re.findall(r'(\w+)="([^"]*)"', match[2] or "")) == labels:
            return float(match[3])
    return None


def test_metrics_are_plain_text(metrics):
    assert metrics[0].startswith("text/plain")


@pytest.mark.parametrize(
    ("name", "labels", "number"),
    [
        # Seen on TensorFlow Serving 2.21.0: the API of REST is the path's verb, and none for a GET, which counts too.
        ("request_count", {"model_name": "half", "status": "OK"}, 3),
        ("request_count", {"model_name": "half", "status": "FAILED_PRECONDITION"}, 1),
        ("request_latency_count", {"model_name": "half", "API": "Predict", "entrypoint": "GRPC"}, 1),
        ("request_latency_count", {"model_name": "half", "API": "predict", "entrypoint": "REST"}, 1),
        ("request_latency_count", {"model_name": "half", "API": "", "entrypoint": "REST"}, 1),
        ("request_latency_bucket", {"model_name": "half", "API": "Predict", "entrypoint": "GRPC", "le": "+Inf"}, 1),
        ("runtime_latency_count", {"model_name": "half", "API": "Predict", "runtime": "TF1"}, 2),
    ],
)
def test_metric(metrics, name, labels, number):
    assert value(metrics[1], f":tensorflow:serving:{name}", **labels) == number


def test_latencies_are_in_microseconds(metrics):
    labels = {"model_name": "half", "API": "Predict", "entrypoint": "GRPC"}
    assert 20 < value(metrics[1], ":tensorflow:serving:request_latency_sum", **labels) < 20e6


@pytest.mark.parametrize("name", ["queuing_latency", "processed_batch_size", "input_batch_size", "padding_size"])
def test_metrics_of_batching(metrics, name):
    assert f":tensorflow:serving:batching_session:{name}_bucket" in metrics[1]


def test_metrics_of_warm_up(metrics, folders):
    path = f"{folders[1]}/warmed/1"
    assert value(metrics[1], ":tensorflow:serving:model_warmup_latency_count", model_path=path, status="OK") == 1
    # Seen on TensorFlow Serving 2.21.0: this one has a status too.
    assert value(metrics[1], ":tensorflow:serving:model_warmup_records_read", model_path=path, status="OK") == 1


def test_metrics_are_off_by_default(server):
    assert server.http("GET", METRICS)[0] == 404


@pytest.fixture(scope="module")
def healthy(start_for_module, half):
    return start_for_module(half, health=True)


@pytest.mark.parametrize("service", ["", "PredictionService", "ModelService"])
def test_health(healthy, service):
    request = b"\x0a" + bytes([len(service)]) + service.encode()
    assert healthy.raw("/grpc.health.v1.Health/Check", request) == ("OK", b"\x08\x01")


def test_health_of_a_service_that_is_not_known_by_this_name(healthy):
    service = b"tensorflow.serving.PredictionService"
    request = b"\x0a" + bytes([len(service)]) + service
    assert healthy.raw("/grpc.health.v1.Health/Check", request) == ("NOT_FOUND", "service name unknown")


@pytest.fixture(scope="module")
def pem(certificates):
    """PEM texts by file name."""
    return {path.name: path.read_bytes() for path in certificates.iterdir()}


def ssl_config(pem, **fields):
    lines = [f"{name}: {fields[name]}" for name in fields]
    for name, content in (("server_key", "server.key"), ("server_cert", "server.pem"), ("custom_ca", "authority.pem")):
        text = pem[content].decode().replace("\n", "\\n")
        lines.append(f'{name}: "{text}"')
    return "\n".join(lines)


def code_over(address, credentials):
    """The code of a status request over a channel of one's own."""
    channel = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
    with channel:
        call = channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus")
        try:
            call(status_request("half").SerializeToString(), timeout=10)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


def test_tls(start, half, pem):
    known = grpc.ssl_channel_credentials(pem["authority.pem"])
    server = start(half, ssl=ssl_config(pem), credentials=known)
    assert predict(server, X, name="half") == {"y": [4.0]}
    assert code_over(server.address, None) == "UNAVAILABLE"
    assert code_over(server.address, grpc.ssl_channel_credentials(pem["client.pem"])) == "UNAVAILABLE"


def test_mutual_tls(start, half, pem):
    known = grpc.ssl_channel_credentials(pem["authority.pem"], pem["client.key"], pem["client.pem"])
    server = start(half, ssl=ssl_config(pem, client_verify="true"), credentials=known)
    assert predict(server, X, name="half") == {"y": [4.0]}
    assert code_over(server.address, grpc.ssl_channel_credentials(pem["authority.pem"])) == "UNAVAILABLE"


def test_models_config_is_read_again(start, folders, half):
    """An edit that cannot be read is passed over; a good one is followed."""
    server = start(half, watched=True)
    server.models_file.write_text("model_config_list { config {")
    # Long enough for a look at the file.
    time.sleep(1.5 if KIND == "binary" else 0.4)
    assert predict(server, X, name="half") == {"y": [4.0]}
    server.models_file.write_text(models_config(folders[1], {"half": "specific { versions: 1 }", "plain": "latest {}"}))
    wait_for(lambda: [entry[:2] for entry in states(server, "plain")] == [(1, "AVAILABLE")])
    wait_for(lambda: (1, "AVAILABLE") in [entry[:2] for entry in states(server, "half")])
    assert predict(server, X, "only", "plain") == {"y": [3.0]}
    assert predict(server, X, name="half", version=1) == {"y": [2.0]}


@pytest.mark.parametrize("platform", ["", 'model_platform: "torch"'], ids=["none", "another"])
def test_models_config_with_a_platform_that_is_refused(start, folders, half, platform):
    """A defect, as by HandleReloadConfigRequest: the original refuses the mended file too, at every look.

    Seen on TensorFlow Serving 2.21.0. Its models go on answering until it is started anew.
    """
    server = start(half, watched=True)
    good = models_config(folders[1], {"half": "latest {}", "plain": "latest {}"})
    head, _, tail = good.rpartition('model_platform: "tensorflow"')
    server.models_file.write_text(f"{head}{platform}{tail}")
    time.sleep(1.5 if KIND == "binary" else 0.4)
    assert predict(server, X, name="half") == {"y": [4.0]}
    assert states(server, "plain") == []
    server.models_file.write_text(good)
    if KIND == "embedded":
        wait_for(lambda: available(server, "plain") == [1])
    time.sleep(1.5 if KIND == "binary" else 0.4)
    assert predict(server, X, name="half") == {"y": [4.0]}


def test_the_documented_models_config(start, folders):
    """The contract's example: named versions and a label, which at the start the original refuses."""
    text = models_config(folders[1], {"half": "specific { versions: 1 versions: 2 }"})
    server = start(text)
    wait_for(lambda: available(server, "half") == [2, 1])
    server.reload(models_config(folders[1], {"half": "specific { versions: 1 versions: 2 }"}, {"half": {"stable": 1}}))
    assert [entry[0] for entry in states(server, "half")] == [2, 1]
    assert predict(server, X, name="half", label="stable") == {"y": [2.0]}
