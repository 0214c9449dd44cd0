"""What the service answers with: JSON, and errors as one sentence."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response


def json_answer(content: Any, status: int = 200, **headers: str) -> Response:
    """Return an answer of JSON that nobody keeps; numbers that JSON has no word for are null.

    Args:
        content: what `json.dumps` takes.
        status: of HTTP.
        headers: others, with `_` for `-`.
    """
    try:
        body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError:
        body = json.dumps(_finite(content), ensure_ascii=False, allow_nan=False)
    names = {"Cache-Control": "no-store"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body.encode("utf-8", "replace"), status, names, media_type="application/json")


def error_answer(status: int, message: str, **headers: str) -> Response:
    """Return the answer to a request that was refused: `{"error": "..."}`.

    Args:
        status: of HTTP.
        message: a sentence.
        headers: others, with `_` for `-`.
    """
    return json_answer({"error": " ".join(message.split())}, status, **headers)


def _finite(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
