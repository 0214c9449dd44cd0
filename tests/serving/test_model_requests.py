"""The conversations with a model, held without a server."""

import time

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import ServingError, protos
from mmkeras.serving.model_requests import ModelRequests
from mmkeras.serving.retry import pause_before_retry
from mmkeras.serving.tensors import as_array, encode_tensor


def answer(call, version=1):
    """Decode what a server would answer to a call of encode_text."""
    rows = call.build().inputs["text"].tensor_shape.dim[0].size
    response = protos.PredictResponse(outputs={"embedding": encode_tensor(np.full([rows, 2], version, np.float32))})
    response.model_spec.version.value = version
    return call.decode(response)


def end_of(steps, answers):
    with pytest.raises(StopIteration) as end:
        steps.send(answers)
    return end.value.value


def test_only_the_rows_of_the_older_version_are_asked_for_again():
    steps = ModelRequests("m", max_batch=1).embeddings("encode_text", {"text": as_array(["a", "b", "c"])})
    calls = next(steps)
    assert [call.build().model_spec.HasField("version") for call in calls] == [False] * 3
    again = steps.send([answer(calls[0], 1), answer(calls[1], 2), answer(calls[2], 1)])
    assert [call.build().inputs["text"].string_val[0] for call in again] == [b"a", b"c"]
    assert {call.build().model_spec.version.value for call in again} == {2}
    assert end_of(steps, [answer(call, 2) for call in again]).tolist() == [[2, 2]] * 3


def test_a_version_that_was_asked_for_and_is_not_there_ends_the_call():
    steps = ModelRequests("m", version=5).embeddings("encode_text", {"text": as_array(["a"])})
    next(steps)
    with pytest.raises(ServingError, match="NOT_FOUND"):
        steps.throw(ServingError("NOT_FOUND", "Servable not found for request: Specific(m, 5)"))


def test_a_label_is_sent_until_the_version_is_known():
    requests = ModelRequests("m", label="stable", max_batch=1)
    steps = requests.embeddings("encode_text", {"text": as_array(["a", "b"])})
    calls = next(steps)
    assert {call.build().model_spec.version_label for call in calls} == {"stable"}
    again = steps.send([answer(calls[0], 1), answer(calls[1], 2)])
    assert [(c.build().model_spec.version.value, c.build().model_spec.version_label) for c in again] == [(2, "")]


def test_requests_are_built_when_their_turn_comes():
    class Column(list):
        taken = 0
        sizes = [1] * 5

        def __getitem__(self, rows):
            Column.taken += 1
            return as_array(list(self)[rows])

    steps = ModelRequests("m", max_batch=2).embeddings("encode_text", {"text": Column(["a"] * 5)})
    calls = next(steps)
    assert (len(calls), Column.taken) == (3, 0)
    assert all(call.reads_files for call in calls)
    calls[2].build()
    assert Column.taken == 1


def test_labels_that_differ_between_rows_are_refused():
    steps = ModelRequests("m").classes("classify_text", {"text": as_array(["a", "b"])})
    next(steps)
    labels = np.array([[b"cat", b"dog"], [b"dog", b"cat"]], object)
    with pytest.raises(MmkerasError, match="same labels in every row"):
        steps.send([({"probabilities": np.ones([2, 2], np.float32), "labels": labels}, 1)])


def test_pauses_are_random_below_a_bound_that_doubles_and_end_at_the_deadline():
    busy = ServingError("UNAVAILABLE", "")
    later = time.monotonic() + 99
    for attempt, bound in ((0, 0.05), (1, 0.1), (3, 0.4), (20, 2.0)):
        pauses = [pause_before_retry(busy, attempt, 50, later) for _ in range(200)]
        assert 0 <= min(pauses) < 0.2 * bound and 0.8 * bound < max(pauses) <= bound
    assert pause_before_retry(busy, 5, 5, later) is None
    assert pause_before_retry(busy, 0, 5, time.monotonic()) is None
    assert pause_before_retry(ServingError("INTERNAL", ""), 0, 5, later) is None


def test_what_another_call_learns_on_the_way_does_not_mix_rows_up():
    requests = ModelRequests("m", max_batch=2)
    steps = requests.embeddings("encode_text", {"text": as_array(["a", "b", "c", "d"])})
    calls = next(steps)
    requests.max_batch = 1
    [again] = steps.send([answer(calls[0], 2), answer(calls[1], 1)])
    assert list(again.build().inputs["text"].string_val) == [b"c", b"d"]
    assert end_of(steps, [answer(again, 2)]).tolist() == [[2, 2]] * 4


def test_a_limit_that_another_call_has_learnt_already_is_taken_too():
    requests = ModelRequests("m", max_batch=4)
    refused = ServingError("INVALID_ARGUMENT", "Task size 4 is larger than maximum input batch size 2")
    both = [requests.embeddings("encode_text", {"text": as_array(["a"] * 4)}) for _ in range(2)]
    assert [len(next(steps)) for steps in both] == [1, 1]
    assert [len(steps.throw(refused)) for steps in both] == [2, 2]
    with pytest.raises(ServingError, match="Task size 2"):
        both[0].throw(ServingError("INVALID_ARGUMENT", "Task size 2 is larger than maximum input batch size 2"))
