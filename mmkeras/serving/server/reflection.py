"""gRPC server reflection: what a tool such as grpcurl must know to ask this server without .proto files.

The descriptions are made from our own (`mmkeras.serving.protos`): they hold what this server understands and no more.
Names are TensorFlow Serving's, except that messages within messages stand beside them (`tensorflow.Dim`, there
`tensorflow.TensorShapeProto.Dim`), which shows neither in JSON nor on the wire.

Reference: grpc/reflection/v1alpha/reflection.proto.
"""

import functools

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, wrappers_pb2

from mmkeras.serving import protos
from mmkeras.serving.errors import STATUS_CODES

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
# Service -> method -> request and response.
SERVICES = {
    "tensorflow.serving.PredictionService": {
        "Predict": ("PredictRequest", "PredictResponse"),
        "Classify": ("ClassificationRequest", "ClassificationResponse"),
        "Regress": ("RegressionRequest", "RegressionResponse"),
        "MultiInference": ("MultiInferenceRequest", "MultiInferenceResponse"),
        "GetModelMetadata": ("GetModelMetadataRequest", "GetModelMetadataResponse"),
    },
    "tensorflow.serving.ModelService": {
        "GetModelStatus": ("GetModelStatusRequest", "GetModelStatusResponse"),
        "HandleReloadConfigRequest": ("ReloadConfigRequest", "ReloadConfigResponse"),
    },
    "grpc.health.v1.Health": {"Check": ("HealthCheckRequest", "HealthCheckResponse")},
    REFLECTION: {"ServerReflectionInfo": ("ServerReflectionRequest", "ServerReflectionResponse")},
}
# Package -> its messages and enums. Those of Google are in files of their own, all others are tensorflow.serving's.
_MEMBERS = {
    "google.protobuf": "Any BoolValue Int64Value StringValue",
    "tensorflow": "BytesList DataType Dim Example Feature Features FloatList Int64List SignatureDef TensorInfo "
    "TensorProto TensorShapeProto",
    "grpc.health.v1": "HealthCheckRequest HealthCheckResponse ServingStatus",
    "grpc.reflection.v1alpha": "ErrorResponse ExtensionRequest FileDescriptorResponse ListServiceResponse "
    "ServerReflectionRequest ServerReflectionResponse ServiceResponse",
}
_PACKAGES = {name: package for package, names in _MEMBERS.items() for name in names.split()}
_SERVING = "tensorflow.serving"


def reflect(request):
    """Return the ServerReflectionResponse of a ServerReflectionRequest."""
    response = protos.ServerReflectionResponse(valid_host=request.host, original_request=request)
    kind = request.WhichOneof("message_request")
    try:
        if kind == "list_services":
            for name in sorted(SERVICES):
                response.list_services_response.service.add(name=name)
        elif kind == "file_by_filename":
            _answer_files(response, _pool().FindFileByName(request.file_by_filename))
        elif kind == "file_containing_symbol":
            _answer_files(response, _find(request.file_containing_symbol))
        else:
            raise KeyError("There are no extensions")
    except KeyError as error:
        response.error_response.error_code = STATUS_CODES["NOT_FOUND"]
        response.error_response.error_message = str(error.args[0])
    return response


def _find(symbol):
    service, _, method = symbol.rpartition(".")
    is_method = method in SERVICES.get(service, ())  # which the pool does not find
    return _pool().FindFileContainingSymbol(service if is_method else symbol)


def _answer_files(response, file):
    """Write a file and all that it imports, so that the client need not ask for these."""
    files = [file]
    for found in files:
        files += [imported for imported in found.dependencies if imported not in files]
    response.file_descriptor_response.file_descriptor_proto.extend(found.serialized_pb for found in files)


@functools.cache
def _pool():
    """Return a pool with a file for each package, under the public names."""
    pool = descriptor_pool.DescriptorPool()
    imported = [pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb).name for module in (any_pb2, wrappers_pb2)]
    files = {
        package: descriptor_pb2.FileDescriptorProto(name=f"{package.replace('.', '/')}.proto", package=package)
        for package in ("tensorflow", _SERVING, "grpc.health.v1", "grpc.reflection.v1alpha")
    }
    files[_SERVING].dependency.extend([files["tensorflow"].name, *imported])
    for name, entry in _needed().items():
        file = files[_PACKAGES.get(name, _SERVING)]
        if isinstance(entry, descriptor_pb2.EnumDescriptorProto):
            file.enum_type.append(entry)
            continue
        for field in _typed_fields(entry):
            field.type_name = _public(_own_name(field))
        file.message_type.append(entry)
    for full_name, methods in SERVICES.items():
        package, _, name = full_name.rpartition(".")
        service = files[package].service.add(name=name)
        for method, types in methods.items():
            added = service.method.add(name=method, input_type=_public(types[0]), output_type=_public(types[1]))
            added.client_streaming = added.server_streaming = full_name == REFLECTION
    for file in files.values():
        file.syntax = "proto3"
        pool.Add(file)
    return pool


def _needed():
    """Return a dict from name to description of the messages and enums that the methods lead to, but Google's."""
    ours = descriptor_pb2.FileDescriptorProto()
    protos.Any.DESCRIPTOR.file.CopyToProto(ours)
    entries = {entry.name: entry for entry in (*ours.message_type, *ours.enum_type)}
    # No field has the type SignatureDefMap, which the metadata bring in an Any.
    names = [
        "SignatureDefMap",
        *(name for methods in SERVICES.values() for types in methods.values() for name in types),
    ]
    for name in names:
        for used in (_own_name(field).partition(".")[0] for field in _typed_fields(entries[name])):
            if used not in names and _PACKAGES.get(used) != "google.protobuf":
                names.append(used)
    return {name: entries[name] for name in names}


def _typed_fields(entry):
    """Return those fields of a message, and of its maps' entries, that are messages or enums; none of an enum's."""
    if isinstance(entry, descriptor_pb2.EnumDescriptorProto):
        return []
    fields = [*entry.field, *(field for nested in entry.nested_type for field in nested.field)]
    return [field for field in fields if field.type_name]


def _own_name(field):
    """Return the name of a field's type within our package: "TensorProto", "PredictRequest.InputsEntry"."""
    return field.type_name.removeprefix(f".{protos.Any.DESCRIPTOR.file.package}.")


def _public(name):
    return f".{_PACKAGES.get(name.partition('.')[0], _SERVING)}.{name}"
