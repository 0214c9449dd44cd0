"""What a server tells about its models: GetModelMetadata and GetModelStatus.

Reference: tensorflow_serving/servables/tensorflow/get_model_metadata_impl.cc,
tensorflow_serving/model_servers/get_model_status_impl.cc.
"""

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.loaded_models import checked_model_spec


def get_model_metadata(models, request):
    """Return the GetModelMetadataResponse with the model's signatures; `models` is a `LoadedModels`."""
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    if not request.metadata_field:
        raise ServingError("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != "signature_def":
            raise ServingError("INVALID_ARGUMENT", f"Metadata field {field} is not supported")
    servable = models.resolve(request)
    response = protos.GetModelMetadataResponse(model_spec=protos.ModelSpec(name=servable.name))
    response.model_spec.version.value = servable.version
    signatures = protos.SignatureDefMap(signature_def=servable.signatures)
    response.metadata["signature_def"].CopyFrom(
        protos.Any(type_url=protos.SIGNATURE_DEF_MAP_URL, value=signatures.SerializeToString())
    )
    return response


def get_model_status(models, request):
    """Return the GetModelStatusResponse, the highest version first; a version label is not looked at."""
    spec = checked_model_spec(request)
    versions = models.loaded_versions(spec.name)
    if spec.HasField("version"):
        if spec.version.value not in versions:
            raise ServingError("NOT_FOUND", f"Could not find version {spec.version.value} of model {spec.name}")
        versions = [spec.version.value]
    if not versions:
        raise ServingError("NOT_FOUND", f"Could not find any versions of model {spec.name}")
    response = protos.GetModelStatusResponse()
    for version in versions:
        response.model_version_status.add(
            version=version, state=protos.State["AVAILABLE"], status=protos.StatusProto(error_code=0)
        )
    return response
