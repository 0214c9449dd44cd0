"""Published models by folder and by name, without a network."""

import sys
import types

import pytest

from mmkeras.encoders.checkpoints.names import NAMES, find_checkpoint, is_checkpoint, revision_of
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that notes what it is asked for, and has it in a cache as huggingface_hub's."""
    asked = []

    def snapshot_download(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        folder = tmp_path / "snapshots" / COMMIT
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    module = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return module, asked


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("siglip_base_patch16_224", True),
        ("google/siglip2-base-patch16-224", True),
        ("siglip", False),
        ("a/b/c", False),
        ("photos/captions.csv", False),  # of a folder that is there
        ("saved", False),
        ("published", True),
        ("numbered", True),
    ],
)
def test_what_is_a_published_model(tmp_path, monkeypatch, name, is_one):
    monkeypatch.chdir(tmp_path)
    for folder, file in (("saved", "saved_model.pb"), ("published", "config.json"), ("numbered", "weights.npz")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).touch()
    (tmp_path / "photos").mkdir()
    assert is_checkpoint(name) == is_one


@pytest.mark.parametrize("name", ["clip_vit_base_patch32", "owner/name"])
def test_a_name_is_downloaded_without_what_could_run(hub, name):
    folder = find_checkpoint(name)
    ((repository, patterns),) = hub[1]
    assert repository == NAMES.get(name, name)
    assert "*.safetensors" in patterns and not any(end in pattern for pattern in patterns for end in (".bin", ".py"))
    assert revision_of(folder) == COMMIT


def test_a_folder_is_not_looked_for_elsewhere(hub, tmp_path):
    (tmp_path / "config.json").touch()
    assert find_checkpoint(tmp_path) == tmp_path and hub[1] == []
    assert revision_of(tmp_path) == ""


def test_a_download_that_fails_says_what_to_do(hub):
    def fail(repository, allow_patterns):
        raise OSError("no route to host\nmore")

    hub[0].snapshot_download = fail
    with pytest.raises(
        MmkerasError, match=r"owner/name .* could not be downloaded: no route to host\. Where there is no"
    ):
        find_checkpoint("owner/name")


def test_the_package_that_downloads_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPartError, match=r"mmkeras\[pretrained\]"):
        find_checkpoint("owner/name")


def test_an_unknown_name_names_close_ones():
    with pytest.raises(MmkerasError, match="siglip_base_patch16_224.*Received: 'siglip_base_patch16'"):
        find_checkpoint("siglip_base_patch16")
