"""`RequestGuard`: what holds for every request, whatever it asks for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmkeras.errors import MmkerasError
from mmkeras.search_service.answers import error_answer
from mmkeras.search_service.api_error import ApiError
from mmkeras.search_service.service_limits import ServiceLimits
from mmkeras.search_service.service_metrics import ServiceMetrics

_log = logging.getLogger(__name__)
# Nothing is loaded from elsewhere, no script or style stands within a page, and no other page shows this one.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_PASSED_OVER_BYTES, _PASSED_OVER_SECONDS = 64 * 1024 * 1024, 2.0  # of a body that is refused
_GONE = 499  # what is counted where who asked has gone meanwhile
_COUNTED_AS = "/static"  # files of the page, and what is not there


class RequestGuard:
    """Bounds a request's bytes and seconds, and how many searches run at a time; checks whom it means; counts it.

    An answer has the headers of the content security policy, and none that lets pages of other origins read it. An
    error becomes one sentence of JSON, without a traceback.

    Args:
        app: the ASGI application behind it.
        limits: `ServiceLimits`.
        metrics: `ServiceMetrics`.
        paths: those that are counted apart.
        hosts: names of `Host` that are answered, in small letters and without a port; all where empty. A page of
            elsewhere whose name was made to lead to this machine asks under its own name.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ServiceLimits,
        metrics: ServiceMetrics,
        paths: Collection[str],
        hosts: Collection[str] = (),
    ) -> None:
        self.app, self.limits, self.metrics = app, limits, metrics
        self.paths, self.hosts = frozenset(paths), frozenset(hosts)
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope["app"] = self  # with it Starlette raises what it has to say, for us to answer
        started, status = time.perf_counter(), 0

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-cache")  # files of a page, which have an ETag
            await send(message)

        problem, body = None, _BoundedBody(receive, self.limits)
        try:
            async with asyncio.timeout(self.limits.seconds):
                await self._answer(scope, body, answered)
        except ApiError as error:
            problem = error
        except HTTPException as error:  # Starlette's: no such path, or another method than it has
            problem = ApiError(error.status_code, f"{scope['method']} {scope['path'][:200]}: {error.detail}")
        except MmkerasError as error:  # as of a damaged index, or where faiss is not installed
            _log.warning("%s %s failed: %s", scope["method"], scope["path"], error)
            problem = ApiError(500, str(error))
        except ClientDisconnect:
            status = _GONE
        except TimeoutError:
            problem = ApiError(503, f"The answer took longer than {self.limits.seconds:g} seconds. Ask for less")
        except Exception:  # whatever it is, who asked gets a sentence, and the log the rest
            _log.exception("%s %s failed", scope["method"], scope["path"])
            problem = ApiError(500, "The service failed at this request; its log says why")
        if problem is not None and not status:
            wait = {"Retry_After": "1"} if problem.status in (429, 503) else {}
            # The body may not have been read to its end, and the rest of it is no request.
            ended = {"Connection": "close"} if scope["method"] not in ("GET", "HEAD") else {}
            if problem.status == 413:
                await body.pass_over()
            await error_answer(problem.status, str(problem), **wait, **ended)(scope, receive, answered)
        path = scope["path"] if scope["path"] in self.paths else _COUNTED_AS
        self.metrics.request(path, status, time.perf_counter() - started)

    async def _answer(self, scope, body, send):
        headers = Headers(scope=scope)
        if self.hosts and _name(headers.get("host", "")) not in self.hosts:
            raise ApiError(
                400, f"Expected the host {' or '.join(sorted(self.hosts))}. Received: {headers.get('host', '')[:80]!r}"
            )
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdecimal() and int(length[:20]) > self.limits.body_bytes:
            raise body.too_long()
        searches = scope["method"] == "POST"
        if searches and self.running >= self.limits.concurrent:
            raise ApiError(429, f"Expected at most {self.limits.concurrent} searches at a time. Ask again in a moment")
        self.running += searches
        try:
            await self.app(scope, body, send)
        finally:
            self.running -= searches


class _BoundedBody:
    """Receives a body of so many bytes, in so many seconds, at most."""

    def __init__(self, receive: Receive, limits: ServiceLimits) -> None:
        self.receive, self.limits = receive, limits
        self.received, self.complete = 0, False
        self._deadline = asyncio.get_running_loop().time() + limits.body_seconds

    async def __call__(self) -> Message:
        if self.complete:
            return await self.receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._next()
        except TimeoutError as error:
            raise ApiError(
                408,
                f"Expected the whole request within {self.limits.body_seconds:g} seconds. "
                f"Received: {self.received} bytes",
            ) from error
        if self.received > self.limits.body_bytes:
            raise self.too_long()
        return message

    async def pass_over(self) -> None:
        """Receive what is left of a body that is refused, as far as that is reasonable: who sends it reads then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PASSED_OVER_SECONDS):
                while not self.complete and self.received < _PASSED_OVER_BYTES:
                    await self._next()

    def too_long(self) -> ApiError:
        """Return the error of a body that is too long."""
        return ApiError(
            413,
            f"Expected a request of at most {self.limits.body_bytes} bytes, with a picture of at most "
            f"{self.limits.upload_bytes}. Received: more",
        )

    async def _next(self):
        message = await self.receive()
        self.received += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message


def _name(host):
    """The name of a `Host` header, without its port."""
    host = host.strip().lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
