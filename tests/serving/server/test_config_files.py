"""The operator's files are read into the contract's fields, and what is wrong is told with its place."""

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving.server.config_files import (
    read_batching_file,
    read_models_file,
    read_monitoring_file,
    read_ssl_file,
)

MODELS = """
# comment
model_config_list {
  config { name: "a" base_path: "/abs/a" model_platform: "tensorflow"
           model_version_policy { specific { versions: 1 versions: 2 } }
           version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 } }
  config: <name: 'b', base_path: '/abs/b'>
}
"""
BATCHING = """
max_batch_size { value: 8 } batch_timeout_micros { value: 0 } max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 } thread_pool_name { value: "x" } enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 8 pad_variable_length_inputs: true
"""
KEY, CERTIFICATE = "-----BEGIN PRIVATE KEY-----\nx", "-----BEGIN CERTIFICATE-----\nx"


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "some.config").write_text(text)
        return tmp_path / "some.config"

    return write


def test_models(file):
    first, second = read_models_file(file(MODELS)).config
    assert (first.name, first.base_path, first.model_platform) == ("a", "/abs/a", "tensorflow")
    assert first.model_version_policy.specific.versions[:] == [1, 2]
    assert dict(first.version_labels) == {"stable": 1, "canary": 2}
    assert (second.name, second.model_version_policy.WhichOneof("policy_choice")) == ("b", None)


def test_batching(file):
    parameters = read_batching_file(file(BATCHING))
    assert (parameters.max_batch_size.value, parameters.allowed_batch_sizes[:]) == (8, [4, 8])
    assert parameters.HasField("batch_timeout_micros") and parameters.batch_timeout_micros.value == 0
    assert parameters.thread_pool_name.value == "x" and parameters.enable_large_batch_splitting.value
    assert parameters.pad_variable_length_inputs
    assert not read_batching_file(file("max_batch_size { value: 8 }")).HasField("num_batch_threads")
    with pytest.raises(MmkerasError, match="no field named .*batch_size"):
        read_batching_file(file("batch_size { value: 8 }"))


def test_monitoring(file):
    config = read_monitoring_file(file('prometheus_config { enable: true path: "/metrics" }')).prometheus_config
    assert (config.enable, config.path) == (True, "/metrics")
    with pytest.raises(MmkerasError, match="slash"):
        read_monitoring_file(file('prometheus_config { enable: true path: "metrics" }'))


def test_ssl(file):
    def text(**fields):
        return "".join(f"{name}: {value}\n" for name, value in fields.items())

    key, certificate = repr(KEY), repr(CERTIFICATE)
    config = read_ssl_file(file(text(server_key=key, server_cert=certificate)))
    assert (config.server_key, config.server_cert, config.client_verify) == (KEY, CERTIFICATE, False)
    for fields, complaint in (
        ({"server_key": key}, "Expected server_cert"),
        ({"server_key": '"/etc/key.pem"', "server_cert": certificate}, "Expected server_key of .* to be PEM text"),
        ({"server_key": key, "server_cert": certificate, "client_verify": "true"}, "Expected custom_ca"),
    ):
        with pytest.raises(MmkerasError, match=complaint) as caught:
            read_ssl_file(file(text(**fields)))
        assert "BEGIN PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"some\.config to hold model_config_list .*Received: nothing"),
        ("model_config_list {\n config { nam: 'a' } }", r"some\.config.*2:11.*no field named \"nam\""),
        ("model_config_list { config { name: 'a'", r"1:\d+.*Expected \"}\""),
        ("max_batch_size { value: 8 }", "fields model_config_list.*no field named"),
        ("model_config_list { config { version_labels { key: 'a' value: 'b' } } }", "integer"),
        ("custom_model_config {}", "Received: custom_model_config"),
    ],
)
def test_a_models_file_that_is_none(file, text, complaint):
    with pytest.raises(MmkerasError, match=complaint):
        read_models_file(file(text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MmkerasError, match="gone.config"):
        read_batching_file(tmp_path / "gone.config")
    (tmp_path / "bytes.config").write_bytes(b"\xff\xfe")
    with pytest.raises(MmkerasError, match="bytes.config"):
        read_monitoring_file(tmp_path / "bytes.config")
