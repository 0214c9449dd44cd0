"""A mistake in an operator's file: a running server keeps to the old one, one that starts says in a line what it is."""

import grpc
import pytest

from mmkeras.cli import main
from mmkeras.serving import Client, EmbeddedServer, protos

GOOD = 'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}\n'


@pytest.fixture
def config_file(tmp_path):
    return tmp_path / "models.config"


def models(path, *names):
    return "model_config_list {\n" + "".join(GOOD.format(name=name, path=path) for name in names) + "}\n"


def test_a_mistake_in_models_config_is_logged_with_its_line_until_it_is_mended(
    publish, base_path, config_file, settles, caplog
):
    publish(1)
    config_file.write_text(models(base_path, "a"))
    with EmbeddedServer(config_file=config_file, poll_seconds=0.02) as server:
        mistakes = [
            (models(base_path, "a", "b").replace('name: "b"', "name: b"), "3:"),
            ("", "Received: nothing"),  # as `cp` leaves it for a moment
            (models(base_path, "a", "b")[:-3], "Expected"),
            (models("no/absolute/path", "b"), "absolute path"),
            (models(base_path, "b", "b"), "multiple times"),
        ]
        for content, text in mistakes:
            caplog.clear()
            config_file.write_text(content)
            assert settles(lambda text=text: any(text in message for message in errors(caplog)))
            assert all(str(config_file) in message for message in errors(caplog))
            with Client(server.address, "a", timeout=20) as client:
                assert client.predict("", {"x": [2.0]})["y"].tolist() == [2.0]
            assert server.models.statuses("b") == []
        publish(2)  # folders are followed meanwhile
        assert settles(lambda: server.models.newest("a") == 2)
        config_file.write_text(models(base_path, "b"))
        assert settles(lambda: server.models.newest("b") == 2)
        assert server.models.newest("a") is None


def errors(caplog):
    return [record.getMessage() for record in list(caplog.records) if record.levelname == "ERROR"]


def test_a_reload_that_cannot_be_followed_changes_nothing_and_a_good_one_is_taken(publish, base_path, config_file):
    publish(1)
    config_file.write_text(models(base_path, "a"))

    def reload(channel, content):
        method = channel.unary_unary("/tensorflow.serving.ModelService/HandleReloadConfigRequest")
        method(content if isinstance(content, bytes) else content.SerializeToString(), timeout=20)

    def request(**entry):
        entry = {"name": "b", "base_path": str(base_path), "model_platform": "tensorflow"} | entry
        return protos.ReloadConfigRequest(config={"model_config_list": {"config": [entry]}})

    with (
        EmbeddedServer(config_file=config_file, allow_reload_config=["/"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        for content, code in (
            (b"\xff\xff", "INTERNAL"),
            (request().SerializeToString()[:-5], "INTERNAL"),
            (b"", "INVALID_ARGUMENT"),
            (request(model_platform="torch"), "INVALID_ARGUMENT"),
            (request(base_path="/nowhere"), "NOT_FOUND"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                reload(channel, content)
            assert caught.value.code().name == code
            assert (server.models.newest("a"), server.models.newest("b")) == (1, None)
        reload(channel, request())
        assert (server.models.newest("a"), server.models.newest("b")) == (None, 1)


@pytest.mark.parametrize(
    ("option", "content", "told"),
    [
        ("config", "model_config_list {\n  config { nam: 'a' }\n}", ["2:12", "nam"]),
        ("batching", "max_batch_size { value: 8 }\nbatch_size { value: 8 }", ["2:1", "batch_size"]),
        ("batching", "max_batch_size { value: 8", ["1:25"]),
        ("batching", "max_batch_size { value: 0 }", ["max_batch_size=0"]),
        ("batching", "max_batch_size { value: 8 } allowed_batch_sizes: 4", ["must match max_batch_size"]),
        ("monitoring", "prometheus_config {\n enable: perhaps }", ["2:", "perhaps"]),
        ("monitoring", 'prometheus_config { enable: true path: "metrics" }', ["slash"]),
    ],
)
def test_at_the_start_one_line_names_the_file_and_the_place(
    publish, base_path, tmp_path, monkeypatch, capsys, option, content, told
):
    publish(1)
    monkeypatch.setenv("PATH", str(tmp_path))  # no tensorflow_model_server
    file = tmp_path / f"{option}.config"
    file.write_text(content)
    model = [] if option == "config" else [str(base_path)]
    assert main(["serve", *model, "--port", "0", "--rest-port", "0", f"--{option}", str(file)]) == 2
    out, err = capsys.readouterr()
    (line,) = err.strip().splitlines()
    assert out == "" and line.startswith("mmkeras: error: ") and str(file) in line
    for words in told:
        assert words in line
