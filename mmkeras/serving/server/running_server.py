"""The parts of a server that runs: models, batching, metrics, a gRPC port, an HTTP port and a watch."""

import contextlib
import os

from mmkeras.serving.server.grpc_service import GrpcService
from mmkeras.serving.server.loading import load_servable
from mmkeras.serving.server.loopback import HOST
from mmkeras.serving.server.open_files import connection_limit
from mmkeras.serving.server.reload_folders import NOWHERE
from mmkeras.serving.server.request_limits import DEFAULT_LIMITS
from mmkeras.serving.server.served_models import ServedModels
from mmkeras.serving.server.watching import Watch

# Each of them may hold a thread of its port.
_MOST_AT_ONCE = 256


class RunningServer:
    """Load the models of a list, then listen; what `EmbeddedServer` is between start and stop.

    Args:
        configs: ModelConfigList.
        port: gRPC port, 0 for a free one.
        socket_path: a Unix socket for gRPC too, or None.
        rest_port: HTTP port, 0 for a free one; None for no HTTP.
        rest_timeout: seconds of an HTTP request at most.
        batching: BatchingParameters, or None for none.
        monitoring: MonitoringConfig, or None for no metrics.
        ssl: SSLConfig of the gRPC port, or None.
        max_threads: see `GrpcService`.
        max_message_bytes: see `GrpcService`; also the largest HTTP body.
        limits: `RequestLimits` of both ports.
        reload_folders: `ReloadFolders`, see `GrpcService`.

    Attributes:
        models: `ServedModels`.
        address: "host:port" of gRPC.
        rest_address: "host:port" of HTTP, or None.

    Raises:
        MmkerasError: what cannot be done; nothing is left running.
    """

    def __init__(
        self,
        configs,
        port,
        socket_path=None,
        rest_port=None,
        rest_timeout=30.0,
        batching=None,
        monitoring=None,
        ssl=None,
        max_threads=None,
        max_message_bytes=None,
        limits=DEFAULT_LIMITS,
        reload_folders=NOWHERE,
    ):
        self._watch = None
        self._metrics, metrics_path = _metrics(monitoring)
        # What is begun here ends in reverse order, also where a later part cannot begin.
        with contextlib.ExitStack() as begun:
            self._scheduler = _scheduler(batching, self._metrics)
            if self._scheduler is not None:
                begun.callback(self._scheduler.close)
            self.models = ServedModels(self._load)
            at_once = _requests_at_once(self._scheduler)
            connections = connection_limit(ports=1 if rest_port is None else 2)
            self._http = None
            if rest_port is not None:
                # Before the models, which take seconds to load: what it needs may not be installed.
                application = {"metrics": self._metrics, "metrics_path": metrics_path, "seconds": rest_timeout}
                application["limits"] = limits
                self._http = _http_server(self.models, rest_port, at_once, connections, max_message_bytes, application)
            self.models.start(configs)
            begun.callback(self.models.close)
            self._grpc = GrpcService(
                self.models,
                at_once,
                max_threads,
                max_message_bytes,
                connections,
                ssl,
                self._metrics,
                limits,
                reload_folders,
            )
            self.address = f"{HOST}:{self._grpc.start(port, socket_path)}"
            begun.callback(self._grpc.close)
            if self._http is not None:
                self._http.start()
            self._begun = begun.pop_all()
        self.rest_address = None if self._http is None else self._http.address

    def watch(self, poll_seconds, config_file=None, content=None):
        """Follow the models' folders and the configuration file from now on; see `Watch`."""
        self._watch = Watch(self.models, poll_seconds, config_file, content)
        self._watch.start()

    def stop(self, seconds):
        """Take no new requests, answer the running ones, at most for so long, and close."""
        if self._watch is not None:
            self._watch.end()
        stopped = self._grpc.stop(seconds)
        if self._http is not None:
            self._http.stop(seconds)
        stopped.wait()
        if self._watch is not None:
            self._watch.join()
        self._begun.close()

    def wait(self, timeout=None):
        """Block until stopped; return False where it still runs after `timeout` seconds."""
        return self._grpc.wait(timeout)

    def _load(self, path, name, version):
        servable = load_servable(path, name, version, self._metrics)
        return servable if self._scheduler is None else self._scheduler.batched(servable)


def _metrics(monitoring):
    """Return (Metrics, path under which they are read), or (None, None) where they are off."""
    if monitoring is None or not monitoring.prometheus_config.enable:
        return None, None
    from mmkeras.serving.server.metrics import Metrics
    from mmkeras.serving.server.rest import METRICS_PATH

    return Metrics(), monitoring.prometheus_config.path or METRICS_PATH


def _scheduler(batching, metrics):
    if batching is None:
        return None
    from mmkeras.serving.server.batching import BatchScheduler

    return BatchScheduler.from_parameters(batching, metrics)


def _http_server(models, port, at_once, connections, max_body_bytes, application):
    from mmkeras.serving.server.http_server import HttpServer
    from mmkeras.serving.server.rest import RestApplication

    limit = {} if max_body_bytes is None else {"max_body_bytes": max_body_bytes}
    return HttpServer(
        RestApplication(models, **application, **limit), port, at_once, max_connections=connections, **limit
    )


def _requests_at_once(scheduler):
    """Return how many requests a port answers at a time: four a processor, or the rows of two batches.

    A request that waits for its batch is one of them: with fewer than a batch has rows, batches of small requests would
    never fill, and each would wait for its timeout.
    """
    at_once = 4 * (os.cpu_count() or 1)  # as on TensorFlow Serving
    if scheduler is None:
        return at_once
    return max(at_once, min(2 * scheduler.max_execution_batch_size, _MOST_AT_ONCE))
