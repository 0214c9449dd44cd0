"""A model in a few lines, and small servers that offer it over gRPC and REST as the contract says. No TensorFlow."""

import base64
import contextlib
import http.server
import json
import re
import threading
import time
from concurrent import futures
from urllib.parse import unquote

import grpc
import numpy as np

from mmkeras.serving import ServingError, protos
from mmkeras.serving.tensors import decode_tensor, encode_tensor

LABELS = ["cat", "dog", "\u03c9"]
HTTP = {"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429}
HTTP |= {"INTERNAL": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504, "UNIMPLEMENTED": 501}

# name -> ({input: DataType}, {output: DataType})
SIGNATURES = {
    "encode_text": ({"text": "STRING"}, {"embedding": "FLOAT"}),
    "encode_image": ({"image_bytes": "STRING"}, {"embedding": "FLOAT"}),
    "encode_image_tolerant": ({"image_bytes": "STRING"}, {"embedding": "FLOAT", "valid": "BOOL"}),
    "encode_pixels": ({"image": "UINT8"}, {"embedding": "FLOAT"}),
    "encode_features": ({"image": "FLOAT"}, {"embedding": "FLOAT"}),
    "encode_text_features": ({"text": "FLOAT"}, {"embedding": "FLOAT"}),
    "match": ({"image_bytes": "STRING", "text": "STRING"}, {"score": "FLOAT"}),
    "classify_text": ({"text": "STRING"}, {"probabilities": "FLOAT", "labels": "STRING"}),
    "classify_image": ({"image_bytes": "STRING"}, {"probabilities": "FLOAT", "labels": "STRING"}),
    "classify_features": ({"image": "FLOAT"}, {"probabilities": "FLOAT", "labels": "STRING"}),
    "classify_text_features": ({"text": "FLOAT"}, {"probabilities": "FLOAT", "labels": "STRING"}),
    "describe": ({"probe": "STRING"}, {"space_id": "STRING"}),
    "echo": ({"text": "STRING"}, {"text": "STRING", "text_bytes": "STRING"}),
    "numbers": ({"i": "INT64", "f": "FLOAT"}, {"i": "INT64", "f": "FLOAT"}),
    "__saved_model_init_op": ({}, {"__saved_model_init_op": "INVALID"}),
}


class FakeModel:
    """Embeds a string as (its length, the version); notes what it is asked and fails as it is told.

    Args:
        versions: available versions; the highest answers where none is named.
        max_rows: rows above which a request is refused, as server-side batching does.
        seconds: how long a prediction takes.
    """

    def __init__(self, versions=(1,), max_rows=None, seconds=0.0):
        self.versions = list(versions)
        self.labels = {}
        self.max_rows = max_rows
        self.seconds = seconds
        self.failures = []
        self.after_request = lambda count: None
        self.rows = []  # of each prediction that was answered
        self.asked = 0
        self.peak = 0
        self._running = 0
        self._lock = threading.Lock()

    def resolve(self, name, version, label):
        if name != "toy":
            raise ServingError("NOT_FOUND", f"Servable not found for request: Latest({name})")
        if label:
            if label not in self.labels:
                raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            version = self.labels[label]
        if version is None:
            return max(self.versions)
        if version not in self.versions:
            raise ServingError("NOT_FOUND", f"Servable not found for request: Specific(toy, {version})")
        return version

    def predict(self, name, version, label, signature, inputs):
        """Return (outputs, version)."""
        with self._lock:
            self.asked += 1
            self._running += 1
            self.peak = max(self.peak, self._running)
            failure = self.failures.pop(0) if self.failures else None
        try:
            if failure:
                raise failure
            version = self.resolve(name, version, label)
            time.sleep(self.seconds)
            rows = len(next(iter(inputs.values())))
            if self.max_rows is not None and rows > self.max_rows:
                raise ServingError(
                    "INVALID_ARGUMENT",
                    f"Task size {rows} is larger than maximum input batch size {self.max_rows}",
                )
            outputs = self._outputs(signature, version, rows, inputs)
            with self._lock:
                self.rows.append(rows)
                self.after_request(len(self.rows))
            return outputs, version
        finally:
            with self._lock:
                self._running -= 1

    def status(self, name, version):
        if name != "toy":
            raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
        return [known for known in sorted(self.versions, reverse=True) if version in (None, known)]

    def _outputs(self, signature, version, rows, inputs):
        if signature not in SIGNATURES:
            raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        if signature in ("echo", "numbers"):
            return {"text": inputs["text"], "text_bytes": inputs["text"]} if signature == "echo" else inputs
        if signature == "describe":
            return {"space_id": np.array([f"space-{version}".encode()] * rows, object)}
        first = next(iter(inputs.values()))
        sizes = [len(value) if isinstance(value, bytes) else float(np.mean(value)) for value in first]
        if signature == "match":
            scores = [a == b for a, b in zip(inputs["image_bytes"], inputs["text"], strict=True)]
            return {"score": np.array(scores, np.float32)}
        if signature.startswith("classify"):
            names = np.array([[label.encode() for label in LABELS]] * rows, object)
            return {"probabilities": np.array([[0.5, 0.0, size] for size in sizes], np.float32), "labels": names}
        embedding = np.array([[size, version] for size in sizes], np.float32)
        if signature == "encode_image_tolerant":
            return {"embedding": embedding, "valid": embedding[:, 0] > 0}
        return {"embedding": embedding}


class FakeGrpcServer:
    """Offer a `FakeModel` over gRPC; answers come in typed fields and as raw bytes by turns."""

    def __init__(self, model, credentials=None):
        self.model = model
        self._server = grpc.server(futures.ThreadPoolExecutor(16))
        for service, methods in (
            ("PredictionService", {"Predict": self._predict, "GetModelMetadata": self._metadata}),
            ("ModelService", {"GetModelStatus": self._status}),
        ):
            handlers = {name: grpc.unary_unary_rpc_method_handler(self._guarded(f)) for name, f in methods.items()}
            generic = grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", handlers)
            self._server.add_generic_rpc_handlers([generic])
        if credentials is None:
            self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        else:
            self.address = f"localhost:{self._server.add_secure_port('localhost:0', credentials)}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop(None).wait()

    def _guarded(self, answer):
        def behave(content, context):
            try:
                return answer(content).SerializeToString()
            except ServingError as error:
                return context.abort(grpc.StatusCode[error.code], error.details)

        return behave

    def _predict(self, content):
        request = protos.PredictRequest.FromString(content)
        spec = request.model_spec
        inputs = {name: decode_tensor(proto) for name, proto in request.inputs.items()}
        version = spec.version.value if spec.HasField("version") else None
        outputs, version = self.model.predict(spec.name, version, spec.version_label, spec.signature_name, inputs)
        typed = self.model.asked % 2 == 0
        response = protos.PredictResponse(outputs={name: encode_tensor(a, typed) for name, a in outputs.items()})
        response.model_spec.version.value = version
        return response

    def _metadata(self, content):
        spec = protos.GetModelMetadataRequest.FromString(content).model_spec
        version = spec.version.value if spec.HasField("version") else None
        response = protos.GetModelMetadataResponse(model_spec=protos.ModelSpec(name=spec.name))
        response.model_spec.version.value = self.model.resolve(spec.name, version, spec.version_label)
        signatures = protos.SignatureDefMap()
        for name, (inputs, outputs) in SIGNATURES.items():
            for infos, kinds in (
                (signatures.signature_def[name].inputs, inputs),
                (signatures.signature_def[name].outputs, outputs),
            ):
                for alias, kind in kinds.items():
                    infos[alias].dtype = protos.DataType[f"DT_{kind}"]
                    infos[alias].tensor_shape.dim.add(size=-1)
        response.metadata["signature_def"].value = signatures.SerializeToString()
        return response

    def _status(self, content):
        spec = protos.GetModelStatusRequest.FromString(content).model_spec
        response = protos.GetModelStatusResponse()
        for version in self.model.status(spec.name, spec.version.value if spec.HasField("version") else None):
            response.model_version_status.add(version=version, state=protos.State["AVAILABLE"])
        return response


class FakeRestServer:
    """Offer a `FakeModel` over REST, over http or https; counts connections."""

    def __init__(self, model, ssl_context=None):
        self.model = model
        self.connections = 0
        self.paths = []
        self.close_after_each = False  # without a word: the client finds out when it comes back
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                fake.connections += 1

            def handle(self):
                with contextlib.suppress(OSError):
                    super().handle()

            def do_GET(self):
                self._answer(None)

            def do_POST(self):
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, body):
                fake.paths.append(self.path)
                try:
                    status, content = 200, fake.answer(self.path, body)
                except ServingError as error:
                    status, content = HTTP[error.code], json.dumps({"error": error.details}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = fake.close_after_each

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64
            daemon_threads = True

            def handle_error(self, *arguments):
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if ssl_context is not None:
            scheme = "https"
            self._server.socket = ssl_context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        host = "127.0.0.1" if ssl_context is None else "localhost"
        self.address = f"{scheme}://{host}:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path, body):
        """Return the body of one answer."""
        found = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata|:predict)?", path)
        name, version, label = unquote(found[1]), int(found[2]) if found[2] else None, unquote(found[3] or "")
        if found[4] is None:
            versions = self.model.status(name, version)
            status = {"error_code": "OK", "error_message": ""}
            entries = [{"version": str(known), "state": "AVAILABLE", "status": status} for known in versions]
            return json.dumps({"model_version_status": entries}).encode()
        if found[4] == "/metadata":
            return self._metadata(name, self.model.resolve(name, version, label))
        request = json.loads(body)
        signature = request.get("signature_name", "serving_default")
        kinds = SIGNATURES.get(signature, ({}, {}))
        inputs = {alias: _from_json(values, kinds[0][alias]) for alias, values in request["inputs"].items()}
        outputs, _ = self.model.predict(name, version, label, signature, inputs)
        columns = {alias: _to_json(alias, values) for alias, values in outputs.items()}
        answer = {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}
        return json.dumps(answer, ensure_ascii=False, indent=4).encode("utf-8", "surrogateescape")

    def _metadata(self, name, version):
        def infos(kinds):
            shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
            return {a: {"dtype": f"DT_{k}", "tensor_shape": shape, "name": f"{a}:0"} for a, k in kinds.items()}

        signatures = {
            signature: {"inputs": infos(inputs), "outputs": infos(outputs), "method_name": "p", "unheard_of": {}}
            for signature, (inputs, outputs) in SIGNATURES.items()
        }
        return json.dumps(
            {
                "model_spec": {"name": name, "signature_name": "", "version": str(version)},
                "metadata": {"signature_def": {"signature_def": signatures}},
            }
        ).encode()


def _from_json(values, kind):
    if kind != "STRING":
        return np.array(values, {"FLOAT": np.float32, "INT64": np.int64, "UINT8": np.uint8}[kind])
    strings = [base64.b64decode(v["b64"]) if isinstance(v, dict) else v.encode() for v in values]
    return np.array([*strings, None], object)[:-1]


def _to_json(alias, values):
    if values.dtype != object:
        return values.tolist()
    if values.ndim == 2:
        return [_to_json(alias, row) for row in values]
    if alias.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    return [value.decode("utf-8", "surrogateescape") for value in values]
