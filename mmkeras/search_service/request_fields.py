"""The fields of a request: of a JSON object, or of a form with a picture as a file."""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from mmkeras.search_service.api_error import ApiError

JSON, FORM = "application/json", "multipart/form-data"
_MOST_FIELDS = 20
_LONGEST_FIELD = 1024 * 1024  # bytes; what a field may say is checked with its meaning


async def request_fields(request: Request, forms: bool = True) -> dict[str, Any]:
    """Return the fields of a request; of a form they are texts, but for the bytes of `picture`.

    Args:
        request: of Starlette.
        forms: whether a form is taken. A page of elsewhere can send one without being asked first, and no JSON.

    Raises:
        ApiError: 400, a body that is not what its type says; 415, another type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        body = await request.body()
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"Expected a JSON object. Received: {error}") from error
        if not isinstance(fields, dict):
            raise ApiError(400, f"Expected a JSON object. Received: {type(fields).__name__}")
        return fields
    if kind == FORM and forms:
        return await _form(request)
    raise ApiError(415, f"Expected {JSON}{f' or {FORM}' if forms else ''}. Received: {kind[:80]!r}")


async def _form(request):
    fields: dict[str, Any] = {}
    try:
        async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD) as form:
            for name, value in form.multi_items():
                if name in fields:
                    raise ApiError(400, f"Expected each field once. Received: {name[:80]!r} twice")
                if isinstance(value, UploadFile) != (name == "picture"):
                    raise ApiError(400, f"Expected picture, and nothing else, as a file. Received: {name[:80]!r}")
                fields[name] = await value.read() if isinstance(value, UploadFile) else value
    except (MultiPartException, HTTPException, UnicodeDecodeError, KeyError) as error:
        told = getattr(error, "detail", None) or getattr(error, "message", None) or str(error)
        raise ApiError(400, f"Expected a form of {FORM}. Received: {told}") from error
    return fields
