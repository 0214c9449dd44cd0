import threading
import time
from concurrent import futures

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.batching import BatchScheduler
from mmkeras.serving.server.metrics import Metrics
from mmkeras.serving.server.predict import predict
from mmkeras.serving.tensors import encode_tensor
from tests.serving.server.function_servable import FunctionServable


@pytest.fixture
def function_servable():
    return FunctionServable()


LONG = 60_000_000  # microseconds: a batch that is not full waits for the rest of the test


def floats(*values):
    return np.array(values, np.float32)


class Held:
    """A servable whose runs wait for `go`, so that a test decides what is queued meanwhile."""

    def __init__(self, servable):
        self.servable = servable
        self.signatures = servable.signatures
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def run(self, *arguments):
        self.started.release()
        if not self.go.acquire(timeout=20):
            raise ServingError("INTERNAL", "the test forgot this run")
        return self.servable.run(*arguments)


@pytest.fixture
def callers():
    with futures.ThreadPoolExecutor(32) as pool:
        yield pool


def code_of(future):
    with pytest.raises(ServingError) as caught:
        future.result(20)
    return caught.value.code, caught.value.details


def wait_until(condition):
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)


def test_requests_share_a_batch_and_get_their_own_rows(function_servable, callers):
    metrics = Metrics()
    with BatchScheduler(max_batch_size=4, batch_timeout_micros=LONG, metrics=metrics) as scheduler:
        servable = scheduler.batched(function_servable)
        feeds = [{"a": floats(*values), "b": floats(*values) * 10} for values in ([1], [2, 3], [4])]
        asked = [["sum"], ["mean", "sum"], ["sum"]]
        found = list(callers.map(lambda feed, aliases: servable.run("pair", feed, aliases), feeds, asked))
    assert [[array.tolist() for array in arrays] for arrays in found] == [[[11]], [[11, 16.5], [22, 33]], [[44]]]
    assert len(function_servable.runs) == 1
    assert 'queuing_latency_count{thread_pool_name="batch_threads"} 3' in metrics.text()
    assert "processed_batch_size_sum{} 4" in metrics.text()


def test_a_batch_that_is_not_full_runs_when_its_time_is_over(function_servable):
    with BatchScheduler(max_batch_size=100, batch_timeout_micros=50_000) as scheduler:
        started = time.monotonic()
        scheduler.run(function_servable, "var", {"x": np.ones([1, 2], np.float32)}, ["y"])
        assert 0.04 < time.monotonic() - started < 5


def test_what_arrives_while_the_threads_are_busy_is_one_batch(function_servable, callers):
    held = Held(function_servable)
    with BatchScheduler(max_batch_size=100, num_batch_threads=1) as scheduler:
        results = [callers.submit(scheduler.run, held, "total", {"x": floats(0)}, ["y"])]
        held.started.acquire(timeout=20)
        feeds = {"a": floats(1), "b": floats(2)}
        results = [callers.submit(scheduler.run, held, "pair", feeds, ["sum"]) for _ in range(7)]
        wait_until(lambda: scheduler.waiting() == [[7]])
        held.go.release()
        held.go.release()
        assert [result.result(20)[0].tolist() for result in results] == [[3]] * 7
    assert [len(next(iter(feeds.values()))) for _, feeds, _ in function_servable.runs] == [1, 7]


def test_signatures_and_servables_are_never_mixed(callers):
    def made(factor):
        spec = {"x": ("FLOAT", [-1])}
        return FunctionServable({"one": (spec, {"y": ("FLOAT", [-1])}, lambda x: {"y": x * factor})}, version=factor)

    servables = [made(factor) for factor in range(1, 5)]
    with BatchScheduler(max_batch_size=8, batch_timeout_micros=1000) as scheduler:
        jobs = [
            (number, callers.submit(scheduler.run, servables[number % 4], "one", {"x": floats(number)}, ["y"]))
            for number in range(200)
        ]
        for number, job in jobs:
            assert job.result(20)[0].tolist() == [number * (number % 4 + 1)]


@pytest.mark.parametrize(
    ("feeds", "code", "text"),
    [
        ({"a": floats(*range(9)), "b": floats(*range(9))}, "INVALID_ARGUMENT", "Task size 9 is larger than maximum "),
        ({"a": floats(1), "b": floats(1, 2)}, "INVALID_ARGUMENT", "Batching Run() input tensors must have equal 0th-"),
        ({"a": np.float32(1), "b": floats(1)}, "INVALID_ARGUMENT", "Batching Run() input tensors must have at least "),
    ],
)
def test_what_is_no_batch_is_refused(function_servable, feeds, code, text):
    with BatchScheduler(max_batch_size=8) as scheduler, pytest.raises(ServingError) as caught:
        scheduler.run(function_servable, "pair", {key: np.asarray(value) for key, value in feeds.items()}, ["sum"])
    assert caught.value.code == code
    assert caught.value.details.startswith(text)
    assert function_servable.runs == []


def test_an_output_without_rows(function_servable):
    short = FunctionServable({"s": ({"x": ("FLOAT", [-1])}, {"y": ("FLOAT", [-1])}, lambda x: {"y": x[:1]})})
    with BatchScheduler() as scheduler:
        with pytest.raises(ServingError, match="FAILED_PRECONDITION: Batched output tensor has 0 dimensions"):
            scheduler.run(function_servable, "total", {"x": floats(1, 2)}, ["y"])
        with pytest.raises(ServingError, match="FAILED_PRECONDITION: Batched output tensor's 0th dimension does not"):
            scheduler.run(short, "s", {"x": floats(1, 2)}, ["y"])


def test_no_rows_are_answered_at_once(function_servable):
    with BatchScheduler(batch_timeout_micros=LONG) as scheduler:
        feeds = {"x": np.zeros([0, 3], np.float32)}
        assert scheduler.run(function_servable, "serving_default", feeds, ["y"])[0].shape == (0, 2)


def test_rows_are_padded_to_an_allowed_size_with_the_first_row(function_servable):
    with BatchScheduler(max_batch_size=8, allowed_batch_sizes=[2, 4, 8]) as scheduler:
        (found,) = scheduler.run(function_servable, "var", {"x": floats([1, 2], [3, 4], [5, 6])}, ["y"])
    assert found.tolist() == [3, 7, 11]
    assert function_servable.runs[0][1]["x"].tolist() == [[1, 2], [3, 4], [5, 6], [1, 2]]


def test_different_shapes_fail_the_whole_batch_without_padding(function_servable, callers):
    with BatchScheduler(max_batch_size=2, batch_timeout_micros=LONG) as scheduler:
        rows = [np.ones([1, 2], np.float32), np.ones([1, 3], np.float32)]
        jobs = [callers.submit(scheduler.run, function_servable, "var", {"x": row}, ["y"]) for row in rows]
        for job in jobs:
            code, text = code_of(job)
            assert code == "FAILED_PRECONDITION"
            assert text.startswith(
                "Tensors with name 'x:0' from different tasks have different shapes and padding is turned off."
            )


def test_padding_is_bounded(function_servable, callers):
    """One long row beside many short ones: padded, a batch would take 800 MB."""
    with BatchScheduler(max_batch_size=101, batch_timeout_micros=LONG, pad_variable_length_inputs=True) as scheduler:
        rows = [np.ones([100, 1], np.float32), np.ones([1, 2_000_000], np.float32)]
        jobs = [callers.submit(scheduler.run, function_servable, "var", {"x": row}, ["y"]) for row in rows]
        for job in jobs:
            assert code_of(job) == (
                "FAILED_PRECONDITION",
                "Tensors with name 'x:0' from different tasks take 808000000 bytes once they are padded, more than "
                "134217728",
            )
    assert function_servable.runs == []


def test_padding_repeats_the_first_element(function_servable, callers):
    with BatchScheduler(max_batch_size=3, batch_timeout_micros=LONG, pad_variable_length_inputs=True) as scheduler:
        rows = [floats([1, 1], [1, 1]), floats([1, 2, 3, 4, 5])]
        jobs = [callers.submit(scheduler.run, function_servable, "var", {"x": row}, ["y"]) for row in rows]
        # [1, 1] is summed as [1, 1, 1, 1, 1]: what the original does, and why token ids must not be sent.
        assert [job.result(20)[0].tolist() for job in jobs] == [[5, 5], [15]]


def test_a_shape_that_contradicts_the_signature_fails_alone(function_servable, callers):
    with BatchScheduler(max_batch_size=2, batch_timeout_micros=100_000) as scheduler:
        good = callers.submit(scheduler.run, function_servable, "serving_default", {"x": floats([1, 2, 3])}, ["y"])
        bad = callers.submit(scheduler.run, function_servable, "serving_default", {"x": floats([1, 2])}, ["y"])
        bad.result(20)
        assert good.result(20)[0].tolist() == [[6, 1]]
    assert sorted(feeds["x"].shape for _, feeds, _ in function_servable.runs) == [(1, 2), (1, 3)]


def test_only_the_request_at_fault_fails(callers):
    def no_nines(x):
        if 9 in x:
            raise ServingError("INVALID_ARGUMENT", f"row {x.tolist().index(9)} is a nine")
        return {"y": x}

    servable = FunctionServable({"s": ({"x": ("FLOAT", [-1])}, {"y": ("FLOAT", [-1])}, no_nines)})
    with BatchScheduler(max_batch_size=4, batch_timeout_micros=LONG) as scheduler:
        values = [floats(1), floats(2, 9), floats(3)]
        jobs = [callers.submit(scheduler.run, servable, "s", {"x": value}, ["y"]) for value in values]
        assert jobs[0].result(20)[0].tolist() == [1]
        assert jobs[2].result(20)[0].tolist() == [3]
        assert code_of(jobs[1]) == ("INVALID_ARGUMENT", "row 1 is a nine")


def test_whatever_a_run_raises_every_caller_gets_an_answer(callers):
    servable = FunctionServable({"s": ({"x": ("FLOAT", [-1])}, {"y": ("FLOAT", [-1])}, lambda x: {}["y"])})
    with BatchScheduler(max_batch_size=2, batch_timeout_micros=LONG, num_batch_threads=1) as scheduler:
        for _ in range(2):
            jobs = [callers.submit(scheduler.run, servable, "s", {"x": floats(1)}, ["y"]) for _ in range(2)]
            assert {code_of(job)[0] for job in jobs} == {"INTERNAL"}


def test_too_many_waiting_batches(function_servable, callers):
    held = Held(function_servable)
    with BatchScheduler(max_batch_size=1, num_batch_threads=1, max_enqueued_batches=2) as scheduler:
        jobs = [callers.submit(scheduler.run, held, "pair", {"a": floats(1), "b": floats(1)}, ["sum"])]
        held.started.acquire(timeout=20)
        for waiting in (1, 2):
            jobs.append(callers.submit(scheduler.run, held, "pair", {"a": floats(1), "b": floats(1)}, ["sum"]))
            wait_until(lambda waiting=waiting: scheduler.waiting() == [[1] * waiting])
        with pytest.raises(ServingError) as caught:
            scheduler.run(held, "pair", {"a": floats(1), "b": floats(1)}, ["sum"])
        assert caught.value.code == "UNAVAILABLE"
        assert caught.value.details == "The batch scheduling queue to which this task was submitted is full"
        for _ in jobs:
            held.go.release()
        assert [job.result(20)[0].tolist() for job in jobs] == [[2]] * 3


def test_a_large_request_is_split(function_servable):
    splitting = {"enable_large_batch_splitting": True, "max_execution_batch_size": 4}
    with BatchScheduler(max_batch_size=8, allowed_batch_sizes=[2, 4], **splitting) as scheduler:
        x = np.arange(22, dtype=np.float32).reshape(11, 2)
        (found,) = scheduler.run(function_servable, "var", {"x": x}, ["y"])
    assert found.tolist() == x.sum(axis=1).tolist()
    assert sorted(len(feeds["x"]) for _, feeds, _ in function_servable.runs) == [4, 4, 4]


def test_a_split_request_first_fills_the_open_batch(function_servable, callers):
    splitting = {"enable_large_batch_splitting": True, "max_execution_batch_size": 4}
    with BatchScheduler(max_batch_size=8, batch_timeout_micros=LONG, **splitting) as scheduler:
        first = callers.submit(scheduler.run, function_servable, "var", {"x": np.ones([1, 2], np.float32)}, ["y"])
        wait_until(scheduler.waiting)
        (found,) = scheduler.run(function_servable, "var", {"x": np.full([7, 2], 2, np.float32)}, ["y"])
        assert found.tolist() == [4] * 7
        assert first.result(20)[0].tolist() == [2]
    assert [len(feeds["x"]) for _, feeds, _ in function_servable.runs] == [4, 4]


def test_a_deadline_ends_the_wait_and_the_late_request_is_not_run(function_servable, callers):
    held = Held(function_servable)
    with BatchScheduler(max_batch_size=1, num_batch_threads=1) as scheduler:
        feeds = {"a": floats(1), "b": floats(1)}
        running = callers.submit(scheduler.run, held, "pair", feeds, ["sum"], 60)
        held.started.acquire(timeout=20)
        late = callers.submit(scheduler.run, held, "pair", feeds, ["sum"], 0.05)
        assert code_of(late) == ("DEADLINE_EXCEEDED", "Timed out waiting for notification")
        held.go.release()
        running.result(20)
    ((_, _, seconds),) = function_servable.runs
    assert 30 < seconds <= 60


def test_closing_answers_what_waits(function_servable, callers):
    scheduler = BatchScheduler(max_batch_size=100, batch_timeout_micros=LONG)
    job = callers.submit(scheduler.run, function_servable, "pair", {"a": floats(1), "b": floats(1)}, ["sum"])
    wait_until(scheduler.waiting)
    scheduler.close()
    assert job.result(20)[0].tolist() == [2]
    with pytest.raises(ServingError, match="UNAVAILABLE"):
        scheduler.run(function_servable, "pair", {"a": floats(1), "b": floats(1)}, ["sum"])


def test_closing_waits_no_longer_than_it_may(function_servable, callers):
    held = Held(function_servable)
    scheduler = BatchScheduler(num_batch_threads=1)
    job = callers.submit(scheduler.run, held, "pair", {"a": floats(1), "b": floats(1)}, ["sum"])
    assert held.started.acquire(timeout=20)
    started = time.monotonic()
    scheduler.close(seconds=0.05)
    assert time.monotonic() - started < 5
    held.go.release()
    assert job.result(20)[0].tolist() == [2]


def test_nothing_is_kept_of_a_servable_that_no_request_uses(function_servable):
    with BatchScheduler() as scheduler:
        scheduler.run(function_servable, "pair", {"a": floats(1), "b": floats(1)}, ["sum"])
        assert scheduler.waiting() == []


def test_predict_goes_through_the_scheduler(function_servable):
    with BatchScheduler(max_batch_size=2) as scheduler:
        request = protos.PredictRequest(model_spec=protos.ModelSpec(name="toy"))
        request.inputs["x"].CopyFrom(encode_tensor(np.ones([3, 3], np.float32)))
        with pytest.raises(ServingError, match="Task size 3 is larger than maximum input batch size 2"):
            predict(scheduler.batched(function_servable), request)
        request.inputs["x"].CopyFrom(encode_tensor(np.ones([2, 3], np.float32)))
        response = predict(scheduler.batched(function_servable), request)
        assert list(response.outputs["y"].float_val) == [3, 1, 3, 1]


def test_the_parameters_of_a_batching_config(function_servable):
    parameters = protos.BatchingParameters(allowed_batch_sizes=[2, 8], pad_variable_length_inputs=True)
    parameters.max_batch_size.value = 8
    parameters.batch_timeout_micros.value = 0
    parameters.thread_pool_name.value = "pool"
    with BatchScheduler.from_parameters(parameters) as scheduler:
        assert (scheduler.max_batch_size, scheduler.batch_timeout_micros, scheduler.max_enqueued_batches) == (8, 0, 10)
        assert scheduler.allowed_batch_sizes == (2, 8)
        assert scheduler.pad_variable_length_inputs is True
        assert scheduler.thread_pool_name == "pool"
    parameters.max_batch_size.value = 0
    with pytest.raises(MmkerasError, match="Received: max_batch_size=0"):
        BatchScheduler.from_parameters(parameters)
    with BatchScheduler.from_parameters(protos.BatchingParameters()) as scheduler:
        assert scheduler.max_batch_size == 1000


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_batch_size": 0},
        {"max_batch_size": "8"},
        {"batch_timeout_micros": -1},
        {"max_enqueued_batches": 0},
        {"num_batch_threads": 0},
        {"max_batch_size": 8, "allowed_batch_sizes": [2, 4]},
        {"max_batch_size": 4, "allowed_batch_sizes": [4, 2, 4]},
        {"max_batch_size": 8, "allowed_batch_sizes": [2, 8], "enable_large_batch_splitting": True}
        | {"max_execution_batch_size": 4},
    ],
)
def test_parameters_out_of_range(arguments):
    before = threading.active_count()
    with pytest.raises(MmkerasError):
        BatchScheduler(**arguments)
    assert threading.active_count() == before
