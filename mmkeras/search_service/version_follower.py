"""`VersionFollower`: which version of its model a server answers with, and the index that belongs to it."""

from __future__ import annotations

import logging
import threading
import time
from typing import Self

from mmkeras.errors import MmkerasError
from mmkeras.search_service.api_error import ApiError
from mmkeras.search_service.index_finder import IndexFinder
from mmkeras.search_service.searched_version import SearchedVersion
from mmkeras.serving.client import Client
from mmkeras.serving.errors import ServingError
from mmkeras.serving.reaching import reaching

_log = logging.getLogger(__name__)
_ATTEMPTS = 3  # at a version, where the server goes to another one meanwhile
_LOOK_SECONDS = 5.0  # that a look at the server may take


class VersionFollower:
    """Follows a model server: what it gives is the version that the server answers with, and the index of its space.

    A version is asked by its number, so that every answer is of one version. The server's choice is looked at again
    every `interval` seconds, and at once where a version is gone. Where the server goes to a version without an index
    here, nothing is answered until there is one. Where the server is away, the version before is kept: pictures and
    items are shown, and a search says that nobody answers.

    Args:
        server: address of the model server, as `Client` takes it.
        model: name of the model there.
        finder: `IndexFinder`.
        version: the one to ask; the server's choice, its newest, where None.
        label: a version label ("stable"), in place of a version.
        interval: seconds between two looks.
        timeout: seconds for a call of the versions' clients.

    Example:
        >>> with VersionFollower("127.0.0.1:8500", "photos", IndexFinder(["savedmodels/photos"])) as follower:
        ...     follower.current().indexes["image"].count
        31783
    """

    def __init__(
        self,
        server: str,
        model: str,
        finder: IndexFinder,
        version: int | None = None,
        label: str | None = None,
        interval: float = 2.0,
        timeout: float = 30.0,
    ) -> None:
        self.server, self.model, self.label, self.finder = server, model, label, finder
        self.interval, self.timeout = interval, timeout
        self._chooser = Client(server, model, version, _LOOK_SECONDS, label=label, retries=0)
        self._lock = threading.Lock()  # of looks
        self._current: SearchedVersion | None = None
        self._problem: ApiError | None = ApiError(503, "The model server has not been asked yet")
        self._looked = -float("inf")
        self._retired: list[tuple[float, Client]] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="mmkeras-version-follower", daemon=True)

    def current(self) -> SearchedVersion:
        """Return what answers now; where that is nothing, the server is looked at again first, if not just done.

        Raises:
            ApiError: 503, with a sentence: no index fits the version that the server answers with, or the server was
                never reached.
        """
        current = self._current
        if current is None:
            self.look(self.interval / 4)
            current = self._current
        if current is None:
            raise self._problem or ApiError(503, "No version is served")
        return current

    def problem(self, within: float = 1.0) -> str:
        """Return why a search could not be answered now, a sentence; empty where it can be.

        Args:
            within: seconds; the server is asked unless it was so shortly before.
        """
        self.look(within)
        return "" if self._problem is None else str(self._problem)

    def look(self, within: float = 0.0) -> None:
        """Ask the server which version it answers with, unless it was asked `within` seconds before.

        What is wrong is noted, and raised by nobody.
        """
        with self._lock:
            if self._closed.is_set() or time.monotonic() - self._looked < within:
                return
            problem, ended = None, False
            try:
                with reaching(self.server, self.model):
                    self._choose()
            except MmkerasError as error:
                problem = error if isinstance(error, ApiError) else ApiError(503, str(error))
                # No index fits, or the server is there and has no such version any more: nothing is answered.
                ended = isinstance(error, ApiError) or getattr(error, "code", "") in ("NOT_FOUND", "INVALID_ARGUMENT")
            except Exception as error:  # one look may fail, as where a file is deleted meanwhile; the next comes
                _log.exception("The model server could not be looked at")
                problem = ApiError(503, f"The model server could not be looked at: {type(error).__name__}")
            if problem is not None and str(problem) != str(self._problem):
                _log.warning("%s", problem)
            self._problem = problem
            if ended:
                self._replace(None)
            self._looked = time.monotonic()
            self._close_retired()

    def start(self) -> None:
        """Look once, and from then on every `interval` seconds, in a thread of its own."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """Look no more, and close the connections."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._replace(None)
            self._close_retired(at_once=True)
        self._chooser.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _follow(self):
        while not self._closed.wait(self.interval):
            self.look()

    def _choose(self):
        """Go to the version that the server answers with, which it may leave meanwhile."""
        for attempt in range(_ATTEMPTS):
            try:
                self._go_to(self._chooser.metadata()["version"])
                return
            except ServingError as error:
                if error.code != "NOT_FOUND" or attempt == _ATTEMPTS - 1:
                    raise

    def _go_to(self, version):
        current = self._current
        if current is not None and current.version == version:
            space = current.client.space_id(_LOOK_SECONDS)
            if space == current.space_id and not current.changed():
                return
            client = current.client
        else:
            client = Client(self.server, self.model, version, self.timeout, retries=1)
        try:
            space = client.space_id(_LOOK_SECONDS)
            signatures = frozenset(client.metadata(_LOOK_SECONDS)["signatures"])
            following = SearchedVersion(version, space, client, signatures, self.finder.find(version, space))
            following.captions.read()  # now, and not at the first search
        except BaseException:
            if current is None or client is not current.client:
                client.close()
            raise
        self._replace(following)
        count = following.items.count
        _log.info("Version %d answers, space %s, %d items", version, space[:12], count)

    def _replace(self, following):
        """Let another version answer, or none; requests that have the one before may end."""
        before, self._current = self._current, following
        if before is not None and (following is None or following.client is not before.client):
            self._retired.append((time.monotonic() + 2 * self.timeout, before.client))

    def _close_retired(self, at_once=False):
        now = time.monotonic()
        for due, client in self._retired:
            if at_once or due <= now:
                client.close()
        self._retired = [] if at_once else [(due, client) for due, client in self._retired if due > now]
