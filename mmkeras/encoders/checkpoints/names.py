"""Finding a published model: a folder, or a name under which it is downloaded once."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError

# Short names and the repositories of the Hugging Face Hub that they stand for. Any OWNER/NAME of the Hub may be given.
NAMES = {
    "all_minilm_l6_v2": "sentence-transformers/all-MiniLM-L6-v2",
    "bert_base_uncased": "google-bert/bert-base-uncased",
    "bge_small_en_v1_5": "BAAI/bge-small-en-v1.5",
    "clip_vit_base_patch16": "openai/clip-vit-base-patch16",
    "clip_vit_base_patch32": "openai/clip-vit-base-patch32",
    "clip_vit_large_patch14": "openai/clip-vit-large-patch14",
    "dinov2_base": "facebook/dinov2-base",
    "dinov2_small": "facebook/dinov2-small",
    "e5_small_v2": "intfloat/e5-small-v2",
    "efficientnet_lite0": "timm/tf_efficientnet_lite0.in1k",
    "efficientnet_lite2": "timm/tf_efficientnet_lite2.in1k",
    "efficientnet_lite4": "timm/tf_efficientnet_lite4.in1k",
    "siglip2_base_patch16_224": "google/siglip2-base-patch16-224",
    "siglip2_base_patch16_256": "google/siglip2-base-patch16-256",
    "siglip_base_patch16_224": "google/siglip-base-patch16-224",
    "siglip_base_patch16_256": "google/siglip-base-patch16-256",
    "vit_base_patch16_224": "google/vit-base-patch16-224",
}
# What is downloaded of a repository: nothing that runs code when it is read, as pickled weights do.
FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md", "LICENSE*")
MARKS = ("config.json", "weights.npz")  # one of them stands in every folder of a published model


def is_checkpoint(name: str | os.PathLike[str]) -> bool:
    """Return whether a name is that of a published model: a folder of one, a short name, or OWNER/NAME of the Hub.

    Nothing is downloaded. A SavedModel is none.

    Args:
        name: path of a folder, or a name.
    """
    path = Path(name)
    if path.exists():
        return any((path / mark).is_file() for mark in MARKS)
    return str(name) in NAMES or bool(re.fullmatch(r"[\w.-]+/[\w.-]+", str(name))) and not path.parent.is_dir()


def find_checkpoint(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a published model; one that is named is downloaded into the Hub's cache first.

    Args:
        name: path of a folder, a short name of `NAMES`, or OWNER/NAME of the Hugging Face Hub.

    Raises:
        MmkerasError: no such folder or name, or a download that failed.
        MissingPartError: a name, and the package `huggingface_hub` is not installed.
    """
    path = Path(name)
    if path.exists() or not is_checkpoint(name):
        if any((path / mark).is_file() for mark in MARKS):
            return path
        near = difflib.get_close_matches(str(name), NAMES, 3, 0.4)
        raise MmkerasError(
            "Expected a published model: a folder with config.json, model.safetensors and its tokenizer's files, a "
            f"name ({', '.join(near or list(NAMES))}, ...) or OWNER/NAME of the Hugging Face Hub. "
            f"Received: {str(name)!r}"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingPartError(f"{name} is downloaded by the package huggingface_hub", "pretrained") from error
    repository = NAMES.get(str(name), str(name))
    try:
        return Path(snapshot_download(repository, allow_patterns=list(FILES)))
    except Exception as error:  # of the Hub, of the network: they have no common class
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MmkerasError(
            f"{repository} is not in the cache of the Hugging Face Hub and could not be downloaded: {reason}. Where "
            "there is no network, download it elsewhere and name its folder"
        ) from error


def revision_of(folder: str | os.PathLike[str]) -> str:
    """Return the commit of a folder in the Hub's cache, which is named after it; elsewhere an empty text."""
    folder = Path(folder).absolute()
    return folder.name if folder.parent.name == "snapshots" else ""
