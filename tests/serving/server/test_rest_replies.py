import json

import numpy as np
import pytest

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.rest_replies import (
    write_classifications,
    write_error,
    write_metadata,
    write_outputs,
    write_regressions,
    write_status,
)
from tests.serving.server.function_servable import FunctionServable


@pytest.fixture
def function_servable():
    return FunctionServable()


FLOATS = np.array([1.5, 2], np.float32)


def test_one_output_is_bare_and_several_are_objects():
    assert json.loads(write_outputs(True, {"y": FLOATS})) == {"predictions": [1.5, 2.0]}
    assert json.loads(write_outputs(False, {"y": FLOATS})) == {"outputs": [1.5, 2.0]}
    two = {"b": FLOATS, "a": np.array([[1], [2]], np.int32)}
    assert json.loads(write_outputs(True, two)) == {"predictions": [{"a": [1], "b": 1.5}, {"a": [2], "b": 2.0}]}
    assert json.loads(write_outputs(False, two)) == {"outputs": {"a": [[1], [2]], "b": [1.5, 2.0]}}


def test_the_name_says_which_strings_are_bytes():
    text = np.array([b"a"], dtype=object)
    assert json.loads(write_outputs(True, {"x_bytes": text, "x": text})) == {
        "predictions": [{"x": "a", "x_bytes": {"b64": "YQ=="}}]
    }


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"y": np.float32(1)}, "Tensor name: y has no shape information "),
        ({"y": np.zeros([0, 2])}, "Tensor name: y has invalid batch size: 0"),
        ({"a": FLOATS, "b": np.ones([3])}, "Tensor name: b has inconsistent batch size: 3 expecting: 2"),
    ],
)
def test_what_is_no_row(outputs, text):
    with pytest.raises(ServingError) as caught:
        write_outputs(True, outputs)
    assert (caught.value.code, caught.value.details) == ("INVALID_ARGUMENT", text)
    assert "outputs" in json.loads(write_outputs(False, outputs))


def test_results():
    assert write_classifications([[("cat", 0.20000000298023224)], []]) == '{"results": [[["cat", 0.2]], []]}'
    assert write_regressions([0.20000000298023224, 3]) == '{"results": [0.2, 3.0]}'


def test_status():
    response = protos.GetModelStatusResponse()
    response.model_version_status.add(version=2, state=30, status=protos.StatusProto())
    response.model_version_status.add(version=1, state=50, status=protos.StatusProto(error_code=5, error_message="no"))
    assert json.loads(write_status(response)) == {
        "model_version_status": [
            {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
            {"version": "1", "state": "END", "status": {"error_code": "NOT_FOUND", "error_message": "no"}},
        ]
    }


def test_metadata(function_servable):
    response = protos.GetModelMetadataResponse(model_spec=protos.ModelSpec(name="toy"))
    response.model_spec.version.value = 2
    one = {"serving_default": function_servable.signatures["serving_default"]}
    response.metadata["signature_def"].value = protos.SignatureDefMap(signature_def=one).SerializeToString()
    tensor = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}}
    x, y = ({**tensor, "name": name, "tensor_shape": {**tensor["tensor_shape"]}} for name in ("x:0", "y:0"))
    x["tensor_shape"]["dim"] = [{"size": "-1", "name": ""}, {"size": "3", "name": ""}]
    y["tensor_shape"]["dim"] = [{"size": "-1", "name": ""}, {"size": "2", "name": ""}]
    signature = {"inputs": {"x": x}, "outputs": {"y": y}, "method_name": "tensorflow/serving/predict", "defaults": {}}
    assert json.loads(write_metadata(response)) == {
        "model_spec": {"name": "toy", "signature_name": "", "version": "2"},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
    }


def test_errors_are_json_whatever_they_say():
    assert json.loads(write_error('a "quoted"\nline \x00')) == {"error": 'a "quoted"\nline \x00'}
