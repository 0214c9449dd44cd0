"""TensorFlow Serving's own binary as a process of ours."""

import collections
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from mmkeras.errors import MmkerasError
from mmkeras.serving.server.config_files import read_models_file
from mmkeras.serving.server.loopback import ANY_HOST, bound_socket, check_port_number
from mmkeras.serving.server.model_configs import wanted_versions_of_new_model

BINARY = "tensorflow_model_server"
_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
_END_SECONDS = 10.0  # to end in, before it is killed
_HTTP_SECONDS = 20.0  # between the gRPC port and the HTTP port; where that cannot be opened, the binary goes on without
_PATIENCE_SECONDS = 30.0  # between two words about a start that takes long
_LAST_LINES = 5
# Without them it would be another service than `EmbeddedServer`, which lets requests wait, takes labels in its first
# list, follows the list when the file is edited, answers health checks and has no profiler.
_FLAGS = (
    "--grpc_max_threads=256",
    "--allow_version_labels_for_unavailable_models=true",
    "--enable_grpc_healthcheck_service=true",
    "--enable_profiler=false",
)
_FOLLOW_FLAG = "--model_config_file_poll_wait_seconds=1"
# The flags that take the paths given to `serve`.
_PATH_FLAGS = {
    "config_file": "model_config_file",
    "batching_file": "batching_parameters_file",
    "monitoring_file": "monitoring_config_file",
    "ssl_file": "ssl_config_file",
    "socket_path": "grpc_socket_path",
}


class StockServer:
    """Run `tensorflow_model_server` with flags that make it the service which `EmbeddedServer` is, as far as they go.

    It listens on all addresses of the machine, and no flag changes that; it ends without answering what is running. Its
    log goes to standard error. It is in a process group of its own: Ctrl+C in a terminal reaches this process alone,
    which ends it.

    Args:
        binary: path of the binary.
        base_path: folder of a model, or None where `config_file` is among the paths.
        name: the model's name, of `base_path`.
        port: gRPC port, from 1.
        rest_port: HTTP port, from 1; None for no HTTP.
        paths: `config_file`, `batching_file`, `monitoring_file`, `ssl_file`, `socket_path`, those that are given.

    Attributes:
        command: the binary and its flags, a list.

    Raises:
        MmkerasError: at construction, where the binary would refuse or wait without end: a port is 0 or the same as the
            other, a model of `config_file` has no version; at `start`, where a port is taken or the binary is no
            program.
    """

    def __init__(self, binary, base_path, name, port, rest_port=None, **paths):
        for argument, value in (("port", port), ("rest_port", rest_port)):
            if value == 0:
                raise MmkerasError(f"Expected a port above 0 for {BINARY}, which chooses none. Received: {argument}=0")
            if value is not None:
                check_port_number(argument, value)
        if port == rest_port:
            raise MmkerasError(f"Expected a port of its own for HTTP. Received: port={port}, rest_port={rest_port}")
        if "config_file" in paths:
            for config in read_models_file(paths["config_file"]).config:
                if config.base_path.startswith("/"):  # and of a remote one the binary knows more than we do
                    wanted_versions_of_new_model(config)
        self.port, self.rest_port, self.socket_path = port, rest_port, paths.get("socket_path")
        self.command = [str(binary), f"--port={port}"]
        if base_path is not None:
            self.command += [f"--model_name={name}", f"--model_base_path={base_path}"]
        if rest_port is not None:
            self.command.append(f"--rest_api_port={rest_port}")
        self.command += [f"--{_PATH_FLAGS[argument]}={path}" for argument, path in paths.items()]
        if "batching_file" in paths:
            self.command.append("--enable_batching=true")
        if "config_file" in paths:
            self.command.append(_FOLLOW_FLAG)
        self.command += _FLAGS
        self._process = None
        self._log_copier = None
        self._last_lines = collections.deque(maxlen=_LAST_LINES)

    def start(self):
        """Start the binary; its ports open when its models are loaded. Return this server."""
        for port in (self.port, self.rest_port):
            if port is not None:
                # The binary does not say that a port is taken: it may crash, or share it with another server.
                bound_socket(port, ANY_HOST).close()
        try:
            self._process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
            )
        except OSError as error:
            raise MmkerasError(f"Expected {self.command[0]} to be a program that runs. Received: {error}") from error
        self._log_copier = threading.Thread(target=self._copy_log, name="mmkeras-serving-log", daemon=True)
        self._log_copier.start()
        return self

    def wait_until_open(self, interrupted):
        """Return True once every port and the socket are open, False where that is not to be waited for any more.

        Args:
            interrupted: function without arguments that says so.

        Raises:
            MmkerasError: the binary ended by itself, or opened its gRPC port and not the one for HTTP.
        """
        started = told = time.monotonic()
        half_open = None
        while not interrupted():
            if self.exit_code() is not None:
                raise self.ended_by_itself()
            grpc_open, http_open = _is_open(self.port), self.rest_port is None or _is_open(self.rest_port)
            if grpc_open and http_open and (self.socket_path is None or _is_open_socket(self.socket_path)):
                return True
            now = time.monotonic()
            half_open = (half_open or now) if grpc_open else None
            if grpc_open and not http_open and now - half_open > _HTTP_SECONDS:
                raise MmkerasError(
                    f"{BINARY} has opened port {self.port} and not port {self.rest_port} for HTTP; its log above tells"
                )
            if now - told > _PATIENCE_SECONDS:
                told = now
                _log.warning(
                    "%s has run for %.0f seconds and opened no port yet: it loads its models, or waits for a folder "
                    "or repeats a load that failed, which its log above tells",
                    BINARY,
                    now - started,
                )
            time.sleep(_POLL_SECONDS)
        return False

    def exit_code(self):
        """Return the code with which the binary ended, as a shell tells it, 128 and the signal's number; else None."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def ended_by_itself(self):
        """Return the MmkerasError of a binary that nobody told to end; it carries on the exit code."""
        self._log_copier.join(1)  # the last words may still be on their way
        code = self._process.returncode
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code} ({signal.strsignal(-code)})"
        last = "\n".join(self._last_lines) or "It said nothing"
        error = MmkerasError(f"{BINARY} ended by itself {how}. Its last lines:\n{last}")
        error.exit_code = self.exit_code() or error.exit_code  # to end before it is told to is no success
        return error

    def end(self):
        """Ask the binary to end, insist after ten seconds, and return when it has; nothing where it does not run."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log_copier.join(1)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.end()

    def _copy_log(self):
        """Hand what the binary says on to standard error, and keep the last lines of it."""
        with self._process.stdout as lines:
            for line in lines:
                line = line.decode(errors="replace")
                if line.strip():
                    self._last_lines.append(line.strip())
                # Whoever reads it may have gone; the binary must not wait for that.
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.write(line)
                    sys.stderr.flush()


def _is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_open_socket(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            return probe.connect_ex(os.fspath(path)) == 0
        except OSError:  # a path too long for a socket
            return False
