"""Section 5 of the contract: GetModelMetadata, GetModelStatus and HandleReloadConfigRequest."""

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from .asking import available, predict, says, spec, states, status_request, wait_for
from .server import KIND, models_config

METADATA = {
    "no field": ((), "GetModelMetadataRequest must specify at least one metadata_field"),
    "another field": (("foo",), "Metadata field foo is not supported"),
    "one too many": (("signature_def", "foo"), "Metadata field foo is not supported"),
}


@pytest.mark.parametrize(("fields", "text"), METADATA.values(), ids=METADATA)
def test_metadata_refusal(server, fields, text):
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec(), metadata_field=fields)
    assert server.refusal("GetModelMetadata", request) == ("INVALID_ARGUMENT", text)


def test_metadata(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=spec(label="stable"), metadata_field=["signature_def"]
    )
    response = server.call("GetModelMetadata", request)
    assert response.model_spec.name == "dense"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == ""
    entry = response.metadata["signature_def"]
    assert entry.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert entry.Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    assert list(signature.inputs) == ["feats"]
    assert signature.inputs["feats"].dtype == 1
    assert signature.inputs["feats"].name == "serving_default_feats:0"
    assert [dim.size for dim in signature.inputs["feats"].tensor_shape.dim] == [-1, 3]
    assert sorted(signature.outputs) == ["mean", "sum"]
    assert signature.method_name == "tensorflow/serving/predict"
    (output,) = signatures.signature_def["__saved_model_init_op"].outputs.values()
    assert (output.dtype, output.tensor_shape.unknown_rank) == (0, True)


STATUS = {
    # Seen on TensorFlow Serving 2.21.0: an empty name is that of a model which is not there.
    "no name": ({"name": ""}, "NOT_FOUND", "Could not find any versions of model "),
    "no name, version": ({"name": "", "version": 9}, "NOT_FOUND", "Could not find version 9 of model "),
    "unknown model": ({"name": "nope"}, "NOT_FOUND", "Could not find any versions of model nope"),
    "unknown version": ({"name": "dense", "version": 9}, "NOT_FOUND", "Could not find version 9 of model dense"),
}


@pytest.mark.parametrize(("names", "code", "text"), STATUS.values(), ids=STATUS)
def test_status_refusal(server, names, code, text):
    assert server.refusal("GetModelStatus", status_request(**names)) == (code, text)


def test_status_without_a_model_spec(server):
    request = get_model_status_pb2.GetModelStatusRequest()
    assert server.refusal("GetModelStatus", request) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_status(server):
    """The highest version first; a label is not looked at, not even one that nobody set."""
    assert states(server, "dense") == [(2, "AVAILABLE", 0, ""), (1, "AVAILABLE", 0, "")]
    for label in ("stable", "nobody's"):
        response = server.call("GetModelStatus", status_request("dense", label=label))
        assert [entry.version for entry in response.model_version_status] == [2, 1]
    response = server.call("GetModelStatus", status_request("dense", version=1))
    assert [(entry.version, entry.state) for entry in response.model_version_status] == [(1, 30)]


@pytest.fixture(scope="module")
def own(start_for_module, folders):
    """A server that may be reloaded; it begins with one model, half."""
    return start_for_module(models_config(folders[1], {"half": "latest {}"}))


@pytest.fixture
def begin(own, folders):
    """The text of the first list, which is in force again after each test."""
    first = models_config(folders[1], {"half": "latest {}"})
    yield first
    own.reload(first)


def config(*fields):
    return "model_config_list { " + " ".join(f"config {{ {text} }}" for text in fields) + " }"


def test_the_list_replaces_the_one_before(own, begin, folders):
    own.reload(models_config(folders[1], {"plain": "latest {}"}))
    assert predict(own, {"x": [2.0]}, "only", "plain") == {"y": [3.0]}
    # An unloaded version stays listed.
    wait_for(lambda: [entry[:2] for entry in states(own, "half")] == [(3, "END")])
    with pytest.raises(grpc.RpcError, match="Servable not found"):
        predict(own, {"x": [2.0]}, name="half")


def test_an_empty_list_unloads_everything(own, begin):
    response = own.reload("model_config_list {}")
    assert response.status.error_code == 0
    wait_for(lambda: states(own, "half")[0][1] == "END")
    with pytest.raises(grpc.RpcError, match="Servable not found"):
        predict(own, {"x": [2.0]}, name="half")


def test_the_call_returns_when_new_models_are_available(own, begin, folders):
    """Seen on TensorFlow Serving 2.21.0: the newest version of each is then there, and older ones follow."""
    own.reload(models_config(folders[1], {"half": "latest {}", "dense": "all {}"}))
    assert [entry[:2] for entry in states(own, "dense")][0] == (2, "AVAILABLE")
    wait_for(lambda: available(own, "dense") == [2, 1])
    assert predict(own, {"feats": [[1.0, 2, 3]]}, version=2)["mean"] == [12.0]


def test_a_model_that_fails_to_load(own, begin, folders):
    """The others go on, and a good list can follow. On the original the first attempt is followed by others."""
    found = own.reload_refusal(models_config(folders[1], {"half": "latest {}", "broken": "latest {}"}), 60)
    assert found[0] == "UNKNOWN"
    assert says(found[1], "1 model(s) did not become available: {{{name: broken version: 1} due to error: ...")
    assert predict(own, {"x": [2.0]}, name="half") == {"y": [4.0]}
    ((version, state, code, _),) = states(own, "broken")
    assert (version, state) == (1, "END")
    assert code != 0
    own.reload(models_config(folders[1], {"half": "latest {}", "plain": "latest {}"}))
    assert predict(own, {"x": [2.0]}, "only", "plain") == {"y": [3.0]}


def test_a_version_without_a_saved_model(own, begin, folders):
    here, there = folders
    (here / "hollow" / "1").mkdir(parents=True, exist_ok=True)
    code, text = own.reload_refusal(models_config(there, {"half": "latest {}", "hollow": "latest {}"}), 60)
    assert code == "UNKNOWN"
    assert "{name: hollow version: 1} due to error: " in text
    (entry,) = states(own, "hollow")
    assert entry[:3] == (1, "END", 5)
    assert says(entry[3], "Specified file path does not appear to contain a SavedModel bundle ...")


REFUSALS = {
    "a model twice": (
        ['name: "a" base_path: "/a" model_platform: "tensorflow"'] * 2,
        "Illegal to list model a multiple times in config list",
    ),
    "a relative path": (
        ['name: "r" base_path: "x/y" model_platform: "tensorflow"'],
        "Expected model r to have an absolute path or URI; got base_path()=x/y",
    ),
}


@pytest.mark.parametrize(("fields", "text"), REFUSALS.values(), ids=REFUSALS)
def test_reload_refusal(own, fields, text):
    code, found = own.reload_refusal(config(*fields))
    assert code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
    assert says(found, text + "...")
    assert predict(own, {"x": [2.0]}, name="half") == {"y": [4.0]}


# What a list of models says of "plain", the text, and that of the refusals that follow on the original.
PLATFORMS = {
    "no platform": (
        "",
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
        "model name is plain",
    ),
    "another platform": ('model_platform: "torch"', "Model plain requests unsupported platform torch"),
}


@pytest.mark.parametrize(("platform", "text"), PLATFORMS.values(), ids=PLATFORMS)
def test_a_platform_that_is_refused(start, folders, platform, text):
    """A defect, so each case has a server of its own: the original keeps the list that it refuses.

    Seen on TensorFlow Serving 2.21.0: after a list without `model_platform`, or with one that it does not know, it
    refuses every later list, good ones too, until it is started anew; its models go on answering. The embedded server
    follows the next good list.
    """
    server = start(models_config(folders[1], {"half": "latest {}"}))
    good = models_config(folders[1], {"half": "latest {}", "plain": "latest {}"})
    head, _, tail = good.rpartition('model_platform: "tensorflow"')
    code, found = server.reload_refusal(f"{head}{platform}{tail}")
    assert code == "INVALID_ARGUMENT"
    assert says(found, text + "...")
    assert predict(server, {"x": [2.0]}, name="half") == {"y": [4.0]}
    for _ in range(2):
        try:
            server.reload(good)
        except grpc.RpcError as error:
            assert KIND == "binary"
            assert any(says(error.details(), f"{told}...") for told in (text, "Illegal to change a model's platform"))
            assert predict(server, {"x": [2.0]}, name="half") == {"y": [4.0]}
        else:
            assert predict(server, {"x": [2.0]}, "only", "plain") == {"y": [3.0]}


def test_only_lists_can_be_reloaded(own):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.custom_model_config.SetInParent()
    _, text = own.refusal("HandleReloadConfigRequest", request)
    assert says(
        text,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
        "supported...",
    )


def test_a_label_of_a_version_that_is_not_available(own, begin, folders):
    labelled = models_config(folders[1], {"half": "latest {}"}, {"half": {"stable": 1}})
    assert own.reload_refusal(labelled) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 1 of model half, which is not currently available for inference",
    )
    own.reload(models_config(folders[1], {"half": "latest {}"}, {"half": {"stable": 3}}))
    assert predict(own, {"x": [2.0]}, name="half", label="stable") == {"y": [4.0]}
    own.reload(begin)
    with pytest.raises(grpc.RpcError, match="Unrecognized servable version label: stable"):
        predict(own, {"x": [2.0]}, name="half", label="stable")


def test_a_new_model_whose_folder_is_missing(start, folders):
    """A defect: on the original the call never returns and every later one waits behind it; Predict goes on."""
    server = start(models_config(folders[1], {"half": "latest {}"}))
    code, _ = server.reload_refusal(models_config(folders[1], {"half": "latest {}", "missing": "latest {}"}), 2)
    assert code in ("DEADLINE_EXCEEDED", "NOT_FOUND")
    assert predict(server, {"x": [2.0]}, name="half") == {"y": [4.0]}
    if code == "NOT_FOUND":
        server.reload(models_config(folders[1], {"plain": "latest {}"}))
        assert predict(server, {"x": [2.0]}, "only", "plain") == {"y": [3.0]}


def test_the_configuration_is_readable_text(default_config):
    """What these tests send is what an operator writes."""
    parsed = text_format.Parse(default_config, model_server_config_pb2.ModelServerConfig())
    assert dict(parsed.model_config_list.config[0].version_labels) == {"stable": 1, "canary": 2}
