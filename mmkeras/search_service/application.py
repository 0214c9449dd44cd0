"""The ASGI application of the search service: its paths, and what each of them answers."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from mmkeras.search_service.answers import json_answer
from mmkeras.search_service.api_error import ApiError
from mmkeras.search_service.feedback_file import FeedbackFile
from mmkeras.search_service.openapi import openapi_document
from mmkeras.search_service.request_fields import request_fields
from mmkeras.search_service.request_guard import RequestGuard
from mmkeras.search_service.search_request import SearchRequest
from mmkeras.search_service.searcher import Searcher
from mmkeras.search_service.verdict import Verdict

T = TypeVar("T")
_WITHOUT_PAGE = (
    "The search service answers here; its API is described in /openapi.json. This installation has no page.\n"
)
_PICTURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
# What not every system's table has.
for _ending, _kind in ((".js", "text/javascript"), (".webmanifest", "application/manifest+json")):
    mimetypes.add_type(_kind, _ending)


def search_application(
    searcher: Searcher,
    feedback: FeedbackFile | None = None,
    hosts: Collection[str] = (),
    page: Path | None = None,
) -> ASGIApp:
    """Return the ASGI application that answers searches and shows the page.

    Args:
        searcher: `Searcher`.
        feedback: where verdicts go; none are taken where None.
        hosts: see `RequestGuard`.
        page: folder of the page's files; none is shown where None, or where it has no `index.html`.
    """
    metrics, limits = searcher.metrics, searcher.limits
    pool = ThreadPoolExecutor(limits.concurrent + 4, thread_name_prefix="mmkeras-search")

    async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    async def info(request: Request) -> Response:
        return json_answer(await in_thread(searcher.info))

    async def search(request: Request) -> Response:
        fields = await request_fields(request)
        return json_answer(await in_thread(lambda: searcher.search(SearchRequest.from_fields(fields, limits))))

    async def item(request: Request) -> Response:
        return json_answer(await in_thread(searcher.item, _id(request)))

    async def picture(request: Request) -> Response:
        return _picture_answer(request, await in_thread(searcher.picture, _id(request)))

    async def verdict(request: Request) -> Response:
        if feedback is None:
            raise ApiError(404, "This service takes no verdicts: it was started without --feedback")
        fields = await request_fields(request, forms=False)
        await in_thread(lambda: Verdict.from_fields(fields, limits).write(searcher.follower, feedback))
        return Response(status_code=204)

    async def health(request: Request) -> Response:
        if problem := await in_thread(searcher.follower.problem):
            raise ApiError(503, problem)
        now = await in_thread(searcher.follower.current)
        return json_answer({"status": "ok", "version": now.version, "space_id": now.space_id})

    async def measured(request: Request) -> Response:
        return PlainTextResponse(
            metrics.text(await in_thread(_gauges, searcher)), media_type="text/plain; version=0.0.4"
        )

    async def described(request: Request) -> Response:
        return json_answer(openapi_document(limits))

    async def without_page(request: Request) -> Response:
        return PlainTextResponse(_WITHOUT_PAGE)

    answers = {
        "/api/info": info,
        "/api/item": item,
        "/api/picture": picture,
        "/health": health,
        "/metrics": measured,
        "/openapi.json": described,
    }
    routes: list[BaseRoute] = [Route(path, answer) for path, answer in answers.items()]
    routes.append(Route("/api/search", search, methods=["POST"]))
    routes.append(Route("/api/feedback", verdict, methods=["POST"]))
    if page is not None and (page / "index.html").is_file():
        files = StaticFiles(directory=page)

        async def shown(request: Request) -> Response:
            return await files.get_response("index.html", request.scope)

        routes += [Mount("/static", files), Route("/", shown)]
    else:
        routes.append(Route("/", without_page))
    counted = [*answers, "/api/search", "/api/feedback", "/"]
    return RequestGuard(Router(routes, redirect_slashes=False), limits, metrics, counted, hosts)


def _id(request):
    names = request.query_params.getlist("id")
    if len(names) != 1 or not names[0]:
        raise ApiError(400, f"Expected the id of one item, ?id=ID. Received: {len(names)} of them")
    return names[0]


def _picture_answer(request, picture):
    """A picture that is not sent again where the browser has it."""
    tag = f'"{hashlib.sha256(picture).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=300"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    kind = next((kind for begin, kind in _PICTURES if picture.startswith(begin)), None)
    if kind is None and picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        kind = "image/webp"
    return Response(picture, headers=headers, media_type=kind or "application/octet-stream")


def _gauges(searcher):
    try:
        now = searcher.follower.current()
    except ApiError:
        return {"ready": (0, "Whether searches are answered.")}
    return {
        "ready": (int(searcher.follower.problem(within=float("inf")) == ""), "Whether searches are answered."),
        "items": (now.items.count, "Items that are searched."),
        "index_generation": (now.items.generation, "Counts the changes of the index."),
        "model_version": (now.version, "The version that answers."),
    }
