"""The Python client of a served model; it needs NumPy, protobuf and, for gRPC, grpcio, and no TensorFlow."""

from __future__ import annotations

import time
from concurrent import futures
from typing import Self

from mmkeras.serving.errors import ServingError
from mmkeras.serving.model_client import ModelClient


class Client(ModelClient):
    """Ask a model on TensorFlow Serving, or on `EmbeddedServer`, over gRPC or REST.

    `predict` calls any signature of any model with one request. The named methods (`encode_text`, ...) call the
    signatures that `mmkeras export` writes; they split long inputs into requests of at most `max_batch` rows, several
    at a time, and see to it that all rows come from one version, asking again where the server changes it on the way. A
    server that takes fewer rows says so, and is believed. No request of zero rows is ever sent: under server-side
    batching one would hang, so an empty input raises.

    A request that fails with UNAVAILABLE or RESOURCE_EXHAUSTED is repeated, after random pauses that grow; nothing else
    is. Five repetitions take about a second: a client that is to sit out a server's restart needs more `retries`, up to
    its `timeout`. Threads may share a client.

    Args:
        address: "host:port" of the server's gRPC port, "unix:PATH", or "http://host:port" (or https) of its REST port.
            gRPC is the faster of the two, and only gRPC knows float16 and complex numbers.
        model: the model's name on the server.
        version: integer version; the server's choice (its newest) where None.
        timeout: seconds for a call of a method of this class, all its requests and their repetitions included. Every
            method takes a `timeout` of its own: a long list may need more.
        max_batch: rows a request at most; fewer where they hold more than 16 MiB.
        label: a version label ("stable"), in place of a version.
        tls: `TlsFiles`, or True to trust the system's authorities; for gRPC. An https address is encrypted without it.
        concurrency: requests at a time, of calls that need several.
        retries: how often a request is repeated at most.

    Raises:
        ServingError: the server refused, was away or too slow; `.code` is the gRPC code, `.details` its text. Over REST
            the code is read from the HTTP status, where 400 stands for FAILED_PRECONDITION and OUT_OF_RANGE too.
        MmkerasError: an argument is not what is expected, and nothing was sent; or the model is no mmkeras export.

    Example:
        >>> with Client("127.0.0.1:8500", "glyphs") as client:
        ...     client.encode_text(["greek small letter omega"]).shape
        (1, 128)
    """

    def close(self) -> None:
        """Close the connections; calls that run or come raise."""
        self._transport.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _prepare(self):
        if self.over_rest:
            from mmkeras.serving.rest_transport import RestTransport as Transport
        else:
            from mmkeras.serving.grpc_transport import GrpcTransport as Transport
        self._transport = Transport(self.address, self.tls, self.retries)
        self._threads = futures.ThreadPoolExecutor(self.concurrency, thread_name_prefix="mmkeras-client")

    def _run(self, steps, timeout):
        deadline = time.monotonic() + self._seconds(timeout)
        try:
            step = next(steps)
            while True:
                try:
                    answers = self._take(step, deadline)
                except ServingError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answers)
        except StopIteration as end:
            return end.value

    def _take(self, step, deadline):
        """Wait, where the step is a number of seconds; else return the answers of its calls."""
        if isinstance(step, float):
            return time.sleep(step)
        if len(step) == 1:
            return [self._answer(step[0], deadline)]
        try:
            running = [self._threads.submit(self._answer, call, deadline) for call in step]
        except RuntimeError as error:  # how an executor says that it was shut down
            raise ServingError("CANCELLED", "The client is closed", step[0].method) from error
        try:
            done, _ = futures.wait(running, return_when=futures.FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in running]
        except futures.CancelledError as error:
            raise ServingError("CANCELLED", "The client is closed", step[0].method) from error
        finally:
            for future in running:
                future.cancel()

    def _answer(self, call, deadline):
        request = call.build()
        seconds = deadline - time.monotonic()
        if call.longest is not None:
            seconds = min(seconds, call.longest)
        return call.decode(self._transport(call.method, request, call.response_class, seconds))
