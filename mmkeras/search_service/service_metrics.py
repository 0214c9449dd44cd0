"""`ServiceMetrics`: what the service counts, as Prometheus reads it."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Iterator, Mapping

_PREFIX = "mmkeras_search_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # upper ends of the buckets
_HELP = {
    "requests_total": ("counter", "Requests by path and HTTP status."),
    "request_seconds": ("histogram", "Seconds a request took, by path."),
    "step_seconds": ("histogram", "Seconds of a search that its embedding and its index took."),
    "weak_searches_total": (
        "counter",
        "Searches of pictures by a text, or texts by a picture, whose best result scored below the threshold.",
    ),
}


class ServiceMetrics:
    """Counts requests and measures seconds; one lock, held for a few additions.

    Example:
        >>> metrics = ServiceMetrics()
        >>> metrics.request("/api/search", 200, 0.012)
        >>> print(metrics.text({"items": (31783, "Items that are searched.")}))
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._histograms: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            path: one of the service's own, so that there are a few.
            status: of HTTP.
            seconds: that it took.
        """
        with self._lock:
            self._count("requests_total", path=path, status=str(status))
            self._observe("request_seconds", seconds, path=path)

    def search(self, embed: float, search: float, weak: bool) -> None:
        """Count a search.

        Args:
            embed: seconds that the embedding took.
            search: seconds that the index took.
            weak: whether its best result scored below the threshold, where that says something.
        """
        with self._lock:
            self._observe("step_seconds", embed, step="embed")
            self._observe("step_seconds", search, step="search")
            if weak:
                self._count("weak_searches_total")

    def text(self, gauges: Mapping[str, tuple[float, str]]) -> str:
        """Return all of it in Prometheus' text format.

        Args:
            gauges: dict from the name of what is measured now to (value, what it says).
        """
        with self._lock:
            counts = dict(self._counts)
            histograms = {key: list(values) for key, values in self._histograms.items()}
        lines = []
        for name, (value, said) in gauges.items():
            lines += [f"# HELP {_PREFIX}{name} {said}", f"# TYPE {_PREFIX}{name} gauge", _line(name, (), value)]
        for name, (kind, said) in _HELP.items():
            lines += [f"# HELP {_PREFIX}{name} {said}", f"# TYPE {_PREFIX}{name} {kind}"]
            lines += [_line(name, labels, value) for (of, labels), value in sorted(counts.items()) if of == name]
            for (of, labels), values in sorted(histograms.items()):
                lines += _histogram(name, labels, values) if of == name else ()
        return "\n".join(lines) + "\n"

    def _count(self, name, **labels):
        key = name, tuple(labels.items())
        self._counts[key] = self._counts.get(key, 0) + 1

    def _observe(self, name, seconds, **labels):
        values = self._histograms.setdefault((name, tuple(labels.items())), [0] * (len(_SECONDS) + 2))
        values[bisect.bisect_left(_SECONDS, seconds)] += 1
        values[-1] += seconds


def _histogram(name, labels, values) -> Iterator[str]:
    *buckets, total = values
    cumulative = list(itertools.accumulate(buckets))
    for end, number in zip((*map(str, _SECONDS), "+Inf"), cumulative, strict=True):
        yield _line(f"{name}_bucket", (*labels, ("le", end)), number)
    yield _line(f"{name}_sum", labels, total)
    yield _line(f"{name}_count", labels, cumulative[-1])


def _line(name, labels, value):
    pairs = ",".join(f'{label}="{text}"' for label, text in labels)
    return f"{_PREFIX}{name}{{{pairs}}} {value:.10g}" if pairs else f"{_PREFIX}{name} {value:.10g}"
