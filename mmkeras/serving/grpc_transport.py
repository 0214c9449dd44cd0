"""One gRPC channel to a model server: a deadline on every call, and patience with a server that is busy or away."""

import threading
import time

import grpc

from mmkeras.serving.errors import ServingError
from mmkeras.serving.retry import pause_before_retry

_LOOPBACK = ("127.", "localhost", "[::1]", "unix:")


class GrpcTransport:
    """Call a model server's methods over one gRPC channel; any number of threads may do so at a time.

    Messages may have any size. A call that fails with UNAVAILABLE or RESOURCE_EXHAUSTED is repeated after a random
    pause below a bound that doubles each time; the timeout holds for all attempts together.

    Args:
        address: "host:port" or "unix:PATH".
        tls: `TlsFiles` for an encrypted connection.
        retries: how often a call is repeated at most.

    Call arguments:
        method: "PredictionService/Predict".
        request: a message of `mmkeras.serving.protos`.
        response_class: the message class of the answer.
        timeout: seconds.

    Raises:
        ServingError: with the server's code and text.
    """

    def __init__(self, address, tls=None, retries=5):
        self.address = address
        self.retries = retries
        self._closed = threading.Event()
        self._channel = (
            grpc.insecure_channel(address, channel_options(address))
            if tls is None
            else grpc.secure_channel(address, grpc.ssl_channel_credentials(*tls.read()), channel_options(address))
        )

    def __call__(self, method, request, response_class, timeout):
        deadline = time.monotonic() + timeout
        attempt = 0
        while not self._closed.is_set():
            try:
                call = self._channel.unary_unary(
                    f"/tensorflow.serving.{method}",
                    request_serializer=type(request).SerializeToString,
                    response_deserializer=response_class.FromString,
                )
                return call(request, timeout=max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as error:
                failed = serving_error(error, method, request, self.address)
                pause = pause_before_retry(failed, attempt, self.retries, deadline)
                if pause is None:
                    raise failed from error
            except ValueError as error:  # how a channel says that it was closed
                raise closed_error(method) from error
            self._closed.wait(pause)
            attempt += 1
        raise closed_error(method)

    def close(self):
        """Close the channel; calls that run or come fail."""
        self._closed.set()
        self._channel.close()


def channel_options(address):
    """Return the options of a channel to `address`, whether its calls wait or are awaited."""
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # Pauses and attempts are counted here, once.
        ("grpc.enable_retries", 0),
    ]
    if address.startswith(_LOOPBACK):
        options.append(("grpc.enable_http_proxy", 0))
    return options


def serving_error(error, method, request, address):
    """Return the ServingError of a failed gRPC call."""
    asked = f"{method} of model {request.model_spec.name!r} at {address}"
    return ServingError(error.code().name, error.details() or "", asked)


def closed_error(method):
    """Return the error of a call on a closed client."""
    return ServingError("CANCELLED", "The client is closed", method)
