"""A model server in this process, for machines without TensorFlow Serving."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mmkeras.errors import MmkerasError
from mmkeras.limits import MAX_ROWS, MAX_TEXT_BYTES
from mmkeras.serving.server.config_files import (
    models_config,
    parse_models,
    read_batching_file,
    read_monitoring_file,
    read_ssl_file,
)
from mmkeras.serving.server.loopback import bound_socket, check_port_number
from mmkeras.serving.server.reload_folders import ReloadFolders
from mmkeras.serving.server.request_limits import RequestLimits
from mmkeras.serving.versions import find_versions, version_folder

if TYPE_CHECKING:
    from mmkeras.serving.server.running_server import RunningServer
    from mmkeras.serving.server.served_models import ServedModels

_DRAIN_SECONDS = 10.0


class EmbeddedServer:
    """Serve SavedModels over TensorFlow Serving's gRPC and REST interfaces, on the loopback address only.

    Serves one folder of versions, or the models of a models.config, and follows both while it runs: a new version is
    loaded and warmed up before the old one goes. Offers PredictionService, ModelService, grpc.health.v1, reflection,
    REST and metrics with TensorFlow Serving's status codes, texts and names. It differs where the original is unkind:
    it stops after the running requests are answered, refuses a string input of the wrong rank, which can end the
    original's process, lets requests wait for a thread, says at once that a model's folder is missing or empty, for
    which the original waits without end, and fails a model with an unknown operation when it is loaded, not at its
    first request. After a list of models that it refused it follows the next good one, where the original refuses every
    list after one without a known `model_platform`, until it is started anew. It takes labels in the list that it
    starts with, leaves out of errors what they quote of the model's graph, cuts long values in the errors of REST, and
    sends no CORS headers.

    It bounds what a stranger can ask for, where the original has no limits: rows, texts, messages, what waits, streams
    that are idle and what may be loaded. Health and status are told while all that ask models wait.

    Args:
        base_path: folder of a model, `savedmodels/NAME`, that holds integer version folders.
        name: model name that clients use; the folder's name where None.
        port: port to listen on, or 0 for a free one.
        version: the version to serve; always the newest where None.
        config_file: a models.config, instead of `base_path`, `name` and `version`.
        rest_port: HTTP port, 0 for a free one, None for no HTTP. Needs the extra `rest`.
        batching_file: a batching.config; without one every request runs by itself.
        monitoring_file: a monitoring.config, which has Prometheus metrics read on the HTTP port.
        ssl_file: an ssl.config with key and certificate, and what clients' certificates are checked with,
            for gRPC; HTTP stays plain, as on the original.
        poll_seconds: pause between two looks at the folders and at `config_file`; 0 for no second look.
        max_threads: how many gRPC requests are answered at once, where more are refused as on the original. Where
            None, four a processor, or with batching the rows of two batches where these are more, and more wait.
        max_message_bytes: largest gRPC message or HTTP body, once unpacked; 128 MiB where None.
        socket_path: a Unix socket on which gRPC is answered beside the port: clients ask "unix:PATH".
        rest_timeout: seconds of an HTTP request at most, after which its reply is 504. Over gRPC the client's own
            deadline counts.
        max_rows: the most rows of a request, counted before anything is unpacked; None for any number. More are refused
            with the text from which `Client` learns to send fewer.
        max_text_bytes: the longest text of a request, of inputs and features named `text`; None for any length.
        allow_reload_config: whether clients may have other models served (HandleReloadConfigRequest): False for no,
            True for models that lie in the folders given here, by `base_path` or in `config_file` at the start, or a
            list of folders in which they must lie.

    Attributes:
        address: "127.0.0.1:PORT" of gRPC, once started.
        rest_address: "127.0.0.1:PORT" of HTTP, once started with `rest_port`.
        name: model name; of the first model where `config_file` lists several, None where it lists none.
        version: the newest version of that model that is served, None where none is.
        models: `ServedModels`, while it runs.

    Raises:
        MmkerasError: at construction where a folder holds no version or a file is not what it should be; at `start`
            where the port is in use, or a model has no version that loads and answers its warm-up records. An older
            version is tried only where the model's policy asks for it too.

    Example:
        >>> with EmbeddedServer("savedmodels/glyphs") as server, Client(server.address, "glyphs") as client:
        ...     client.encode_text(["snowman"]).shape
        (1, 128)
    """

    address: str
    rest_address: str | None
    models: ServedModels | None
    _parts: RunningServer | None

    def __init__(
        self,
        base_path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        port: int = 0,
        version: int | None = None,
        *,
        config_file: str | os.PathLike[str] | None = None,
        rest_port: int | None = None,
        batching_file: str | os.PathLike[str] | None = None,
        monitoring_file: str | os.PathLike[str] | None = None,
        ssl_file: str | os.PathLike[str] | None = None,
        poll_seconds: float = 1.0,
        max_threads: int | None = None,
        max_message_bytes: int | None = None,
        socket_path: str | os.PathLike[str] | None = None,
        rest_timeout: float = 30.0,
        max_rows: int | None = MAX_ROWS,
        max_text_bytes: int | None = MAX_TEXT_BYTES,
        allow_reload_config: bool | Iterable[str | os.PathLike[str]] = False,
    ) -> None:
        check_port_number("port", port)
        if rest_port is not None:
            check_port_number("rest_port", rest_port)
        if (base_path is None) == (config_file is None):
            raise MmkerasError(
                f"Expected base_path or config_file. Received: base_path={base_path!r}, config_file={config_file!r}"
            )
        if config_file is not None and (name is not None or version is not None):
            raise MmkerasError(
                f"Expected name and version in config_file only. Received: name={name!r}, version={version!r}"
            )
        if not poll_seconds >= 0:
            raise MmkerasError(f"Expected poll_seconds to be at least 0. Received: poll_seconds={poll_seconds!r}")
        for argument, value in (("max_threads", max_threads), ("max_message_bytes", max_message_bytes)):
            if value is not None and value < 1:
                raise MmkerasError(f"Expected {argument} to be at least 1 or None. Received: {argument}={value!r}")
        if not rest_timeout > 0:
            raise MmkerasError(f"Expected rest_timeout to be seconds above 0. Received: rest_timeout={rest_timeout!r}")
        if isinstance(allow_reload_config, str | os.PathLike):
            raise MmkerasError(
                "Expected allow_reload_config to be a bool or a list of folders. "
                f"Received: allow_reload_config={allow_reload_config!r}"
            )
        if monitoring_file is not None and rest_port is None:
            raise MmkerasError("Expected rest_port with monitoring_file: metrics are read over HTTP. Received: None")
        self.base_path = base_path
        self.port = port
        self.rest_port = rest_port
        self.batching_file = batching_file
        self.monitoring_file = monitoring_file
        self.config_file = config_file
        self.ssl_file = ssl_file
        self.poll_seconds = poll_seconds
        self.max_threads = max_threads
        self.max_message_bytes = max_message_bytes
        self.socket_path = socket_path
        self.rest_timeout = rest_timeout
        self.max_rows = max_rows
        self.max_text_bytes = max_text_bytes
        self.allow_reload_config = allow_reload_config
        self.address = None
        self.rest_address = None
        self.models = None
        self._limits = RequestLimits(max_rows, max_text_bytes)
        self._asked_version = version
        self._first_version = None
        self._content = None
        self._ssl = None if ssl_file is None else read_ssl_file(ssl_file)
        self._batching = None if batching_file is None else read_batching_file(batching_file)
        self._monitoring = None if monitoring_file is None else read_monitoring_file(monitoring_file)
        configs = self._read_configs(name).config
        self.name = configs[0].name if configs else None
        self._parts = None

    @property
    def version(self) -> int | None:
        if self.models is not None:
            return self.models.newest(self.name)
        return self._first_version

    def start(self) -> Self:
        """Load the models, warm them up, then listen; return this server."""
        from mmkeras.serving.server.running_server import RunningServer

        if self._parts is not None:
            raise MmkerasError(f"The server is already running at {self.address}")
        for port in (self.port, self.rest_port):
            if port is not None:
                bound_socket(port).close()  # models take seconds to load: find out first that it is taken
        configs = self._read_configs(self.name)
        self._parts = RunningServer(
            configs,
            port=self.port,
            socket_path=self.socket_path,
            rest_port=self.rest_port,
            rest_timeout=self.rest_timeout,
            batching=self._batching,
            monitoring=self._monitoring,
            ssl=self._ssl,
            max_threads=self.max_threads,
            max_message_bytes=self.max_message_bytes,
            limits=self._limits,
            reload_folders=self._reload_folders(configs),
        )
        self._parts.watch(self.poll_seconds, self.config_file, self._content)
        self.models = self._parts.models
        self.address, self.rest_address = self._parts.address, self._parts.rest_address
        return self

    def stop(self) -> None:
        """Answer the running requests, at most for ten seconds, and close; does nothing where it is not running."""
        if self._parts is not None:
            parts, self._parts = self._parts, None
            self.address = self.rest_address = None
            parts.stop(_DRAIN_SECONDS)
            self.models = None

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the server is stopped; return False where it still runs after `timeout` seconds."""
        return self._parts is None or self._parts.wait(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _reload_folders(self, configs):
        if not isinstance(self.allow_reload_config, bool):
            return ReloadFolders(self.allow_reload_config)
        return ReloadFolders([config.base_path for config in configs.config] if self.allow_reload_config else None)

    def _read_configs(self, name):
        """Return the ModelConfigList to start with."""
        if self.config_file is not None:
            try:
                self._content = Path(self.config_file).read_bytes()
            except OSError as error:
                raise MmkerasError(
                    f"Expected config_file to be a file that can be read. Received: {self.config_file} ({error})"
                ) from error
            return parse_models(self._content, self.config_file)
        version = self._asked_version
        if version is None:
            self._first_version = max(find_versions(self.base_path))
        else:
            version_folder(self.base_path, version)
            self._first_version = version
        base_path = Path(self.base_path).expanduser().resolve()
        return models_config(name or base_path.name, base_path, version)
