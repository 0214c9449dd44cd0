"""`SearchServer`: the search service on a port."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.search_service.feedback_file import FeedbackFile
from mmkeras.search_service.searcher import Searcher
from mmkeras.search_service.service_limits import ServiceLimits
from mmkeras.search_service.version_follower import VersionFollower

PAGE = Path(__file__).resolve().parents[1] / "search_page" / "static"
_LARGEST_HEAD = 16 * 1024  # bytes of a request's line and headers
_IDLE_SECONDS = 15  # that a connection may be open without a request
_LEAVING_SECONDS = 5  # that running requests have where the server ends
_STARTING_SECONDS = 20


class SearchServer:
    """The search service on a port, in a thread of its own, from `with` to its end.

    On a loopback address it answers only requests that name it: a page of elsewhere whose name was made to lead to
    this machine does not. On another address whoever reaches the port may search.

    Args:
        follower: `VersionFollower`, which the server starts and closes.
        host: address to listen on.
        port: number of the port, 0 for a free one.
        feedback: file that verdicts are appended to, see `FeedbackFile`; none are taken where None.
        limits: `ServiceLimits`.
        page: folder of the page's files, by default the package's own.
        names: further names that a loopback address answers to, as of a proxy on this machine that passes `Host` on.

    Attributes:
        url: where the page is, `http://127.0.0.1:8080/`.

    Raises:
        MmkerasError: a port or an address that cannot be listened on, or a file that cannot be written.
        MissingPartError: the extra `ui` is not installed.

    Example:
        >>> with SearchServer(VersionFollower("127.0.0.1:8500", "photos", finder)) as server:
        ...     print(server.url)
    """

    def __init__(
        self,
        follower: VersionFollower,
        host: str = "127.0.0.1",
        port: int = 8080,
        feedback: str | os.PathLike[str] | None = None,
        limits: ServiceLimits | None = None,
        page: str | os.PathLike[str] = PAGE,
        names: Collection[str] = (),
    ) -> None:
        check_installed()
        import uvicorn

        from mmkeras.search_service.application import search_application

        limits = limits or ServiceLimits()
        file = None if feedback is None else FeedbackFile(Path(feedback))
        self.follower = follower
        self._listener = listening(host, port)
        address, self.port = self._listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        self.url = f"http://{shown}:{self.port}/"
        own = {"localhost", "127.0.0.1", "[::1]", shown, *(name.lower() for name in names)}
        hosts = own if ipaddress.ip_address(address).is_loopback else ()
        application = search_application(Searcher(follower, limits, file is not None), file, hosts, Path(page))
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=limits.connections,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_LEAVING_SECONDS,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
            )
        )
        self._thread = threading.Thread(target=self._run, name="mmkeras-search-server", daemon=True)

    def __enter__(self) -> Self:
        self.follower.start()
        self._thread.start()
        deadline = time.monotonic() + _STARTING_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.close()
                raise MmkerasError(f"The search service did not start at {self.url}")
            time.sleep(0.01)
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Answer what is running, and end."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_LEAVING_SECONDS + 5)
        self._listener.close()
        self.follower.close()

    def _run(self):
        self._server.run(sockets=[self._listener])


def check_installed() -> None:
    """Look for what the service needs.

    Raises:
        MissingPartError: the extra `ui` is not installed.
    """
    if missing := [name for name in ("starlette", "uvicorn", "python_multipart") if find_spec(name) is None]:
        raise MissingPartError(f"The search page needs {' and '.join(missing)}", "ui")


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to a port of an address.

    Args:
        host: an address or the name of one.
        port: its number, 0 for a free one.

    Raises:
        MmkerasError: no such port or address, or a port that is taken.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise MmkerasError(f"Expected port to be a number from 0 to 65535. Received: port={port!r}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise MmkerasError(f"Expected an address of this machine. Received: host={host!r} ({error})") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise MmkerasError(
            f"Expected a port that is free on {host}, or 0 for any. Received: port={port} ({error})"
        ) from error
    return listener
