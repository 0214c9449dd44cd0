"""`mmkeras serve`: the best model server that this machine has, until it is interrupted."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.serving.versions import find_versions

_BINARY = "tensorflow_model_server"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_SECONDS = 0.1


def serve(base_path, name=None, port=8500, rest_port=None):
    """Serve a model until SIGINT or SIGTERM, then return 0.

    Starts `tensorflow_model_server` where it is on the PATH, else `EmbeddedServer`; prints which one, the address and a
    command to ask it. Newer versions are taken up while it runs. Call it in the main thread: it takes over both signals
    while it runs.

    Args:
        base_path: folder of a model, `savedmodels/NAME`, that holds integer version folders.
        name: model name that clients use; the folder's name where None.
        port: gRPC port; 0 for a free one (EmbeddedServer only).
        rest_port: HTTP port, or None for no HTTP; 0 for a free one (EmbeddedServer only, with the extra `rest`).

    Raises:
        MmkerasError: no model there, the port is in use, or the server ended by itself.
    """
    # TensorFlow Serving waits for ever for a missing folder: look first.
    find_versions(base_path)
    base_path = Path(base_path).expanduser().resolve()
    name = name or base_path.name
    binary = shutil.which(_BINARY)
    # A list and polling: a handler that sets an Event can deadlock with the thread that waits for it.
    received = []
    handlers = {number: signal.signal(number, lambda number, _: received.append(number)) for number in _SIGNALS}
    try:
        if binary:
            _run_binary(binary, base_path, name, port, rest_port, received)
        else:
            _run_embedded(base_path, name, port, rest_port, received)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 0


def _run_binary(binary, base_path, name, port, rest_port, received):
    if not port:
        raise MmkerasError(f"Expected a port above 0 for {_BINARY}, which chooses none. Received: port={port!r}")
    command = [binary, f"--port={port}", f"--model_name={name}", f"--model_base_path={base_path}"]
    if rest_port:
        command.append(f"--rest_api_port={rest_port}")
    process = subprocess.Popen(command)
    try:
        rest_address = f"127.0.0.1:{rest_port}" if rest_port else None
        _announce(f"TensorFlow Serving ({binary})", base_path, name, f"127.0.0.1:{port}", rest_address)
        while process.poll() is None and not received:
            time.sleep(_POLL_SECONDS)
        if not received:
            raise MmkerasError(
                f"{_BINARY} ended by itself with exit code {process.returncode}; its log above says why. "
                f"Is port {port} in use?"
            )
    finally:
        _end(process)


def _end(process):
    """Ask the server to end, and insist after ten seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run_embedded(base_path, name, port, rest_port, received):
    from mmkeras.serving.embedded_server import EmbeddedServer

    with EmbeddedServer(base_path, name, port, rest_port=rest_port) as server:
        _announce(
            f"EmbeddedServer ({_BINARY} is not on the PATH)", base_path, name, server.address, server.rest_address
        )
        while not received:
            time.sleep(_POLL_SECONDS)


def _announce(server, base_path, name, address, rest_address=None):
    over = f"gRPC at {address}" if rest_address is None else f"gRPC at {address} and HTTP at {rest_address}"
    print(f"{server} serves {base_path} as {name!r} over {over}; Ctrl+C stops it. Ask it with")
    print(f'    mmkeras query "a text, or the path of a picture" --model {name} --server {address}', flush=True)
