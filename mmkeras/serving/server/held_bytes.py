"""How many bytes of requests a port holds at a time."""

import threading
from contextlib import contextmanager

from mmkeras.serving.errors import ServingError


class HeldBytes:
    """Bound the requests that wait or run by their size together; one alone may be as large as it may be.

    Args:
        most: bytes.

    Example:
        >>> held = HeldBytes(2**28)
        >>> with held.hold(len(content)):  # raises ServingError
        ...     answer(content)
    """

    def __init__(self, most):
        self.most = most
        self._held = 0
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, size):
        """Count `size` bytes while the block runs; RESOURCE_EXHAUSTED where that are too many."""
        with self._lock:
            if self._held and self._held + size > self.most:
                raise ServingError(
                    "RESOURCE_EXHAUSTED",
                    f"Expected at most {self.most} bytes of requests that wait or run. Received: {size} bytes more",
                )
            self._held += size
        try:
            yield
        finally:
            with self._lock:
                self._held -= size
