"""What a server tells about its models: GetModelMetadata, GetModelStatus, and the answer to a reload.

Reference: tensorflow_serving/servables/tensorflow/get_model_metadata_impl.cc,
tensorflow_serving/model_servers/{get_model_status,model_service}_impl.cc.
"""

from mmkeras.serving import protos
from mmkeras.serving.errors import STATUS_CODES, ServingError


def model_spec_of(request):
    """Return a request's ModelSpec, or None where it has none."""
    return request.model_spec if request.HasField("model_spec") else None


def get_model_metadata(models, request):
    """Return the GetModelMetadataResponse with the model's signatures; `models` is a `ServedModels`."""
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    if not request.metadata_field:
        raise ServingError("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != "signature_def":
            raise ServingError("INVALID_ARGUMENT", f"Metadata field {field} is not supported")
    with models.resolve(request.model_spec) as servable:
        response = protos.GetModelMetadataResponse(model_spec=protos.ModelSpec(name=servable.name))
        response.model_spec.version.value = servable.version
        signatures = protos.SignatureDefMap(signature_def=servable.signatures)
    response.metadata["signature_def"].CopyFrom(
        protos.Any(type_url=protos.SIGNATURE_DEF_MAP_URL, value=signatures.SerializeToString())
    )
    return response


def get_model_status(models, request):
    """Return the GetModelStatusResponse, the highest version first; a version label is not looked at.

    An empty name is that of a model which is not there, as on TensorFlow Serving: NOT_FOUND.
    """
    spec = model_spec_of(request)
    if spec is None:
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    statuses = models.statuses(spec.name)
    if spec.HasField("version"):
        statuses = [status for status in statuses if status[0] == spec.version.value]
        if not statuses:
            raise ServingError("NOT_FOUND", f"Could not find version {spec.version.value} of model {spec.name}")
    if not statuses:
        raise ServingError("NOT_FOUND", f"Could not find any versions of model {spec.name}")
    response = protos.GetModelStatusResponse()
    for version, state, error in statuses:
        response.model_version_status.add(version=version, state=protos.State[state], status=_status(error))
    return response


def handle_reload_config(models, request, folders, seconds=None):
    """Return the ReloadConfigResponse once every model that is new in the request is available.

    Args:
        models: `ServedModels`.
        request: ReloadConfigRequest.
        folders: `ReloadFolders`.
        seconds: how long to wait for another change to end; for ever where None.
    """
    if request.config.WhichOneof("config") != "model_config_list":
        raise ServingError(
            "INVALID_ARGUMENT",
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported",
        )
    folders.check(request.config.model_config_list)
    models.reload(request.config.model_config_list, seconds)
    return protos.ReloadConfigResponse(status=_status(None))


def _status(error):
    if error is None:
        return protos.StatusProto(error_code=0)
    return protos.StatusProto(error_code=STATUS_CODES[error.code], error_message=error.details)
