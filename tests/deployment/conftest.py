"""The files of serving/, read as YAML and as protobuf text."""

import pytest
from google.protobuf import text_format

IMAGE = "tensorflow/serving:2.20.0"
ROLLOUT = ["1-stable", "2-loaded", "3-canary", "4-switched", "5-done"]


@pytest.fixture(scope="session")
def serving(repository):
    return repository / "serving"


@pytest.fixture(scope="session")
def yaml():
    return pytest.importorskip("yaml", reason='PyYAML is not installed: pip install -e ".[test]"')


@pytest.fixture(scope="session")
def compose(serving, yaml):
    return yaml.safe_load((serving / "compose.yaml").read_text())


@pytest.fixture(scope="session")
def manifests(serving, yaml):
    """{(kind, name): manifest} of serving/kubernetes."""
    found = {}
    for file in sorted((serving / "kubernetes").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            key = (manifest["kind"], manifest["metadata"]["name"])
            assert key not in found
            found[key] = manifest
    return found


@pytest.fixture(scope="session")
def pod(manifests):
    return manifests["Deployment", "model-server"]["spec"]["template"]


def flags(arguments):
    """{name: value} of a server's command line."""
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


def read_models(file):
    """The ModelConfigList of a models.config, read as the server does: by the messages of tensorflow-serving-api."""
    from tensorflow_serving.config import model_server_config_pb2

    return text_format.Parse(file.read_text(), model_server_config_pb2.ModelServerConfig()).model_config_list
