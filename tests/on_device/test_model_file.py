"""A .tflite file that carries its settings: equal bytes for equal weights, and nothing but a whole file is read."""

import json
import zipfile

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.on_device import ModelFile
from mmkeras.on_device.model_file import packed

NETWORK = bytes(range(256)) * 8
SETTINGS = {"kind": "ids", "space_id": "a" * 64}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "encoder.tflite"
    path.write_bytes(packed(NETWORK, SETTINGS, b"a tokenizer"))
    return path


def test_what_was_packed_is_read(file):
    model = ModelFile(file)
    assert model.network == NETWORK and model.tokenizer == b"a tokenizer"
    assert {key: model.settings[key] for key in SETTINGS} == SETTINGS
    assert file.read_bytes().startswith(NETWORK)  # the interpreter reads from the start


def test_any_zip_reader_opens_it(file):
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["mmkeras.json", "tokenizer.model"]
        assert json.loads(archive.read("mmkeras.json"))["network_bytes"] == len(NETWORK)


def test_equal_contents_are_equal_bytes():
    backwards = dict(reversed(SETTINGS.items()))
    assert packed(NETWORK, SETTINGS, b"t") == packed(NETWORK, backwards, b"t")
    assert packed(NETWORK, SETTINGS, b"t") != packed(NETWORK, SETTINGS)


def test_a_file_without_a_tokenizer_has_none(tmp_path):
    path = tmp_path / "text.tflite"
    path.write_bytes(packed(NETWORK, SETTINGS))
    assert ModelFile(path).tokenizer is None


@pytest.mark.parametrize("length", [0, 100, len(NETWORK), len(NETWORK) + 50, -60, -1])
def test_a_file_that_is_cut_off_is_told(file, length):
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(MmkerasError, match="no whole encoder"):
        ModelFile(file)


def test_a_changed_bit_of_the_network_is_told(file):
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(MmkerasError, match="damaged: its network"):
        ModelFile(file)


def test_another_file_or_format_is_told(file, tmp_path):
    with pytest.raises(MmkerasError, match="cannot be read"):
        ModelFile(tmp_path / "none.tflite")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(MmkerasError, match="no whole encoder"):
        ModelFile(other)
    file.write_bytes(file.read_bytes().replace(b'"format": 1', b'"format": 7'))
    with pytest.raises(MmkerasError, match="no whole encoder|format 7"):
        ModelFile(file)
