"""A model server in this process, for machines without TensorFlow Serving."""

import os
import socket
from concurrent import futures

import grpc

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.loaded_models import LoadedModels
from mmkeras.serving.model_info import get_model_metadata, get_model_status
from mmkeras.serving.predict import predict

_HOST = "127.0.0.1"
_LONGEST_DETAILS = 1024  # characters; TensorFlow Serving cuts its error texts there
_DRAIN_SECONDS = 10.0


class EmbeddedServer:
    """Serve any SavedModel over TensorFlow Serving's gRPC interface, on the loopback address only.

    Offers PredictionService.Predict and GetModelMetadata and ModelService.GetModelStatus with TensorFlow Serving's
    status codes and texts. It differs where the original is unkind: it stops after the running requests are answered,
    and it refuses a string input of the wrong rank, which can end the original's process.

    Args:
        base_path: folder of a model, `savedmodels/NAME`, that holds integer version folders.
        name: model name that clients use; the folder's name where None.
        port: port to listen on, or 0 for a free one.
        version: the version to serve; the newest where None.

    Attributes:
        address: "127.0.0.1:PORT", once started.
        name: model name.
        version: the version served.

    Raises:
        MmkerasError: at construction where the folder holds no version; at `start` where the port is in use, the
            SavedModel does not load or one of its warm-up records fails.

    Example:
        >>> with EmbeddedServer("savedmodels/glyphs") as server, Client(server.address, "glyphs") as client:
        ...     client.encode_text(["snowman"]).shape
        (1, 128)
    """

    def __init__(self, base_path, name=None, port=0, version=None):
        if not isinstance(port, int) or not 0 <= port <= 65535:
            raise MmkerasError(f"Expected port to be a number from 0 to 65535. Received: port={port!r}")
        self.base_path = base_path
        self.port = port
        self._models = LoadedModels(base_path, name, version)
        self.name = self._models.name
        self.version = self._models.version
        self.address = None
        self._server = None

    def start(self):
        """Load the model, warm it up, then listen; return this server."""
        if self._server is not None:
            raise MmkerasError(f"The server is already running at {self.address}")
        self._check_port()
        self._models.load()
        # As many as TensorFlow Serving has by default; further requests wait, where it would refuse them.
        workers = futures.ThreadPoolExecutor(4 * (os.cpu_count() or 1), thread_name_prefix="mmkeras-serving")
        server = grpc.server(
            workers,
            handlers=[_Router(self._routes())],
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Otherwise a second server on the port would start, and take every other request.
                ("grpc.so_reuseport", 0),
            ],
        )
        try:
            port = server.add_insecure_port(f"{_HOST}:{self.port}")
        except RuntimeError as error:
            self._models.close()
            raise _port_in_use(self.port, error) from error
        server.start()
        self._server = server
        self.address = f"{_HOST}:{port}"
        return self

    def stop(self):
        """Answer the running requests, at most for ten seconds, and close; does nothing where it is not running."""
        if self._server is not None:
            server, self._server, self.address = self._server, None, None
            server.stop(_DRAIN_SECONDS).wait()
            self._models.close()

    def wait(self, timeout=None):
        """Block until the server is stopped; return False where it still runs after `timeout` seconds."""
        return self._server is None or not self._server.wait_for_termination(timeout)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    def _check_port(self):
        """Find out before the model is loaded, which takes seconds, that the port is taken."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, self.port))
            except OSError as error:
                raise _port_in_use(self.port, error) from error

    def _routes(self):
        """Return a dict from method to (request class, function of request and seconds left)."""
        return {
            "PredictionService/Predict": (
                protos.PredictRequest,
                lambda request, seconds: predict(self._models.resolve(request), request, seconds),
            ),
            "PredictionService/GetModelMetadata": (
                protos.GetModelMetadataRequest,
                lambda request, seconds: get_model_metadata(self._models, request),
            ),
            "ModelService/GetModelStatus": (
                protos.GetModelStatusRequest,
                lambda request, seconds: get_model_status(self._models, request),
            ),
        }


class _Router(grpc.GenericRpcHandler):
    """Hand calls to functions of (request, seconds left); errors become gRPC statuses."""

    def __init__(self, routes):
        self._handlers = {
            f"/tensorflow.serving.{method}": grpc.unary_unary_rpc_method_handler(_behaviour(request_class, answer))
            for method, (request_class, answer) in routes.items()
        }
        # Of whatever kind an unknown method is, this handler answers before it reads.
        self._unknown = grpc.stream_stream_rpc_method_handler(_refuse)

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method, self._unknown)


def _behaviour(request_class, answer):
    def behave(content, context):
        try:
            request = request_class.FromString(content)
        except Exception:  # protobuf's DecodeError; the original answers so, without a text
            context.abort(grpc.StatusCode.INTERNAL, "")
        seconds = context.time_remaining()
        try:
            if seconds is not None and seconds <= 0:
                raise ServingError("DEADLINE_EXCEEDED", "The deadline passed before the request was run")
            response = answer(request, seconds).SerializeToString()
        except ServingError as error:
            code, details = error.code, error.details
        except Exception as error:  # one request must never end the process or lose its answer
            code, details = "INTERNAL", f"{type(error).__name__}: {error}"
        else:
            return response
        return context.abort(grpc.StatusCode[code], cut_details(details))

    return behave


def _refuse(requests, context):
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
    yield b""


def cut_details(details):
    """Return an error text of the length that TensorFlow Serving sends at most."""
    return details if len(details) <= _LONGEST_DETAILS else details[:_LONGEST_DETAILS] + "...TRUNCATED"


def _port_in_use(port, error):
    return MmkerasError(f"Expected a port that is free on {_HOST}, or 0 for any. Received: port={port} ({error})")
