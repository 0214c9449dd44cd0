"""`Searcher`: answers searches by a model server and the index that belongs to the version that it answers with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.item_batch import Modality
from mmkeras.search.reranking import reranked, wanted_by_export
from mmkeras.search.search_result import SearchResult
from mmkeras.search_service.api_error import ApiError
from mmkeras.search_service.filters import filter_expression
from mmkeras.search_service.model_questions import embed_query, matches_of
from mmkeras.search_service.search_request import SearchRequest
from mmkeras.search_service.searched_version import PICTURE, TEXT, SearchedVersion
from mmkeras.search_service.service_limits import ServiceLimits
from mmkeras.search_service.service_metrics import ServiceMetrics
from mmkeras.search_service.stale_version_error import StaleVersionError
from mmkeras.search_service.version_follower import VersionFollower

T = TypeVar("T")
_ATTEMPTS = 3  # at an answer, where the server goes to another version meanwhile


class Searcher:
    """Answers searches, in any number of threads. What it returns are the dicts of the HTTP service's JSON.

    Args:
        follower: `VersionFollower`.
        limits: `ServiceLimits`.
        feedback: whether verdicts on results are taken.

    Attributes:
        metrics: `ServiceMetrics`, in which searches are counted.
    """

    def __init__(self, follower: VersionFollower, limits: ServiceLimits | None = None, feedback: bool = False) -> None:
        self.follower = follower
        self.limits = limits or ServiceLimits()
        self.feedback = feedback
        self.metrics = ServiceMetrics()

    def info(self) -> dict[str, Any]:
        """Return what is served: model, version, number of items, columns, what scores say.

        Raises:
            ApiError: 503, nothing can be answered.
        """
        now = self.follower.current()
        return {
            "model": self.follower.model,
            "version": now.version,
            "label": self.follower.label,
            "space_id": now.space_id,
            "items": now.items.count,
            "generation": now.items.generation,
            "modalities": list(now.indexes),
            "columns": now.columns,
            "scores": now.scores,
            "tasks": {"text": TEXT in now.signatures, "picture": PICTURE in now.signatures},
            "pictures": now.pictures,
            "feedback": self.feedback,
            "max_upload_bytes": self.limits.upload_bytes,
            "server": self.follower.server,
            "signatures": {"text": TEXT, "picture": PICTURE},
        }

    def search(self, request: SearchRequest) -> dict[str, Any]:
        """Return the results of a search, with what answered it and how long it took.

        Raises:
            ApiError: 400 or 422, what cannot be searched by; 404, an item that is not there; 503, no answer of the
                model server, or no index of its version.
        """
        return self._with_a_version(lambda now: self._search(now, request))

    def item(self, item_id: str) -> dict[str, Any]:
        """Return an item with all its captions.

        Raises:
            ApiError: 404, no such item.
        """
        now = self.follower.current()
        index, item = self._find(now, item_id)
        return {"item": item, "picture": _picture_url(now, index, item), "captions": _captions(now, index, item)}

    def picture(self, item_id: str) -> bytes:
        """Return the kept picture of an item as encoded bytes.

        Raises:
            ApiError: 404, no such item, or none with a picture.
        """
        now = self.follower.current()
        index, item = self._find(now, item_id)
        picture = index.picture(item)
        if picture is None:
            raise ApiError(404, f"The item {item_id[:200]!r} keeps no picture")
        return picture

    def _find(self, now, item_id):
        for index in dict.fromkeys(now.indexes.values()):
            row = index.rows_of([item_id]).get(item_id)
            if row is not None:
                return index, index.item(row)
        raise ApiError(404, f"There is no item {item_id[:200]!r}")

    def _with_a_version(self, answer: Callable[[SearchedVersion], T]) -> T:
        for _ in range(_ATTEMPTS):
            now = self.follower.current()
            try:
                return answer(now)
            except StaleVersionError:
                self.follower.look()
        raise ApiError(503, f"The model's version changed in each of {_ATTEMPTS} attempts. Ask again")

    def _search(self, now: SearchedVersion, request: SearchRequest) -> dict[str, Any]:
        started = time.perf_counter()
        modality: Modality = request.modality or next(iter(now.indexes))
        index = now.indexes.get(modality)
        if index is None:
            raise ApiError(400, f"Expected in to be {' or '.join(now.indexes)}. Received: in={modality!r}")
        query = embed_query(now, request, modality)
        embedded = time.perf_counter()
        rows = self._rows(now, index, request)
        own = index.rows_of([request.id]).get(request.id) if request.id else None
        itself = own is not None and (rows is None or bool(np.isin(own, rows)))
        total = (index.count if rows is None else len(rows)) - itself
        by_export, temperature = wanted_by_export(now.space)
        crossing = _crosses(request, modality)
        wanted = by_export if crossing else 0
        k = min(max(request.offset + request.k, wanted) + itself, total + itself)
        found = index.search(query[np.newaxis], modality, k, rows)[0] if k else []
        results = [result for result in found if not itself or str(result.item["id"]) != request.id]
        best, others = results[:wanted], results[wanted:]
        if best and (request.picture or all(result.item.get("picture") for result in best)):
            results = [*reranked(best, matches_of(now, request, index, best), temperature), *others]
        shown = results[request.offset : request.offset + request.k]
        ended = time.perf_counter()
        threshold = now.scores["threshold"]
        weak = crossing and threshold is not None and bool(results) and results[0].score < threshold
        self.metrics.search(embedded - started, ended - embedded, weak)
        return {
            "results": [
                self._result(now, index, rank, result) for rank, result in enumerate(shown, request.offset + 1)
            ],
            "total": total,
            "more": request.offset + len(shown) < min(total, self.limits.reach),
            "milliseconds": {
                "embed": round((embedded - started) * 1e3, 2),
                "search": round((ended - embedded) * 1e3, 2),
                "all": round((time.perf_counter() - started) * 1e3, 2),
            },
            "model": self.follower.model,
            "version": now.version,
            "space_id": now.space_id,
            "generation": index.generation,
        }

    def _rows(self, now: SearchedVersion, index: EmbeddingIndex, request: SearchRequest) -> NDArray[np.int64] | None:
        """The rows that a request's filters leave, or None where it has none."""
        lists = {column["name"] for column in now.columns if column["kind"] == "list"}
        filters = filter_expression(request.filters, index.columns, lists)
        rows = None
        for expression in filter(None, (filters, request.where)):
            try:
                found = index.where(expression, self.limits.where_seconds)
            except MmkerasError as error:
                raise ApiError(422, str(error)) from error
            rows = found if rows is None else np.intersect1d(rows, found, assume_unique=True)
        return rows

    def _result(self, now: SearchedVersion, index: EmbeddingIndex, rank: int, result: SearchResult) -> dict[str, Any]:
        return {
            "rank": rank,
            "score": result.score,
            "match": result.match,
            "item": result.item,
            "picture": _picture_url(now, index, result.item),
            "captions": _captions(now, index, result.item),
        }


def _crosses(request, modality):
    """Whether a text alone finds pictures or a picture alone texts, as `mmkeras query` asks: what is ranked anew by
    `match`, and scores as the pairs do that an export measured."""
    given = bool(request.text), bool(request.picture), bool(request.id)
    return given == ((True, False, False) if modality == "image" else (False, True, False))


def _picture_url(now, index, item):
    """Where the picture of an item is, or of a text the first of its pictures that is kept; None where none is."""
    if item.get("picture"):
        return f"api/picture?id={quote(str(item['id']), safe='')}"
    if index is not now.items:
        names = [str(name) for name in item.get("images", ())][:10]
        for name, row in now.items.rows_of(names).items():
            if now.items.item(row).get("picture"):
                return f"api/picture?id={quote(name, safe='')}"
    return None


def _captions(now, index, item):
    """All captions of a picture; of a text that text alone."""
    captions = now.captions.of(str(item["id"])) if index is now.items else []
    own = item.get("text")
    return captions or ([own] if isinstance(own, str) and own else [])
