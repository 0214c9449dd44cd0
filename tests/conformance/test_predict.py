"""Section 3 of the contract: Predict over gRPC."""

import shutil

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from .asking import predict, predict_request, says, spec, states
from .fixture_models import write_tokens
from .server import KIND, models_config

FEATS = {"feats": [[1.0, 2.0, 3.0]]}
DOUBLE = tf.make_tensor_proto([[1.0, 2, 3]], tf.float64)
CORRUPT = tensor_pb2.TensorProto(dtype=1, tensor_content=b"abc")
CORRUPT.tensor_shape.dim.add(size=1)
CORRUPT.tensor_shape.dim.add(size=3)
# Arguments of the request, code, text ("..." at its end: and whatever follows).
REFUSALS = {
    "unknown signature": ({"signature": "zz"}, "FAILED_PRECONDITION", 'Serving signature key "zz" not found.'),
    "no serving_default": (
        {"name": "plain", "inputs": {"x": [1.0]}},
        "FAILED_PRECONDITION",
        'Serving signature key "serving_default" not found.',
    ),
    "fewer inputs": (
        {"signature": "pair", "inputs": {"a": [1.0]}},
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
    ),
    "no inputs": (
        {"inputs": {}},
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({feats}). Sent extra: {}. "
        "Missing but required: {feats}.",
    ),
    "more inputs": (
        {"inputs": {**FEATS, "more": [1.0]}},
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({feats,more}) != len({feats}). Sent extra: {more}. "
        "Missing but required: {}.",
    ),
    "wrong name": (
        {"inputs": {"x": [[1.0, 2, 3]]}},
        "INVALID_ARGUMENT",
        "Signature input alias: feats(feed name: serving_default_feats:0) not found in request and no default value "
        # Seen on TensorFlow Serving 2.21.0: one space stands at the end; on 2.20.0 there were two.
        "provided. Inputs expected to be in the request {x}, or default input alias set: ...",
    ),
    "wrong dtype": (
        {"inputs": {"feats": DOUBLE}},
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but double is provided",
    ),
    "string for a number": (
        {"inputs": {"feats": [["1", "2", "3"]]}},
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but string is provided",
    ),
    "wrong shape": (
        {"inputs": {"feats": [[1.0] * 4] * 2}},
        "INVALID_ARGUMENT",
        "Matrix size-incompatible: In[0]: [2,4], In[1]: [3,2]...",
    ),
    "corrupt tensor": ({"inputs": {"feats": CORRUPT}}, "INVALID_ARGUMENT", "tensor parsing error: feats"),
    "default tensor": (
        {"inputs": {"feats": tensor_pb2.TensorProto()}},
        "INVALID_ARGUMENT",
        "tensor parsing error: feats",
    ),
    "output_filter unknown": (
        {"output_filter": ["zz"]},
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: zz Outputs expected to be in the set {mean,sum}.",
    ),
    "output_filter duplicate": (
        {"output_filter": ["mean", "mean"]},
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: mean",
    ),
    "jit_compile": ({"signature": "jit", "inputs": {"x": [1.0]}}, "INTERNAL", "XLA compilation disabled..."),
    "init op": (
        {"signature": "__saved_model_init_op", "inputs": {}},
        "OUT_OF_RANGE",
        "Node 'NoOp' (type: 'NoOp', num of outputs: 0) does not have output 0",
    ),
    # The order of the checks: signature, number of inputs, tensors, output filter, run.
    "signature before inputs": (
        {"signature": "zz", "inputs": {}},
        "FAILED_PRECONDITION",
        'Serving signature key "zz" not found.',
    ),
    "number before tensors": (
        {"inputs": {"feats": CORRUPT, "more": CORRUPT}},
        "INVALID_ARGUMENT",
        "input size does not match...",
    ),
    "tensors before filter": (
        {"inputs": {"feats": CORRUPT}, "output_filter": ["zz"]},
        "INVALID_ARGUMENT",
        "tensor parsing error: feats",
    ),
    "filter before run": (
        {"inputs": {"feats": DOUBLE}, "output_filter": ["zz"]},
        "INVALID_ARGUMENT",
        "output tensor alias not found...",
    ),
}


@pytest.mark.parametrize(("arguments", "code", "text"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(server, arguments, code, text):
    arguments = {"signature": "", "name": "dense", "inputs": FEATS, "output_filter": (), **arguments}
    model_spec = spec(arguments["name"], arguments["signature"])
    request = predict_request(model_spec, arguments["inputs"], arguments["output_filter"])
    found = server.refusal("Predict", request)
    assert found[0] == code
    assert says(found[1], text), found[1]


def test_model_spec_before_signature(server):
    request = predict_request(spec("nope", "zz"), {})
    assert server.refusal("Predict", request)[0] == "NOT_FOUND"


def test_response(server):
    response = server.call("Predict", predict_request(spec(), FEATS))
    assert response.model_spec.name == "dense"
    assert response.model_spec.version.value == 2
    assert response.model_spec.signature_name == "serving_default"
    assert sorted(response.outputs) == ["mean", "sum"]
    mean = response.outputs["mean"]
    assert list(mean.float_val) == [12.0]
    assert mean.tensor_content == b""
    assert [dim.size for dim in mean.tensor_shape.dim] == [1]


@pytest.mark.parametrize(
    ("dtype", "field", "values"),
    [
        ("double", "double_val", [1.5, -2.5]),
        ("int8", "int_val", [-8, 7]),
        ("int16", "int_val", [-300, 300]),
        ("int32", "int_val", [-70000, 70000]),
        ("int64", "int64_val", [-(2**40), 2**40]),
        ("uint8", "int_val", [0, 255]),
        ("uint32", "uint32_val", [0, 2**32 - 1]),
        ("uint64", "uint64_val", [0, 2**64 - 1]),
        ("bool", "bool_val", [True, False]),
        ("half", "half_val", [0x3C00, 0xC000]),
    ],
)
@pytest.mark.parametrize("sent_as_content", [False, True])
def test_outputs_are_in_typed_fields(server, dtype, field, values, sent_as_content):
    numpy_type = tf.as_dtype(dtype).as_numpy_dtype
    array = np.array([1.0, -2.0] if dtype == "half" else values, numpy_type)
    x = tensor_pb2.TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum)
    x.tensor_shape.dim.add(size=2)
    if sent_as_content:
        x.tensor_content = array.tobytes()
    else:
        getattr(x, field).extend(values)
    y = server.call("Predict", predict_request(spec(signature=f"same_{dtype}"), {"x": x})).outputs["y"]
    assert list(getattr(y, field)) == values
    assert y.tensor_content == b""


def test_outputs_as_tensor_content(start, start_config):
    server = start(start_config, flags=["--enable_serialization_as_tensor_content=true"])
    mean = server.call("Predict", predict_request(spec(), FEATS)).outputs["mean"]
    assert (mean.tensor_content, list(mean.float_val)) == (np.float32(12).tobytes(), [])


def test_empty_batch(server):
    assert predict(server, {"feats": tf.make_tensor_proto(np.zeros([0, 3], np.float32))}) == {"mean": [], "sum": []}


def test_one_value_for_a_whole_tensor(server):
    splat = tensor_pb2.TensorProto(dtype=1, float_val=[1.0])
    splat.tensor_shape.dim.add(size=2)
    splat.tensor_shape.dim.add(size=3)
    assert predict(server, {"feats": splat}, version=1) == {"mean": [3.0, 3.0], "sum": [6.0, 6.0]}


def test_bytes_that_are_no_utf_8(server):
    text = [b"\xff\x00\xfe", b"", "é".encode()]
    assert predict(server, {"text": text}, "text")["same"] == text


def test_a_vocabulary_in_an_asset_file(server):
    """Section 9: the file on which the table was made is gone, its copy among the assets is read."""
    text = ["two words", "nothing", "one", "", "d\u0117l\u0117"]
    assert predict(server, {"text": text}, name="vocabulary") == {"line": [1, -1, 0, -1, 2]}


def test_an_operation_of_tensorflow_text(start, folders):
    """Section 9: the server links them; a guarded signature refuses the scalar that would end it."""
    here, there = folders
    shutil.rmtree(here / "tokens", ignore_errors=True)
    write_tokens(here / "tokens" / "1")
    server = start(models_config(there, {"tokens": "latest {}"}))
    assert predict(server, {"text": ["a b  c", "", "\u0117 "]}, name="tokens") == {"count": [3, 0, 1]}
    assert server.refusal("Predict", predict_request(spec("tokens"), {"text": "a b"}))[0] == "INVALID_ARGUMENT"
    assert predict(server, {"text": ["a"]}, name="tokens") == {"count": [1]}


def test_a_string_of_1_mb(server):
    text = [b"x" * 2**20]
    assert predict(server, {"text": text}, "text")["same"] == text


def test_output_filter(server):
    assert predict(server, FEATS, version=1, output_filter=["sum"]) == {"sum": [12.0]}


def test_output_filter_runs_the_whole_function(server):
    assert predict(server, {"x": [1.0]}, "positive", output_filter=["plain"]) == {"plain": [2.0]}
    request = predict_request(spec(signature="positive"), {"x": [-1.0]}, ["plain"])
    code, text = server.refusal("Predict", request)
    assert code == "INVALID_ARGUMENT"
    assert "not positive" in text


@pytest.mark.parametrize("text", ["one", [["one", "two"], ["three", "four"]]], ids=["scalar", "matrix"])
def test_shapes_are_not_checked(server, text):
    """The original checks no shape; the embedded server refuses strings of the wrong rank, which can end the other."""
    request = predict_request(spec(signature="text"), {"text": text})
    code, content = server.raw("/tensorflow.serving.PredictionService/Predict", request.SerializeToString())
    assert code in (["OK"] if KIND == "binary" else ["OK", "INVALID_ARGUMENT"]), content


@pytest.mark.parametrize("text", ["one", [["one", "two"]]], ids=["scalar", "matrix"])
def test_ensure_shape_is_a_guard(server, text):
    request = predict_request(spec(signature="guarded_text"), {"text": text})
    assert server.refusal("Predict", request)[0] == "INVALID_ARGUMENT"
    assert predict(server, {"text": ["one", "two"]}, "guarded_text") == {"same": [b"one", b"two"]}


def test_numbers_of_another_shape_are_the_operations_business(server):
    assert predict(server, {"a": [[1.0, 2.0]], "b": [[3.0], [4.0]]}, "pair") == {"sum": [[4.0, 5.0], [5.0, 6.0]]}
    assert predict(server, {"x": [1.0, 2.0]}, "scalar_input") == {"y": [2.0, 4.0]}


def test_an_input_in_the_middle_of_a_graph(server):
    """TensorFlow 1 could name any tensor as an input; this one is computed from the examples of other signatures."""
    assert predict(server, {"x": [2.0, 4.0]}, name="multi") == {"y": [3.0, 4.0]}


def test_an_operation_that_the_server_does_not_know(start, folders):
    """The original finds out at the first request, so that the version is AVAILABLE; a load that fails is as good."""
    config = 'model_config_list { config { name: "NAME" base_path: "FOLDER/NAME" model_platform: "tensorflow" } }'
    config = config.replace("FOLDER", str(folders[1]))
    server = start(config.replace("NAME", "half"))
    try:
        server.reload(config.replace("NAME", "lacking"))
    except grpc.RpcError as error:
        assert KIND == "embedded"
        assert "NoSuchOperation" in error.details()
        assert states(server, "lacking")[0][1] == "END"
    else:
        code, text = server.refusal("Predict", predict_request(spec("lacking"), {"x": [1.0]}))
        assert code == "NOT_FOUND"
        assert says(text, "Op type not registered 'NoSuchOperation' in binary running on ...")
