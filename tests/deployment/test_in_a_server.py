"""What the deployment files ask of a server, asked of the embedded one, which they configure here."""

import http.client
import json
import re
import shutil
import subprocess
import time

import grpc
import pytest

from mmkeras.serving import Client, EmbeddedServer, ServingError, protos
from tests.deployment.conftest import ROLLOUT, read_models


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    """The folder of a model of two versions; each answers with its number."""
    import tensorflow as tf

    class Constant(tf.Module):
        def __init__(self, value):
            super().__init__()
            self.value = tf.Variable(float(value))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x * 0 + self.value}

    folder = tmp_path_factory.mktemp("models") / "glyphs"
    for version in (1, 2):
        module = Constant(version)
        tf.saved_model.save(module, str(folder / str(version)), signatures={"version": module.__call__})
    return folder


@pytest.fixture(scope="module")
def server(serving, glyphs, tmp_path_factory):
    pytest.importorskip("waitress", reason='waitress is not installed: pip install -e ".[rest]"')
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text((serving / "models.config").read_text().replace("/models/glyphs", str(glyphs)))
    files = {"batching_file": serving / "batching.config", "monitoring_file": serving / "monitoring.config"}
    with EmbeddedServer(config_file=config, rest_port=0, **files) as server:
        with Client(server.address, "glyphs", timeout=20) as client:
            client.predict("version", {"x": [0.0]})
        yield server


def get(server, path):
    connection = http.client.HTTPConnection(server.rest_address, timeout=20)
    connection.request("GET", path)
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response.status, content


def test_the_probes_of_kubernetes(server, pod):
    (container,) = pod["spec"]["containers"]
    path = container["readinessProbe"]["httpGet"]["path"]
    assert get(server, path)[0] == 200
    assert get(server, path.replace("glyphs", "nope"))[0] == 404
    with grpc.insecure_channel(server.address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        answer = check(protos.HealthCheckRequest().SerializeToString(), timeout=20)
        assert protos.HealthCheckResponse.FromString(answer).status == 1  # SERVING


def test_the_health_check_of_compose(server, compose):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    _, program, option, command = compose["services"]["model-server"]["healthcheck"]["test"]
    assert (program, option) == ("bash", "-c")
    assert command.count("8501") == 1
    command = command.replace("8501", server.rest_address.partition(":")[2])
    assert subprocess.run([bash, "-c", command], timeout=20).returncode == 0
    assert subprocess.run([bash, "-c", command.replace("glyphs", "nope")], timeout=20).returncode != 0


def test_prometheus_finds_what_the_dashboard_shows(server, serving, pod):
    status, text = get(server, pod["metadata"]["annotations"]["prometheus.io/path"])
    assert status == 200
    dashboard = json.loads((serving / "grafana" / "dashboards" / "model-server.json").read_text())
    expressions = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    # This version has no warm-up requests.
    names = {name for name in re.findall(r":tensorflow:serving:[\w:]+", expressions) if "warmup" not in name}
    assert len(names) > 5
    assert [name for name in sorted(names) if f"\n{name}{{" not in text] == []


def test_the_rollout(serving, glyphs, tmp_path):
    """Forward and back as README.md says: at every step each label is answered by the version that the file names."""
    config = tmp_path / "models.config"

    def step(name):
        text = (serving / "rollout" / f"{name}.config").read_text()
        config.write_text(text.replace("/models/glyphs", str(glyphs)))
        return dict(read_models(config).config[0].version_labels)

    def meets(address, label):
        try:
            with Client(address, "glyphs", label=label, timeout=20) as client:
                return int(client.predict("version", {"x": [0.0]})["y"][0])
        except ServingError as error:
            return error.code

    expected = step("1-stable")
    with EmbeddedServer(config_file=config, poll_seconds=0.05) as server:
        for name in (*ROLLOUT[1:4], "3-canary", "2-loaded", "1-stable", *ROLLOUT[1:]):
            previous, expected = expected, step(name)
            labels = {"stable", "canary", "previous"}
            deadline = time.monotonic() + 20
            while (found := {label: meets(server.address, label) for label in labels}) != {
                label: expected.get(label, "INVALID_ARGUMENT") for label in labels
            }:
                # Nobody who asks for stable is ever refused.
                assert found["stable"] in (previous["stable"], expected["stable"]), name
                assert time.monotonic() < deadline, (name, found)
                time.sleep(0.05)
            versions = set(read_models(config).config[0].model_version_policy.specific.versions)
            with Client(server.address, "glyphs", timeout=20) as client:
                while {s["version"] for s in client.status() if s["state"] == "AVAILABLE"} != versions:
                    assert time.monotonic() < deadline, (name, client.status())
                    time.sleep(0.05)
