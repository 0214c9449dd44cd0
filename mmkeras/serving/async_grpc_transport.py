"""`GrpcTransport` for asyncio."""

import asyncio
import time

import grpc
import grpc.aio

from mmkeras.serving.grpc_transport import channel_options, closed_error, serving_error
from mmkeras.serving.retry import pause_before_retry


class AsyncGrpcTransport:
    """Call a model server's methods over one gRPC channel of the running event loop.

    Args, call arguments and errors are those of `GrpcTransport`; a call and `close` are awaited.
    """

    def __init__(self, address, tls=None, retries=5):
        self.address = address
        self.retries = retries
        self._closed = False
        self._channel = (
            grpc.aio.insecure_channel(address, channel_options(address))
            if tls is None
            else grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*tls.read()), channel_options(address))
        )

    async def __call__(self, method, request, response_class, timeout):
        deadline = time.monotonic() + timeout
        attempt = 0
        while not self._closed:
            try:
                call = self._channel.unary_unary(
                    f"/tensorflow.serving.{method}",
                    request_serializer=type(request).SerializeToString,
                    response_deserializer=response_class.FromString,
                )
                return await call(request, timeout=max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as error:
                failed = serving_error(error, method, request, self.address)
                pause = pause_before_retry(failed, attempt, self.retries, deadline)
                if pause is None:
                    raise failed from error
            except asyncio.CancelledError as error:
                # A closed channel cancels its calls, which is not the caller's task being cancelled.
                if self._closed and not asyncio.current_task().cancelling():
                    raise closed_error(method) from error
                raise
            except grpc.aio.UsageError as error:  # how a channel says that it was closed
                raise closed_error(method) from error
            await asyncio.sleep(pause)
            attempt += 1
        raise closed_error(method)

    async def close(self):
        """Close the channel; calls that run or come fail."""
        self._closed = True
        await self._channel.close()
