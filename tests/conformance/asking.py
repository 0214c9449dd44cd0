"""Requests of the serving API, written short, and a look at texts."""

import time

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)


def spec(name="dense", signature="", version=None, label=None):
    """A ModelSpec."""
    message = model_pb2.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        message.version.value = version
    if label is not None:
        message.version_label = label
    return message


def predict_request(model_spec, inputs, output_filter=()):
    """A PredictRequest; an input is a TensorProto, or what becomes a float or string tensor."""
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    if model_spec is not None:
        request.model_spec.CopyFrom(model_spec)
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(value if hasattr(value, "tensor_shape") else tf.make_tensor_proto(value))
    return request


def predict(server, inputs, signature="", name="dense", version=None, label=None, output_filter=(), seconds=20):
    """Outputs of Predict as a dict from alias to list."""
    request = predict_request(spec(name, signature, version, label), inputs, output_filter)
    outputs = server.call("Predict", request, seconds).outputs
    return {alias: tf.make_ndarray(tensor).tolist() for alias, tensor in outputs.items()}


def example(x):
    """A tf.Example with the feature "x"; an empty one where x is None."""
    feature = {} if x is None else {"x": tf.train.Feature(float_list=tf.train.FloatList(value=[x]))}
    return tf.train.Example(features=tf.train.Features(feature=feature))


def examples(*values):
    """An Input of examples."""
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=[example(value) for value in values]))


def inference_request(method, model_spec, values=(0.25,)):
    """The smallest good request of a method for a ModelSpec, which may be None."""
    if method == "Predict":
        return predict_request(model_spec, {"feats": [[1.0, 2, 3]]})
    request = {
        "Classify": classification_pb2.ClassificationRequest,
        "Regress": regression_pb2.RegressionRequest,
        "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    }[method]()
    if model_spec is not None:
        request.model_spec.CopyFrom(model_spec)
    if method == "GetModelMetadata":
        request.metadata_field.append("signature_def")
    else:
        request.input.CopyFrom(examples(*values))
    return request


def multi_request(*tasks, values=(2.0,)):
    """A MultiInferenceRequest of (model spec, "classify" or the like)."""
    return inference_pb2.MultiInferenceRequest(
        tasks=[
            inference_pb2.InferenceTask(model_spec=model_spec, method_name=f"tensorflow/serving/{method}")
            for model_spec, method in tasks
        ],
        input=examples(*values),
    )


def status_request(name, version=None, label=None):
    return get_model_status_pb2.GetModelStatusRequest(model_spec=spec(name, version=version, label=label))


def states(server, name):
    """[(version, name of its state, error code, error message)] in the server's order; empty for an unknown model."""
    try:
        response = server.call("GetModelStatus", status_request(name))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return []
    name_of = get_model_status_pb2.ModelVersionStatus.State.Name
    return [
        (entry.version, name_of(entry.state), entry.status.error_code, entry.status.error_message)
        for entry in response.model_version_status
    ]


def available(server, name):
    """Versions of a model that are available, the newest first."""
    return [version for version, state, *_ in states(server, name) if state == "AVAILABLE"]


def wait_for(what, seconds=20):
    """Ask again and again until the answer is true; return it."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        if time.monotonic() > end:
            raise AssertionError("it did not come about in time")
        time.sleep(0.05)
    return answer


def says(text, expected):
    """Whether a text is the expected one; one that ends with "..." is a beginning, one that begins so an end."""
    if expected.startswith("..."):
        return expected.strip(".") in text
    return text.startswith(expected[:-3]) if expected.endswith("...") else text == expected
