"""The gRPC port: TensorFlow Serving's two services, health and reflection on one port of the loopback address."""

import os
import threading
from concurrent import futures

import grpc

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.classify import classify, multi_inference, multi_inference_spec, regress
from mmkeras.serving.server.loopback import HOST, port_taken
from mmkeras.serving.server.model_info import (
    get_model_metadata,
    get_model_status,
    handle_reload_config,
    model_spec_of,
)
from mmkeras.serving.server.predict import predict
from mmkeras.serving.server.reflection import REFLECTION, reflect

_LONGEST_DETAILS = 1024  # characters; TensorFlow Serving cuts its error texts there
_MOST_REQUESTS = 1000  # that arrive, wait or run, each in a thread
_FAR = 1e9  # seconds
_PING_SECONDS, _PING_TIMEOUT_SECONDS = 60.0, 20.0  # of a connection on which nothing arrives
_TOO_LATE = "The deadline passed before the request was run"
_HEALTHY = ("", "PredictionService", "ModelService")


class GrpcService:
    """Answer gRPC requests about a server's models.

    Of all requests `at_once` are answered at a time. Further ones wait for their turn; where `max_threads` is given,
    they are refused at once, as on TensorFlow Serving, with RESOURCE_EXHAUSTED "Server Threadpool Exhausted". Health,
    status and reflection have no turn to wait for; a reload, which may take minutes, takes none. A request
    takes its turn when all of it has arrived: grpcio waits for the rest in a thread, and a client that hangs in the
    middle of a message would otherwise take the place of one that can be answered. Past 1,000 requests that arrive,
    wait or run, further ones are refused. A client that no longer answers pings is disconnected.

    Args:
        models: `ServedModels`.
        at_once: how many requests are answered at a time; four a processor where None.
        max_threads: the same, and more are refused; None for not to refuse.
        max_message_bytes: largest request; what protobuf can hold, 2 GiB, where None.
        max_connections: connections that are held at a time, where further ones are closed at once; any number where
            None.
        ssl: SSLConfig: key and certificate, and the certificate that clients' are checked with; plain where None.
        metrics: `Metrics` that count and measure the requests of PredictionService; None for none.

    Raises:
        MmkerasError: by `start`, where the port cannot be opened.
    """

    def __init__(
        self,
        models,
        at_once=None,
        max_threads=None,
        max_message_bytes=None,
        max_connections=None,
        ssl=None,
        metrics=None,
    ):
        self.models = models
        self.at_once = at_once
        self.max_threads = max_threads
        self.max_message_bytes = max_message_bytes
        self.max_connections = max_connections
        self.ssl = ssl
        self.metrics = metrics
        # As many as TensorFlow Serving has by default.
        self._turns = threading.BoundedSemaphore(max_threads or at_once or 4 * (os.cpu_count() or 1))
        self._server = None
        self._threads = None

    def start(self, port, socket_path=None):
        """Listen on a port, 0 for any, and on a Unix socket where one is named; return the port's number."""
        self._threads = futures.ThreadPoolExecutor(_MOST_REQUESTS, thread_name_prefix="mmkeras-serving")
        server = grpc.server(
            self._threads,
            handlers=[_Router(self.handlers())],
            options=self._options(),
            maximum_concurrent_rpcs=_MOST_REQUESTS,
        )
        hint = "" if self.ssl is None else ", or server_key and server_cert are no pair of PEM texts"
        try:
            bound = self._listen(server, f"{HOST}:{port}")
        except RuntimeError as error:
            raise port_taken(port, f"{error}{hint}") from error
        if socket_path is not None:
            try:
                self._listen(server, f"unix:{socket_path}")
            except RuntimeError as error:
                raise MmkerasError(
                    "Expected socket_path to be a path in a folder that is there, of at most 107 bytes. "
                    f"Received: socket_path={str(socket_path)!r} ({error}{hint})"
                ) from error
        server.start()
        self._server = server
        return bound

    def _listen(self, server, address):
        if self.ssl is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(self.ssl))

    def stop(self, seconds):
        """Take no new requests and end with the running ones, at most so long; return an event for when it has."""
        return self._server.stop(seconds)

    def close(self):
        """Stop at once, and let the threads go, which grpcio leaves to whoever made them."""
        self.stop(0).wait()
        self._threads.shutdown(wait=False)

    def wait(self, timeout=None):
        """Block until stopped; return False where it still runs after `timeout` seconds."""
        return not self._server.wait_for_termination(timeout)

    def _options(self):
        options = [
            ("grpc.max_receive_message_length", -1 if self.max_message_bytes is None else self.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            # Otherwise a second server on the port would start, and take every other request.
            ("grpc.so_reuseport", 0),
            # A client whose machine has gone, or that hangs, holds what it has begun until then.
            ("grpc.keepalive_time_ms", int(_PING_SECONDS * 1000)),
            ("grpc.http2.ping_timeout_ms", int(_PING_TIMEOUT_SECONDS * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        if self.max_connections is not None:
            options.append(("grpc.max_allowed_incoming_connections", self.max_connections))
        return options

    def handlers(self):
        """Return a dict from full method name to gRPC handler."""
        served = {
            "PredictionService/Predict": (protos.PredictRequest, self._infer("Predict", predict)),
            "PredictionService/Classify": (protos.ClassificationRequest, self._infer("Classify", classify)),
            "PredictionService/Regress": (protos.RegressionRequest, self._infer("Regress", regress)),
            "PredictionService/MultiInference": (
                protos.MultiInferenceRequest,
                self._infer("MultiInference", multi_inference),
            ),
            "PredictionService/GetModelMetadata": (
                protos.GetModelMetadataRequest,
                lambda request, seconds: get_model_metadata(self.models, request),
            ),
        }
        without_turn = {
            "tensorflow.serving.ModelService/GetModelStatus": (
                protos.GetModelStatusRequest,
                lambda request, seconds: get_model_status(self.models, request),
            ),
            "tensorflow.serving.ModelService/HandleReloadConfigRequest": (
                protos.ReloadConfigRequest,
                lambda request, seconds: handle_reload_config(self.models, request, seconds),
            ),
            "grpc.health.v1.Health/Check": (protos.HealthCheckRequest, lambda request, seconds: check_health(request)),
        }
        methods = {f"tensorflow.serving.{method}": (*route, self._turns) for method, route in served.items()}
        methods |= {method: (*route, None) for method, route in without_turn.items()}
        handlers = {
            f"/{method}": grpc.unary_unary_rpc_method_handler(self._behaviour(*route))
            for method, route in methods.items()
        }
        return {**handlers, f"/{REFLECTION}/ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(_reflect_all)}

    def _infer(self, api, answer):
        spec_of = multi_inference_spec if api == "MultiInference" else model_spec_of

        def infer(request, seconds):
            with self.models.resolve(spec_of(request)) as servable:
                return answer(servable, request, seconds)

        def measured(request, seconds):
            spec = spec_of(request)
            with self.metrics.request("" if spec is None else spec.name, api, "GRPC"):
                with self.models.resolve(spec) as servable:
                    return answer(self.metrics.timed(servable, api), request, seconds)

        return infer if self.metrics is None else measured

    def _behaviour(self, request_class, answer, turns):
        def behave(content, context):
            if turns is not None and not turns.acquire(timeout=self._longest_wait(context)):
                if self.max_threads is not None:
                    return context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
                return context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, _TOO_LATE)
            try:
                if not context.is_active():
                    return b""  # the client has gone while this waited
                code, result = _answer(request_class, answer, content, _seconds_left(context))
            finally:
                if turns is not None:
                    turns.release()
            return result if code == "OK" else context.abort(grpc.StatusCode[code], cut_details(result))

        return behave

    def _longest_wait(self, context):
        """Return the seconds that a request may wait for its turn; None for as long as it takes."""
        return 0 if self.max_threads is not None else _seconds_left(context)


class _Router(grpc.GenericRpcHandler):
    """Find a method's handler."""

    def __init__(self, handlers):
        self._handlers = handlers
        # Of whatever kind an unknown method is, this handler answers before it reads.
        self._unknown = grpc.stream_stream_rpc_method_handler(_refuse)

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method, self._unknown)


def check_health(request):
    """Return the HealthCheckResponse: SERVING for the services of this port, whatever their models are doing."""
    if request.service not in _HEALTHY:
        raise ServingError("NOT_FOUND", "service name unknown")
    return protos.HealthCheckResponse(status=protos.ServingStatus["SERVING"])


def cut_details(details):
    """Return an error text of the length that TensorFlow Serving sends at most."""
    return details if len(details) <= _LONGEST_DETAILS else details[:_LONGEST_DETAILS] + "...TRUNCATED"


def _seconds_left(context):
    """Return the seconds to a request's deadline, or None; gRPC tells "no deadline" as one in a far future."""
    seconds = context.time_remaining()
    return None if seconds is None or seconds > _FAR else max(seconds, 0)


def _refuse(requests, context):
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
    yield b""


def _reflect_all(requests, context):
    for content in requests:
        try:
            request = protos.ServerReflectionRequest.FromString(content)
        except Exception:  # protobuf's DecodeError
            context.abort(grpc.StatusCode.INTERNAL, "")
        yield reflect(request).SerializeToString()


def _credentials(ssl):
    return grpc.ssl_server_credentials(
        [(ssl.server_key.encode(), ssl.server_cert.encode())],
        root_certificates=ssl.custom_ca.encode() or None,
        require_client_auth=ssl.client_verify,
    )


def _answer(request_class, answer, content, seconds):
    """Return ("OK", bytes) or (code, text)."""
    try:
        request = request_class.FromString(content)
    except Exception:  # protobuf's DecodeError; the original answers so, without a text
        return "INTERNAL", ""
    try:
        if seconds is not None and seconds <= 0:
            raise ServingError("DEADLINE_EXCEEDED", _TOO_LATE)
        code, result = "OK", answer(request, seconds).SerializeToString()
    except ServingError as error:
        code, result = error.code, error.details
    except Exception as error:  # one request must never end the process or lose its answer
        code, result = "INTERNAL", f"{type(error).__name__}: {error}"
    return code, result
