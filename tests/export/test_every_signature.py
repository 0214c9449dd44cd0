"""What holds for every signature of every export, whatever its name: what a server needs to join and to write rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mmkeras.export import export_saved_model
from mmkeras.serving import protos

ALLOWED_OUTPUTS = {"DT_FLOAT", "DT_STRING", "DT_BOOL"}  # what REST can write too; no half, no bfloat16


@pytest.fixture(scope="module")
def mixed_version(build_labelled_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("savedmodels") / "mixed" / "1"
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_labelled_model()
        assert any(layer.compute_dtype == "float16" for layer in model.image_encoder.layers)
        export_saved_model(model, folder)
    finally:
        keras.config.set_dtype_policy(policy)
    return folder


@pytest.fixture(params=["labelled_version", "mixed_version", "tiny_version"])
def version(request):
    return request.getfixturevalue(request.param)


def meta_graph(version):
    return saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs[0]


def signatures(version):
    return {name: info for name, info in meta_graph(version).signature_def.items() if not name.startswith("__")}


def test_inputs_are_named_and_everything_is_batch_first(version):
    known = {"text", "image_bytes", "image", "probe", "inputs"}
    for name, signature in signatures(version).items():
        assert set(signature.inputs) <= known, name
        for side in (signature.inputs, signature.outputs):
            for alias, info in side.items():
                assert not info.tensor_shape.unknown_rank, (name, alias)
                sizes = [dim.size for dim in info.tensor_shape.dim]
                assert sizes[:1] == [-1], (name, alias)
                assert all(size > 0 for size in sizes[1:]), (name, alias)
        for alias, info in signature.inputs.items():
            # A free dimension behind the batch would fail, or be padded wrongly, where a server joins requests.
            assert info.dtype in (tf.string.as_datatype_enum, tf.uint8.as_datatype_enum), (name, alias)
        for alias, info in signature.outputs.items():
            assert protos.DATA_TYPE_NAMES[info.dtype] in ALLOWED_OUTPUTS, (name, alias)
            assert not alias.startswith("output_"), (name, alias)  # what Keras calls an output without a name
            # Strings that are not UTF-8 would need a name that ends in _bytes for REST: none of ours is.
            assert info.dtype != tf.string.as_datatype_enum or alias in ("space_id", "labels", "classes")


def test_nothing_is_compiled_by_xla_and_no_python_is_called(version):
    functions = meta_graph(version).graph_def.library.function
    nodes = [*meta_graph(version).graph_def.node, *(node for function in functions for node in function.node_def)]
    assert not [function.signature.name for function in functions if function.attr["_XlaMustCompile"].b]
    assert not {node.op for node in nodes} & {"PyFunc", "EagerPyFunc", "PyFuncStateless", "XlaLaunch"}


def test_all_outputs_have_the_rows_of_the_inputs(version):
    loaded = tf.saved_model.load(str(version)).signatures
    for name, signature in signatures(version).items():
        inputs = {}
        for alias, info in signature.inputs.items():
            size = [dim.size for dim in info.tensor_shape.dim][1:]
            inputs[alias] = tf.zeros([0, *size], tf.dtypes.as_dtype(info.dtype))
        for alias, value in loaded[name](**inputs).items():
            declared = signature.outputs[alias]
            assert value.shape == (0, *[dim.size for dim in declared.tensor_shape.dim][1:]), (name, alias)
            assert value.dtype.as_datatype_enum == declared.dtype, (name, alias)


def test_a_mixed_precision_model_answers_in_float32(mixed_version, labelled_version):
    texts = tf.constant(["greek capital omega", ""])
    for signature, output in (("encode_text", "embedding"), ("classify_text", "probabilities")):
        half, full = (
            tf.saved_model.load(str(version)).signatures[signature](text=texts)[output].numpy()
            for version in (mixed_version, labelled_version)
        )
        assert half.dtype == np.float32
        np.testing.assert_allclose(half, full, atol=0.02)  # the same seed; the layers between work in half
