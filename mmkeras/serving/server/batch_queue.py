"""Where requests wait to be run together."""

import threading
import time
from collections import deque

from mmkeras.serving.errors import ServingError


class BatchQueue:
    """Sort requests into batches, one line of them for each signature of each servable, and hand out what is ready.

    A batch is ready when it is full, when another one waits behind it, or when its first request has waited for
    `batch_timeout_micros`. Lines take turns. Nothing is kept of a line without a batch.

    Args:
        largest_batch: the most rows of a batch.
        batch_timeout_micros: how long a batch that is not full waits for more, in microseconds.
        max_enqueued_batches: the most batches that wait in a line.
        split: whether a request that does not fit is taken in parts.
    """

    def __init__(self, largest_batch, batch_timeout_micros, max_enqueued_batches, split):
        self.largest_batch = largest_batch
        self.batch_timeout_micros = batch_timeout_micros
        self.max_enqueued_batches = max_enqueued_batches
        self.split = split
        self._changed = threading.Condition()
        self._lines = {}  # (servable, signature name) -> deque of batches, of which the last may be added to
        self._closed = False

    def put(self, servable, signature_name, feeds, rows, aliases, seconds):
        """Let a request wait; return its tasks: one, or several where it is split. All of it is taken or nothing.

        Args:
            servable: what will run it.
            signature_name: one of its signatures.
            feeds: dict from input alias to array of `rows` rows, at least one.
            rows: their number.
            aliases: output aliases.
            seconds: how long its caller waits; for ever where None.

        Raises:
            ServingError: UNAVAILABLE, too many batches wait or the queue is closed.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        key = servable, signature_name
        with self._changed:
            if self._closed:
                raise ServingError("UNAVAILABLE", "The batch scheduler is closed")
            line = self._lines.get(key, ())
            sizes, new_batches = self._parts(rows, self.largest_batch - line[-1].rows if line else 0)
            if line and new_batches and len(line) + new_batches > self.max_enqueued_batches:
                raise ServingError("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full")
            line = self._lines.setdefault(key, deque())
            tasks, start = [], 0
            for size in sizes:
                part = {alias: array[start : start + size] for alias, array in feeds.items()} if size < rows else feeds
                task = _Task(part, size, aliases, deadline)
                if not line or line[-1].rows + size > self.largest_batch:
                    line.append(_Batch(task.enqueued + self.batch_timeout_micros / 1e6))
                line[-1].add(task)
                tasks.append(task)
                start += size
            if new_batches or line[-1].rows == self.largest_batch:
                self._changed.notify()
        return tasks

    def take(self):
        """Wait for a batch that is ready; return (servable, signature name, tasks), or None once closed and empty."""
        with self._changed:
            while True:
                now, next_due = time.monotonic(), None
                for key, line in self._lines.items():
                    ready = len(line) > 1 or line[0].rows == self.largest_batch or line[0].due <= now
                    if ready or self._closed:
                        batch = line.popleft()
                        # To the end: every line has its turn.
                        del self._lines[key]
                        if line:
                            self._lines[key] = line
                        # Another thread now watches over what still waits.
                        self._changed.notify()
                        return (*key, batch.tasks)
                    next_due = line[0].due if next_due is None else min(next_due, line[0].due)
                if self._closed:
                    return None
                self._changed.wait(None if next_due is None else next_due - now)

    def waiting(self):
        """Return one list for each line: the rows of its batches."""
        with self._changed:
            return [[batch.rows for batch in line] for line in self._lines.values()]

    def close(self):
        """Take nothing more; what waits is ready now."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _parts(self, rows, room):
        """Return (sizes of the parts of a request, number of new batches that they need)."""
        if rows <= room:
            return [rows], 0
        if not self.split:
            return [rows], 1
        full, rest = divmod(rows - room, self.largest_batch)
        return [room] * bool(room) + [self.largest_batch] * full + [rest] * bool(rest), full + bool(rest)


class _Batch:
    """The tasks that will run together, and when they have waited long enough."""

    def __init__(self, due):
        self.due = due
        self.tasks = []
        self.rows = 0

    def add(self, task):
        self.tasks.append(task)
        self.rows += task.rows


class _Task:
    """A request, or a part of one, and where its caller waits for the outputs."""

    def __init__(self, feeds, rows, aliases, deadline):
        self.feeds = feeds
        self.rows = rows
        self.aliases = aliases
        self.deadline = deadline
        self.enqueued = time.monotonic()
        self._done = threading.Event()
        self._outputs = None
        self._error = None

    def finish(self, outputs):
        self._outputs = outputs
        self._done.set()

    def fail(self, error):
        self._error = error
        self._done.set()

    def result(self):
        if not self._done.wait(None if self.deadline is None else max(self.deadline - time.monotonic(), 0)):
            raise ServingError("DEADLINE_EXCEEDED", "Timed out waiting for notification")
        if self._error is not None:
            # One of its own for each caller: a traceback grows where an exception is raised.
            raise ServingError(self._error.code, self._error.details) from self._error
        return self._outputs
