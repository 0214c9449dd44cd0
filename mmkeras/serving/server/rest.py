"""The REST interface as a WSGI application, which any HTTP server can run.

Reference: tensorflow_serving/model_servers/http_rest_api_{handler,util}.cc, http_server.cc.
"""

import re
import threading
import time
import zlib
from contextlib import contextmanager, nullcontext
from urllib.parse import quote, unquote, urlsplit

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.classify import classify, regress
from mmkeras.serving.server.held_bytes import HeldBytes
from mmkeras.serving.server.metrics import OTHER
from mmkeras.serving.server.model_info import get_model_metadata, get_model_status
from mmkeras.serving.server.predict import DEFAULT_SIGNATURE, predict
from mmkeras.serving.server.request_limits import DEFAULT_LIMITS, MAX_MESSAGE_BYTES
from mmkeras.serving.server.rest_replies import (
    write_classifications,
    write_error,
    write_metadata,
    write_outputs,
    write_regressions,
    write_status,
)
from mmkeras.serving.server.rest_requests import parse_body, read_examples, read_inputs, signature_name
from mmkeras.serving.tensors import decode_tensor, write_tensor

METRICS_PATH = "/monitoring/prometheus/metrics"
_STATUS_LINES = {
    "OK": "200 OK",
    "INVALID_ARGUMENT": "400 Bad Request",
    "FAILED_PRECONDITION": "400 Bad Request",
    "OUT_OF_RANGE": "400 Bad Request",
    "UNAUTHENTICATED": "401 Unauthorized",
    "PERMISSION_DENIED": "403 Forbidden",
    "NOT_FOUND": "404 Not Found",
    "ALREADY_EXISTS": "409 Conflict",
    "ABORTED": "409 Conflict",
    "RESOURCE_EXHAUSTED": "429 Too Many Requests",
    "CANCELLED": "499 Client Closed Request",
    "UNKNOWN": "500 Internal Server Error",
    "INTERNAL": "500 Internal Server Error",
    "DATA_LOSS": "500 Internal Server Error",
    "UNIMPLEMENTED": "501 Not Implemented",
    "UNAVAILABLE": "503 Service Unavailable",
    "DEADLINE_EXCEEDED": "504 Gateway Timeout",
}
_MOST_BYTES = 2**28  # of bodies that are answered at a time
_TOO_LARGE = "413 Request Entity Too Large"
_MODEL = r"/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_ASK = re.compile(rf"/v1/models{_MODEL}:(.*)", re.IGNORECASE | re.ASCII)
_TELL = re.compile(rf"/v1/models(?:{_MODEL})?(/metadata)?", re.IGNORECASE | re.ASCII)
_VERBS = ("predict", "classify", "regress")
_NOT_FOUND = "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"
_JSON, _HTML, _PLAIN = "application/json", "text/html; charset=utf-8", "text/plain"


class RestApplication:
    """Answer TensorFlow Serving's REST requests: predict, classify, regress, status and metadata; and the metrics.

    Args:
        models: `ServedModels`.
        metrics: `Metrics` that requests are counted in, or None.
        metrics_path: path under which the metrics are read; nowhere where None.
        seconds: deadline of a request, after which the reply is 504; none where None.
        max_body_bytes: the longest body, also once it is unzipped; a longer one is answered by 413.
        limits: `RequestLimits`.

    Call arguments:
        environ, start_response: as WSGI has them.

    Raises:
        MmkerasError: an argument is out of its range.

    Example:
        >>> application = RestApplication(models, metrics, METRICS_PATH)
        >>> with HttpServer(application, port=8501):
        ...     urllib.request.urlopen("http://127.0.0.1:8501/v1/models/glyphs").status
        200
    """

    def __init__(
        self,
        models,
        metrics=None,
        metrics_path=None,
        seconds=30.0,
        max_body_bytes=MAX_MESSAGE_BYTES,
        limits=DEFAULT_LIMITS,
    ):
        if seconds is not None and not seconds > 0:
            raise MmkerasError(f"Expected seconds to be above 0, or None. Received: seconds={seconds!r}")
        if max_body_bytes < 1:
            raise MmkerasError(f"Expected max_body_bytes to be at least 1. Received: max_body_bytes={max_body_bytes!r}")
        self.models = models
        self.metrics = metrics
        self.metrics_path = metrics_path
        self.seconds = seconds
        self.max_body_bytes = max_body_bytes
        self.limits = limits
        self._held = HeldBytes(_MOST_BYTES)
        self._idle = threading.Condition()
        self._running = 0
        self._draining = False

    def __call__(self, environ, start_response):
        with self._counted():
            status, content_type, text = self._answer(environ)
        # "replace": an error may echo half a surrogate pair, which UTF-8 does not have.
        body = text.encode(errors="replace")
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def drain(self, seconds):
        """Refuse new requests with 503 and wait until the running ones are answered; return whether they are."""
        with self._idle:
            self._draining = True
            return self._idle.wait_for(lambda: not self._running, seconds)

    @contextmanager
    def _counted(self):
        with self._idle:
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _answer(self, environ):
        """Return (status line, content type, text) of any request."""
        started = time.monotonic()
        path = _path(environ)
        if self.metrics and path == self.metrics_path:
            return _STATUS_LINES["OK"], _PLAIN, self.metrics.text()
        if not path.lower().startswith("/v1/"):
            return "404 Not Found", _HTML, _NOT_FOUND
        try:
            return _STATUS_LINES["OK"], _JSON, self._route(environ, path, started)
        except _BodyTooLargeError as error:
            return _TOO_LARGE, _JSON, write_error(error.details)
        except ServingError as error:
            return _STATUS_LINES[error.code], _JSON, write_error(error.details)
        except Exception as error:  # one request must never end the process or lose its answer
            return _STATUS_LINES["INTERNAL"], _JSON, write_error(f"{type(error).__name__}: {error}")

    def _route(self, environ, path, started):
        """Return the text of an answer, which is counted whatever was asked for, as TensorFlow Serving does."""
        method = environ["REQUEST_METHOD"]
        match, verb = _match(method, path)
        name = unquote(match[1] or "") if match else ""
        with self._measured(name, verb):
            if self._draining:
                raise ServingError("UNAVAILABLE", "The server is stopping")
            if method == "OPTIONS":
                if not environ.get("HTTP_ORIGIN"):
                    raise ServingError("FAILED_PRECONDITION", "Origin header is missing in CORS preflight")
                return ""
            if match is None:
                raise ServingError("INVALID_ARGUMENT", f"Malformed request: {method} {path}")
            if match[1] is None:
                raise ServingError("INVALID_ARGUMENT", "Missing model name in request.")
            spec = _model_spec(*match.groups()[:3])
            if not verb:
                return self._tell(spec, metadata=match[4] is not None)
            body = self._read_body(environ)
            with self._held.hold(len(body)):  # what JSON is read into takes up to 25 times as much
                seconds = None if self.seconds is None else max(self.seconds - (time.monotonic() - started), 0.001)
                return self._ask(verb, spec, parse_body(body), seconds)

    def _measured(self, name, verb):
        if self.metrics is None:
            return nullcontext()
        return self.metrics.request(self.models.known_name(name, OTHER) if name else "", verb, "REST")

    def _ask(self, method, spec, document, seconds):
        spec.signature_name = signature_name(document)
        if method == "predict":
            return self._predict(spec, document, seconds)
        examples = read_examples(document, method, self.limits)
        with self._resolved(spec, method) as servable:
            if method == "classify":
                request = protos.ClassificationRequest(model_spec=spec, input=examples)
                rows = classify(servable, request, seconds, self.limits).result.classifications
                return write_classifications([[(entry.label, entry.score) for entry in row.classes] for row in rows])
            request = protos.RegressionRequest(model_spec=spec, input=examples)
            answer = regress(servable, request, seconds, self.limits)
            return write_regressions([row.value for row in answer.result.regressions])

    def _predict(self, spec, document, seconds):
        name = spec.signature_name or DEFAULT_SIGNATURE
        with self._resolved(spec, "predict") as servable:
            if name not in servable.signatures:
                raise ServingError("INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def')
            in_rows, feeds = read_inputs(document, servable.signatures[name], self.limits)
            request = protos.PredictRequest(model_spec=spec)
            for alias, array in feeds.items():
                write_tensor(request.inputs[alias], array)
            response = predict(servable, request, seconds, self.limits)
        return write_outputs(in_rows, {alias: decode_tensor(proto) for alias, proto in response.outputs.items()})

    @contextmanager
    def _resolved(self, spec, method):
        with self.models.resolve(spec) as servable:
            yield self.metrics.timed(servable, method.capitalize()) if self.metrics else servable

    def _tell(self, spec, metadata):
        if metadata:
            request = protos.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
            return write_metadata(get_model_metadata(self.models, request))
        return write_status(get_model_status(self.models, protos.GetModelStatusRequest(model_spec=spec)))

    def _read_body(self, environ):
        """Return the request's body, unzipped."""
        limit = self.max_body_bytes
        if int(environ.get("CONTENT_LENGTH") or 0) > limit:
            raise _BodyTooLargeError(limit)
        body = environ["wsgi.input"].read(limit + 1) if environ.get("CONTENT_LENGTH") else b""
        if "gzip" in environ.get("HTTP_CONTENT_ENCODING", "").lower():
            body = _unzip(body, limit)
        if len(body) > limit:
            raise _BodyTooLargeError(limit)
        return body


class _BodyTooLargeError(ServingError):
    """Of HTTP only: no gRPC code is mapped to 413. It is counted as a fault of the client's."""

    def __init__(self, limit):
        super().__init__("INVALID_ARGUMENT", f"Expected a body of at most {limit} bytes")


def _match(method, path):
    """Return (match of a path that names a model, verb), the verb empty for a GET; (None, "") for any other request."""
    if method == "POST" and (match := _ASK.fullmatch(path)) and match[4] in _VERBS:
        return match, match[4]
    return (_TELL.fullmatch(path) if method == "GET" else None), ""


def _path(environ):
    """Return the path as it was sent, still quoted: a quoted slash belongs to a model's name."""
    target = environ.get("REQUEST_URI")
    if target is None:
        return quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), safe="/:", encoding="latin-1")
    return target.partition("?")[0] if target.startswith("/") else urlsplit(target).path


def _model_spec(name, version, label):
    spec = protos.ModelSpec(name=unquote(name))
    if version is not None:
        if int(version) >= 2**63:
            raise ServingError("INVALID_ARGUMENT", f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label is not None:
        spec.version_label = unquote(label)
    return spec


def _unzip(body, limit):
    """Return at most `limit` + 1 bytes of what gzip packed: a small body can hold any number of zeros."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        unzipped = inflate.decompress(body, limit + 1)
    except zlib.error as error:
        raise ServingError("INVALID_ARGUMENT", f"Failed to decompress the request body: {error}") from error
    if len(unzipped) <= limit and not inflate.eof:
        raise ServingError("INVALID_ARGUMENT", "Failed to decompress the request body: it ends too early")
    return unzipped
