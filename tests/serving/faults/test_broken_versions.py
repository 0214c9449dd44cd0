"""Folders that are no version, or half of one, beside a good one: the good one answers, and the error is told."""

import os
import shutil

import pytest

from mmkeras.cli import main
from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, EmbeddedServer


def shard(version):
    return version / "variables" / "variables.data-00000-of-00001"


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def spoil(path):
    content = bytearray(path.read_bytes())
    content[:4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)


def empty(version):
    shutil.rmtree(version)
    version.mkdir()


NO_MODEL = "does not appear to contain a SavedModel bundle"
NO_LOAD = "hold a SavedModel with the tag 'serve' that loads"


def remove(*parts):
    return lambda version: version.joinpath(*parts).unlink()


def with_model(content):
    return lambda version: (version / "saved_model.pb").write_bytes(content)


# What is done to a version, the code of its state, and what the error tells.
BROKEN = {
    "an empty folder": (empty, "NOT_FOUND", NO_MODEL),
    "no saved_model.pb": (remove("saved_model.pb"), "NOT_FOUND", NO_MODEL),
    "an empty saved_model.pb": (with_model(b""), "UNKNOWN", NO_LOAD),
    "half a saved_model.pb": (lambda version: cut(version / "saved_model.pb"), "UNKNOWN", NO_LOAD),
    "random bytes": (with_model(b"\x9f\x03 no proto"), "UNKNOWN", NO_LOAD),
    "no shard": (lambda version: shard(version).unlink(), "UNKNOWN", "variables.data-00000-of-00001"),
    "half a shard": (lambda version: cut(shard(version)), "OUT_OF_RANGE", NO_LOAD),
    "a spoilt shard": (lambda version: spoil(shard(version)), "DATA_LOSS", NO_LOAD),
    "half an index": (lambda version: cut(version / "variables" / "variables.index"), "DATA_LOSS", NO_LOAD),
    "no index": (remove("variables", "variables.index"), "UNKNOWN", "not a valid checkpoint"),
    "no variables": (lambda version: shutil.rmtree(version / "variables"), "UNKNOWN", "not a valid checkpoint"),
}


def status(client):
    return [(entry["version"], entry["state"], entry["error_code"]) for entry in client.status()]


def answering(client):
    return client.predict("", {"x": [1.0]})["y"].tolist()


@pytest.fixture
def server(publish, base_path):
    """A server of version 1 that looks at the folder when it is told to."""
    publish(1)
    with EmbeddedServer(base_path, poll_seconds=0) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.address, "times", timeout=20, retries=0) as client:
        yield client


@pytest.mark.parametrize("kind", BROKEN)
def test_the_good_version_goes_on_and_a_good_newer_one_is_taken(server, client, publish, times_path, base_path, kind):
    spoil_version, code, text = BROKEN[kind]
    shutil.copytree(times_path(2), base_path / ".tmp-2")
    spoil_version(base_path / ".tmp-2")
    (base_path / ".tmp-2").rename(base_path / "2")
    for _ in range(2):
        server.models.look()
        assert answering(client) == [1.0]
    assert status(client) == [(2, "END", code), (1, "AVAILABLE", "OK")]
    assert text in client.status()[0]["error_message"]
    publish(3)
    server.models.look()
    assert answering(client) == [3.0]
    assert status(client) == [(3, "AVAILABLE", "OK"), (2, "END", code), (1, "END", "OK")]


def test_a_copy_into_the_folder_is_taken_when_it_is_complete(server, client, times_path, base_path):
    """File by file, as `cp` or `rsync` without a rename go: what they have not reached yet must not be missed."""
    source = times_path(2)
    target = base_path / "2"
    files = sorted(path for path in source.rglob("*") if path.is_file())
    last = files.pop()
    assert last.parent.name == "variables"
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
        server.models.look()
        assert answering(client) == [1.0]
    shutil.copy(last, target / last.relative_to(source))
    server.models.look()
    assert answering(client) == [2.0]
    assert status(client) == [(2, "AVAILABLE", "OK"), (1, "END", "OK")]


def test_what_is_no_version_is_not_looked_at(server, client, times_path, base_path):
    for name in (".tmp-5", "5.old", "five", "-5", "²", " 5", "9" * 20):
        shutil.copytree(times_path(5), base_path / name)
    (base_path / "6").write_bytes(b"a file")
    (base_path / "7").symlink_to(base_path / "gone")
    server.models.look()
    assert status(client) == [(1, "AVAILABLE", "OK")]
    assert answering(client) == [1.0]


@pytest.mark.parametrize("which", ["version", "saved_model.pb", "base path"])
def test_what_may_not_be_read(server, client, publish, base_path, which):
    version = publish(2)
    path = {"version": version, "saved_model.pb": version / "saved_model.pb", "base path": base_path}[which]
    rights = path.stat().st_mode
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("needs a user whom rights keep from reading; root may read everything")
    try:
        server.models.look()
        assert answering(client) == [1.0]
        if which != "base path":
            assert status(client) == [(2, "END", "UNKNOWN"), (1, "AVAILABLE", "OK")]
            assert "Permission denied" in client.status()[0]["error_message"]
    finally:
        path.chmod(rights)
    (version / "saved_model.pb").touch()
    server.models.look()
    assert answering(client) == [2.0]


class TestAtTheStart:
    """As on TensorFlow Serving: the policy says which versions there are to be, and none of them is replaced."""

    @pytest.fixture
    def newest_is_broken(self, publish):
        publish(1)
        (publish(2) / "saved_model.pb").write_bytes(b"\xff")

    def config(self, base_path, policy):
        path = base_path.parent / "models.config"
        path.write_text(
            f'model_config_list {{ config {{ name: "times" base_path: "{base_path}" model_platform: "tensorflow" '
            f"model_version_policy {{ {policy} }} }} }}"
        )
        return path

    def test_it_does_not_start_with_an_older_version(self, newest_is_broken, base_path):
        with pytest.raises(MmkerasError) as caught:
            EmbeddedServer(base_path).start()
        text = str(caught.value)
        assert "1 servable(s) did not become available: {{{name: times version: 2} due to error: UNKNOWN: " in text
        assert str(base_path / "2") in text

    def test_the_command_ends_with_one_line(self, newest_is_broken, base_path, monkeypatch, capsys, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert main(["serve", str(base_path), "--port", "0"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.strip().splitlines()
        assert line.startswith("mmkeras: error: ") and "{name: times version: 2} due to error" in line

    @pytest.mark.parametrize("policy", ["latest { num_versions: 2 }", "all {}", "specific { versions: 1 versions: 2 }"])
    def test_it_starts_where_the_policy_lists_the_older_one(self, newest_is_broken, base_path, policy):
        with EmbeddedServer(config_file=self.config(base_path, policy)) as server:
            with Client(server.address, "times", timeout=20) as client:
                assert answering(client) == [1.0]
                assert status(client) == [(2, "END", "UNKNOWN"), (1, "AVAILABLE", "OK")]

    def test_it_starts_with_the_older_version_that_is_asked_for(self, newest_is_broken, base_path):
        with EmbeddedServer(base_path, version=1) as server, Client(server.address, "times", timeout=20) as client:
            assert answering(client) == [1.0]
