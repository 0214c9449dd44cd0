"""`ModelFile`: a .tflite file that carries its settings and its tokenizer."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmkeras.archives import read_member
from mmkeras.errors import MmkerasError

MODEL_FORMAT = 1  # of what is appended; raised when an older reader could misread it
SETTINGS, TOKENIZER, TOKENIZER_CONFIG = "mmkeras.json", "tokenizer.model", "tokenizer.json"


class ModelFile:
    """A .tflite file of ours, checked to be whole.

    Behind the network, where an interpreter does not look, stands a zip archive, as TFLite Metadata keeps files in a
    model: any zip reader opens the .tflite file. Its entries are `mmkeras.json` and, where the network takes ids, what
    makes them: `tokenizer.model`, the SentencePiece model of a `TextPreprocessor`, or `tokenizer.json`, the class and
    the config of another tokenizer (`kind`, `config`). `mmkeras.json` holds `format`, `kind` (`ids`, `text`,
    `mediapipe` or `pixels`), `precision`, `space_id`, `embedding_dim`, of texts `sequence_length` and
    `vocabulary_size`, of pictures the config of their `image_preprocessor`, and of the network's own bytes
    `network_bytes` and `sha256`.

    Args:
        file: path.

    Attributes:
        settings: dict, the content of `mmkeras.json`.
        tokenizer: bytes of a SentencePiece model; `None` in a file without one.
        tokenizer_config: dict, the content of `tokenizer.json`; `None` in a file without one.

    Raises:
        MmkerasError: no such file, one that is no encoder of ours, is cut off or damaged, or is of another format.

    Example:
        >>> ModelFile("device/text_encoder_dynamic_ids.tflite").settings["space_id"]
    """

    settings: dict[str, Any]
    tokenizer: bytes | None
    tokenizer_config: dict[str, Any] | None
    network: bytes

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file)
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise MmkerasError(f"{file} cannot be read: {error.strerror or error}") from error
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                self.settings = json.loads(read_member(archive, SETTINGS))
                names = archive.namelist()
                self.tokenizer = read_member(archive, TOKENIZER) if TOKENIZER in names else None
                config = read_member(archive, TOKENIZER_CONFIG) if TOKENIZER_CONFIG in names else b"null"
                self.tokenizer_config = json.loads(config)
            form, size, digest = (self.settings[key] for key in ("format", "network_bytes", "sha256"))
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise MmkerasError(
                f"{file} is no whole encoder of mmkeras tflite: it is cut off, damaged or another file"
            ) from error
        if form != MODEL_FORMAT:
            raise MmkerasError(f"{file} has format {form}. This version reads {MODEL_FORMAT}")
        # An interpreter reads a network as it is: a damaged one may end the process.
        if not isinstance(size, int) or hashlib.sha256(content[:size]).hexdigest() != digest:
            raise MmkerasError(f"{file} is damaged: its network is not the one that was written. Copy it again")
        self.network = content[:size]


def packed(
    network: bytes,
    settings: Mapping[str, Any],
    tokenizer: bytes | None = None,
    tokenizer_config: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the bytes of a model file: equal for equal arguments.

    Args:
        network: the bytes of a .tflite file.
        settings: dict for `mmkeras.json`; the format, the size and the digest are added.
        tokenizer: bytes of a SentencePiece model; optional.
        tokenizer_config: dict of `kind` and `config` of another tokenizer; optional.
    """
    own = {
        "format": MODEL_FORMAT,
        "network_bytes": len(network),
        "sha256": hashlib.sha256(network).hexdigest(),
    }
    entries = {SETTINGS: json.dumps({**settings, **own}, indent=2, sort_keys=True).encode()}
    if tokenizer is not None:
        entries[TOKENIZER] = tokenizer
    if tokenizer_config is not None:
        entries[TOKENIZER_CONFIG] = json.dumps(tokenizer_config, indent=2, sort_keys=True).encode()
    buffer = io.BytesIO(network)
    # Stored, with the fixed date of ZipInfo: another zlib would compress to other bytes.
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()
