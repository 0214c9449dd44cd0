"""What `mmkeras search-server` and `mmkeras serve --ui` do."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mmkeras.arguments import only_model
from mmkeras.errors import MmkerasError
from mmkeras.printable import printable

MODELS = Path("savedmodels")
_POLL_SECONDS = 0.1


def search_server(options: argparse.Namespace) -> int:
    """Serve the search page before a model server, until interrupted."""
    from mmkeras.search_service import IndexFinder, SearchServer, ServiceLimits, VersionFollower
    from mmkeras.serving.interruption import signals_to_end

    model = options.model or only_model(MODELS)
    limits = ServiceLimits(upload_bytes=int(options.max_upload * 2**20), concurrent=options.concurrent)
    finder = IndexFinder(options.index or [MODELS / model])
    follower = VersionFollower(options.server, model, finder, options.version, options.label, timeout=limits.seconds)
    names = options.allowed_host
    server = SearchServer(follower, options.host, options.port, options.feedback, limits, names=names)
    with signals_to_end() as received, server:
        tell_page(server.url)
        while server.running and not received:
            time.sleep(_POLL_SECONDS)
    return 0 if received else 1


def page_beside(options: argparse.Namespace) -> Callable[[str, str], contextlib.AbstractContextManager[None]] | None:
    """Return what `serve` puts beside a server for `--ui`, a function of its address and the model's name, or None.

    Args:
        options: of `mmkeras serve`.

    Raises:
        MmkerasError: `--ui` beside what it does not go with, `--feedback` without it, or a port that is taken.
        MissingPartError: the extra `ui` is not installed.
    """
    if options.ui is None:
        if options.feedback is not None:
            raise MmkerasError(
                "Expected --ui beside --feedback: verdicts come from the page. Received: --feedback alone"
            )
        return None
    if options.config is not None or options.ssl is not None:
        given = "--config" if options.config is not None else "--ssl"
        raise MmkerasError(
            f"Expected savedmodels/NAME, and a port without TLS, beside --ui. Received: {given}; mmkeras search-server "
            "serves a page before a server that runs"
        )
    if options.model is None:
        return None  # serve says what is missing
    from mmkeras.search_service import FeedbackFile
    from mmkeras.search_service.search_server import check_installed, listening

    check_installed()
    listening("127.0.0.1", options.ui).close()
    if options.feedback is not None:
        FeedbackFile(options.feedback)

    @contextlib.contextmanager
    def beside(address: str, name: str) -> Iterator[None]:
        from mmkeras.search_service import IndexFinder, SearchServer, VersionFollower

        follower = VersionFollower(address, name, IndexFinder([options.model]))
        with SearchServer(follower, port=options.ui, feedback=options.feedback) as server:
            tell_page(server.url)
            yield

    return beside


def tell_page(url: str) -> None:
    """Print where the page is."""
    print(printable(f"Search page: {url}"), flush=True)
