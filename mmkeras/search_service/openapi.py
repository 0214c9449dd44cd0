"""The description of the search service's HTTP interface, as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

import mmkeras
from mmkeras.search_service.service_limits import ServiceLimits

_ERRORS = {
    "400": "A field of another name, type or range; a body that is not what its type says; another host.",
    "404": "No such item, picture or path.",
    "405": "A path that has no such method.",
    "408": "The body did not come in time.",
    "413": "A body, a picture or a text that is too long.",
    "415": "A body of another type.",
    "422": "An expression that cannot be, a picture that the model cannot read, or a model without such an encoder.",
    "429": "Too many searches at a time.",
    "500": "The service failed; its log says why.",
    "503": "The model server does not answer, or in a space without an index here; or the answer took too long.",
}
_TEXT, _NUMBER, _COUNT, _YES = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
_LINK = {"type": ["string", "null"], "description": "Where its picture is, from the service's root."}
_NUMBER_OR_NULL = {"type": ["number", "null"]}
_VALUE = {"type": ["string", "number", "boolean"]}
_MODALITY = {"type": "string", "enum": ["image", "text"]}
_ITEM = {
    "type": "object",
    "description": "The item's own keys, `id` and `text` among them.",
    "properties": {"id": {"type": ["string", "integer"]}, "text": _TEXT},
    "required": ["id"],
}


def _object(properties, optional=()):
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(of):
    return {"type": "array", "items": of}


_INFO = _object(
    {
        "model": _TEXT,
        "version": _COUNT,
        "label": {"type": ["string", "null"]},
        "space_id": _TEXT,
        "items": _COUNT,
        "generation": _COUNT | {"description": "Counts the changes of the index."},
        "modalities": _list(_MODALITY),
        "columns": _list(
            _object(
                {
                    "name": _TEXT,
                    "kind": {"type": "string", "enum": ["text", "number", "list", "flag"]},
                    "values": _list(_VALUE) | {"maxItems": 30, "description": "The most frequent, for filters."},
                }
            )
        ),
        "scores": _object(
            {
                "random_mean": _NUMBER_OR_NULL | {"description": "Mean score of random pairs of text and picture."},
                "random_deviation": _NUMBER_OR_NULL | {"description": "Their standard deviation."},
                "threshold": _NUMBER_OR_NULL
                | {"description": "Nine held-out texts in ten score at least this with their own picture."},
            }
        ),
        "tasks": _object({"text": _YES, "picture": _YES}),
        "pictures": _YES | {"description": "Whether items keep pictures."},
        "feedback": _YES | {"description": "Whether verdicts are taken."},
        "max_upload_bytes": _COUNT,
        "server": _TEXT | {"description": "Address of the model server."},
        "signatures": _object({"text": _TEXT, "picture": _TEXT}),
    }
)
_RESULT = _object(
    {
        "rank": _COUNT | {"minimum": 1},
        "score": _NUMBER | {"description": "Cosine with the query, -1 to 1."},
        "match": _NUMBER_OR_NULL | {"description": "What a model that saw query and item together gives, 0 to 1."},
        "item": {"$ref": "#/components/schemas/Item"},
        "picture": _LINK,
        "captions": _list(_TEXT),
    }
)
_RESULTS = _object(
    {
        "results": _list({"$ref": "#/components/schemas/Result"}) | {"description": "Best first."},
        "total": _COUNT | {"description": "Items that were searched."},
        "more": _YES | {"description": "Whether a greater offset has others."},
        "milliseconds": _object({"embed": _NUMBER, "search": _NUMBER, "all": _NUMBER}),
        "model": _TEXT,
        "version": _COUNT,
        "space_id": _TEXT,
        "generation": _COUNT,
    }
)


def openapi_document(limits: ServiceLimits) -> dict[str, Any]:
    """Return the description of the HTTP interface, OpenAPI 3.1.

    Args:
        limits: `ServiceLimits` that stand in it.
    """
    search = _search_fields(limits)
    form = {**search, "picture": {"type": "string", "contentMediaType": "application/octet-stream"}}
    verdict = {
        "text": _TEXT | {"description": "What was searched for; or query_id."},
        "query_id": _TEXT | {"description": "The item that was searched by, in place of a text."},
        "id": _TEXT,
        "verdict": {"type": "integer", "enum": [1, -1]},
    }
    schemas = {
        "Info": _INFO,
        "Item": _ITEM,
        "Result": _RESULT,
        "Results": _RESULTS,
        "SearchRequest": _object(search, optional=search),
        "FoundItem": _object(
            {"item": {"$ref": "#/components/schemas/Item"}, "picture": _LINK, "captions": _list(_TEXT)}
        ),
        "Verdict": _object(verdict, optional=("text", "query_id")),
        "Health": _object({"status": {"const": "ok"}, "version": _COUNT, "space_id": _TEXT}),
        "Error": _object({"error": _TEXT}),
    }
    by_id = [{"name": "id", "in": "query", "required": True, "schema": _TEXT}]
    picture = {f"image/{kind}": {} for kind in ("png", "jpeg", "gif", "webp")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "mmkeras search", "version": mmkeras.__version__, "license": {"name": "Apache-2.0"}},
        "paths": {
            "/api/info": {"get": _operation("What is served", "Info", (503,))},
            "/api/search": {
                "post": _operation(
                    "Search by text, picture or item", "Results", (400, 404, 408, 413, 415, 422, 429, 503)
                )
                | {
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/SearchRequest"}},
                            "multipart/form-data": {"schema": _object(form, optional=form)},
                        },
                    }
                }
            },
            "/api/item": {"get": _operation("An item", "FoundItem", (400, 404, 503)) | {"parameters": by_id}},
            "/api/picture": {
                "get": _operation("The picture of an item", picture, (400, 404, 503)) | {"parameters": by_id}
            },
            "/api/feedback": {
                "post": _operation("A verdict on a result", None, (400, 404, 408, 413, 415, 429, 503))
                | {"requestBody": _body("Verdict")}
            },
            "/health": {"get": _operation("Whether searches are answered", "Health", (503,))},
            "/metrics": {"get": _operation("Metrics for Prometheus", {"text/plain": {}}, ())},
        },
        "components": {"schemas": schemas},
    }


def _search_fields(limits):
    return {
        "text": _TEXT | {"description": f"At most {limits.text_bytes} bytes."},
        "picture": {
            "type": "string",
            "contentEncoding": "base64",
            "description": f"The bytes of a file, at most {limits.upload_bytes}.",
        },
        "id": {"type": ["string", "integer"], "description": "An item that the results are to be like."},
        "weight": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5, "description": "Share of the text."},
        "where": {
            "type": "string",
            "maxLength": limits.where_characters,
            "description": "An expression over the columns, in SQLite's words: category = 'shoe' AND price < 30.",
        },
        "filters": {
            "type": "object",
            "additionalProperties": _list(_VALUE) | {"maxItems": 100},
            "maxProperties": 20,
            "description": "Columns, with values of which a result has one.",
        },
        "k": {"type": "integer", "minimum": 1, "maximum": limits.results, "default": 24},
        "offset": {"type": "integer", "minimum": 0, "maximum": limits.reach, "default": 0},
        "in": _MODALITY | {"description": "Which embeddings of the items to search; pictures, where there are any."},
    }


def _operation(summary, answer, errors):
    content = answer if isinstance(answer, dict) else {} if answer is None else _json(answer)
    good = {"description": summary, "content": content} if content else {"description": summary}
    refused = {
        str(status): {"description": _ERRORS[str(status)], "content": _json("Error")} for status in (*errors, 405, 500)
    }
    return {"summary": summary, "responses": {"204" if answer is None else "200": good, **refused}}


def _json(schema):
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _body(schema):
    return {"required": True, "content": _json(schema)}
