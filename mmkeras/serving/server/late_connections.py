"""Which HTTP connections are closed: those that bring nothing, or not the end of what they began."""

import weakref

_NEW_SECONDS = 1.0  # that a connection has for its first request, where there are no more connections


class LateConnections:
    """What a waitress server does now and then in place of its own `maintenance`, which a byte a minute satisfies.

    Args:
        server: waitress' server.
        threads: its `HttpThreads`.
        seconds: how long a connection may be idle, and a request may take to arrive.
    """

    def __init__(self, server, threads, seconds):
        self.server = server
        self.threads = threads
        self.seconds = seconds
        self._begun = weakref.WeakKeyDictionary()  # request that has not arrived -> when it was first seen

    def close(self, now):
        """Have those closed that are late at `now`, seconds of the clock."""
        for channel in self.server.active_channels.values():
            if not channel.requests and self._is_late(channel, now):
                channel.will_close = True

    def _is_late(self, channel, now):
        arriving = channel.request
        begun = now if arriving is None else self._begun.setdefault(arriving, now)
        if min(begun, channel.last_activity) < now - self.seconds:
            return True
        unknown = channel not in self.threads.known
        return self.server.in_connection_overflow and unknown and channel.creation_time < now - _NEW_SECONDS
