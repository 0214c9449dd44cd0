"""Requests that arrive together, run together: server-side batching with TensorFlow Serving's parameters and texts."""

import os
import threading
import time

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.batch_queue import BatchQueue
from mmkeras.serving.server.batch_tensors import batch_size, contradicts, merge_inputs, split_outputs

# What a request cannot have caused by itself: these are told to every request of a batch as they are.
_NOBODYS_FAULT = {"DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"}


class BatchScheduler:
    """Run the requests of each signature in batches, on a few threads that all servables share.

    A batch is run when it is full, or when its first request has waited for `batch_timeout_micros` and a thread is
    free; what arrives meanwhile makes the next one. It differs from TensorFlow Serving in three things, for the sake of
    its clients: a request without rows is answered at once (there it hangs), one whose shape contradicts the signature
    runs by itself, and where a batch fails its requests are run one by one, so that only the one at fault gets the
    error.

    Args:
        max_batch_size: the most rows of a batch, and of a request.
        batch_timeout_micros: how long a batch that is not full waits for more, in microseconds.
        max_enqueued_batches: the most batches that wait for a thread, for each signature.
        num_batch_threads: threads that run batches; as many as there are CPUs where None.
        thread_pool_name: name of the threads, and label of the metrics.
        allowed_batch_sizes: rows to which a batch is filled up, ascending; any where empty. The last one must equal
            `max_batch_size`, with splitting `max_execution_batch_size`.
        pad_variable_length_inputs: rows of different shapes are filled up with their first element; wrong for
            token ids.
        enable_large_batch_splitting: a request may have more rows than a batch: it is run in several.
        max_execution_batch_size: the most rows of a batch where requests are split; `max_batch_size` where None.
        metrics: `Metrics` that queueing times and batch sizes are told to, or None.

    Raises:
        MmkerasError: a parameter is out of its range.

    Example:
        >>> with BatchScheduler(max_batch_size=64, batch_timeout_micros=1000) as scheduler:
        ...     response = predict(scheduler.batched(servable), request, seconds=5)

    Reference: tensorflow/core/kernels/batching_util/shared_batch_scheduler.h,
    tensorflow_serving/batching/batching_session.cc.
    """

    def __init__(
        self,
        max_batch_size=1000,
        batch_timeout_micros=0,
        max_enqueued_batches=10,
        num_batch_threads=None,
        thread_pool_name="batch_threads",
        allowed_batch_sizes=(),
        pad_variable_length_inputs=False,
        enable_large_batch_splitting=False,
        max_execution_batch_size=None,
        metrics=None,
    ):
        self.max_batch_size = _at_least(1, "max_batch_size", max_batch_size)
        self.batch_timeout_micros = _at_least(0, "batch_timeout_micros", batch_timeout_micros)
        self.max_enqueued_batches = _at_least(1, "max_enqueued_batches", max_enqueued_batches)
        threads = (os.cpu_count() or 1) if num_batch_threads is None else num_batch_threads
        self.num_batch_threads = _at_least(1, "num_batch_threads", threads)
        self.thread_pool_name = thread_pool_name
        self.allowed_batch_sizes = tuple(allowed_batch_sizes)
        self.pad_variable_length_inputs = pad_variable_length_inputs
        self.enable_large_batch_splitting = enable_large_batch_splitting
        execution = max_execution_batch_size if enable_large_batch_splitting else None
        self.max_execution_batch_size = _at_least(
            1, "max_execution_batch_size", max_batch_size if execution is None else execution
        )
        self.metrics = metrics
        self._check_allowed_sizes()
        self._queue = BatchQueue(
            self.max_execution_batch_size, batch_timeout_micros, max_enqueued_batches, enable_large_batch_splitting
        )
        self._threads = [
            threading.Thread(target=self._work, name=f"{thread_pool_name}-{number}", daemon=True)
            for number in range(self.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def from_parameters(cls, parameters, metrics=None):
        """Return the scheduler of a batching.config.

        Args:
            parameters: BatchingParameters, as `read_batching_file` returns them.
            metrics: the server's metrics, see `BatchScheduler`.
        """
        given = {field.name: getattr(parameters, field.name) for field, _ in parameters.ListFields()}
        arguments = {name: getattr(value, "value", value) for name, value in given.items()}
        return cls(**arguments, metrics=metrics)

    def waiting(self):
        """Return the rows of the batches that wait, one list for each signature that has any."""
        return self._queue.waiting()

    def batched(self, servable):
        """Return a view of a servable whose `run` shares batches with the other callers'."""
        return _BatchedServable(servable, self)

    def run(self, servable, signature_name, feeds, aliases, seconds=None):
        """Return a list of arrays, one for each output alias, as `Servable.run`.

        Args:
            servable: what has `signatures` and `run`; it must not be closed before this returns.
            signature_name: a key of its `signatures`.
            feeds: dict from input alias to array.
            aliases: output aliases.
            seconds: the longest to wait; for ever where None.

        Raises:
            ServingError: INVALID_ARGUMENT where the rows do not fit a batch, UNAVAILABLE where too many batches wait,
                DEADLINE_EXCEEDED, or what the run itself raises.
        """
        signature = servable.signatures[signature_name]
        if not feeds:
            return servable.run(signature_name, feeds, aliases, seconds)
        rows = batch_size(feeds)
        if rows > self.max_batch_size and not self.enable_large_batch_splitting:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Task size {rows} is larger than maximum input batch size {self.max_batch_size}",
            )
        if self.metrics:
            for _ in feeds:
                self.metrics.observe("batching_session:input_batch_size", (), rows)
        if rows == 0 or contradicts(feeds, signature):
            return servable.run(signature_name, feeds, aliases, seconds)
        tasks = self._queue.put(servable, signature_name, feeds, rows, aliases, seconds)
        parts = [task.result() for task in tasks]
        return parts[0] if len(parts) == 1 else [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def close(self, seconds=10.0):
        """Run what is waiting, for at most so many seconds, and end the threads."""
        self._queue.close()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _check_allowed_sizes(self):
        sizes, largest = list(self.allowed_batch_sizes), self.max_execution_batch_size
        if sizes and (sizes != sorted(set(sizes)) or sizes[0] < 1):
            raise MmkerasError(
                f"Expected allowed_batch_sizes to be positive and ascending. Received: allowed_batch_sizes={sizes}"
            )
        if sizes and sizes[-1] != largest:
            limit = "max_execution_batch_size" if self.enable_large_batch_splitting else "max_batch_size"
            raise MmkerasError(
                f"Last entry in allowed_batch_sizes must match {limit}; last entry was {sizes[-1]}; expected {largest}"
            )

    def _work(self):
        while (taken := self._queue.take()) is not None:
            self._run_batch(*taken)

    def _run_batch(self, servable, signature_name, tasks):
        now = time.monotonic()
        if self.metrics:
            for task in tasks:
                self.metrics.observe(
                    "batching_session:queuing_latency", (self.thread_pool_name,), (now - task.enqueued) * 1e6
                )
        # Nobody waits any more for those whose deadline has passed.
        live = [task for task in tasks if task.deadline is None or task.deadline > now]
        if live:
            self._run_together(servable, signature_name, live)

    def _run_together(self, servable, signature_name, tasks):
        """Run tasks as one batch and give each its outputs; where the run fails, run each by itself."""
        aliases = sorted({alias for task in tasks for alias in task.aliases})
        deadlines = [task.deadline for task in tasks]
        # The last of the deadlines: the callers look after their own.
        seconds = None if None in deadlines else max(deadlines) - time.monotonic()
        try:
            feeds, padding_rows = self._merge(servable.signatures[signature_name], tasks)
            try:
                arrays = servable.run(signature_name, feeds, aliases, seconds)
            except ServingError as error:
                if len(tasks) == 1 or error.code in _NOBODYS_FAULT:
                    raise
                for task in tasks:
                    self._run_together(servable, signature_name, [task])
                return
            pieces = split_outputs(arrays, [task.rows for task in tasks], padding_rows)
        except ServingError as error:
            for task in tasks:
                task.fail(error)
        except Exception as error:  # whatever goes wrong, every caller gets an answer
            for task in tasks:
                task.fail(ServingError("INTERNAL", f"{type(error).__name__}: {error}"))
        else:
            for task, piece in zip(tasks, pieces, strict=True):
                outputs = dict(zip(aliases, piece, strict=True))
                task.finish([outputs[alias] for alias in task.aliases])

    def _merge(self, signature, tasks):
        """Return (feeds of all tasks, number of rows of padding)."""
        rows = sum(task.rows for task in tasks)
        padded = next((size for size in self.allowed_batch_sizes if size >= rows), rows)
        if self.metrics:
            self.metrics.observe("batching_session:padding_size", (str(padded),), padded - rows)
            self.metrics.observe("batching_session:processed_batch_size", (), padded)
        several_feeds = [task.feeds for task in tasks]
        return merge_inputs(several_feeds, signature, padded - rows, self.pad_variable_length_inputs), padded - rows


class _BatchedServable:
    """A servable whose `run` goes through a scheduler; everything else is handed through."""

    def __init__(self, servable, scheduler):
        self._servable = servable
        self._scheduler = scheduler

    def __getattr__(self, name):
        return getattr(self._servable, name)

    def run(self, signature_name, feeds, aliases, seconds=None):
        return self._scheduler.run(self._servable, signature_name, feeds, aliases, seconds)


def _at_least(smallest, name, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise MmkerasError(f"Expected {name} to be an integer of at least {smallest}. Received: {name}={value!r}")
    return value
