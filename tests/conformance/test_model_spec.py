"""Section 2 of the contract: which model, version and label a request names, the same for every method."""

import shutil

import grpc
import pytest

from .asking import inference_request, predict, spec, wait_for

METHODS = ["Predict", "Classify", "Regress", "GetModelMetadata"]
SIGNATURES = {"Predict": "", "Classify": "classify", "Regress": "regress", "GetModelMetadata": ""}
REFUSALS = {
    "no model_spec": (None, "INVALID_ARGUMENT", "Missing ModelSpec"),
    "empty name": ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    "unknown model": ({"name": "nope"}, "NOT_FOUND", "Servable not found for request: Latest(nope)"),
    "unknown model, version": (
        {"name": "nope", "version": 1},
        "NOT_FOUND",
        "Servable not found for request: Specific(nope, 1)",
    ),
    "unknown version": (
        {"name": "dense", "version": 9},
        "NOT_FOUND",
        "Servable not found for request: Specific(dense, 9)",
    ),
    "unknown label": (
        {"name": "dense", "label": "newest"},
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: newest",
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("names", "code", "text"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(server, method, names, code, text):
    model_spec = None if names is None else spec(signature=SIGNATURES[method], **names)
    assert server.refusal(method, inference_request(method, model_spec)) == (code, text)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("names", "version"), [({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2)]
)
def test_version(server, method, names, version):
    response = server.call(method, inference_request(method, spec(signature=SIGNATURES[method], **names)))
    assert response.model_spec.name == "dense"
    assert response.model_spec.version.value == version
    assert response.model_spec.version_label == ""


def test_a_label_of_a_version_that_has_gone(start, models_folder):
    """The original takes such a label at the start too, with a flag; here its version is unloaded later."""
    base_path = models_folder / "rolled-label"
    shutil.copytree(models_folder / "half" / "1", base_path / "1")
    config = 'model_config_list { config { name: "a" base_path: "FOLDER" model_platform: "tensorflow" LABELS } }'
    config = config.replace("FOLDER", str(base_path))
    server = start(config.replace("LABELS", ""))
    server.reload(config.replace("LABELS", 'version_labels { key: "stable" value: 1 }'))
    assert predict(server, {"x": [2.0]}, name="a", label="stable") == {"y": [2.0]}
    shutil.copytree(models_folder / "half" / "2", base_path / ".tmp-2")
    (base_path / ".tmp-2").rename(base_path / "2")
    gone = ("NOT_FOUND", "Servable not found for request: Specific(a, 1)")
    request = inference_request("GetModelMetadata", spec("a", label="stable"))

    def is_gone():
        try:
            server.call("GetModelMetadata", request)
        except grpc.RpcError:
            return True
        return False

    wait_for(is_gone)
    assert server.refusal("GetModelMetadata", request) == gone
