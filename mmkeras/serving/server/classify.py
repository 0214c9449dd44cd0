"""PredictionService.Classify, Regress and MultiInference: signatures that take a batch of tf.Example.

A signature's method name is not looked at, as on a server with default flags: TensorFlow 2 always writes "predict".

Reference: tensorflow_serving/servables/tensorflow/{classifier,regressor,multi_inference,util}.cc.
"""

import numpy as np

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.predict import DEFAULT_SIGNATURE, check_feeds
from mmkeras.serving.server.request_limits import NO_LIMITS
from mmkeras.serving.tensors import data_type

_CLASSIFY, _REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def classify(servable, request, seconds=None, limits=NO_LIMITS):
    """Return the ClassificationResponse of one request.

    The signature takes `inputs`, serialized examples of shape (N,), and returns `classes` (strings), `scores` (float32)
    or both, of shape (N, C).

    Args:
        servable: `Servable`.
        request: ClassificationRequest; its model and version are not looked at.
        seconds: deadline of the run; none where None.
        limits: `RequestLimits`.

    Raises:
        ServingError: with the server's code and text.
    """
    name, signature = _signature(servable, request.model_spec)
    result = _classify(servable, name, signature, request.input, seconds, limits)
    return protos.ClassificationResponse(result=result, model_spec=_answered_by(servable, name))


def regress(servable, request, seconds=None, limits=NO_LIMITS):
    """Return the RegressionResponse of one request.

    The signature takes `inputs`, serialized examples of shape (N,), and returns `outputs`, float32 of shape (N,) or
    (N, 1). Arguments and errors as `classify`.
    """
    name, signature = _signature(servable, request.model_spec)
    result = _regress(servable, name, signature, request.input, seconds, limits)
    return protos.RegressionResponse(result=result, model_spec=_answered_by(servable, name))


def multi_inference(servable, request, seconds=None, limits=NO_LIMITS):
    """Return the MultiInferenceResponse of one request: several signatures of one version on one input.

    All signatures must read the same tensor of the graph, as the original demands: it runs them at once.
    Arguments and errors as `classify`.
    """
    names, input_tensors, results = set(), set(), []
    checked = []
    for task in request.tasks:
        if not task.model_spec.name:
            raise ServingError("INVALID_ARGUMENT", "Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise ServingError(
                "INVALID_ARGUMENT", "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in names:
            raise ServingError("INVALID_ARGUMENT", f"Duplicate evaluation of signature: {name}")
        names.add(name)
        if name not in servable.signatures:
            raise ServingError("INVALID_ARGUMENT", f"Requested signature not found in model graph: {name}")
        signature = servable.signatures[name]
        if task.method_name == _CLASSIFY:
            _check_classification(signature)
        elif task.method_name == _REGRESS:
            _check_regression(signature)
        else:
            raise ServingError("UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}")
        input_tensors.add(signature.inputs["inputs"].name)
        if len(input_tensors) > 1:
            raise ServingError("INVALID_ARGUMENT", "Input tensor must be the same for all Signatures.")
        checked.append((name, signature, task.method_name))
    for name, signature, method_name in checked:
        result = protos.InferenceResult(model_spec=_answered_by(servable, name))
        if method_name == _CLASSIFY:
            result.classification_result.CopyFrom(_classify(servable, name, signature, request.input, seconds, limits))
        else:
            result.regression_result.CopyFrom(_regress(servable, name, signature, request.input, seconds, limits))
        results.append(result)
    return protos.MultiInferenceResponse(results=results)


def multi_inference_spec(request):
    """Return the ModelSpec that a MultiInferenceRequest is sent to: its first task's; an empty one without tasks."""
    return request.tasks[0].model_spec if request.tasks else protos.ModelSpec()


def _signature(servable, model_spec):
    name = model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise ServingError("INVALID_ARGUMENT", f"No signature was found with the name: {name}")
    return name, servable.signatures[name]


def _answered_by(servable, signature_name):
    spec = protos.ModelSpec(name=servable.name, signature_name=signature_name)
    spec.version.value = servable.version
    return spec


def _check_classification(signature):
    if len(signature.inputs) != 1:
        raise ServingError("INVALID_ARGUMENT", "Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise ServingError("INVALID_ARGUMENT", f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise ServingError("INVALID_ARGUMENT", f"No classification inputs found in SignatureDef: {signature}")
    if not {"classes", "scores"} & set(signature.outputs):
        raise ServingError(
            "INVALID_ARGUMENT",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}",
        )


def _check_regression(signature):
    if len(signature.inputs) != 1:
        raise ServingError("INVALID_ARGUMENT", "Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise ServingError("INVALID_ARGUMENT", "Expected one output Tensor.")
    if "inputs" not in signature.inputs:
        raise ServingError("INVALID_ARGUMENT", f"No regression inputs found in SignatureDef: {signature}")
    if "outputs" not in signature.outputs:
        raise ServingError("INVALID_ARGUMENT", f"No regression outputs found in SignatureDef: {signature}")


def _classify(servable, name, signature, message, seconds, limits):
    _check_classification(signature)
    examples = _serialized_examples(message, limits)
    aliases = [alias for alias in ("classes", "scores") if alias in signature.outputs]
    outputs = dict(zip(aliases, _run(servable, name, signature, examples, aliases, seconds), strict=True))
    for alias, is_right, kind in (
        ("classes", lambda array: array.dtype.hasobject, "DT_STRING"),
        ("scores", lambda array: array.dtype == np.float32, "DT_FLOAT"),
    ):
        array = outputs.get(alias)
        if array is None:
            continue
        if array.ndim != 2:
            raise ServingError(
                "INVALID_ARGUMENT", f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}"
            )
        if not is_right(array):
            raise ServingError("INVALID_ARGUMENT", f"Expected {alias} Tensor of {kind}. Got: {_type_name(array)}")
        if len(array) != len(examples):
            raise ServingError(
                "INVALID_ARGUMENT", f"Expected {alias} output batch size of {len(examples)}. Got: {len(array)}"
            )
    widths = [array.shape[1] for array in outputs.values()]
    if len(set(widths)) > 1:
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}",
        )
    result = protos.ClassificationResult()
    classes = outputs["classes"].tolist() if "classes" in outputs else None
    scores = outputs["scores"].tolist() if "scores" in outputs else None
    for row in range(len(examples)):
        entry = result.classifications.add()
        for column in range(widths[0]):
            added = entry.classes.add()
            if classes is not None:
                # The field is a string, and not all bytes are one.
                added.label = classes[row][column].decode(errors="replace")
            if scores is not None:
                added.score = scores[row][column]
    return result


def _regress(servable, name, signature, message, seconds, limits):
    _check_regression(signature)
    examples = _serialized_examples(message, limits)
    (values,) = _run(servable, name, signature, examples, ["outputs"], seconds)
    if values.ndim != 1 and (values.ndim != 2 or values.shape[1] != 1):
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(values)}",
        )
    if len(values) != len(examples):
        raise ServingError(
            "INVALID_ARGUMENT", f"Input batch size did not match output batch size: {len(examples)} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise ServingError("INVALID_ARGUMENT", f"Expected output Tensor of DT_FLOAT.  Got: {_type_name(values)}")
    result = protos.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _serialized_examples(message, limits):
    """Return the examples of an Input as a 1-D array of bytes, each behind the context's bytes where there is one."""
    kind = message.WhichOneof("kind")
    chosen = getattr(message, kind) if kind else None
    if chosen is None or not chosen.examples:
        raise ServingError("INVALID_ARGUMENT", "Input is empty.")
    # Messages written one after the other are one message with the fields of both.
    context = chosen.context.SerializeToString() if kind == "example_list_with_context" else b""
    limits.check_examples(chosen.examples, context)
    examples = np.empty(len(chosen.examples), dtype=object)
    examples[:] = [context + example.SerializeToString() for example in chosen.examples]
    return examples


def _run(servable, name, signature, examples, aliases, seconds):
    feeds = {"inputs": examples}
    check_feeds(signature, feeds)
    return [np.asarray(array) for array in servable.run(name, feeds, aliases, seconds)]


def _type_name(array):
    return protos.DATA_TYPE_NAMES[data_type(array)]


def _shape(array):
    return "[" + ",".join(str(size) for size in array.shape) + "]"
