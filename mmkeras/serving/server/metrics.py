"""What a server counts, as Prometheus reads it, under TensorFlow Serving's names."""

import bisect
import itertools
import math
import threading
import time
from contextlib import contextmanager

from mmkeras.serving.errors import ServingError

_PREFIX = ":tensorflow:serving:"
# Past so many label sets of one metric, new ones are counted together.
_MAX_LABEL_SETS = 1000
OTHER = "(other)"


def _exponential(first, growth, count):
    """Return the upper ends of `count` buckets; the last one ends at infinity."""
    return [first * growth**power for power in range(count - 1)] + [math.inf]


# Metric -> (label names, upper ends of the buckets; none for a counter). Latencies are in microseconds.
_LATENCY = _exponential(10, 1.8, 34)
_SIZES = _exponential(1, 2, 15)
_METRICS = {
    "request_count": (("model_name", "status"), None),
    "request_latency": (("model_name", "API", "entrypoint"), _LATENCY),
    "runtime_latency": (("model_name", "API", "runtime"), _LATENCY),
    "model_warmup_latency": (("model_path", "status"), _LATENCY),
    "model_warmup_records_read": (("model_path", "status"), None),
    "batching_session:queuing_latency": (("thread_pool_name",), _exponential(100, 1.2, 53)),
    "batching_session:input_batch_size": ((), _SIZES),
    "batching_session:processed_batch_size": ((), _SIZES),
    "batching_session:padding_size": (("execution_batch_size",), _SIZES),
}


class Metrics:
    """Count requests and measure latencies and batch sizes; one lock, held for a few additions.

    Names, labels and units are TensorFlow Serving's, so that its dashboards and alerts work: the metric
    `request_count` is `:tensorflow:serving:request_count{model_name="glyphs",status="OK"}`. Of one metric at most 1,000
    label sets are kept apart; what comes later is counted under "(other)".

    Example:
        >>> metrics = Metrics()
        >>> with metrics.request("glyphs", "Predict", "GRPC"):
        ...     response = predict(metrics.timed(servable, "Predict"), request)
        >>> print(metrics.text())
        # TYPE :tensorflow:serving:request_count counter
        :tensorflow:serving:request_count{model_name="glyphs",status="OK"} 1
        ...
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._counts = {name: {} for name, (_, buckets) in _METRICS.items() if buckets is None}
        self._histograms = {name: {} for name, (_, buckets) in _METRICS.items() if buckets is not None}

    def count(self, name, labels=(), number=1):
        """Add `number` to a counter.

        Args:
            name: one of the counters, for example "request_count".
            labels: tuple of label values, in the metric's order.
            number: what to add.
        """
        with self._lock:
            counts = self._counts[name]
            labels = _kept_apart(labels, counts)
            counts[labels] = counts.get(labels, 0) + number

    def observe(self, name, labels, value):
        """Add one value to a histogram; latencies are in microseconds."""
        position = bisect.bisect_left(_METRICS[name][1], value)
        with self._lock:
            histograms = self._histograms[name]
            labels = _kept_apart(labels, histograms)
            if labels not in histograms:
                histograms[labels] = [[0] * len(_METRICS[name][1]), 0.0]
            histogram = histograms[labels]
            histogram[0][position] += 1
            histogram[1] += value

    @contextmanager
    def request(self, model_name, api, entrypoint):
        """Count the request that is answered inside, with its status, and measure it.

        Args:
            model_name: the model that answers, as `ServedModels.known_name` returns it; empty where none is named.
            api: over gRPC "Predict", "Classify", "Regress" or "MultiInference"; over REST the verb of the path,
                "predict", "classify" or "regress", and for a GET nothing.
            entrypoint: "GRPC" or "REST".
        """
        started, status = time.perf_counter(), "INTERNAL"
        try:
            yield
            status = "OK"
        except ServingError as error:
            status = error.code
            raise
        finally:
            microseconds = (time.perf_counter() - started) * 1e6
            self.count("request_count", (model_name, status))
            if status == "OK":
                self.observe("request_latency", (model_name, api, entrypoint), microseconds)

    def timed(self, servable, api):
        """Return a view of a servable whose runs are measured as `api`'s."""
        return _TimedServable(servable, self, api)

    def text(self):
        """Return everything counted so far in Prometheus' text format; metrics without a value are left out."""
        with self._lock:
            counts = {name: dict(values) for name, values in self._counts.items()}
            histograms = {
                name: {labels: (list(buckets), total) for labels, (buckets, total) in values.items()}
                for name, values in self._histograms.items()
            }
        lines = []
        for name, (label_names, ends) in _METRICS.items():
            values = histograms[name] if ends else counts[name]
            if values:
                lines.append(f"# TYPE {_PREFIX}{name} {'histogram' if ends else 'counter'}")
            for labels, value in sorted(values.items()):
                pairs = [f'{label}="{_escaped(text)}"' for label, text in zip(label_names, labels, strict=True)]
                lines.extend(_histogram_lines(name, pairs, ends, *value) if ends else [_line(name, pairs, value)])
        return "\n".join(lines) + "\n"


class _TimedServable:
    """A servable whose `run` is measured; everything else is handed through."""

    def __init__(self, servable, metrics, api):
        self._servable = servable
        self._metrics = metrics
        self._labels = (servable.name, api, "TF1")

    def __getattr__(self, name):
        return getattr(self._servable, name)

    def run(self, *arguments, **keywords):
        started = time.perf_counter()
        arrays = self._servable.run(*arguments, **keywords)
        self._metrics.observe("runtime_latency", self._labels, (time.perf_counter() - started) * 1e6)
        return arrays


def _kept_apart(labels, values):
    """Return the labels under which to count: the given ones, or "(other)" where there are too many already."""
    if labels in values or len(values) < _MAX_LABEL_SETS:
        return labels
    return (OTHER,) * len(labels)


def _histogram_lines(name, pairs, ends, buckets, total):
    cumulative = list(itertools.accumulate(buckets))
    for end, number in zip(ends, cumulative, strict=True):
        limit = "+Inf" if end == math.inf else f"{end:g}"
        yield _line(f"{name}_bucket", [*pairs, f'le="{limit}"'], number)
    yield _line(f"{name}_sum", pairs, f"{total:.10g}")
    yield _line(f"{name}_count", pairs, cumulative[-1])


def _line(name, pairs, value):
    return f"{_PREFIX}{name}{{{','.join(pairs)}}} {value}"


def _escaped(text):
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
