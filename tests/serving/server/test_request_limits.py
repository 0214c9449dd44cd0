"""A request gets no more than it may ask for, and what is refused costs nothing."""

import base64
import json
import time
import tracemalloc

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import ServingError, protos
from mmkeras.serving.server.classify import classify, multi_inference, regress
from mmkeras.serving.server.predict import predict
from mmkeras.serving.server.request_limits import MAX_ROWS, MAX_TEXT_BYTES, NO_LIMITS, RequestLimits
from mmkeras.serving.server.rest import RestApplication
from mmkeras.serving.tensors import encode_tensor
from tests.serving.server.function_servable import FixedModels, FunctionServable
from tests.serving.server.test_rest import TOY, ask_json

LIMITS = RequestLimits()
FREE_BYTES = 300_000  # a refusal's own: the message read, an error raised


@pytest.fixture
def servable():
    return FunctionServable()


@pytest.fixture
def cheap():
    """What runs inside takes less memory than `FREE_BYTES` and less than a second."""
    tracemalloc.start()
    started = time.perf_counter()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < FREE_BYTES
    assert time.perf_counter() - started < 1


def promise(kind, shape, **values):
    """A TensorProto that promises a shape."""
    return protos.TensorProto(
        dtype=protos.DataType[kind], tensor_shape={"dim": [{"size": size} for size in shape]}, **values
    )


def request(signature, **inputs):
    spec = protos.ModelSpec(name="toy", signature_name=signature)
    return protos.PredictRequest(model_spec=spec, inputs=inputs)


def refusal(function, *arguments):
    with pytest.raises(ServingError) as caught:
        function(*arguments)
    return caught.value.code, caught.value.details


def too_many(rows, where):
    return "INVALID_ARGUMENT", f"Task size {rows} is larger than maximum input batch size 4096 ({where})"


@pytest.mark.parametrize("rows", [MAX_ROWS + 1, 20_000, 2**40, 2**63 - 1])
@pytest.mark.parametrize(
    "signature, alias, proto",
    [("upper", "text", {"string_val": [b"a"]}), ("total", "x", {"float_val": [1]}), ("upper", "text", {})],
)
def test_rows_are_counted_by_the_shape(servable, cheap, signature, alias, proto, rows):
    kind = "DT_STRING" if alias == "text" else "DT_FLOAT"
    asked = request(signature, **{alias: promise(kind, [rows], **proto)})
    assert len(asked.SerializeToString()) < 80
    assert refusal(predict, servable, asked, None, LIMITS) == too_many(rows, f"input {alias}")
    assert servable.runs == []


def test_as_many_rows_as_the_limit_are_answered(servable):
    repeated = request("total", x=promise("DT_FLOAT", [MAX_ROWS], float_val=[0.5]))
    assert predict(servable, repeated, None, LIMITS).outputs["y"].float_val[:] == [MAX_ROWS / 2]
    sent = request("upper", text=encode_tensor([b"a"] * MAX_ROWS))
    assert predict(servable, sent, None, LIMITS).outputs["upper"].string_val[:] == [b"A"] * MAX_ROWS


@pytest.mark.parametrize(
    "shape",
    [
        [2**40, 32, 32, 1],
        [1, 2**40],
        [1, 5_000_000],
        [4096, 32, 32, 3],
        [-1],
        [1, -5],
        [-(2**63), -(2**63)],
        [2**63 - 1, 2**63 - 1],
        [1] * 33,
        [1, 2**62] + [2**62] * 20_000,
    ],
    ids=str,
)
@pytest.mark.parametrize("kind, values", [("DT_FLOAT", {"float_val": [1]}), ("DT_FLOAT", {"tensor_content": b"1234"})])
def test_a_shape_that_promises_more_than_is_there_costs_nothing(servable, shape, kind, values):
    asked = request("var", x=promise(kind, shape, **values))
    tracemalloc.start()
    started = time.perf_counter()
    code, details = refusal(predict, servable, asked, None, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (code, details) in (
        ("INVALID_ARGUMENT", "tensor parsing error: x"),
        too_many(shape[0], "input x"),
    )
    assert peak < FREE_BYTES
    assert time.perf_counter() - started < 1


def test_strings_of_another_rank_are_not_unpacked(servable, cheap):
    asked = request("upper", text=promise("DT_STRING", [1, 2**30], tensor_content=bytes(50_000)))
    text = "Expects arg[0] (text) to have rank 1 but rank 2 is provided"
    assert refusal(predict, servable, asked, None, LIMITS) == ("INVALID_ARGUMENT", text)


def test_values_of_any_shape_within_the_limits_are_repeated(servable):
    found = predict(servable, request("var", x=promise("DT_FLOAT", [2, 1000], float_val=[1, 0.5])), None, LIMITS)
    assert found.outputs["y"].float_val[:] == [500.5, 500.0]


def test_a_long_text_is_refused_by_name(servable):
    longest = b"x" * MAX_TEXT_BYTES
    found = predict(servable, request("upper", text=encode_tensor([b"a", longest])), None, LIMITS)
    assert found.outputs["upper"].string_val[1] == longest.upper()
    text = "Expected texts of at most 65536 bytes. Received: text of row 1 has 65537 bytes"
    asked = request("upper", text=encode_tensor([b"a", longest + b"x"]))
    assert refusal(predict, servable, asked, None, LIMITS) == ("INVALID_ARGUMENT", text)
    # Whoever serves without limits has none.
    assert len(predict(servable, asked, None, NO_LIMITS).outputs["upper"].string_val[1]) == MAX_TEXT_BYTES + 1


def test_strings_of_another_name_may_be_pictures_of_any_size(servable):
    servable.signatures["upper"].inputs["image_bytes"].CopyFrom(servable.signatures["upper"].inputs.pop("text"))
    servable.functions["upper"] = lambda image_bytes: {"upper": image_bytes, "raw_bytes": image_bytes}
    asked = request("upper", image_bytes=encode_tensor([bytes(2**20)]))
    assert len(predict(servable, asked, None, LIMITS).outputs["upper"].string_val[0]) == 2**20


def examples_request(request_class, count, feature="x", value=b"a", context=None):
    example = protos.Example()
    example.features.feature[feature].bytes_list.value.append(value)
    if context is None:
        given = protos.Input(example_list={"examples": [example] * count})
    else:
        given = protos.Input(example_list_with_context={"examples": [example] * count})
        given.example_list_with_context.context.features.feature["c"].bytes_list.value.append(context)
    signature = "judge" if request_class is protos.ClassificationRequest else "weigh"
    return request_class(model_spec={"name": "toy", "signature_name": signature}, input=given)


@pytest.mark.parametrize(
    "answer, request_class", [(classify, protos.ClassificationRequest), (regress, protos.RegressionRequest)]
)
def test_examples_are_counted_before_they_are_packed(servable, cheap, answer, request_class):
    tracemalloc.stop()
    asked = examples_request(request_class, MAX_ROWS + 1)
    most = examples_request(request_class, MAX_ROWS)
    assert len(next(iter(answer(servable, most, None, LIMITS).result.ListFields()))[1]) == MAX_ROWS
    tracemalloc.start()
    assert refusal(answer, servable, asked, None, LIMITS) == too_many(4097, "examples")
    asked = examples_request(request_class, 2, "text", bytes(MAX_TEXT_BYTES + 1))
    text = "Expected texts of at most 65536 bytes. Received: text of row 0 has 65537 bytes"
    assert refusal(answer, servable, asked, None, LIMITS) == ("INVALID_ARGUMENT", text)


def test_examples_of_several_signatures_are_counted_too(servable):
    def asked(count):
        names = (("judge", "tensorflow/serving/classify"), ("weigh", "tensorflow/serving/regress"))
        tasks = [
            {"model_spec": {"name": "toy", "signature_name": signature}, "method_name": method}
            for signature, method in names
        ]
        examples = {"example_list": {"examples": [protos.Example()] * count}}
        return protos.MultiInferenceRequest(tasks=tasks, input=examples)

    classes, values = multi_inference(servable, asked(MAX_ROWS), None, LIMITS).results
    assert len(classes.classification_result.classifications) == MAX_ROWS
    assert len(values.regression_result.regressions) == MAX_ROWS
    runs = len(servable.runs)
    assert refusal(multi_inference, servable, asked(MAX_ROWS + 1), None, LIMITS) == too_many(4097, "examples")
    assert len(servable.runs) == runs


def test_a_context_is_not_repeated_without_end(servable):
    asked = examples_request(protos.RegressionRequest, 200, context=bytes(100_000))
    code, text = refusal(regress, servable, asked, None, LIMITS)
    assert (code, text.split(". ")[1].split(":")[0]) == ("INVALID_ARGUMENT", "Received")
    assert "bytes for 200 examples" in text
    asked = examples_request(protos.RegressionRequest, 100, context=bytes(100_000))
    assert len(regress(servable, asked, None, LIMITS).result.regressions) == 100


@pytest.mark.parametrize(
    "method, body, where",
    [
        ("predict", {"signature_name": "upper", "instances": ["a"] * 4097}, "instances"),
        ("predict", {"signature_name": "upper", "instances": [{"b64": "YQ=="}] * 4097}, "instances"),
        ("predict", {"signature_name": "upper", "instances": [{"text": "a"}] * 4097}, "instances"),
        ("predict", {"signature_name": "upper", "inputs": ["a"] * 4097}, "input text"),
        ("predict", {"signature_name": "upper", "inputs": {"text": [{"b64": "YQ=="}] * 4097}}, "input text"),
        ("predict", {"signature_name": "pair", "inputs": {"a": [1], "b": [1] * 4097}}, "input b"),
        ("classify", {"signature_name": "judge", "examples": [{"x": 1}] * 4097}, "examples"),
        ("regress", {"signature_name": "weigh", "examples": [{"x": 1}] * 4097}, "examples"),
    ],
)
def test_rows_over_rest(servable, method, body, where):
    application = RestApplication(FixedModels(servable))
    answer = ask_json(application, "POST", f"{TOY}:{method}", json.dumps(body).encode())
    assert answer == (400, {"error": too_many(4097, where)[1]})
    assert servable.runs == []
    key = next(key for key in ("instances", "inputs", "examples") if key in body)
    rows = body[key]
    body[key] = rows[:4096] if isinstance(rows, list) else {name: column[-1:] * 4096 for name, column in rows.items()}
    assert ask_json(application, "POST", f"{TOY}:{method}", json.dumps(body).encode())[0] == 200


@pytest.mark.parametrize("encoded", [False, True])
def test_long_texts_over_rest(servable, encoded):
    application = RestApplication(FixedModels(servable), limits=RequestLimits(max_text_bytes=8))

    def asked(text):
        value = {"b64": base64.b64encode(text.encode()).decode()} if encoded else text
        body = json.dumps({"signature_name": "upper", "instances": ["a", value]}).encode()
        return ask_json(application, "POST", f"{TOY}:predict", body)

    assert asked("12345678")[1]["predictions"][1]["upper"] == "12345678"
    text = "Expected texts of at most 8 bytes. Received: text of row 1 has 9 bytes"
    assert asked("123456789") == (400, {"error": text})


def test_warm_up_records_have_no_limits(servable):
    asked = request("total", x=encode_tensor(np.ones([5000], np.float32)))
    assert predict(servable, asked).outputs["y"].float_val[:] == [5000.0]


@pytest.mark.parametrize("arguments", [{"max_rows": 0}, {"max_text_bytes": -1}, {"max_rows": True}, {"max_rows": 1.5}])
def test_limits_out_of_range(arguments):
    (name,) = arguments
    with pytest.raises(MmkerasError, match=f"Expected {name} to be an int of at least 1 or None. Received: {name}="):
        RequestLimits(**arguments)
