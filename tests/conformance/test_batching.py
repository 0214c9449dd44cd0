"""Section 8 of the contract: server-side batching.

The embedded server is kinder by design: requests of one batch that do not fit together are run one by one, so that each
gets its own answer, and a request without rows is answered at once.
"""

import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError

from .asking import predict, predict_request, says, spec
from .server import models_config

BATCHING = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 150000 }
max_enqueued_batches { value: 20 }
num_batch_threads { value: 2 }
"""
SPLITTING = """
max_batch_size { value: 100 }
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 4 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
"""
ALLOWED = """
max_batch_size { value: 8 }
allowed_batch_sizes: 4
allowed_batch_sizes: 8
thread_pool_name { value: "rows" }
"""


@pytest.fixture(scope="module")
def config(folders):
    return models_config(folders[1], {"rows": "latest {}"})


@pytest.fixture(scope="module")
def batching(start_for_module, config):
    # Seen on TensorFlow Serving 2.21.0 with its own 4 threads a core: on two cores the eighth request is refused.
    return start_for_module(config, batching=BATCHING, max_threads=64)


def together(server, *several_inputs, signature=""):
    """Answers to requests sent at once: outputs, or (code, text)."""
    answers = [None] * len(several_inputs)

    def ask(position, inputs):
        try:
            answers[position] = predict(server, inputs, signature, "rows")
        except grpc.RpcError as error:
            answers[position] = (error.code().name, error.details())

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(several_inputs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


REFUSALS = {
    "too many rows": (
        {"inputs": {"x": [[1.0]] * 9}},
        "INVALID_ARGUMENT",
        "Task size 9 is larger than maximum input batch size 8...",
    ),
    "unequal rows": (
        {"signature": "pair", "inputs": {"a": [1.0, 2.0], "b": [1.0]}},
        "INVALID_ARGUMENT",
        "Batching Run() input tensors must have equal 0th-dimension size...",
    ),
    "scalar input": (
        {"signature": "scalar_input", "inputs": {"x": 1.0}},
        "INVALID_ARGUMENT",
        "Batching Run() input tensors must have at least one dimension...",
    ),
    "scalar output": (
        {"signature": "scalar_output", "inputs": {"x": [1.0, 2.0]}},
        "FAILED_PRECONDITION",
        "Batched output tensor has 0 dimensions...",
    ),
}


@pytest.mark.parametrize(("arguments", "code", "text"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(batching, arguments, code, text):
    request = predict_request(spec("rows", arguments.get("signature", "")), arguments["inputs"])
    found = batching.refusal("Predict", request)
    assert found[0] == code
    assert says(found[1], text), found[1]


def test_as_many_rows_as_fit(batching):
    assert predict(batching, {"x": [[1.0, 2.0]] * 8}, name="rows") == {"y": [3.0] * 8, "batch": [8] * 8}


def test_requests_that_arrive_together_run_together(batching):
    answers = together(batching, *({"x": [[float(number), 1.0]]} for number in range(8)))
    assert [answer["y"] for answer in answers] == [[number + 1.0] for number in range(8)]
    assert max(answer["batch"][0] for answer in answers) > 1


def test_strings_of_any_length(batching):
    answers = together(batching, {"text": ["a b c"]}, {"text": ["", "one " * 1000]}, signature="words")
    assert answers == [{"count": [3]}, {"count": [0, 1000]}]


def test_rows_of_different_lengths(batching):
    """On the original all requests of such a batch fail; on the embedded server none does."""
    answers = together(batching, {"x": [[2.0, 2.0]]}, {"x": [[1.0] * 5]})
    for answer, right in zip(answers, (4.0, 5.0), strict=True):
        if isinstance(answer, dict):
            assert answer["y"] == [right]
        else:
            assert answer[0] == "FAILED_PRECONDITION"
            assert says(answer[1], "Tensors with name '...")
            assert "from different tasks have different shapes and padding is turned off." in answer[1]


def test_padding_repeats_the_first_element(start, config):
    own = start(config, max_threads=64, batching=BATCHING + "pad_variable_length_inputs: true\n")
    answers = together(own, {"x": [[2.0, 2.0]]}, {"x": [[1.0] * 5]})
    assert answers[1]["y"] == [5.0]
    # In one batch a row of 5; alone its own sum.
    assert (answers[0]["y"], answers[0]["batch"]) in [([10.0], [2]), ([4.0], [1])]


def test_splitting(start, config):
    own = start(config, batching=SPLITTING)
    outputs = predict(own, {"x": [[float(number)] for number in range(9)]}, name="rows")
    assert outputs["y"] == [float(number) for number in range(9)]
    assert max(outputs["batch"]) <= 4


def test_batches_are_filled_up_to_an_allowed_size(start, config):
    own = start(config, batching=ALLOWED)
    assert predict(own, {"x": [[1.0]]}, name="rows") == {"y": [1.0], "batch": [4]}
    assert predict(own, {"x": [[1.0]] * 5}, name="rows") == {"y": [1.0] * 5, "batch": [8] * 5}


PARAMETERS = {
    "unknown key": "max_batch_sizes { value: 8 }",
    "unwrapped value": "max_batch_size: 8",
    "last allowed size is another": "max_batch_size { value: 8 } allowed_batch_sizes: 4",
}


@pytest.mark.parametrize("parameters", PARAMETERS.values(), ids=PARAMETERS)
def test_a_file_that_keeps_the_server_from_starting(start, config, parameters):
    with pytest.raises((RuntimeError, MmkerasError)):
        start(config, batching=parameters)


def test_a_request_without_rows(start, config):
    """A defect: on the original it hangs until its deadline and spoils the next batch."""
    own = start(config, batching=BATCHING)
    request = predict_request(spec("rows"), {"x": tf.make_tensor_proto(np.zeros([0, 2], np.float32))})
    code, content = own.raw("/tensorflow.serving.PredictionService/Predict", request.SerializeToString(), seconds=1)
    assert code in ("OK", "DEADLINE_EXCEEDED"), content
    if code == "OK":
        assert predict(own, {"x": [[1.0, 2.0]]}, name="rows") == {"y": [3.0], "batch": [1]}
