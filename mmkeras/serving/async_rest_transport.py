"""`RestTransport` for asyncio: blocking calls in a bounded pool of threads."""

import asyncio
import time
from concurrent import futures

from mmkeras.serving.errors import ServingError
from mmkeras.serving.rest_transport import RestTransport

_THREADS = 32


class AsyncRestTransport:
    """Call a model server's methods over REST; at most 32 calls at a time, the others wait within their timeout.

    The standard library has no HTTP client for asyncio, and one connection that waits in a thread costs little beside
    the JSON of its answer. Args, call arguments and errors are those of `RestTransport`; a call and `close` are
    awaited. A call that is cancelled ends in its thread, unheard.
    """

    def __init__(self, address, tls=None, retries=5):
        self._transport = RestTransport(address, tls, retries)
        self._closed = False
        self._threads = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="mmkeras-client")

    async def __call__(self, method, request, response_class, timeout):
        deadline = time.monotonic() + timeout

        def call():
            return self._transport(method, request, response_class, deadline - time.monotonic())

        if self._closed:
            raise ServingError("CANCELLED", "The client is closed", method)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except asyncio.CancelledError as error:
            # A call that waited for a thread when the client was closed; not the caller's task being cancelled.
            if self._closed and not asyncio.current_task().cancelling():
                raise ServingError("CANCELLED", "The client is closed", method) from error
            raise

    async def close(self):
        """Close the connections; calls that wait or come fail."""
        self._closed = True
        self._transport.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
