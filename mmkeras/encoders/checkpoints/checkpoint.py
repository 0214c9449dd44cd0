"""`Checkpoint`: a folder with a published model, as Hugging Face has them."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmkeras.encoders.weights_file import read_weights
from mmkeras.errors import MmkerasError

WEIGHTS = "model.safetensors"
NUMBERED = "weights.npz"  # arrays without names, in a folder without config.json: networks of convolutions
INDEX = "model.safetensors.index.json"
PICKLED = (".bin", ".ckpt", ".pt", ".pth")
# What families read beside config.json, where it stands.
SETTINGS = (
    "preprocessor_config.json",
    "processor_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
CONVERSION = (
    'python -c "import torch; from safetensors.torch import save_file; '
    "arrays = torch.load('{file}', map_location='cpu', weights_only=True); arrays = arrays.get('model', arrays); "
    "save_file({{name: array.clone() for name, array in arrays.items()}}, 'model.safetensors')\""
)


class Checkpoint:
    """A published model in a folder: its settings and its weights, by the names under which they were published.

    Weights are read from `model.safetensors`, from the files that `model.safetensors.index.json` names, or from a
    `weights.npz`, beside which nothing is needed. Pickled ones
    (`pytorch_model.bin`, `.ckpt`, `.pth`) are refused: to read such a file is to run what is in it.

    Args:
        folder: path of the folder.

    Attributes:
        folder: `pathlib.Path`.
        config: dict, what `config.json` says; empty beside a `weights.npz`.
        weights: names of the files with the weights.
        arrays: dict from name to NumPy array, read when first asked for; numbers of 16 bits become float32.
        digests: dict from file name to SHA-256, a string of hexadecimal digits, of the weights and settings in the
            folder that are read.
        licence: what the head of README.md (or MODEL_CARD.md) gives as `license`, or where that is `other` as
            `license_name`; else the first line of LICENSE that
            has something in it, else an empty string.

    Raises:
        MmkerasError: no such folder, one without config.json or without weights that may be read, or a file that cannot
            be read.

    Example:
        >>> checkpoint = Checkpoint("siglip-base-patch16-224")
        >>> checkpoint.config["model_type"], checkpoint.licence
        ('siglip', 'apache-2.0')
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise MmkerasError(f"Expected a folder with a published model. Received: {str(folder)!r}, which is none")
        config = {} if (self.folder / NUMBERED).is_file() else self.settings("config.json")
        if not isinstance(config, dict):
            raise MmkerasError(
                f"Expected config.json beside the weights, as Hugging Face's folders have it. There is none in "
                f"{str(folder)!r}"
            )
        self.config = config
        self.weights = self._weight_files()

    def settings(self, name: str) -> Any:
        """Return what a JSON file of the folder holds, `None` where there is no such file.

        Args:
            name: of the file, such as `preprocessor_config.json`.

        Raises:
            MmkerasError: a file that is no JSON.
        """
        file = self.folder / name
        if not file.is_file():
            return None
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{str(file)!r} cannot be read as JSON: {error}") from error

    @functools.cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        for name in self.weights:
            arrays |= read_weights(self.folder / name)
        return arrays

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        names = ["config.json", *SETTINGS, INDEX, *self.weights]
        return {name: _digest(self.folder / name) for name in names if (self.folder / name).is_file()}

    @property
    def licence(self) -> str:
        for name in ("README.md", "MODEL_CARD.md"):
            head = re.match(r"---\s*\n(.*?)\n---", self._text(name), re.DOTALL)
            lines = head[1] if head else ""
            fields = dict(re.findall(r"^(license|license_name):[ \t]*(\S.*?)\s*$", lines, re.MULTILINE))
            if "license" in fields:
                own = fields.get("license_name", "other")
                return (own if fields["license"] == "other" else fields["license"]).strip("'\"")
        for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"):
            if lines := [line.strip() for line in self._text(name).splitlines() if line.strip()]:
                return lines[0]
        return ""

    def _text(self, name):
        file = self.folder / name
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    def _weight_files(self):
        if (self.folder / NUMBERED).is_file():
            return [NUMBERED]
        if (self.folder / WEIGHTS).is_file():
            return [WEIGHTS]
        if index := self.settings(INDEX):
            names = sorted(set(index.get("weight_map", {}).values()))
            if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
                raise MmkerasError(f"Expected names of .safetensors files in {str(self.folder / INDEX)!r}")
            return names
        pickled = sorted(file.name for file in self.folder.iterdir() if file.suffix in PICKLED)
        if pickled:
            raise MmkerasError(
                f"Expected {WEIGHTS} in {str(self.folder)!r}. Received: {', '.join(pickled)}, pickled, and to "
                "read such a file is to run what is in it. Where PyTorch is installed, this converts it, run there: "
                f"{CONVERSION.format(file=pickled[0])}"
            )
        raise MmkerasError(f"Expected {WEIGHTS}, or {INDEX} with its files, in {str(self.folder)!r}. There is neither")


def _digest(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
