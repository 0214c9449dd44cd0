"""`mmkeras serve`: the best model server that this machine has, until it is interrupted."""

import contextlib
import logging
import shlex
import shutil
import time
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.serving.interruption import signals_to_end
from mmkeras.serving.server.open_files import connection_limit, raise_file_limit
from mmkeras.serving.stock_server import BINARY, StockServer
from mmkeras.serving.versions import find_versions

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
_MANY_CONNECTIONS = 1000


def serve(
    base_path=None,
    name=None,
    port=8500,
    rest_port=None,
    *,
    config_file=None,
    batching_file=None,
    monitoring_file=None,
    ssl_file=None,
    socket_path=None,
    limits=None,
    before_loading=None,
    beside=None,
):
    """Serve a model, or the models of a models.config, until SIGINT, SIGTERM or SIGHUP, then return 0.

    Starts `tensorflow_model_server` where it is on the PATH, else `EmbeddedServer`; once it can be asked, prints which
    one, the address and a command to ask it. Newer versions, and edits of the models.config, are taken up while it
    runs. Either is the same service, but for this: `tensorflow_model_server` listens on all addresses of the machine,
    `EmbeddedServer` on 127.0.0.1 alone; and the first ends without answering what is running. Call it in the main
    thread: it takes over the signals while it runs. It raises this process's limit of open files, as far as the system
    allows and 10,000 connections a port need.

    Args:
        base_path: folder of a model, `savedmodels/NAME`, that holds integer version folders.
        name: model name that clients use; the folder's name where None.
        port: gRPC port; 0 for a free one (EmbeddedServer only).
        rest_port: HTTP port, or None for no HTTP; 0 for a free one (EmbeddedServer only, with the extra `rest`).
        config_file: a models.config, in place of `base_path` and `name`.
        batching_file: a batching.config, for server-side batching.
        monitoring_file: a monitoring.config, for Prometheus metrics on the HTTP port.
        ssl_file: an ssl.config, for TLS on the gRPC port.
        socket_path: a Unix socket on which gRPC is answered beside the port.
        limits: dict of `EmbeddedServer`'s arguments that bound what clients may ask for: `max_rows`, `max_text_bytes`,
            `allow_reload_config`. `tensorflow_model_server` knows none of them, and a warning says so.
        before_loading: function without arguments that is called once nothing given is wrong, before `EmbeddedServer`
            loads TensorFlow.
        beside: function of the server's gRPC address, as this machine reaches it, and the model's name. It returns a
            context manager, which is entered once the server can be asked and left before it ends.

    Raises:
        MmkerasError: no model or file there, both or neither of `base_path` and `config_file`, the port is in use, or
            `tensorflow_model_server` ended by itself: then the text has its last lines, and `exit_code` is its own.
    """
    if (base_path is None) == (config_file is None):
        raise MmkerasError(
            "Expected the folder of a model, savedmodels/NAME, or a models.config. "
            f"Received: base_path={base_path}, config_file={config_file}"
        )
    given = {
        "config_file": config_file,
        "batching_file": batching_file,
        "monitoring_file": monitoring_file,
        "ssl_file": ssl_file,
        "socket_path": socket_path,
    }
    paths = {argument: Path(path).expanduser().resolve() for argument, path in given.items() if path is not None}
    for argument, path in paths.items():
        if argument != "socket_path" and not path.is_file():
            raise MmkerasError(f"Expected {argument} to be a file. Received: {path}, which is not there")
    if base_path is not None:
        # TensorFlow Serving waits for ever for a missing folder: look first.
        find_versions(base_path)
        base_path = Path(base_path).expanduser().resolve()
        name = name or base_path.name
    binary = shutil.which(BINARY)
    if binary and limits:
        _log.warning(
            "%s bounds neither rows nor texts, and lets every client have other models served. serving/README.md says "
            "what to put before it",
            BINARY,
        )
    _allow_many_connections(ports=1 if rest_port is None else 2)
    with signals_to_end() as received:
        if binary:
            return _run_binary(binary, base_path, name, port, rest_port, paths, received, beside)
        return _run_embedded(base_path, name, port, rest_port, paths, limits or {}, received, before_loading, beside)


def _allow_many_connections(ports):
    """Raise the limit of open files, and say so where it stays low."""
    files, connections = raise_file_limit(), connection_limit(ports)
    if connections < _MANY_CONNECTIONS:
        _log.warning(
            "This process may open no more than %d files, enough for %d clients of a port at a time; further ones wait "
            "or are refused. Raise the hard limit (ulimit -Hn) where there may be more",
            files,
            connections,
        )


def _run_binary(binary, base_path, name, port, rest_port, paths, received, beside):
    with StockServer(binary, base_path, name, port, rest_port, **paths) as server:
        if not server.wait_until_open(lambda: received):
            return 0
        _log.warning(
            "%s listens on all addresses of this machine, which no flag changes: whoever reaches its ports may ask it, "
            "and load and unload models. A firewall keeps others out",
            BINARY,
        )
        rest_address = f"127.0.0.1:{rest_port}" if rest_port is not None else None
        address, where = f"127.0.0.1:{port}", "; it listens on all other addresses of this machine too"
        _announce(f"TensorFlow Serving ({binary})", base_path, name, address, rest_address, paths, where)
        with _entered(beside, address, name):
            while server.exit_code() is None and not received:
                time.sleep(_POLL_SECONDS)
        if received or server.exit_code() == 0:
            return 0
        raise server.ended_by_itself()


def _run_embedded(base_path, name, port, rest_port, paths, limits, received, before_loading, beside):
    from mmkeras.serving.embedded_server import EmbeddedServer

    server = EmbeddedServer(base_path, name, port, rest_port=rest_port, **paths, **limits)
    if before_loading is not None:
        before_loading()
    with server:
        kind = f"EmbeddedServer ({BINARY} is not on the PATH)"
        _announce(kind, base_path, server.name, server.address, server.rest_address, paths)
        with _entered(beside, server.address, server.name):
            while not received:
                time.sleep(_POLL_SECONDS)
    return 0


def _entered(beside, address, name):
    """What stands beside a server, if anything does."""
    return contextlib.nullcontext() if beside is None else beside(address, name)


def _announce(server, base_path, name, address, rest_address, paths, where=""):
    over = [f"gRPC at {address}"]
    if "socket_path" in paths:
        over.append(f"gRPC at unix:{paths['socket_path']}")
    if rest_address is not None:
        over.append(f"HTTP at {rest_address}")
    known = f" as {name!r}" if name else ""  # of a models.config the original is told, not we
    served = base_path or paths["config_file"]
    print(f"{server} serves {served}{known} over {' and '.join(over)}{where}; Ctrl+C stops it. Ask it with")
    asked = shlex.quote(name or "NAME")
    print(f'    mmkeras query "a text, or the path of a picture" --model {asked} --server {address}', flush=True)
