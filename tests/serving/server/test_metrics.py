import re
import threading

import numpy as np
import pytest

from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.metrics import Metrics
from tests.serving.server.function_servable import FunctionServable


@pytest.fixture
def function_servable():
    return FunctionServable()


def test_counters_and_histograms_in_prometheus_words():
    metrics = Metrics()
    with metrics.request("toy", "Predict", "GRPC"):
        pass
    with pytest.raises(ServingError), metrics.request("toy", "Predict", "REST"):
        raise ServingError("NOT_FOUND", "no")
    with pytest.raises(ZeroDivisionError), metrics.request("toy", "Predict", "REST"):
        1 / 0  # noqa: B018
    lines = metrics.text().splitlines()
    name = ":tensorflow:serving:request_count"
    assert lines[:4] == [
        f"# TYPE {name} counter",
        f'{name}{{model_name="toy",status="INTERNAL"}} 1',
        f'{name}{{model_name="toy",status="NOT_FOUND"}} 1',
        f'{name}{{model_name="toy",status="OK"}} 1',
    ]
    assert lines[4] == "# TYPE :tensorflow:serving:request_latency histogram"
    labels = 'model_name="toy",API="Predict",entrypoint="GRPC"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 1" in lines
    assert any(line.startswith(f":tensorflow:serving:request_latency_sum{{{labels}}} ") for line in lines)


def test_buckets_are_cumulative_and_end_at_infinity():
    metrics = Metrics()
    for rows in (1, 2, 2, 3, 100_000):
        metrics.observe("batching_session:input_batch_size", (), rows)
    buckets = re.findall(r'input_batch_size_bucket\{le="(.*)"\} (\d+)', metrics.text())
    assert buckets[:3] == [("1", "1"), ("2", "3"), ("4", "4")]
    assert buckets[-1] == ("+Inf", "5")
    assert ":tensorflow:serving:batching_session:input_batch_size_sum{} 100008" in metrics.text()


def test_every_line_is_one_that_prometheus_reads():
    metrics = Metrics()
    with metrics.request('a "quoted" \\ name\n', "Predict", "REST"):
        metrics.observe("batching_session:padding_size", ("8",), 3)
    sample = re.compile(r'[a-zA-Z_:][\w:]*\{([a-zA-Z_]\w*="([^"\\\n]|\\["\\n])*",?)*\} [0-9.e+]+')
    for line in metrics.text().splitlines():
        assert line.startswith("# TYPE ") or sample.fullmatch(line), line


def test_a_client_cannot_fill_the_memory_with_model_names():
    metrics = Metrics()
    for number in range(3000):
        metrics.count("request_count", (f"model {number}", "NOT_FOUND"))
    lines = metrics.text().splitlines()
    assert len(lines) == 1002
    assert ':tensorflow:serving:request_count{model_name="(other)",status="(other)"} 2000' in lines


def test_runs_are_timed(function_servable):
    metrics = Metrics()
    timed = metrics.timed(function_servable, "Predict")
    assert timed.signatures is function_servable.signatures
    assert timed.run("total", {"x": np.ones(3)}, ["y"])[0] == 3
    assert 'runtime_latency_count{model_name="toy",API="Predict",runtime="TF1"} 1' in metrics.text()


def test_nothing_is_lost_between_threads():
    metrics = Metrics()

    def count():
        for _ in range(2000):
            metrics.count("request_count", ("toy", "OK"))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ':request_count{model_name="toy",status="OK"} 8000' in metrics.text()
