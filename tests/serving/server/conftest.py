"""Models without TensorFlow: folders that a stand-in for the loader reads."""

import threading

import pytest

from mmkeras.serving import ServingError, protos
from mmkeras.serving.server.config_files import parse_models
from mmkeras.serving.server.served_models import ServedModels


class Loaded:
    """What `load` makes of a version's folder."""

    def __init__(self, path, name, version):
        self.path, self.name, self.version = path, name, version
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


class Shelf:
    """Folders of versions, a loader for them, and what was loaded and closed in which order."""

    def __init__(self, folder):
        self.folder = folder
        self.log = []
        self.models = ServedModels(self.load)

    def put(self, name, *versions, content="good"):
        for version in versions:
            path = self.folder / name / str(version)
            path.mkdir(parents=True, exist_ok=True)
            (path / "saved_model.pb").write_text(content)

    def load(self, path, name, version):
        content = (path / "saved_model.pb").read_text()
        if content != "good":
            self.log.append(f"failed {name} {version}")
            raise ServingError("DATA_LOSS", f"It is {content}")
        self.log.append(f"loaded {name} {version}")
        servable = Loaded(path, name, version)
        close, servable.close = servable.close, lambda: (self.log.append(f"closed {name} {version}"), close())
        return servable

    def configs(self, *models):
        """A ModelConfigList; a model is its name, or its name and more fields as text."""
        entries = []
        for model in models:
            name, more = model if isinstance(model, tuple) else (model, "")
            entries.append(
                f'config {{ name: "{name}" base_path: "{self.folder / name}" model_platform: "tensorflow" {more} }}'
            )
        return parse_models(f"model_config_list {{ {' '.join(entries)} }}".encode(), "models.config")

    def answers(self, name, version=None, label=None):
        """The version that answers, or the (code, text) of the refusal."""
        spec = protos.ModelSpec(name=name)
        if version is not None:
            spec.version.value = version
        if label is not None:
            spec.version_label = label
        try:
            with self.models.resolve(spec) as servable:
                return servable.version
        except ServingError as error:
            return error.code, error.details

    def states(self, name):
        return {version: state for version, state, _ in self.models.statuses(name)}


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.models.close()
