"""A server under test: embedded in this process, a binary that is started for it, or one that runs already.

(nothing set)                                 mmkeras.serving.EmbeddedServer, in this process
MMKERAS_SERVER_BINARY=tensorflow_model_server its path, or its name on the PATH; started with the flags that a row needs
MMKERAS_SERVER=HOST:PORT[,REST_PORT]          a server with default flags; rows that need others are skipped
MMKERAS_SERVER_MODELS=/folder[:/its/folder]   with it: where fixtures are written, and where the server sees them
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

ADDRESS = os.environ.get("MMKERAS_SERVER")
BINARY = os.environ.get("MMKERAS_SERVER_BINARY")
KIND = "address" if ADDRESS else "binary" if BINARY else "embedded"
SECONDS = 20
_START_SECONDS = 60
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]


class Server:
    """A running server and plain ways to ask it: gRPC stubs, bytes over gRPC, and HTTP.

    Args:
        address: "HOST:PORT" of gRPC.
        rest_address: (host, port) of HTTP, or None.
        stop: function that ends it.
        credentials: of gRPC; plain where None.

    Attributes:
        models_file: path of the models.config that it was started with; None where we did not start it.
    """

    def __init__(self, address, rest_address=None, stop=None, credentials=None):
        self.address = address
        self.rest_address = rest_address
        self.models_file = None
        self._stop = stop
        self.channel = (
            grpc.insecure_channel(address, _OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, _OPTIONS)
        )
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        model = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self._methods = {
            "Predict": prediction.Predict,
            "Classify": prediction.Classify,
            "Regress": prediction.Regress,
            "MultiInference": prediction.MultiInference,
            "GetModelMetadata": prediction.GetModelMetadata,
            "GetModelStatus": model.GetModelStatus,
            "HandleReloadConfigRequest": model.HandleReloadConfigRequest,
        }

    def call(self, method, request, seconds=SECONDS):
        """Return the response to a message."""
        return self._methods[method](request, timeout=seconds)

    def refusal(self, method, request, seconds=SECONDS):
        """Return (code, text) of a request that must fail."""
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request, seconds)
        return caught.value.code().name, caught.value.details()

    def raw(self, method, content, seconds=SECONDS):
        """Return ("OK", reply bytes) or (code, text) of any method, "/package.Service/Method"."""
        try:
            return "OK", self.channel.unary_unary(method)(content, timeout=seconds)
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def reload(self, models, seconds=SECONDS):
        """Put a model_config_list in force; `models` is its text."""
        config = text_format.Parse(models, model_server_config_pb2.ModelServerConfig())
        request = model_management_pb2.ReloadConfigRequest(config=config)
        return self.call("HandleReloadConfigRequest", request, seconds)

    def reload_refusal(self, models, seconds=SECONDS):
        """Return (code, text) of a reload that must fail."""
        with pytest.raises(grpc.RpcError) as caught:
            self.reload(models, seconds)
        return caught.value.code().name, caught.value.details()

    def http(self, method, path, body=None, headers=None):
        """Return (status, content type, body bytes, headers) over HTTP."""
        if self.rest_address is None:
            pytest.skip("needs MMKERAS_SERVER=HOST:PORT,REST_PORT")
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
        connection = http.client.HTTPConnection(*self.rest_address, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers.get("Content-Type", ""), reply.read(), reply.headers
        finally:
            connection.close()

    def stop(self):
        self.channel.close()
        if self._stop is not None:
            self._stop()


def models_config(folder, models, labels=None):
    """Text of a models.config; `models` is a dict from name to policy, with a folder of that name."""
    text = ""
    for name, policy in models.items():
        entries = (labels or {}).get(name, {}).items()
        texts = " ".join(f'version_labels {{ key: "{label}" value: {number} }}' for label, number in entries)
        text += f'config {{ name: "{name}" base_path: "{folder}/{name}" model_platform: "tensorflow" '
        text += f"model_version_policy {{ {policy} }} {texts} }}\n"
    return f"model_config_list {{ {text} }}"


def running_server():
    """Return the server that MMKERAS_SERVER names, once it can be reached: it may have been started a moment ago."""
    address, _, rest_port = ADDRESS.partition(",")
    server = Server(address, (address.rpartition(":")[0].strip("[]"), int(rest_port)) if rest_port else None)
    try:
        grpc.channel_ready_future(server.channel).result(_START_SECONDS)
    except grpc.FutureTimeoutError:
        raise RuntimeError(f"MMKERAS_SERVER={ADDRESS}: nobody answered there in {_START_SECONDS} seconds") from None
    return server


def start_server(folder, models, credentials=None, **needs):
    """Start a server of the kind that the environment asks for.

    Args:
        folder: `pathlib.Path` of an empty folder, for its configuration files and its log.
        models: text of its models.config.
        credentials: of a client.
        needs: texts `batching`, `monitoring`, `ssl`; `max_threads`; `health=True`; `watched=True`, to have
            models.config read again; `seconds` that a start may take; `flags`, a list for the binary, without which
            the row has no meaning.
    """
    if KIND == "address":
        pytest.skip("needs a server of its own: set MMKERAS_SERVER_BINARY, or nothing for the embedded one")
    files = {"models": folder / "models.config"}
    files["models"].write_text(models)
    for name in ("batching", "monitoring", "ssl"):
        if name in needs:
            files[name] = folder / f"{name}.config"
            files[name].write_text(needs[name])
    start = _start_binary if KIND == "binary" else _start_embedded
    server = start(folder, files, needs, credentials)
    server.models_file = files["models"]
    return server


def _start_embedded(folder, files, needs, credentials):
    from mmkeras.serving import EmbeddedServer

    flags = dict(flag.removeprefix("--").split("=", 1) for flag in needs.get("flags", []))
    own = {"socket_path": flags.pop("grpc_socket_path", None)}
    flags.pop("allow_version_labels_for_unavailable_models", None)  # it does, of what it loads at the start
    if "rest_api_timeout_in_ms" in flags:
        own["rest_timeout"] = int(flags.pop("rest_api_timeout_in_ms")) / 1000
    if flags:
        pytest.skip(f"needs a flag that the embedded server does not have: {needs['flags']}")
    server = EmbeddedServer(
        config_file=files["models"],
        rest_port=0,
        batching_file=files.get("batching"),
        monitoring_file=files.get("monitoring"),
        ssl_file=files.get("ssl"),
        max_threads=needs.get("max_threads"),
        poll_seconds=0.1,
        allow_reload_config=["/"],
        max_rows=None,
        max_text_bytes=None,
        **own,
    ).start()
    host, _, port = server.rest_address.rpartition(":")
    return Server(server.address, (host, int(port)), server.stop, credentials)


def _start_binary(folder, files, needs, credentials):
    port, rest_port = free_ports(2)
    command = [_binary(), f"--port={port}", f"--rest_api_port={rest_port}", f"--model_config_file={files['models']}"]
    command += ["--file_system_poll_wait_seconds=1", "--load_retry_interval_micros=100000"]
    if "batching" in files:
        command += ["--enable_batching=true", f"--batching_parameters_file={files['batching']}"]
    if "monitoring" in files:
        command += [f"--monitoring_config_file={files['monitoring']}"]
    if "ssl" in files:
        command += [f"--ssl_config_file={files['ssl']}"]
    if needs.get("watched"):
        command += ["--model_config_file_poll_wait_seconds=1"]
    if needs.get("health"):
        command += ["--enable_grpc_healthcheck_service=true"]
    if "max_threads" in needs:
        command += [f"--grpc_max_threads={needs['max_threads']}"]
    command += needs.get("flags", [])
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def stop():
        process.terminate()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # Both ports open once the first models are loaded.
    end = time.monotonic() + needs.get("seconds", _START_SECONDS)
    while not (_is_open(port) and _is_open(rest_port)):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            process.wait()
            raise RuntimeError(f"{command} did not start:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return Server(f"127.0.0.1:{port}", ("127.0.0.1", rest_port), stop, credentials)


def _binary():
    """Return the path of the binary that MMKERAS_SERVER_BINARY names."""
    found = shutil.which(Path(BINARY).expanduser())
    if found is None:
        raise RuntimeError(f"MMKERAS_SERVER_BINARY={BINARY}: expected the path or the name of a program. None is there")
    return found


def free_ports(count):
    """Return different ports that nobody listens on, at any address: the binary listens at all of them."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
