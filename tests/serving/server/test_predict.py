"""Predict answers as TensorFlow Serving does: every row of its contract that can happen here."""

import shutil
import time
from concurrent import futures

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, EmbeddedServer, protos
from mmkeras.serving.tensors import decode_tensor, encode_tensor

PREDICT = "PredictionService/Predict"
UNIT = encode_tensor(np.ones([2, 3], np.float32))
ONE = encode_tensor(np.ones([1], np.float32))


def predict_request(signature="", inputs=None, output_filter=()):
    return protos.PredictRequest(
        model_spec=protos.ModelSpec(name="toy", signature_name=signature),
        inputs=inputs or {},
        output_filter=output_filter,
    )


PREDICT_CASES = {
    "unknown_signature": (
        predict_request("zz", {"x": UNIT}),
        "FAILED_PRECONDITION",
        'Serving signature key "zz" not found.',
    ),
    "fewer_inputs": (
        predict_request("pair", {"a": ONE}),
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
    ),
    "no_inputs": (
        predict_request("pair"),
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=2 len({}) != len({a,b}). Sent extra: {}. Missing but required: {a,b}.",
    ),
    "more_inputs": (
        predict_request("", {"x": UNIT, "more": UNIT}),
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({more,x}) != len({x}). Sent extra: {more}. "
        "Missing but required: {}.",
    ),
    "wrong_name": (
        predict_request("", {"feats": UNIT}),
        "INVALID_ARGUMENT",
        "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {feats}, or default input alias set: ",
    ),
    "wrong_dtype": (
        predict_request("", {"x": encode_tensor(np.ones([2, 3]))}),
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but double is provided",
    ),
    "wrong_dtype_of_second": (
        predict_request("pair", {"a": ONE, "b": encode_tensor([b"1"])}),
        "INVALID_ARGUMENT",
        "Expects arg[1] to be float but string is provided",
    ),
    "default_tensor": (
        predict_request("", {"x": protos.TensorProto()}),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    "corrupt_tensor": (
        predict_request("", {"x": protos.TensorProto(dtype=1, tensor_content=b"123")}),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    "unknown_output": (
        predict_request("pair", {"a": ONE, "b": ONE}, ["sum", "zz"]),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: zz Outputs expected to be in the set {mean,sum}.",
    ),
    "output_twice": (
        predict_request("pair", {"a": ONE, "b": ONE}, ["mean", "mean"]),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: mean",
    ),
    "initialiser": (
        predict_request("__saved_model_init_op"),
        "OUT_OF_RANGE",
        "Node 'NoOp' (type: 'NoOp', num of outputs: 0) does not have output 0",
    ),
    "xla": (predict_request("jit", {"x": ONE}), "INTERNAL", "XLA compilation disabled"),
    # The order of the checks: each of these is wrong in two ways.
    "signature_before_inputs": (
        predict_request("zz", {"feats": protos.TensorProto()}),
        "FAILED_PRECONDITION",
        'Serving signature key "zz" not found.',
    ),
    "tensor_before_filter": (
        predict_request("", {"x": protos.TensorProto()}, ["zz"]),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    "filter_before_dtype": (
        predict_request("", {"x": encode_tensor(np.ones([2, 3]))}, ["zz"]),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: zz Outputs expected to be in the set {y}.",
    ),
}


@pytest.mark.parametrize("case", PREDICT_CASES)
def test_predict_refuses(refusal, case):
    request, code, text = PREDICT_CASES[case]
    assert refusal(PREDICT, request) == (code, text)


def test_a_wrong_shape_is_for_the_operation_to_refuse(call, refusal):
    refused = refusal(PREDICT, predict_request("", {"x": encode_tensor(np.ones([2, 4], np.float32))}))
    assert refused == ("INVALID_ARGUMENT", "Matrix size-incompatible: In[0]: [2,4], In[1]: [3,2]")
    # [None] says the signature; the operations take any rank, and so does the server.
    request = predict_request("pair", {"a": UNIT, "b": UNIT})
    assert decode_tensor(call(PREDICT, request).outputs["sum"]).shape == (2, 3)


def test_a_string_of_the_wrong_rank_does_not_reach_the_kernel(refusal):
    for wrong, rank in ((encode_tensor("scalar"), 0), (encode_tensor([["a", "b"]]), 2)):
        refused = refusal(PREDICT, predict_request("upper", {"text": wrong}))
        assert refused == ("INVALID_ARGUMENT", f"Expects arg[0] (text) to have rank 1 but rank {rank} is provided")


def test_an_operations_error_keeps_its_code_and_text(refusal):
    code, text = refusal(PREDICT, predict_request("fail", {"message": encode_tensor(["the reason"])}))
    assert code == "INVALID_ARGUMENT"
    assert text.startswith("assertion failed: ") and "the reason" in text


def test_the_response_names_what_answered_in_typed_fields(call):
    response = call(PREDICT, predict_request("", {"x": UNIT}))
    expected = protos.ModelSpec(name="toy", signature_name="serving_default", version=protos.Int64Value(value=2))
    assert response.model_spec == expected
    assert response.outputs["y"].float_val[:] == [6.0] * 4
    assert not response.outputs["y"].tensor_content
    strings = encode_tensor(["omega", b"\xff\xfe", ""])
    response = call(PREDICT, predict_request("upper", {"text": strings}))
    assert response.outputs["upper"].string_val[:] == [b"OMEGA", b"\xff\xfe", b""]
    assert response.outputs["word"].int64_val[:] == [24, -1, -1]
    response = call(PREDICT, predict_request("half", {"x": encode_tensor(np.array([1.5], np.float16))}))
    assert response.outputs["y"].half_val[:] == [0x4200]
    assert response.outputs["brain"].half_val[:] == [0x3FC0]


def test_inputs_in_every_form(call):
    splat = protos.TensorProto(dtype=1, float_val=[2.0])
    splat.tensor_shape.dim.add(size=2)
    splat.tensor_shape.dim.add(size=3)
    assert call(PREDICT, predict_request("", {"x": splat})).outputs["y"].float_val[:] == [12.0] * 4
    empty = encode_tensor(np.zeros([0, 3], np.float32))
    assert decode_tensor(call(PREDICT, predict_request("", {"x": empty})).outputs["y"]).shape == (0, 2)
    one = call(PREDICT, predict_request("pair", {"a": ONE, "b": ONE}, ["mean"]))
    assert dict(one.outputs).keys() == {"mean"}


def test_messages_of_any_size(toy_path):
    values = np.arange(3_000_000, dtype=np.float32)
    with EmbeddedServer(toy_path, max_rows=None) as server, Client(server.address, "toy", timeout=20) as client:
        np.testing.assert_array_equal(client.predict("pair", {"a": values, "b": values})["mean"], values)


def test_defaults_fill_in_for_inputs_that_are_not_sent(toy_path, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    base_path = tmp_path / "with_default"
    shutil.copytree(toy_path / "00000001", base_path / "1")
    file = base_path / "1" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    default = saved.meta_graphs[0].signature_def["pair"].defaults["b"]
    default.ParseFromString(encode_tensor(np.array([10.0], np.float32)).SerializeToString())
    file.write_bytes(saved.SerializeToString())
    with EmbeddedServer(base_path) as server, Client(server.address, "with_default") as client:
        assert client.predict("pair", {"a": [1.0]})["sum"].tolist() == [11.0]
        assert client.predict("pair", {"a": [1.0], "b": [2.0]})["sum"].tolist() == [3.0]
        with pytest.raises(MmkerasError, match=r"len\({b}\) != len\({a,b}\).*Missing but required: {a}"):
            client.predict("pair", {"b": [1.0]})
        with pytest.raises(MmkerasError, match="default input alias set: b$"):
            client.predict("pair", {"b": [1.0], "c": [1.0]})


def test_a_model_without_serving_default(write_half_plus_two, tmp_path):
    write_half_plus_two(tmp_path / "named" / "5", signature="named")
    with EmbeddedServer(tmp_path / "named") as server, Client(server.address, "named") as client:
        assert client.predict("named", {"x": [2.0]})["y"].tolist() == [3.0]
        with pytest.raises(MmkerasError) as caught:
            client.predict("", {"x": [2.0]})
        assert (caught.value.code, caught.value.details) == (
            "FAILED_PRECONDITION",
            'Serving signature key "serving_default" not found.',
        )


def test_the_deadline_ends_the_work_and_not_its_neighbours(call, refusal):
    request = predict_request("slow", {"steps": encode_tensor(np.int32(2_000_000_000))})
    started = time.monotonic()
    with futures.ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(refusal, PREDICT, request, timeout=0.3) for _ in range(2)]
        quick = [pool.submit(call, PREDICT, predict_request("", {"x": UNIT})) for _ in range(20)]
        assert {future.result()[0] for future in slow} == {"DEADLINE_EXCEEDED"}
        assert all(future.result().outputs["y"].float_val[0] == 6.0 for future in quick)
    assert time.monotonic() - started < 5
    time.sleep(0.5)
    cpu = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - cpu < 0.15  # nothing computes on
