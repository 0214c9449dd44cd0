"""The gRPC port: TensorFlow Serving's two services, health and reflection on one port of the loopback address."""

import threading

import grpc
import grpc.aio

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.classify import classify, multi_inference, multi_inference_spec, regress
from mmkeras.serving.server.event_loop import EventLoop
from mmkeras.serving.server.grpc_calls import GrpcCalls
from mmkeras.serving.server.loopback import HOST, port_taken
from mmkeras.serving.server.metrics import OTHER
from mmkeras.serving.server.model_info import (
    get_model_metadata,
    get_model_status,
    handle_reload_config,
    model_spec_of,
)
from mmkeras.serving.server.predict import predict
from mmkeras.serving.server.reflection import REFLECTION
from mmkeras.serving.server.reload_folders import NOWHERE
from mmkeras.serving.server.request_limits import DEFAULT_LIMITS, MAX_MESSAGE_BYTES

_FEWEST_STREAMS = 128  # of a connection at a time
_PING_SECONDS, _PING_TIMEOUT_SECONDS = 60.0, 20.0  # of a connection on which nothing arrives
_HANDSHAKE_SECONDS = 20.0  # in which a connection shows that it speaks HTTP/2
_HEALTHY = ("", "PredictionService", "ModelService")


class GrpcService:
    """Answer gRPC requests about a server's models.

    Messages arrive in an event loop, where one that is late costs no thread: a client that hangs in the middle of one,
    or holds a stream open, keeps nobody waiting. Health, status and reflection are answered there, whatever the models
    are doing. Of all other requests `at_once` are answered at a time, each in a thread, and take their turn when all of
    their message has arrived. Further ones wait for their turn; where `max_threads` is given, they are refused at once,
    as on TensorFlow Serving, with RESOURCE_EXHAUSTED "Server Threadpool Exhausted". Past 1,000 that wait or run, or
    1 GiB of them, more are refused. A reload, which may take minutes, takes no turn.

    A message has a minute to arrive and a reflection stream lasts half a minute. Past 2,000 that arrive, and 200
    streams, the oldest is given up. A connection has twice as many streams as there are turns, 128 at least; more wait
    at their client. A client that no longer answers pings is disconnected.

    Args:
        models: `ServedModels`.
        at_once: how many requests are answered at a time; four a processor where None.
        max_threads: the same, and more are refused; None for not to refuse.
        max_message_bytes: largest request, once unpacked; 128 MiB where None.
        max_connections: connections that are held at a time, where further ones are closed at once; any number where
            None.
        ssl: SSLConfig: key and certificate, and the certificate that clients' are checked with; plain where None.
        metrics: `Metrics` that count and measure the requests of PredictionService; None for none.
        limits: `RequestLimits`.
        reload_folders: `ReloadFolders`, those from which clients may have models loaded; none unless given.

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
        limits=DEFAULT_LIMITS,
        reload_folders=NOWHERE,
    ):
        self.models = models
        self.at_once = at_once
        self.max_threads = max_threads
        self.max_message_bytes = MAX_MESSAGE_BYTES if max_message_bytes is None else max_message_bytes
        self.max_connections = max_connections
        self.ssl = ssl
        self.metrics = metrics
        self.limits = limits
        self.reload_folders = reload_folders
        self._ended = threading.Event()
        self._loop = None
        self._server = None
        self._calls = None

    def start(self, port, socket_path=None):
        """Listen on a port, 0 for any, and on a Unix socket where one is named; return the port's number."""
        self._calls = GrpcCalls(self.max_threads or self.at_once, refuse=self.max_threads is not None)
        self._loop = EventLoop("mmkeras-serving-loop")
        try:
            return self._loop.submit(self._start(port, socket_path)).result()
        except BaseException:
            self._end()
            raise

    async def _start(self, port, socket_path):
        server = grpc.aio.server(handlers=[_Router(self.handlers(self._calls))], options=self._options())
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
        await server.start()
        self._server = server
        return bound

    def _listen(self, server, address):
        if self.ssl is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(self.ssl))

    def stop(self, seconds):
        """Take no new requests and end with the running ones, at most so long; return an event for when it has."""
        self._loop.submit(self._stop(seconds))
        return self._ended

    async def _stop(self, seconds):
        try:
            await self._server.stop(seconds)
        finally:
            self._ended.set()

    def close(self):
        """Stop at once; what still runs in a thread runs to its end, and nobody hears of it."""
        self.stop(0).wait()
        self._end()

    def _end(self):
        self._loop.submit(_run(self._calls.close)).result()
        self._loop.close()

    def wait(self, timeout=None):
        """Block until stopped; return False where it still runs after `timeout` seconds."""
        return self._ended.wait(timeout)

    def _options(self):
        options = [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            # Otherwise a second server on the port would start, and take every other request.
            ("grpc.so_reuseport", 0),
            # A client whose machine has gone, or that hangs, holds what it has begun until then.
            ("grpc.keepalive_time_ms", int(_PING_SECONDS * 1000)),
            ("grpc.http2.ping_timeout_ms", int(_PING_TIMEOUT_SECONDS * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.server_handshake_timeout_ms", int(_HANDSHAKE_SECONDS * 1000)),
            ("grpc.max_concurrent_streams", max(2 * self._calls.at_once, _FEWEST_STREAMS)),
        ]
        if self.max_connections is not None:
            options.append(("grpc.max_allowed_incoming_connections", self.max_connections))
        return options

    def handlers(self, calls):
        """Return a dict from full method name to gRPC handler, which `GrpcCalls` makes."""
        prediction, model = "/tensorflow.serving.PredictionService", "/tensorflow.serving.ModelService"

        def infer(api, request_class, answer):
            return calls.in_turn(request_class, self._infer(api, answer))

        def metadata(request, seconds):
            return get_model_metadata(self.models, request)

        def status(request, seconds):
            return get_model_status(self.models, request)

        def reload(request, seconds):
            return handle_reload_config(self.models, request, self.reload_folders, seconds)

        return {
            f"{prediction}/Predict": infer("Predict", protos.PredictRequest, predict),
            f"{prediction}/Classify": infer("Classify", protos.ClassificationRequest, classify),
            f"{prediction}/Regress": infer("Regress", protos.RegressionRequest, regress),
            f"{prediction}/MultiInference": infer("MultiInference", protos.MultiInferenceRequest, multi_inference),
            f"{prediction}/GetModelMetadata": calls.in_turn(protos.GetModelMetadataRequest, metadata),
            f"{model}/GetModelStatus": calls.in_loop(protos.GetModelStatusRequest, status),
            f"{model}/HandleReloadConfigRequest": calls.in_own_thread(protos.ReloadConfigRequest, reload),
            "/grpc.health.v1.Health/Check": calls.in_loop(protos.HealthCheckRequest, check_health),
            f"/{REFLECTION}/ServerReflectionInfo": calls.reflection(),
        }

    def _infer(self, api, answer):
        spec_of = multi_inference_spec if api == "MultiInference" else model_spec_of

        def infer(request, seconds):
            with self.models.resolve(spec_of(request)) as servable:
                return answer(servable, request, seconds, self.limits)

        def measured(request, seconds):
            spec = spec_of(request)
            name = self.models.known_name("" if spec is None else spec.name, OTHER)
            with self.metrics.request(name, api, "GRPC"):
                with self.models.resolve(spec) as servable:
                    return answer(self.metrics.timed(servable, api), request, seconds, self.limits)

        return infer if self.metrics is None else measured


class _Router(grpc.GenericRpcHandler):
    """Find a method's handler."""

    def __init__(self, handlers):
        self._handlers = handlers
        # Of whatever kind an unknown method is, this handler answers before it reads.
        self._unknown = grpc.stream_stream_rpc_method_handler(_refuse)

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method, self._unknown)


def check_health(request, seconds=None):
    """Return the HealthCheckResponse: SERVING for the services of this port, whatever their models are doing."""
    if request.service not in _HEALTHY:
        raise ServingError("NOT_FOUND", "service name unknown")
    return protos.HealthCheckResponse(status=protos.ServingStatus["SERVING"])


async def _run(function):
    function()


async def _refuse(requests, context):
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")


def _credentials(ssl):
    return grpc.ssl_server_credentials(
        [(ssl.server_key.encode(), ssl.server_cert.encode())],
        root_certificates=ssl.custom_ca.encode() or None,
        require_client_auth=ssl.client_verify,
    )
