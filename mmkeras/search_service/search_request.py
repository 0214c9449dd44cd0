"""`SearchRequest`: what a search is asked for, checked."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from mmkeras.search.item_batch import MODALITIES, Modality
from mmkeras.search_service.api_error import ApiError
from mmkeras.search_service.filters import Value, checked_filters
from mmkeras.search_service.service_limits import ServiceLimits

FIELDS = ("text", "picture", "id", "weight", "where", "filters", "k", "offset", "in")


@dataclasses.dataclass(frozen=True)
class SearchRequest:
    """What a search is asked for.

    Args:
        text: a text, or empty.
        picture: an encoded picture, or empty.
        id: of an item that the results are to be like, or empty; beside a text, and not beside a picture.
        weight: share of the text in the query where there is a picture or an item too, 0 to 1.
        where: an expression that is true of all results, see `EmbeddingIndex.where`; or empty.
        filters: dict from column to values, one of which each result has there.
        k: results.
        offset: how many results to leave out before the first.
        modality: which embeddings of the items to search; of the pictures where None, and where there are any.
    """

    text: str = ""
    picture: bytes = b""
    id: str = ""
    weight: float = 0.5
    where: str = ""
    filters: Mapping[str, list[Value]] = dataclasses.field(default_factory=dict)
    k: int = 24
    offset: int = 0
    modality: Modality | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], limits: ServiceLimits) -> SearchRequest:
        """Return the request of a JSON object, or of a form, whose values are texts but for the bytes of `picture`.

        Raises:
            ApiError: 400, a field of another name, type or range, or nothing to search by; 413, a text or a picture
                that is too long.
        """
        if unknown := [name for name in fields if name not in FIELDS]:
            raise ApiError(400, f"Expected fields among {', '.join(FIELDS)}. Received: {unknown[0][:80]!r}")
        fields = {name: value for name, value in fields.items() if value is not None}
        text = checked_text(fields.get("text", ""), limits)
        picture = _picture(fields.get("picture", b""), limits)
        item = fields.get("id", "")
        item = str(item) if isinstance(item, int) and not isinstance(item, bool) else item
        if not isinstance(item, str):
            raise ApiError(400, f"Expected id to be a text. Received: {type(item).__name__}")
        if not text.strip() and not picture and not item:
            raise ApiError(
                400, "Expected a text with a visible character, a picture or the id of an item. Received: none of them"
            )
        if picture and item:
            raise ApiError(400, "Expected a picture or the id of an item. Received: both")
        k = _number(fields.get("k", cls.k), "k", 1, limits.results, whole=True)
        where = fields.get("where", "")
        if not isinstance(where, str) or len(where) > limits.where_characters:
            raise ApiError(
                400,
                f"Expected where to be a text of at most {limits.where_characters} characters. Received: "
                f"{f'{len(where)} characters' if isinstance(where, str) else type(where).__name__}",
            )
        modality = fields.get("in")
        if modality not in (None, *MODALITIES):
            raise ApiError(400, f"Expected in to be {' or '.join(MODALITIES)}. Received: in={modality!r:.80}")
        return cls(
            text if text.strip() else "",
            picture,
            item,
            _number(fields.get("weight", cls.weight), "weight", 0, 1),
            where if where.strip() else "",
            checked_filters(_object(fields.get("filters", {}))),
            k,
            _number(fields.get("offset", 0), "offset", 0, limits.reach - k, whole=True),
            modality,
        )


def checked_text(text: object, limits: ServiceLimits) -> str:
    """Return a text of a request.

    Raises:
        ApiError: 400, no Unicode text; 413, one that is too long.
    """
    if not isinstance(text, str):
        raise ApiError(400, f"Expected text to be a text. Received: {type(text).__name__}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ApiError(400, "Expected text to be Unicode. Received: half of a surrogate pair") from error
    if size > limits.text_bytes:
        raise ApiError(413, f"Expected a text of at most {limits.text_bytes} bytes. Received: {size}")
    return text


def _picture(picture, limits):
    if isinstance(picture, str):
        try:
            picture = base64.b64decode(picture, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ApiError(400, f"Expected picture to be the bytes of a file in base64. Received: {error}") from error
    if not isinstance(picture, bytes):
        raise ApiError(400, f"Expected picture to be the bytes of a file. Received: {type(picture).__name__}")
    if len(picture) > limits.upload_bytes:
        raise ApiError(413, f"Expected a picture of at most {limits.upload_bytes} bytes. Received: {len(picture)}")
    return picture


def _number(value, name, least, most, whole=False):
    """A number of a range; of a form it is a text."""
    kind = "a whole number" if whole else "a number"
    try:
        number = value if not isinstance(value, str) else int(value[:40]) if whole else float(value[:40])
    except ValueError:
        number = None
    fits = isinstance(number, int if whole else (int, float)) and not isinstance(number, bool)
    if not fits or not least <= number <= most:  # not a number is in no range
        raise ApiError(400, f"Expected {name} to be {kind} from {least} to {most}. Received: {name}={value!r:.80}")
    return number


def _object(value):
    """An object; of a form it is JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"Expected filters to be a JSON object. Received: {value[:80]!r}") from error
