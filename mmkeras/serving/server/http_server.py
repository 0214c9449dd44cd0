"""A WSGI application behind an HTTP server of its own thread, on the loopback address."""

import logging
import os
import socket
import sys
import threading
import time

from mmkeras.errors import MmkerasError
from mmkeras.serving.server.http_threads import HttpThreads
from mmkeras.serving.server.late_connections import LateConnections
from mmkeras.serving.server.loopback import HOST, bound_socket, check_port_number
from mmkeras.serving.server.open_files import connection_limit
from mmkeras.serving.server.request_limits import MAX_MESSAGE_BYTES

_IDLE_SECONDS = 60
_LARGEST_HEADER = 65536  # bytes of all headers together
_POLL_SECONDS = 0.01
_CLEANUP_SECONDS = 1


class HttpServer:
    """Run a WSGI application with waitress on the loopback address only.

    Connections wait in one thread and cost no other: requests are handed to `max_threads` threads once their body is
    there, and wait where all are busy; other requests than POST have threads of their own. Replies wait in memory and
    on the disk until they are read. A connection that is idle, whose client reads no reply, or on which a request does
    not come to its end, is closed after a minute. Where there are no connections left, those that have brought no
    request within a second are closed.

    Args:
        application: WSGI application with `drain(seconds)`, such as `RestApplication`.
        port: port to listen on, or 0 for a free one.
        max_threads: the most requests answered at once; four a CPU where None.
        max_body_bytes: a longer body is refused with 413 before it is read.
        max_connections: connections that are held at a time, where further ones wait until one of these is closed; what
            this process's limit of open files allows where None.

    Attributes:
        address: "127.0.0.1:PORT", once started.

    Raises:
        MmkerasError: at construction where an argument is out of its range or waitress is not installed; at `start`
            where the port is in use.

    Example:
        >>> with HttpServer(RestApplication(models), port=8501) as server:
        ...     server.address
        '127.0.0.1:8501'
    """

    def __init__(self, application, port=0, max_threads=None, max_body_bytes=MAX_MESSAGE_BYTES, max_connections=None):
        check_port_number("port", port)
        if max_threads is not None and max_threads < 1:
            raise MmkerasError(f"Expected max_threads to be at least 1. Received: max_threads={max_threads!r}")
        self.application = application
        self.port = port
        self.max_threads = max_threads or 4 * (os.cpu_count() or 1)
        self.max_body_bytes = max_body_bytes
        self.max_connections = connection_limit(ports=1) if max_connections is None else max_connections
        self.address = None
        self._waitress = _import_waitress()
        self._server = None
        self._sockets = None
        self._thread = None

    def start(self):
        """Listen, and answer in the background; return this server."""
        if self._server is not None:
            raise MmkerasError(f"The server is already running at {self.address}")
        listener = self._bound_socket()
        # What waits for a thread is no fault to be printed for each request.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._sockets = {}
        threads = HttpThreads(self._waitress.task.ThreadedTaskDispatcher, self.max_threads)
        self._server = self._waitress.create_server(
            self.application,
            map=self._sockets,
            sockets=[listener],
            _dispatcher=threads,
            connection_limit=self.max_connections,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_CLEANUP_SECONDS,
            max_request_header_size=_LARGEST_HEADER,
            max_request_body_size=self.max_body_bytes + 1,  # waitress refuses what is as long
            outbuf_high_watermark=sys.maxsize,  # past it a thread waits for the client to read
            asyncore_use_poll=True,  # select knows 1,024 files
            log_socket_errors=False,
            ident=None,
        )
        self._server.maintenance = LateConnections(self._server, threads, _IDLE_SECONDS).close
        self.address = f"{HOST}:{self._server.effective_port}"
        self._thread = threading.Thread(target=self._server.run, name="mmkeras-http", daemon=True)
        self._thread.start()
        return self

    def stop(self, seconds=10.0):
        """Answer the running requests, for at most so many seconds, and close; does nothing where it is not running.

        What arrives meanwhile on an open connection is answered by 503.
        """
        if self._server is None:
            return
        server, self._server, self.address = self._server, None, None
        deadline = time.monotonic() + seconds
        # Only the thread that waits on the sockets may close them.
        server.trigger.pull_trigger(lambda: _stop_listening(server))
        self.application.drain(seconds)
        while _is_sending(server) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        server.task_dispatcher.shutdown(timeout=max(deadline - time.monotonic(), _POLL_SECONDS))
        server.trigger.pull_trigger(lambda: _close_connections(server, self._sockets))
        self._thread.join(_POLL_SECONDS + seconds)
        if not server.task_dispatcher.threads:
            # A thread that still runs would write to it, or to whatever file has its number then.
            server.trigger.close()

    def _bound_socket(self):
        """Return a socket on the port; before waitress has started its threads, which it would leave behind."""
        listener = bound_socket(self.port)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Connections inherit it. waitress waits for ever for one that it cannot write to.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _IDLE_SECONDS * 1000)
        return listener

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()


def _import_waitress():
    try:
        import waitress
        import waitress.task
    except ImportError as error:
        raise MmkerasError("The REST interface needs waitress: pip install 'mmkeras[rest]'") from error
    return waitress


def _stop_listening(server):
    """Close the listening socket alone; `close` would close what wakes the thread, too."""
    server.accepting = False
    server.del_channel()
    server.socket.close()


def _is_sending(server):
    return any(channel.requests or channel.total_outbufs_len for channel in list(server.active_channels.values()))


def _close_connections(server, sockets):
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    sockets.clear()  # without sockets the thread ends
