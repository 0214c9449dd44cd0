"""HTTP connections to a model server's REST port, kept open between calls."""

import contextlib
import http.client
import ssl
import threading
import time
from urllib.parse import urlsplit

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos, rest_messages
from mmkeras.serving.errors import ServingError
from mmkeras.serving.retry import pause_before_retry

_PIECE = 1 << 16
_JSON = {"Content-Type": "application/json"}


class RestTransport:
    """Call a model server's methods over REST, with the messages, errors and repetitions of `GrpcTransport`.

    A connection serves one call at a time and is then kept for the next; any number of threads may call. The system's
    proxy settings are not looked at. The signature's dtypes, which JSON lacks, are asked for once.

    Args:
        address: "http://host:port" or "https://host:port", with a path where a proxy needs one.
        tls: `TlsFiles` for https; the system's authorities where None.
        retries: how often a call is repeated at most.

    Call arguments:
        those of `GrpcTransport`.

    Raises:
        ServingError: with the server's text, and the code that stands for its HTTP status.
        MmkerasError: an address that is none; an answer that is no model server's.
    """

    def __init__(self, address, tls=None, retries=5):
        self.address = address
        self.retries = retries
        try:
            parts = urlsplit(address)
            self._host, self._port = parts.hostname, parts.port
        except ValueError as error:
            raise MmkerasError(f"Expected address to be a URL. Received: address={address!r} ({error})") from error
        if not self._host or parts.username is not None or parts.query or parts.fragment:
            raise MmkerasError(f'Expected address to be "http://host:port". Received: address={address!r}')
        self._prefix = parts.path.rstrip("/")
        self._context = None
        if parts.scheme.lower() == "https":
            self._context = ssl.create_default_context() if tls is None else tls.ssl_context()
        self._idle = []
        self._closed = threading.Event()
        self._data_types = {}

    def __call__(self, method, request, response_class, timeout):
        deadline = time.monotonic() + timeout
        if response_class is protos.PredictResponse:
            return self._predict(method, request, deadline)
        if response_class is protos.GetModelMetadataResponse:
            return self._metadata(method, request, deadline)
        content = self._ask(method, request, rest_messages.status_request(request), deadline)
        return rest_messages.status_response(content)

    def close(self):
        """Close the connections; calls that come fail, one that runs is not repeated."""
        self._closed.set()
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()

    def _predict(self, method, request, deadline):
        content = self._ask(method, request, rest_messages.predict_request(request), deadline)
        key = _key(request.model_spec, request.model_spec.signature_name)
        for _ in range(2):
            if key not in self._data_types:
                asked = protos.GetModelMetadataRequest(model_spec=request.model_spec)
                metadata = self._metadata("PredictionService/GetModelMetadata", asked, deadline)
                self._data_types[key] = rest_messages.data_types_of(metadata, request.model_spec.signature_name)
            response = rest_messages.predict_response(content, request, self._data_types[key])
            if response is not None:
                return response
            # Of another version than the dtypes.
            self._data_types.pop(key, None)
        raise ServingError(
            "INTERNAL", f"the answer does not fit the signature: {content[:200]!r}", self._asked(method, request)
        )

    def _metadata(self, method, request, deadline):
        content = self._ask(method, request, rest_messages.metadata_request(request), deadline)
        return rest_messages.metadata_response(content)

    def _ask(self, method, request, http_request, deadline):
        """Return the body of a successful answer."""
        attempt = 0
        while not self._closed.is_set():
            try:
                status, reason, content = self._exchange(*http_request, deadline)
                if status == 200:
                    return content
                code, details = rest_messages.refusal(status, reason, content)
                failed = ServingError(code, details, self._asked(method, request))
            except TimeoutError as error:
                failed = ServingError("DEADLINE_EXCEEDED", "Deadline Exceeded", self._asked(method, request))
                failed.__cause__ = error
            except (OSError, http.client.HTTPException) as error:
                failed = ServingError("UNAVAILABLE", f"{type(error).__name__}: {error}", self._asked(method, request))
                failed.__cause__ = error
            pause = pause_before_retry(failed, attempt, self.retries, deadline)
            if pause is None:
                raise failed
            self._closed.wait(pause)
            attempt += 1
        raise ServingError("CANCELLED", "The client is closed", method)

    def _exchange(self, verb, path, body, deadline):
        """Return (status, reason, body) of one request, over a connection that was kept where there is one."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._exchange_over(self._connection(), verb, path, body, deadline)
        try:
            return self._exchange_over(connection, verb, path, body, deadline)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # The server closed it while it was idle, which is no failure.
            return self._exchange_over(self._connection(), verb, path, body, deadline)

    def _exchange_over(self, connection, verb, path, body, deadline):
        kept = False
        try:
            connection.timeout = _remaining(deadline)
            if connection.sock is None:
                connection.connect()
            socket = connection.sock
            socket.settimeout(_remaining(deadline))
            # A server that refuses a request before it has read it all leaves its reasons in the pipe.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(verb, self._prefix + path, body, _JSON if body is not None else {})
            socket.settimeout(_remaining(deadline))
            response = connection.getresponse()
            pieces = []
            while piece := response.read(_PIECE):
                pieces.append(piece)
                if response.isclosed():  # and, where the server said so, the socket with it
                    break
                socket.settimeout(_remaining(deadline))
            if response.length:
                raise http.client.IncompleteRead(b"".join(pieces), response.length)
            kept = not response.will_close
            return response.status, response.reason, b"".join(pieces)
        finally:
            if kept and not self._closed.is_set():
                self._idle.append(connection)
            else:
                connection.close()

    def _connection(self):
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port)
        return http.client.HTTPSConnection(self._host, self._port, context=self._context)

    def _asked(self, method, request):
        return f"{method} of model {request.model_spec.name!r} at {self.address}"


def _remaining(deadline):
    """Return the seconds left; a socket takes 0 for "do not wait"."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _key(spec, signature):
    return spec.name, spec.version.value if spec.HasField("version") else None, spec.version_label, signature
