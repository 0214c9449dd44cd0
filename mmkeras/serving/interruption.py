"""The signals by which a command that serves is told to end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def signals_to_end() -> Iterator[list[int]]:
    """Give a list to which SIGINT, SIGTERM and SIGHUP are added where they come; afterwards they do what they did.

    Whoever serves looks into it now and then: a handler that sets an Event can deadlock with the thread that waits for
    it. SIGHUP is left alone where it is ignored, as under nohup. Only the main thread may ask for it.

    Example:
        >>> with signals_to_end() as received:
        ...     while not received:
        ...         time.sleep(0.1)
    """
    received: list[int] = []
    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it, to outlive its terminal
        heard.append(signal.SIGHUP)
    handlers = {number: signal.signal(number, lambda number, _: received.append(number)) for number in heard}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
