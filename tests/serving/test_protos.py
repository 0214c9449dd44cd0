"""The messages are those of TensorFlow Serving on the wire, and live beside them in one process."""

import subprocess
import sys

import numpy as np
import pytest

from mmkeras.serving import protos
from mmkeras.serving.tensors import decode_tensor, encode_tensor

BOTH_WAYS = """
{imports}
ours = protos.PredictRequest(model_spec=protos.ModelSpec(name="m", version=protos.Int64Value(value=0)))
theirs = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
print(theirs.model_spec.HasField("version"), theirs.model_spec.name)
"""
OURS, THEIRS = "from mmkeras.serving import protos", "from tensorflow_serving.apis import predict_pb2"


@pytest.mark.parametrize("imports", [f"{OURS}\n{THEIRS}", f"{THEIRS}\n{OURS}"], ids=["ours_first", "theirs_first"])
def test_real_protos_load_in_the_same_process(imports):
    done = subprocess.run([sys.executable, "-c", BOTH_WAYS.format(imports=imports)], capture_output=True, text=True)
    assert done.stdout == "True m\n", done.stderr


def test_every_field_has_the_number_type_and_name_of_the_real_one():
    from tensorflow.core.example import example_pb2, feature_pb2
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        predict_pb2,
        prediction_log_pb2,
        regression_pb2,
    )
    from tensorflow_serving.config import file_system_storage_path_source_pb2, model_server_config_pb2

    policy = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
    real = {
        name: getattr(module, name).DESCRIPTOR
        for module in (
            classification_pb2,
            example_pb2,
            feature_pb2,
            get_model_metadata_pb2,
            get_model_status_pb2,
            inference_pb2,
            input_pb2,
            meta_graph_pb2,
            model_management_pb2,
            model_pb2,
            model_server_config_pb2,
            policy,
            predict_pb2,
            prediction_log_pb2,
            regression_pb2,
            tensor_pb2,
        )
        for name in dir(module)
        if hasattr(getattr(module, name), "DESCRIPTOR") and name in protos._MESSAGES
    }
    real |= {"TensorInfo": meta_graph_pb2.TensorInfo.DESCRIPTOR, "ServableVersionPolicy": policy.DESCRIPTOR}
    ours_alone = {"OtherLog", "BatchingParameters", "MonitoringConfig", "PrometheusConfig", "SSLConfig"}
    ours_alone |= {"HealthCheckRequest", "HealthCheckResponse", "ExtensionRequest", "FileDescriptorResponse"}
    ours_alone |= {"ServerReflectionRequest", "ServerReflectionResponse", "ListServiceResponse", "ServiceResponse"}
    ours_alone |= {"ErrorResponse"}
    well_known = {"Any", "BoolValue", "Int64Value", "StringValue", "Dim", "TensorShapeProto", "StatusProto"}
    assert set(protos._MESSAGES) - set(real) <= ours_alone | well_known
    integers = {5, 14}  # int32 and enum are one varint
    for name, descriptor in real.items():
        for field in protos._classes[name].DESCRIPTOR.fields:
            theirs = descriptor.fields_by_number[field.number]
            assert theirs.name == field.name
            assert theirs.is_repeated == field.is_repeated
            assert theirs.type == field.type or {theirs.type, field.type} == integers
    assert {name: types_pb2.DataType.Value(name) for name in protos.DataType} == protos.DataType


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -2.0], [np.inf, 0.0]], np.float32),
        np.array([1e300], np.float64),
        np.array([[0, 255]], np.uint8),
        np.array([-128, 127], np.int8),
        np.array([-(2**15)], np.int16),
        np.array([2**16 - 1], np.uint16),
        np.array(-(2**31), np.int32),
        np.array([2**32 - 1], np.uint32),
        np.array([-(2**63)], np.int64),
        np.array([2**64 - 1], np.uint64),
        np.array([True, False]),
        np.array([1 + 2j, -3j], np.complex64),
        np.array([1 + 2j, -3j], np.complex128),
        np.array([0.5, -65504], np.float16),
        np.array([[b"a\x00", b"\xff\xfe"], [b"", "\u03c9".encode()]], object),
        np.zeros([0, 3], np.float32),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_tensors_are_tensorflows_both_ways(array):
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    for typed_fields in (False, True):
        ours = encode_tensor(array, typed_fields)
        theirs = tf.make_ndarray(tensor_pb2.TensorProto.FromString(ours.SerializeToString()))
        assert theirs.dtype == array.dtype
        np.testing.assert_array_equal(theirs, array)
    theirs = tf.make_tensor_proto(array)
    decoded = decode_tensor(protos.TensorProto.FromString(theirs.SerializeToString()))
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)


def test_bfloat16_as_tensorflow_has_it():
    import tensorflow as tf

    array = tf.constant([1.5, -3.0], tf.bfloat16).numpy()
    proto = protos.TensorProto.FromString(tf.make_tensor_proto(array).SerializeToString())
    np.testing.assert_array_equal(decode_tensor(proto), array)
    typed = protos.TensorProto(dtype=protos.DataType["DT_BFLOAT16"], half_val=[0x3FC0, 0xC040])
    typed.tensor_shape.dim.add(size=2)
    np.testing.assert_array_equal(decode_tensor(typed), array)
