"""The gRPC port: TensorFlow Serving's two services and grpc.health.v1 on one port of the loopback address."""

import os
import threading
from concurrent import futures

import grpc

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.classify import classify, multi_inference, multi_inference_spec, regress
from mmkeras.serving.server.model_info import (
    get_model_metadata,
    get_model_status,
    handle_reload_config,
    model_spec_of,
)
from mmkeras.serving.server.predict import predict

_LONGEST_DETAILS = 1024  # characters; TensorFlow Serving cuts its error texts there
_LONGEST_QUEUE = 1000  # requests that run or wait
_FAR = 1e9  # seconds
_SPARE_THREADS = 4  # to refuse with, and to tell of health and status, while all others compute
_HEALTHY = ("", "PredictionService", "ModelService")


class GrpcService:
    """Answer gRPC requests about a server's models.

    As many requests are answered at once as there are threads. Unless `max_threads` is given, further ones wait for
    their turn, 1,000 at most; with it they are refused at once, as on TensorFlow Serving, with RESOURCE_EXHAUSTED
    "Server Threadpool Exhausted". Health and status are never refused.

    Args:
        models: `ServedModels`.
        max_threads: how many requests are answered at once; four a processor where None.
        max_message_bytes: largest request; what protobuf can hold, 2 GiB, where None.
        ssl: SSLConfig: key and certificate, and the certificate that clients' are checked with; plain where None.
        metrics: `Metrics` that count and measure the requests of PredictionService; None for none.

    Raises:
        MmkerasError: by `start`, where the port cannot be opened.
    """

    def __init__(self, models, max_threads=None, max_message_bytes=None, ssl=None, metrics=None):
        self.models = models
        self.max_threads = max_threads
        self.max_message_bytes = max_message_bytes
        self.ssl = ssl
        self.metrics = metrics
        self._slots = None if max_threads is None else threading.BoundedSemaphore(max_threads)
        self._server = None

    def start(self, host, port):
        """Listen on a port, 0 for any, and return its number."""
        # As many as TensorFlow Serving has by default.
        threads = 4 * (os.cpu_count() or 1) if self.max_threads is None else self.max_threads + _SPARE_THREADS
        limit = -1 if self.max_message_bytes is None else self.max_message_bytes
        server = grpc.server(
            futures.ThreadPoolExecutor(threads, thread_name_prefix="mmkeras-serving"),
            handlers=[_Router(self._handlers())],
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                # Otherwise a second server on the port would start, and take every other request.
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=_LONGEST_QUEUE if self.max_threads is None else None,
        )
        try:
            address = f"{host}:{port}"
            bound = (
                server.add_insecure_port(address)
                if self.ssl is None
                else server.add_secure_port(address, _credentials(self.ssl))
            )
        except RuntimeError as error:
            hint = "" if self.ssl is None else ", or server_key and server_cert are no pair of PEM texts"
            raise MmkerasError(
                f"Expected a port that is free on {host}, or 0 for any. Received: port={port} ({error}{hint})"
            ) from error
        server.start()
        self._server = server
        return bound

    def stop(self, seconds):
        """Take no new requests and end with the running ones, at most so long; return an event for when it has."""
        return self._server.stop(seconds)

    def wait(self, timeout=None):
        """Block until stopped; return False where it still runs after `timeout` seconds."""
        return not self._server.wait_for_termination(timeout)

    def _handlers(self):
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
            "ModelService/HandleReloadConfigRequest": (
                protos.ReloadConfigRequest,
                lambda request, seconds: handle_reload_config(self.models, request, seconds),
            ),
        }
        told = {
            "tensorflow.serving.ModelService/GetModelStatus": (
                protos.GetModelStatusRequest,
                lambda request, seconds: get_model_status(self.models, request),
            ),
            "grpc.health.v1.Health/Check": (protos.HealthCheckRequest, lambda request, seconds: check_health(request)),
        }
        methods = {f"tensorflow.serving.{method}": (*route, self._slots) for method, route in served.items()}
        methods |= {method: (*route, None) for method, route in told.items()}
        return {
            f"/{method}": grpc.unary_unary_rpc_method_handler(self._behaviour(*route))
            for method, route in methods.items()
        }

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

    def _behaviour(self, request_class, answer, slots):
        def behave(content, context):
            if not context.is_active():
                return b""  # the client has gone while this waited
            if slots is not None and not slots.acquire(blocking=False):
                return context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
            try:
                code, result = _answer(request_class, answer, content, _seconds_left(context))
            finally:
                if slots is not None:
                    slots.release()
            return result if code == "OK" else context.abort(grpc.StatusCode[code], cut_details(result))

        return behave


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
    return None if seconds is None or seconds > _FAR else seconds


def _refuse(requests, context):
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
    yield b""


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
            raise ServingError("DEADLINE_EXCEEDED", "The deadline passed before the request was run")
        code, result = "OK", answer(request, seconds).SerializeToString()
    except ServingError as error:
        code, result = error.code, error.details
    except Exception as error:  # one request must never end the process or lose its answer
        code, result = "INTERNAL", f"{type(error).__name__}: {error}"
    return code, result
