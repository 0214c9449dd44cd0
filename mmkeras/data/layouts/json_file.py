"""A JSON file, whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmkeras.data.layouts.text_file import read_text
from mmkeras.errors import MmkerasError


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        MmkerasError: a file that cannot be read, or no JSON, with its line.
    """
    text = read_text(file)
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise MmkerasError(f"{file} is no valid JSON: {error}. A file of one record a line is named .jsonl") from error
