"""TensorFlow Serving's messages without TensorFlow.

On the wire only field numbers count, so the messages are described here under a package name of their own, in a
private descriptor pool: `tensorflow_serving.apis` and TensorFlow can be imported in the same process, before or after.
Only the fields that client and server use are described; a field that is not is carried along unread.

Example:
    >>> request = PredictRequest(model_spec=ModelSpec(name="glyphs", signature_name="encode_text"))
    >>> PredictRequest.FromString(request.SerializeToString()).model_spec.name
    'glyphs'

Reference: tensorflow_serving/apis/*.proto, tensorflow_serving/config/{model_server,monitoring,ssl}_config.proto,
tensorflow_serving/servables/tensorflow/session_bundle_config.proto, tensorflow/core/example/*.proto,
tensorflow/core/framework/{tensor,tensor_shape,types}.proto, tensorflow/core/protobuf/meta_graph.proto,
grpc/health/v1/health.proto, grpc/reflection/v1alpha/reflection.proto.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "mmkeras.serving"
SIGNATURE_DEF_MAP_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"

_ENUMS = {
    "DataType": {
        "DT_INVALID": 0,
        "DT_FLOAT": 1,
        "DT_DOUBLE": 2,
        "DT_INT32": 3,
        "DT_UINT8": 4,
        "DT_INT16": 5,
        "DT_INT8": 6,
        "DT_STRING": 7,
        "DT_COMPLEX64": 8,
        "DT_INT64": 9,
        "DT_BOOL": 10,
        "DT_QINT8": 11,
        "DT_QUINT8": 12,
        "DT_QINT32": 13,
        "DT_BFLOAT16": 14,
        "DT_QINT16": 15,
        "DT_QUINT16": 16,
        "DT_UINT16": 17,
        "DT_COMPLEX128": 18,
        "DT_HALF": 19,
        "DT_RESOURCE": 20,
        "DT_VARIANT": 21,
        "DT_UINT32": 22,
        "DT_UINT64": 23,
    },
    "State": {"UNKNOWN": 0, "START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50},
    "ModelType": {"MODEL_TYPE_UNSPECIFIED": 0, "TENSORFLOW": 1, "OTHER": 2},
    # The values of one enum of health.proto; on the wire they are numbers.
    "ServingStatus": {"SERVING_UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3},
}

# One line a field: "name type number"; type* repeats, {type} is a map from string, a fourth word names a oneof.
_MESSAGES = {
    "Any": ["type_url string 1", "value bytes 2"],
    "Int64Value": ["value int64 1"],
    "Dim": ["size int64 1", "name string 2"],
    "TensorShapeProto": ["dim Dim* 2", "unknown_rank bool 3"],
    "TensorProto": [
        "dtype DataType 1",
        "tensor_shape TensorShapeProto 2",
        "version_number int32 3",
        "tensor_content bytes 4",
        "float_val float* 5",
        "double_val double* 6",
        "int_val int32* 7",
        "string_val bytes* 8",
        "scomplex_val float* 9",
        "int64_val int64* 10",
        "bool_val bool* 11",
        "dcomplex_val double* 12",
        "half_val int32* 13",
        "uint32_val uint32* 16",
        "uint64_val uint64* 17",
    ],
    "TensorInfo": ["name string 1", "dtype DataType 2", "tensor_shape TensorShapeProto 3"],
    "SignatureDef": [
        "inputs {TensorInfo} 1",
        "outputs {TensorInfo} 2",
        "method_name string 3",
        "defaults {TensorProto} 4",
    ],
    "SignatureDefMap": ["signature_def {SignatureDef} 1"],
    "ModelSpec": [
        "name string 1",
        "version Int64Value 2 version_choice",
        "signature_name string 3",
        "version_label string 4 version_choice",
    ],
    "PredictRequest": ["model_spec ModelSpec 1", "inputs {TensorProto} 2", "output_filter string* 3"],
    "PredictResponse": ["outputs {TensorProto} 1", "model_spec ModelSpec 2"],
    "GetModelMetadataRequest": ["model_spec ModelSpec 1", "metadata_field string* 2"],
    "GetModelMetadataResponse": ["model_spec ModelSpec 1", "metadata {Any} 2"],
    "GetModelStatusRequest": ["model_spec ModelSpec 1"],
    "StatusProto": ["error_code int32 1", "error_message string 2"],
    "ModelVersionStatus": ["version int64 1", "state State 2", "status StatusProto 3"],
    "GetModelStatusResponse": ["model_version_status ModelVersionStatus* 1"],
    "BytesList": ["value bytes* 1"],
    "FloatList": ["value float* 1"],
    "Int64List": ["value int64* 1"],
    "Feature": ["bytes_list BytesList 1 kind", "float_list FloatList 2 kind", "int64_list Int64List 3 kind"],
    "Features": ["feature {Feature} 1"],
    "Example": ["features Features 1"],
    "ExampleList": ["examples Example* 1"],
    "ExampleListWithContext": ["examples Example* 1", "context Example 2"],
    "Input": ["example_list ExampleList 1 kind", "example_list_with_context ExampleListWithContext 2 kind"],
    "Class": ["label string 1", "score float 2"],
    "Classifications": ["classes Class* 1"],
    "ClassificationResult": ["classifications Classifications* 1"],
    "ClassificationRequest": ["model_spec ModelSpec 1", "input Input 2"],
    "ClassificationResponse": ["result ClassificationResult 1", "model_spec ModelSpec 2"],
    "Regression": ["value float 1"],
    "RegressionResult": ["regressions Regression* 1"],
    "RegressionRequest": ["model_spec ModelSpec 1", "input Input 2"],
    "RegressionResponse": ["result RegressionResult 1", "model_spec ModelSpec 2"],
    "InferenceTask": ["model_spec ModelSpec 1", "method_name string 2"],
    "InferenceResult": [
        "model_spec ModelSpec 1",
        "classification_result ClassificationResult 2 result",
        "regression_result RegressionResult 3 result",
    ],
    "MultiInferenceRequest": ["tasks InferenceTask* 1", "input Input 2"],
    "MultiInferenceResponse": ["results InferenceResult* 1"],
    "PredictLog": ["request PredictRequest 1", "response PredictResponse 2"],
    "ClassifyLog": ["request ClassificationRequest 1", "response ClassificationResponse 2"],
    "RegressLog": ["request RegressionRequest 1", "response RegressionResponse 2"],
    "MultiInferenceLog": ["request MultiInferenceRequest 1", "response MultiInferenceResponse 2"],
    # Of the other logs only their presence matters: which one a warm-up record holds.
    "OtherLog": [],
    "PredictionLog": [
        "classify_log ClassifyLog 2 log_type",
        "regress_log RegressLog 3 log_type",
        "multi_inference_log MultiInferenceLog 4 log_type",
        "session_run_log OtherLog 5 log_type",
        "predict_log PredictLog 6 log_type",
        "predict_streamed_log OtherLog 7 log_type",
    ],
    "Latest": ["num_versions uint32 1"],
    "All": [],
    "Specific": ["versions int64* 1"],
    "ServableVersionPolicy": [
        "latest Latest 100 policy_choice",
        "all All 101 policy_choice",
        "specific Specific 102 policy_choice",
    ],
    "ModelConfig": [
        "name string 1",
        "base_path string 2",
        "model_type ModelType 3",
        "model_platform string 4",
        "model_version_policy ServableVersionPolicy 7",
        "version_labels {int64} 8",
    ],
    "ModelConfigList": ["config ModelConfig* 1"],
    "ModelServerConfig": ["model_config_list ModelConfigList 1 config", "custom_model_config Any 2 config"],
    "ReloadConfigRequest": ["config ModelServerConfig 1", "metric_names string* 2"],
    "ReloadConfigResponse": ["status StatusProto 1"],
    "BoolValue": ["value bool 1"],
    "StringValue": ["value string 1"],
    # Read as text only, so that the names count and not the numbers.
    "BatchingParameters": [
        "max_batch_size Int64Value 1",
        "batch_timeout_micros Int64Value 2",
        "max_enqueued_batches Int64Value 3",
        "num_batch_threads Int64Value 4",
        "thread_pool_name StringValue 5",
        "allowed_batch_sizes int64* 6",
        "pad_variable_length_inputs bool 7",
        "enable_large_batch_splitting BoolValue 8",
        "max_execution_batch_size Int64Value 9",
    ],
    "PrometheusConfig": ["enable bool 1", "path string 2"],
    "MonitoringConfig": ["prometheus_config PrometheusConfig 1"],
    "SSLConfig": ["server_key string 1", "server_cert string 2", "custom_ca string 3", "client_verify bool 4"],
    "HealthCheckRequest": ["service string 1"],
    "HealthCheckResponse": ["status ServingStatus 1"],
    "ExtensionRequest": ["containing_type string 1", "extension_number int32 2"],
    "ServerReflectionRequest": [
        "host string 1",
        "file_by_filename string 3 message_request",
        "file_containing_symbol string 4 message_request",
        "file_containing_extension ExtensionRequest 5 message_request",
        "all_extension_numbers_of_type string 6 message_request",
        "list_services string 7 message_request",
    ],
    "FileDescriptorResponse": ["file_descriptor_proto bytes* 1"],
    "ServiceResponse": ["name string 1"],
    "ListServiceResponse": ["service ServiceResponse* 1"],
    "ErrorResponse": ["error_code int32 1", "error_message string 2"],
    "ServerReflectionResponse": [
        "valid_host string 1",
        "original_request ServerReflectionRequest 2",
        "file_descriptor_response FileDescriptorResponse 4 message_response",
        "list_services_response ListServiceResponse 6 message_response",
        "error_response ErrorResponse 7 message_response",
    ],
}

_Field = descriptor_pb2.FieldDescriptorProto


def _describe_field(message, name, kind, number, oneof=None):
    """Add one field, and the entry message of a map, to `message`."""
    if kind.startswith("{"):
        entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        _describe_field(entry, "key", "string", 1)
        _describe_field(entry, "value", kind[1:-1], 2)
        kind = f"{message.name}.{entry_name}*"
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in _ENUMS:
        field.type, field.type_name = _Field.TYPE_ENUM, f".{_PACKAGE}.{kind}"
    elif kind[0].isupper():
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(_Field, f"TYPE_{kind.upper()}")
    if oneof:
        if oneof not in [declared.name for declared in message.oneof_decl]:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = [declared.name for declared in message.oneof_decl].index(oneof)


def _message_classes():
    """Return a dict from name to message class, made in a pool that nobody else sees."""
    file = descriptor_pb2.FileDescriptorProto(name="mmkeras/serving.proto", package=_PACKAGE, syntax="proto3")
    for enum_name, values in _ENUMS.items():
        enum = file.enum_type.add(name=enum_name)
        for value_name, number in values.items():
            enum.value.add(name=value_name, number=number)
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for field in fields:
            _describe_field(message, *field.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


DataType = _ENUMS["DataType"]
DATA_TYPE_NAMES = {number: name for name, number in DataType.items()}
State = _ENUMS["State"]
STATE_NAMES = {number: name for name, number in State.items()}
ModelType = _ENUMS["ModelType"]
ServingStatus = _ENUMS["ServingStatus"]

_classes = _message_classes()
Any = _classes["Any"]
Int64Value = _classes["Int64Value"]
TensorShapeProto = _classes["TensorShapeProto"]
TensorProto = _classes["TensorProto"]
TensorInfo = _classes["TensorInfo"]
SignatureDef = _classes["SignatureDef"]
SignatureDefMap = _classes["SignatureDefMap"]
ModelSpec = _classes["ModelSpec"]
PredictRequest = _classes["PredictRequest"]
PredictResponse = _classes["PredictResponse"]
GetModelMetadataRequest = _classes["GetModelMetadataRequest"]
GetModelMetadataResponse = _classes["GetModelMetadataResponse"]
GetModelStatusRequest = _classes["GetModelStatusRequest"]
GetModelStatusResponse = _classes["GetModelStatusResponse"]
StatusProto = _classes["StatusProto"]
ModelVersionStatus = _classes["ModelVersionStatus"]
Feature = _classes["Feature"]
Features = _classes["Features"]
Example = _classes["Example"]
ExampleList = _classes["ExampleList"]
ExampleListWithContext = _classes["ExampleListWithContext"]
Input = _classes["Input"]
Class = _classes["Class"]
Classifications = _classes["Classifications"]
ClassificationResult = _classes["ClassificationResult"]
ClassificationRequest = _classes["ClassificationRequest"]
ClassificationResponse = _classes["ClassificationResponse"]
RegressionResult = _classes["RegressionResult"]
RegressionRequest = _classes["RegressionRequest"]
RegressionResponse = _classes["RegressionResponse"]
InferenceTask = _classes["InferenceTask"]
InferenceResult = _classes["InferenceResult"]
MultiInferenceRequest = _classes["MultiInferenceRequest"]
MultiInferenceResponse = _classes["MultiInferenceResponse"]
PredictLog = _classes["PredictLog"]
ClassifyLog = _classes["ClassifyLog"]
RegressLog = _classes["RegressLog"]
MultiInferenceLog = _classes["MultiInferenceLog"]
PredictionLog = _classes["PredictionLog"]
ServableVersionPolicy = _classes["ServableVersionPolicy"]
ModelConfig = _classes["ModelConfig"]
ModelConfigList = _classes["ModelConfigList"]
ModelServerConfig = _classes["ModelServerConfig"]
ReloadConfigRequest = _classes["ReloadConfigRequest"]
ReloadConfigResponse = _classes["ReloadConfigResponse"]
BatchingParameters = _classes["BatchingParameters"]
MonitoringConfig = _classes["MonitoringConfig"]
SSLConfig = _classes["SSLConfig"]
HealthCheckRequest = _classes["HealthCheckRequest"]
HealthCheckResponse = _classes["HealthCheckResponse"]
ServerReflectionRequest = _classes["ServerReflectionRequest"]
ServerReflectionResponse = _classes["ServerReflectionResponse"]
