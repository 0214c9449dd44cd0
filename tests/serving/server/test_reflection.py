"""What reflection tells is what the server understands, under the names that TensorFlow Serving has for it."""

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from mmkeras.serving import protos
from mmkeras.serving.server.grpc_calls import GrpcCalls
from mmkeras.serving.server.grpc_service import GrpcService
from mmkeras.serving.server.reflection import REFLECTION, SERVICES, reflect


def ask(**request):
    return reflect(protos.ServerReflectionRequest(**request))


def files(**request):
    """The names of the files of an answer, the one that was asked for first."""
    contents = ask(**request).file_descriptor_response.file_descriptor_proto
    return [descriptor_pb2.FileDescriptorProto.FromString(content).name for content in contents]


@pytest.fixture(scope="module")
def described():
    """A pool of all that the services' files hold, as a client puts it together."""
    found = {}
    for service in SERVICES:
        for content in ask(file_containing_symbol=service).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            found[file.name] = file
    pool = descriptor_pool.DescriptorPool()
    while found:
        name = next(name for name, file in found.items() if not set(file.dependency) & set(found))
        pool.Add(found.pop(name))
    return pool


def test_services_are_listed():
    names = [service.name for service in ask(list_services="").list_services_response.service]
    assert names == sorted(names) == sorted(SERVICES)


def test_every_method_of_the_port_is_described(described):
    methods = {
        f"/{service}/{method.name}" for service in SERVICES for method in described.FindServiceByName(service).methods
    }
    assert methods == set(GrpcService(models=None).handlers(GrpcCalls()))


def test_services_and_messages_are_the_original_ones(described):
    from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

    compared = set()

    def compare(ours, real):
        if ours.full_name in compared:
            return
        compared.add(ours.full_name)
        for field in ours.fields:
            theirs = real.fields_by_number[field.number]
            assert (field.name, field.is_repeated) == (theirs.name, theirs.is_repeated)
            if field.message_type is not None:
                outer, _, nested = theirs.message_type.full_name.rpartition(".")
                assert field.message_type.full_name.rpartition(".")[2] == nested
                compare(field.message_type, theirs.message_type)

    for module, name in ((prediction_service_pb2, "PredictionService"), (model_service_pb2, "ModelService")):
        real = module.DESCRIPTOR.services_by_name[name]
        for method in described.FindServiceByName(real.full_name).methods:
            theirs = real.methods_by_name[method.name]
            assert method.input_type.full_name == theirs.input_type.full_name
            assert method.output_type.full_name == theirs.output_type.full_name
            compare(method.input_type, theirs.input_type)
            compare(method.output_type, theirs.output_type)
    assert {"tensorflow.TensorProto", "google.protobuf.Int64Value", "tensorflow.serving.ModelConfig"} <= compared
    # In an Any, whose type a client looks up by this name.
    assert described.FindMessageTypeByName("tensorflow.serving.SignatureDefMap").fields_by_name["signature_def"]


def test_an_answer_brings_what_its_file_imports():
    google = ["google/protobuf/any.proto", "google/protobuf/wrappers.proto"]
    for symbol in ("PredictionService", "PredictionService.Predict", "ModelSpec", "PredictRequest.InputsEntry"):
        assert files(file_containing_symbol=f"tensorflow.serving.{symbol}") == [
            "tensorflow/serving.proto",
            "tensorflow.proto",
            *google,
        ]
    assert files(file_by_filename="tensorflow.proto") == ["tensorflow.proto"]
    assert files(file_containing_symbol="tensorflow.DataType") == ["tensorflow.proto"]
    assert files(file_containing_symbol="google.protobuf.Any") == google[:1]


@pytest.mark.parametrize(
    "request_fields",
    [
        {"file_containing_symbol": "mmkeras.serving.TensorProto"},
        {"file_containing_symbol": "tensorflow.serving.PredictionService.PredictStreamed"},
        {"file_containing_symbol": "tensorflow.serving.BatchingParameters"},
        {"file_by_filename": "nobody's.proto"},
        {"all_extension_numbers_of_type": "tensorflow.TensorProto"},
        {},
    ],
)
def test_what_is_not_known(request_fields):
    response = ask(host="here", **request_fields)
    assert response.error_response.error_code == 5
    assert (response.valid_host, response.original_request.host) == ("here", "here")


def test_one_stream_answers_several_questions(toy_server):
    with grpc.insecure_channel(toy_server.address) as channel:
        call = channel.stream_stream(f"/{REFLECTION}/ServerReflectionInfo")
        questions = [
            protos.ServerReflectionRequest(list_services=""),
            protos.ServerReflectionRequest(file_by_filename="none"),
        ]
        answers = call(iter([question.SerializeToString() for question in questions]), timeout=10)
        kinds = [
            protos.ServerReflectionResponse.FromString(answer).WhichOneof("message_response") for answer in answers
        ]
        assert kinds == ["list_services_response", "error_response"]
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b"\xff"]), timeout=10))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
