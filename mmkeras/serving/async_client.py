"""`Client` for asyncio."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from mmkeras.serving.client import Client
from mmkeras.serving.errors import ServingError
from mmkeras.serving.model_client import ModelClient

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """A method of `Client`, declared as what it is where `_run` is a coroutine function."""

    @functools.wraps(method)
    def called(self, *args, **kwargs):
        return method(self, *args, **kwargs)

    signature = inspect.signature(method)
    returned = f"Coroutine[Any, Any, {signature.return_annotation}]"
    called.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
    return called


class AsyncClient(ModelClient):
    """Ask a model on TensorFlow Serving, or on `EmbeddedServer`, from an event loop.

    It has the methods, arguments and errors of `Client`; every call, and `close`, is awaited. gRPC runs in the loop
    itself, REST in a bounded pool of threads. Pictures are read and encoded in threads. An await that is cancelled
    cancels its gRPC requests; a REST request on its way ends in its thread, and its answer is dropped.

    A client belongs to the event loop that first awaits one of its calls.

    Args:
        those of `Client`; `concurrency` holds for each call that needs several requests.

    Example:
        >>> async with AsyncClient("127.0.0.1:8500", "glyphs") as client:
        ...     texts, pictures = await asyncio.gather(client.encode_text(["snowman"]), client.encode_image(["a.png"]))
    """

    predict = _awaited(Client.predict)
    encode_text = _awaited(Client.encode_text)
    encode_image = _awaited(Client.encode_image)
    encode_image_tolerant = _awaited(Client.encode_image_tolerant)
    encode_pixels = _awaited(Client.encode_pixels)
    encode_features = _awaited(Client.encode_features)
    encode_text_features = _awaited(Client.encode_text_features)
    match = _awaited(Client.match)
    classify_text = _awaited(Client.classify_text)
    classify_image = _awaited(Client.classify_image)
    classify_features = _awaited(Client.classify_features)
    classify_text_features = _awaited(Client.classify_text_features)
    classify = _awaited(Client.classify)
    space_id = _awaited(Client.space_id)
    check_space = _awaited(Client.check_space)
    metadata = _awaited(Client.metadata)
    status = _awaited(Client.status)
    models = _awaited(Client.models)
    wait_until_ready = _awaited(Client.wait_until_ready)

    async def close(self) -> None:
        """Close the connections; calls that run or come raise."""
        self._closed = True
        if self._transport is not None:
            await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _prepare(self):
        self._transport = None
        self._closed = False

    async def _run(self, steps, timeout):
        deadline = time.monotonic() + self._seconds(timeout)
        try:
            step = next(steps)
            while True:
                try:
                    answers = await self._take(step, deadline)
                except ServingError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answers)
        except StopIteration as end:
            return end.value

    async def _take(self, step, deadline):
        """Wait, where the step is a number of seconds; else return the answers of its calls."""
        if isinstance(step, float):
            return await asyncio.sleep(step)
        if self._closed:
            raise ServingError("CANCELLED", "The client is closed", step[0].method)
        if self._transport is None:
            self._transport = self._open()
        if len(step) == 1:
            return [await self._answer(step[0], deadline)]
        slots = asyncio.Semaphore(self.concurrency)

        async def answer(call):
            async with slots:
                return await self._answer(call, deadline)

        running = [asyncio.ensure_future(answer(call)) for call in step]
        try:
            return await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _answer(self, call, deadline):
        request = await asyncio.to_thread(call.build) if call.reads_files else call.build()
        seconds = deadline - time.monotonic()
        if call.longest is not None:
            seconds = min(seconds, call.longest)
        return call.decode(await self._transport(call.method, request, call.response_class, seconds))

    def _open(self):
        # Inside of the loop: a channel of gRPC's belongs to the one that is running when it is made.
        if self.over_rest:
            from mmkeras.serving.async_rest_transport import AsyncRestTransport as Transport
        else:
            from mmkeras.serving.async_grpc_transport import AsyncGrpcTransport as Transport
        return Transport(self.address, self.tls, self.retries)
