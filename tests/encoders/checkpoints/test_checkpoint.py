import hashlib
import json

import numpy as np
import pytest

from mmkeras.encoders.checkpoints import Checkpoint
from mmkeras.errors import MmkerasError

from .folders import BERT, write_folder

safetensors = pytest.importorskip("safetensors.numpy", reason="needs safetensors: pip install 'mmkeras[pretrained]'")


def test_it_reads_settings_weights_and_digests(tmp_path):
    folder = write_folder(tmp_path, BERT, {"one": np.ones(2, "float16")}, modules=[])
    checkpoint = Checkpoint(str(folder))
    assert checkpoint.folder == folder and checkpoint.config == BERT and checkpoint.licence == ""
    assert checkpoint.arrays["one"].dtype == "float32" and checkpoint.arrays["one"].tolist() == [1, 1]
    names = ["config.json", "model.safetensors", "modules.json"]
    assert checkpoint.digests == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_weights_may_lie_in_several_files(tmp_path):
    folder = write_folder(tmp_path, BERT)
    (folder / "model.safetensors").unlink()
    for number in (1, 2):
        safetensors.save_file({f"a{number}": np.full(2, number, "float32")}, folder / f"model-0000{number}.safetensors")
    index = {"weight_map": {f"a{number}": f"model-0000{number}.safetensors" for number in (1, 2)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    checkpoint = Checkpoint(folder)
    assert {name: array.tolist() for name, array in checkpoint.arrays.items()} == {"a1": [1, 1], "a2": [2, 2]}
    assert len(checkpoint.digests) == 4
    index["weight_map"]["a1"] = "../model-00001.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MmkerasError, match="Expected names of .safetensors files"):
        Checkpoint(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "ALBEF.pth", "last.ckpt"])
def test_pickled_weights_are_refused_with_what_converts_them(name, tmp_path):
    folder = write_folder(tmp_path, BERT)
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(MmkerasError, match=f"Received: {name}, pickled.*torch.load\\('{name}'.*weights_only=True"):
        Checkpoint(folder)


def test_what_is_no_such_folder_is_told(tmp_path):
    with pytest.raises(MmkerasError, match="which is none"):
        Checkpoint(tmp_path / "none")
    with pytest.raises(MmkerasError, match="There is none in"):
        Checkpoint(tmp_path)
    folder = write_folder(tmp_path, BERT)
    (folder / "model.safetensors").unlink()
    with pytest.raises(MmkerasError, match="There is neither"):
        Checkpoint(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(MmkerasError, match="config.json' cannot be read as JSON"):
        Checkpoint(folder)


@pytest.mark.parametrize(
    "files, licence",
    [
        ({"README.md": "---\nlanguage: en\nlicense: apache-2.0\ntags: []\n---\n# Card"}, "apache-2.0"),
        ({"MODEL_CARD.md": "---\nlicense: 'mit'\n---\n", "LICENSE": "other"}, "mit"),
        (
            {"README.md": "---\ntags: []\n---\nlicense: no field\n", "LICENSE": "\n  Apache License\n  2.0\n"},
            "Apache License",
        ),
        ({"README.md": "---\nlicense: other\nlicense_name: some-terms\n---\n"}, "some-terms"),
        ({"README.md": "# Card"}, ""),
    ],
)
def test_the_licence_is_what_the_folder_says(files, licence, tmp_path):
    folder = write_folder(tmp_path, BERT)
    for name, text in files.items():
        (folder / name).write_text(text)
    assert Checkpoint(folder).licence == licence
