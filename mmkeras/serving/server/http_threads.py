"""The threads behind an HTTP port: those that ask models, and a few that are free while all of these are busy."""

import time
import weakref

_FREE_THREADS = 2


class HttpThreads:
    """Divide requests between two of waitress' dispatchers: what is posted to models, and all the rest.

    Status, metadata and metrics, from which others learn that the server lives, wait for no model.

    Args:
        dispatcher: class of waitress' dispatchers, `ThreadedTaskDispatcher`.
        threads: how many ask models.

    Attributes:
        known: the connections that have brought a request.
    """

    def __init__(self, dispatcher, threads):
        self.known = weakref.WeakSet()
        self._asking, self._telling = dispatcher(), dispatcher()
        self._asking.set_thread_count(threads)
        self._telling.set_thread_count(_FREE_THREADS)

    @property
    def threads(self):
        """Those that have not ended."""
        return [*self._asking.threads, *self._telling.threads]

    def add_task(self, channel):
        """Have a connection's first request answered."""
        self.known.add(channel)
        asks = getattr(channel.requests[0], "command", None) == "POST"  # garbage has no method
        (self._asking if asks else self._telling).add_task(channel)

    def shutdown(self, cancel_pending=True, timeout=5):
        """End the threads, within so many seconds; return whether what waited was cancelled."""
        deadline = time.monotonic() + timeout
        cancelled = [
            dispatcher.shutdown(cancel_pending, max(deadline - time.monotonic(), 0))
            for dispatcher in (self._asking, self._telling)
        ]
        return all(cancelled)
