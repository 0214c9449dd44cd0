"""PredictionService.Predict: from request to response, with the checks and texts of TensorFlow Serving.

Reference: tensorflow_serving/servables/tensorflow/predict_util.cc.
"""

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.request_limits import NO_LIMITS
from mmkeras.serving.tensors import as_array, data_type, decode_tensor, type_name, write_tensor

DEFAULT_SIGNATURE = "serving_default"
_STRING = protos.DataType["DT_STRING"]


def predict(servable, request, seconds=None, limits=NO_LIMITS):
    """Return the PredictResponse of one request.

    Checks in the server's order: signature, number of inputs, each input's name and tensor, output filter, dtypes.

    Args:
        servable: `Servable`.
        request: PredictRequest; its model and version are not looked at.
        seconds: deadline of the run; none where None.
        limits: `RequestLimits`.

    Raises:
        ServingError: with the server's code and text.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
    signature = servable.signatures[name]
    _check_input_names(signature, request.inputs)
    feeds = _decode_inputs(signature, request.inputs, limits)
    aliases = _output_aliases(signature, request.output_filter)
    check_feeds(signature, feeds)
    arrays = servable.run(name, feeds, aliases, seconds)
    response = protos.PredictResponse(model_spec=protos.ModelSpec(name=servable.name, signature_name=name))
    response.model_spec.version.value = servable.version
    for alias, array in zip(aliases, arrays, strict=True):
        try:
            write_tensor(response.outputs[alias], as_array(array), typed_fields=True)
        except MmkerasError as error:
            raise ServingError("UNIMPLEMENTED", f"output {alias}: {error}") from error
    return response


def _check_input_names(signature, inputs):
    sent, expected = set(inputs), set(signature.inputs)
    missing = expected - sent - set(signature.defaults)
    if len(sent) == len(expected) or (len(sent) < len(expected) and not missing):
        return
    raise ServingError(
        "INVALID_ARGUMENT",
        f"input size does not match signature: {len(sent)}!={len(expected)} len({_names(sent)}) != "
        f"len({_names(expected)}). Sent extra: {_names(sent - expected)}. Missing but required: {_names(missing)}.",
    )


def _decode_inputs(signature, inputs, limits):
    """Return a dict from input alias to array."""
    feeds = {}
    for position, (alias, info) in enumerate(sorted(signature.inputs.items())):
        if alias in inputs:
            proto = inputs[alias]
            # Nothing is unpacked for a shape that is refused.
            limits.check_shape(alias, proto)
            if proto.dtype == info.dtype == _STRING:
                _check_string_rank(position, alias, info, len(proto.tensor_shape.dim))
        elif alias in signature.defaults:
            proto = signature.defaults[alias]
        else:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and no default value "
                f"provided. Inputs expected to be in the request {_names(inputs)}, or default input alias set: "
                f"{','.join(sorted(signature.defaults))}",
            )
        try:
            feeds[alias] = decode_tensor(proto)
        except (MmkerasError, MemoryError) as error:
            raise ServingError("INVALID_ARGUMENT", f"tensor parsing error: {alias}") from error
        if feeds[alias].dtype.hasobject:
            limits.check_texts(alias, feeds[alias].ravel())
    return feeds


def _output_aliases(signature, output_filter):
    if not output_filter:
        return sorted(signature.outputs)
    aliases = []
    for alias in output_filter:
        if alias not in signature.outputs:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_names(signature.outputs)}.",
            )
        if alias in aliases:
            raise ServingError("INVALID_ARGUMENT", f"duplicate output tensor alias: {alias}")
        aliases.append(alias)
    return aliases


def check_feeds(signature, feeds):
    """Check dtypes, and the rank of strings: some string kernels end the process at a rank that they do not expect."""
    for position, (alias, array) in enumerate(feeds.items()):
        info = signature.inputs[alias]
        provided = data_type(array)
        if provided != info.dtype:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Expects arg[{position}] to be {type_name(info.dtype)} but {type_name(provided)} is provided",
            )
        if array.dtype.hasobject:
            _check_string_rank(position, alias, info, array.ndim)


def _check_string_rank(position, alias, info, provided):
    rank = len(info.tensor_shape.dim)
    if not info.tensor_shape.unknown_rank and provided != rank:
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Expects arg[{position}] ({alias}) to have rank {rank} but rank {provided} is provided",
        )


def _names(names):
    return "{" + ",".join(sorted(names)) + "}"
