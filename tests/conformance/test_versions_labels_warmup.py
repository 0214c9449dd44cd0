"""Section 7 of the contract: versions that come and go, policies, labels and warm-up records."""

import shutil
import threading

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from mmkeras.errors import MmkerasError

from .asking import (
    available,
    inference_request,
    multi_request,
    predict,
    predict_request,
    says,
    spec,
    states,
    wait_for,
)
from .server import KIND, models_config

X = {"x": [2.0]}


def publish(models_folder, base_path, version, name=None):
    """Copy a version of half beside and rename it, as an export does."""
    staging = base_path / f".coming-{version}"
    shutil.copytree(models_folder / "half" / str(version), staging)
    staging.rename(base_path / (name or str(version)))


@pytest.fixture
def base_path(models_folder, request):
    """A model's folder with version 1, and a child that is no version; named as the test."""
    path = models_folder / request.node.name.replace("[", "-").replace("]", "")
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    publish(models_folder, path, 1, "00000001")
    (path / ".tmp3").mkdir()
    (path / "notes").mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def serve(start, base_path):
    """A function of a policy that starts a server of `base_path`."""
    return lambda policy="latest {}": start(models_config(base_path.parent, {base_path.name: policy}))


def test_names_of_versions(serve, base_path):
    """Leading zeros do not count, and what is no number is no version."""
    server = serve()
    assert [entry[:2] for entry in states(server, base_path.name)] == [(1, "AVAILABLE")]


POLICIES = {
    "none": ("latest {}", [2]),
    "latest two": ("latest { num_versions: 2 }", [2, 1]),
    "latest three of two": ("latest { num_versions: 3 }", [2, 1]),
    "all": ("all {}", [2, 1]),
    "specific": ("specific { versions: 1 }", [1]),
    "two specific": ("specific { versions: 1 versions: 2 }", [2, 1]),
}


@pytest.mark.parametrize(("policy", "versions"), POLICIES.values(), ids=POLICIES)
def test_policy(start, folders, policy, versions):
    own = start(models_config(folders[1], {"dense": policy}))
    # Where there are several, the original opens its ports with the newest one.
    wait_for(lambda: available(own, "dense") == versions)


def test_the_new_version_is_loaded_before_the_old_one_goes(serve, base_path, models_folder):
    server, answers, ended = serve(), [], threading.Event()

    def ask():
        while not ended.is_set():
            answers.append(predict(server, X, name=base_path.name)["y"][0])

    thread = threading.Thread(target=ask)
    thread.start()
    for version in (2, 3):
        publish(models_folder, base_path, version)
        wait_for(lambda version=version: available(server, base_path.name) == [version])
    ended.set()
    thread.join()
    assert set(answers) == {2.0, 3.0, 4.0}
    assert answers == sorted(answers)
    assert [entry[:2] for entry in states(server, base_path.name)][0] == (3, "AVAILABLE")
    wait_for(lambda: {entry[1] for entry in states(server, base_path.name)[1:]} == {"END"})


def test_going_back(serve, base_path, models_folder):
    publish(models_folder, base_path, 2)
    server = serve()
    assert predict(server, X, name=base_path.name) == {"y": [3.0]}
    shutil.rmtree(base_path / "2")
    wait_for(lambda: available(server, base_path.name) == [1])
    assert predict(server, X, name=base_path.name) == {"y": [2.0]}


def test_removing_all_versions_unloads_the_model(serve, base_path):
    server = serve()
    shutil.rmtree(base_path / "00000001")
    wait_for(lambda: available(server, base_path.name) == [])
    request = predict_request(spec(base_path.name), X)
    assert server.refusal("Predict", request) == (
        "NOT_FOUND",
        f"Servable not found for request: Latest({base_path.name})",
    )
    assert states(server, base_path.name)[0][0] == 1


def test_a_newer_version_that_fails_to_load_replaces_nothing(serve, base_path, models_folder):
    server = serve()
    (base_path / "2").mkdir()
    (base_path / "2" / "saved_model.pb").write_bytes(b"no protobuf at all")
    wait_for(lambda: (2, "END") in [entry[:2] for entry in states(server, base_path.name)], 60)
    assert states(server, base_path.name)[0][2] != 0
    assert predict(server, X, name=base_path.name) == {"y": [2.0]}
    publish(models_folder, base_path, 3)
    wait_for(lambda: available(server, base_path.name) == [3])
    assert predict(server, X, name=base_path.name) == {"y": [4.0]}


@pytest.mark.parametrize(("label", "answer"), [("stable", 6.0), ("canary", 12.0)])
def test_label(server, label, answer):
    assert predict(server, {"feats": [[1.0, 2, 3]]}, label=label)["mean"] == [answer]


def test_moving_a_label(start, folders):
    own = start(models_config(folders[1], {"half": "all {}"}))
    wait_for(lambda: available(own, "half") == [3, 2, 1])
    for version in (1, 2, 1):
        own.reload(models_config(folders[1], {"half": "all {}"}, {"half": {"stable": version}}))
        assert predict(own, X, name="half", label="stable") == {"y": [1.0 + version]}


def test_a_label_in_the_first_configuration(start, folders):
    """The original refuses it, as nothing is available yet; the embedded server takes a label of what it loads.

    Seen on TensorFlow Serving 2.21.0: `--allow_version_labels_for_unavailable_models=true` has it taken there too.
    """
    config = models_config(folders[1], {"half": "all {}"}, {"half": {"stable": 1}})
    allowed = start(config, flags=["--allow_version_labels_for_unavailable_models=true"])
    wait_for(lambda: available(allowed, "half") == [3, 2, 1])
    assert predict(allowed, X, name="half", label="stable") == {"y": [2.0]}
    try:
        own = start(config)
    except RuntimeError as error:
        assert KIND == "binary"
        assert "Request to assign label to version 1 of model half" in str(error)
    else:
        assert predict(own, X, name="half", label="stable") == {"y": [2.0]}


def test_a_model_that_fails_at_the_start(start, folders):
    with pytest.raises((RuntimeError, MmkerasError)) as caught:
        start(models_config(folders[1], {"broken": "latest {}"}))
    assert "1 servable(s) did not become available: {{{name: broken version: 1} due to error: " in str(caught.value)


STARTS = {
    "no folder": '"/nowhere/at/all"',
    "no version": "FOLDER",
    "a relative path": '"some/folder"',
}


@pytest.mark.parametrize("path", STARTS.values(), ids=STARTS)
def test_a_model_that_is_not_there_at_the_start(start, tmp_path, path):
    """A defect: for a folder, or a version in it, the original waits without end, and opens no port meanwhile."""
    path = path.replace("FOLDER", f'"{tmp_path}"')
    with pytest.raises((RuntimeError, MmkerasError)):
        start(
            f'model_config_list {{ config {{ name: "m" base_path: {path} model_platform: "tensorflow" }} }}', seconds=3
        )


def log(kind="predict_log", signature="", inputs=X):
    """A warm-up record; its model and version are those of nobody."""
    record = prediction_log_pb2.PredictionLog()
    model_spec = spec("nobody's", signature, version=77)
    request = {
        "predict_log": lambda: predict_request(model_spec, inputs),
        "classify_log": lambda: inference_request("Classify", model_spec),
        "regress_log": lambda: inference_request("Regress", model_spec),
        "multi_inference_log": lambda: multi_request((model_spec, "regress")),
    }[kind]()
    getattr(record, kind).request.CopyFrom(request)
    return record.SerializeToString()


def records(path, contents):
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)


WARM_UPS = {
    "one": ([log()], None),
    "none": ([], None),
    "1000": ([log()] * 1000, None),
    "1001": ([log()] * 1001, "Number of warmup records exceeds the maximum (1000) at"),
    "unknown signature": ([log(), log(signature="zz")], 'Serving signature key "zz" not found.'),
    "unknown input": ([log(inputs={"z": [1.0]})], "Signature input alias: x"),
    "wrong dtype": ([log(inputs={"x": ["a"]})], "Expects arg[0] to be float but string is provided"),
    "no TFRecord": (
        None,
        "corrupted record at 0 (Is this even a TFRecord file?). Please verify your warmup data is in TFRecord format.",
    ),
}


@pytest.mark.parametrize(("contents", "text"), WARM_UPS.values(), ids=WARM_UPS)
def test_warm_up(warm_server, models_folder, folders, request, contents, text):
    """A record that fails, fails the load. The model and the version that the records name are not looked at."""
    name = f"warm-{request.node.callspec.id.replace(' ', '-')}"
    shutil.rmtree(models_folder / name, ignore_errors=True)
    shutil.copytree(models_folder / "half" / "1", models_folder / name / "1")
    path = models_folder / name / "1" / "assets.extra" / "tf_serving_warmup_requests"
    if contents is None:
        path.parent.mkdir()
        path.write_bytes(b"this is no file of records, and long enough to be read as one")
    else:
        records(path, contents)
    served = models_config(folders[1], {"half": "latest {}", name: "latest {}"})
    if text is None:
        warm_server.reload(served, 60)
        assert predict(warm_server, X, name=name) == {"y": [2.0]}
    else:
        with pytest.raises(grpc.RpcError) as caught:
            warm_server.reload(served, 60)
        assert says(caught.value.details(), f"1 model(s) did not become available: {{{{{{name: {name} version: 1}}...")
        status = states(warm_server, name)[0]
        assert text in status[3]
        if contents is None:
            assert status[2] == 15  # DATA_LOSS


def test_a_warm_up_of_a_wrong_shape(warm_server, models_folder, folders):
    name = "warm-shape"
    shutil.rmtree(models_folder / name, ignore_errors=True)
    shutil.copytree(models_folder / "dense" / "1", models_folder / name / "1")
    path = models_folder / name / "1" / "assets.extra" / "tf_serving_warmup_requests"
    records(path, [log(inputs={"feats": [[1.0, 2.0]]})])
    served = models_config(folders[1], {"half": "latest {}", name: "latest {}"})
    assert warm_server.reload_refusal(served, 60)[0] == "UNKNOWN"
    assert "Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]" in states(warm_server, name)[0][3]


@pytest.mark.parametrize("flag", ["--enable_model_warmup=false", "--num_request_iterations_for_warmup=3"])
def test_flags_of_the_warm_up(start, models_folder, folders, flag):
    """Without warm-up a bad record does no harm; several iterations ask each record so often."""
    name = f"flag-{len(flag)}"
    shutil.rmtree(models_folder / name, ignore_errors=True)
    shutil.copytree(models_folder / "half" / "1", models_folder / name / "1")
    bad = flag.endswith("false")
    path = models_folder / name / "1" / "assets.extra" / "tf_serving_warmup_requests"
    records(path, [log(signature="zz" if bad else "")])
    server = start(models_config(folders[1], {name: "latest {}"}), flags=[flag])
    assert predict(server, X, name=name) == {"y": [2.0]}


KINDS = {
    "predict_log": "serving_default",
    "classify_log": "classify_y",
    "regress_log": "regress_y",
    "multi_inference_log": "regress_y2",
}


@pytest.mark.parametrize("signature", [None, "zz"], ids=["good", "bad"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_warm_up_records(warm_server, models_folder, folders, kind, signature):
    name = f"kind-{kind}-{signature}"
    shutil.rmtree(models_folder / name, ignore_errors=True)
    shutil.copytree(models_folder / "multi" / "1", models_folder / name / "1")
    path = models_folder / name / "1" / "assets.extra" / "tf_serving_warmup_requests"
    records(path, [log(kind, signature or KINDS[kind])])
    served = models_config(folders[1], {"half": "latest {}", name: "latest {}"})
    if signature is None:
        warm_server.reload(served, 60)
        assert predict(warm_server, X, name=name) == {"y": [3.0]}
    else:
        assert warm_server.reload_refusal(served, 60)[0] == "UNKNOWN"


@pytest.fixture(scope="module")
def warm_server(start_for_module, folders):
    return start_for_module(models_config(folders[1], {"half": "latest {}"}))
