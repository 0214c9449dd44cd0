"""How long a server waits for clients, and for how many of them."""

import asyncio
import contextlib


class Patience:
    """Bound what waits for clients, in time and in number, so that those who keep it waiting lock nobody out.

    Past `most` waits the one that began first is given up and not the new one refused: a client that means it is done
    within milliseconds, and who has waited longest is likely one that never will be. It belongs to one event loop.

    Args:
        seconds: the longest wait.
        most: how many waits there are at a time.

    Example:
        >>> patience = Patience(seconds=60, most=1000)
        >>> async with patience.wait():  # raises TimeoutError
        ...     message = await anext(messages)
    """

    def __init__(self, seconds, most):
        self.seconds = seconds
        self.most = most
        self._waits = {}  # in the order in which they began; a set has none

    @contextlib.asynccontextmanager
    async def wait(self):
        """Run the block, and end it by TimeoutError when its time is over or more than `most` came after it."""
        async with asyncio.timeout(self.seconds) as limit:
            if len(self._waits) >= self.most:
                oldest = next(iter(self._waits))
                del self._waits[oldest]
                if not oldest.expired():
                    oldest.reschedule(0)  # of the loop's clock: at once
            self._waits[limit] = None
            try:
                yield
            finally:
                self._waits.pop(limit, None)
