"""Section 4 of the contract: Classify, Regress and MultiInference."""

import pytest
from tensorflow_serving.apis import classification_pb2, input_pb2

from .asking import example, inference_request, multi_request, says, spec

# Signature, values of "x", code, text. After "SignatureDef: " comes a debug string that is another every time.
CLASSIFY = {
    "unknown signature": ("zz", (1.0,), "INVALID_ARGUMENT", "No signature was found with the name: zz"),
    "predict signature": (
        "same_int32",
        (1.0,),
        "INVALID_ARGUMENT",
        "No classification inputs found in SignatureDef: ...",
    ),
    "no examples": ("classify", (), "INVALID_ARGUMENT", "Input is empty."),
    "signature before examples": ("zz", (), "INVALID_ARGUMENT", "No signature was found with the name: zz"),
}
REGRESS = {
    "unknown signature": ("zz", (1.0,), "INVALID_ARGUMENT", "No signature was found with the name: zz"),
    "predict signature": ("same_int32", (1.0,), "INVALID_ARGUMENT", "No regression inputs found in SignatureDef: ..."),
    "no examples": ("regress", (), "INVALID_ARGUMENT", "Input is empty."),
    "signature before examples": ("zz", (), "INVALID_ARGUMENT", "No signature was found with the name: zz"),
}
TABLES = [
    pytest.param(method, *row, id=f"{method}: {name}")
    for method, table in (("Classify", CLASSIFY), ("Regress", REGRESS))
    for name, row in table.items()
]


@pytest.mark.parametrize(("method", "signature", "values", "code", "text"), TABLES)
def test_refusal(server, method, signature, values, code, text):
    found = server.refusal(method, inference_request(method, spec(signature=signature), values))
    assert found[0] == code
    assert says(found[1], text), found[1]


def test_classes_and_scores(server):
    """The signature says tensorflow/serving/predict, as all do that TensorFlow 2 writes: it is not looked at."""
    request = inference_request("Classify", spec(signature="classify", version=1), (0.25, 0.5))
    response = server.call("Classify", request)
    rows = [[(entry.label, entry.score) for entry in row.classes] for row in response.result.classifications]
    assert rows == [[("yes", 0.25), ("no", 0.75)], [("yes", 0.5), ("no", 0.5)]]
    assert response.model_spec.signature_name == "classify"
    assert response.model_spec.version.value == 1


def test_scores_without_classes(server):
    response = server.call("Classify", inference_request("Classify", spec(signature="scores_only", version=1), (0.25,)))
    assert [(entry.label, entry.score) for entry in response.result.classifications[0].classes] == [("", 0.25)]


@pytest.mark.parametrize("signature", ["regress", "regress_column"])
def test_regression(server, signature):
    response = server.call("Regress", inference_request("Regress", spec(signature=signature), (0.25, 4.0)))
    assert [row.value for row in response.result.regressions] == [0.5, 8.0]
    assert response.model_spec.version.value == 2


def test_context_is_part_of_every_example(server):
    listed = input_pb2.ExampleListWithContext(examples=[example(None), example(None)], context=example(0.25))
    request = classification_pb2.ClassificationRequest(
        model_spec=spec(signature="scores_only", version=1), input=input_pb2.Input(example_list_with_context=listed)
    )
    rows = server.call("Classify", request).result.classifications
    assert [row.classes[0].score for row in rows] == [0.25, 0.25]


def test_an_example_that_lacks_its_feature(server):
    request = inference_request("Classify", spec(signature="classify"), (None,))
    assert server.refusal("Classify", request)[0] == "INVALID_ARGUMENT"


MULTI = {
    "no tasks": ((), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    "predict": (
        ((spec("multi", "regress_y"), "predict"),),
        "UNIMPLEMENTED",
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    "unknown model": (((spec("nope"), "regress"),), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
    "unknown version": (
        ((spec("multi", "regress_y", version=9), "regress"),),
        "NOT_FOUND",
        "Servable not found for request: Specific(multi, 9)",
    ),
    "unknown label": (
        ((spec("multi", "regress_y", label="newest"), "regress"),),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: newest",
    ),
    "same signature twice": (
        ((spec("multi", "regress_y"), "regress"), (spec("multi", "regress_y"), "regress")),
        "INVALID_ARGUMENT",
        "Duplicate evaluation of signature: regress_y",
    ),
}


@pytest.mark.parametrize(("tasks", "code", "text"), MULTI.values(), ids=MULTI)
def test_multi_inference_refusal(server, tasks, code, text):
    assert server.refusal("MultiInference", multi_request(*tasks)) == (code, text)


def test_multi_inference_of_two_models(server):
    tasks = (spec("multi", "regress_y"), "regress"), (spec("dense", "regress"), "regress")
    assert server.refusal("MultiInference", multi_request(*tasks))[0] == "INVALID_ARGUMENT"


def test_multi_inference_of_a_signature_that_tensorflow_2_wrote(server):
    """It says tensorflow/serving/predict. Seen on TensorFlow Serving 2.21.0 with default flags: it is not looked at."""
    tasks = ((spec("dense", "classify", version=1), "classify"),)
    (result,) = server.call("MultiInference", multi_request(*tasks, values=(0.25,))).results
    (row,) = result.classification_result.classifications
    assert [(entry.label, entry.score) for entry in row.classes] == [("yes", 0.25), ("no", 0.75)]


def test_multi_inference(server):
    tasks = (
        (spec("multi", "regress_y"), "regress"),
        (spec("multi", "classify_y"), "classify"),
        (spec("multi", "regress_y2"), "regress"),
    )
    results = server.call("MultiInference", multi_request(*tasks, values=(2.0, 4.0))).results
    assert [row.value for row in results[0].regression_result.regressions] == [3.0, 4.0]
    assert [row.classes[0].score for row in results[1].classification_result.classifications] == [3.0, 4.0]
    assert [row.value for row in results[2].regression_result.regressions] == [4.0, 5.0]
    assert [result.model_spec.signature_name for result in results] == ["regress_y", "classify_y", "regress_y2"]
    assert {result.model_spec.version.value for result in results} == {1}
