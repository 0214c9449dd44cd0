"""Which folders are versions, and what is said of folders that hold none."""

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import EmbeddedServer
from mmkeras.serving.versions import find_versions, list_versions


def test_only_numbers_are_versions(toy_path):
    assert list(find_versions(toy_path)) == [1, 2]
    assert find_versions(str(toy_path))[1].name == "00000001"


def test_a_missing_base_path_is_named(tmp_path):
    with pytest.raises(MmkerasError, match="nowhere.*missing"):
        EmbeddedServer(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(MmkerasError, match="a file"):
        EmbeddedServer(tmp_path / "file")


def test_a_base_path_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(MmkerasError, match=f"that can be read. Received: base_path='{tmp_path}' .*Permission denied"):
        find_versions(tmp_path)


def test_a_base_path_without_versions_is_named(tmp_path, toy_path):
    (tmp_path / ".tmp-1").mkdir()
    with pytest.raises(MmkerasError, match=r"folders named by a number.*\.tmp-1"):
        EmbeddedServer(tmp_path)
    with pytest.raises(MmkerasError, match="it is itself a version, give its parent"):
        EmbeddedServer(toy_path / "2")


def test_an_unknown_version_is_refused_with_those_that_exist(toy_path):
    with pytest.raises(MmkerasError, match=r"among \[1, 2\].*Received: version=7"):
        EmbeddedServer(toy_path, version=7)


def test_a_number_that_no_message_can_hold_is_no_version(tmp_path):
    (tmp_path / str(2**63)).mkdir()
    (tmp_path / "007").mkdir()
    (tmp_path / "8").write_text("a file")
    assert list_versions(tmp_path) == {7: tmp_path / "007"}


NO_BUNDLE = r"NOT_FOUND: Specified file path does not appear to contain a SavedModel bundle .*\n.*broken/4\}"


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, NO_BUNDLE), (b"\xff\xff\xff", "UNKNOWN: .*broken/4 to hold a SavedModel"), (b"", "with the tag 'serve'")],
)
def test_a_version_that_is_no_saved_model_is_named(tmp_path, content, text):
    (tmp_path / "broken" / "4").mkdir(parents=True)
    if content is not None:
        (tmp_path / "broken" / "4" / "saved_model.pb").write_bytes(content)
    server = EmbeddedServer(tmp_path / "broken")
    begin = r"1 servable\(s\) did not become available: \{\{\{name: broken version: 4\} due to error: "
    with pytest.raises(MmkerasError, match=f"{begin}.*{text}"):
        server.start()
    assert server.address is None
