"""One gRPC channel to a model server: a deadline on every call, and patience with a server that is busy or away."""

import random
import time

import grpc

from mmkeras.serving.errors import ServingError

# A call that ended so has not changed anything on the server and may succeed a moment later.
RETRIED_CODES = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds
_LOOPBACK = ("127.", "localhost", "[::1]", "unix:")


class GrpcTransport:
    """Call a model server's methods over one insecure gRPC channel.

    Messages may have any size. A call that fails with UNAVAILABLE or RESOURCE_EXHAUSTED is repeated after a random
    pause below a bound that doubles each time; the timeout holds for all attempts together.

    Args:
        address: "host:port".
        retries: how often a call is repeated at most.

    Call arguments:
        method: "PredictionService/Predict".
        request: a message of `mmkeras.serving.protos`.
        response_class: the message class of the answer.
        timeout: seconds.

    Raises:
        ServingError: with the server's code and text.
    """

    def __init__(self, address, retries=5):
        self.address = address
        self.retries = retries
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
        self._channel = grpc.insecure_channel(address, options=options)

    def __call__(self, method, request, response_class, timeout):
        deadline = time.monotonic() + timeout
        call = self._channel.unary_unary(
            f"/tensorflow.serving.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_class.FromString,
        )
        attempt = 0
        while True:
            try:
                return call(request, timeout=max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as error:
                code = error.code().name
                pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))
                last_attempt = attempt == self.retries or time.monotonic() + pause >= deadline
                if code not in RETRIED_CODES or last_attempt:
                    asked = f"{method} of model {request.model_spec.name!r} at {self.address}"
                    raise ServingError(code, error.details() or "", asked) from error
            except ValueError as error:
                raise ServingError("CANCELLED", f"The client is closed ({error})", method) from error
            time.sleep(pause)
            attempt += 1

    def close(self):
        self._channel.close()
