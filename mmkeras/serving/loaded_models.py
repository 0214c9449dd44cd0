"""Which versions of a model there are on disk, and which one answers a request."""

from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.serving.errors import ServingError
from mmkeras.serving.servable import Servable
from mmkeras.serving.warm_up import replay_warm_up


def find_versions(base_path):
    """Return a dict from version number to folder of a model's base path, the newest last.

    Only folders whose name is a number count, as on TensorFlow Serving: a half-written `.tmp-1` is passed over.

    Raises:
        MmkerasError: the base path is no folder or holds no version.
    """
    base_path = Path(base_path).expanduser().resolve()
    if not base_path.is_dir():
        raise MmkerasError(
            f"Expected base_path to be a model's folder, as mmkeras export writes it: savedmodels/NAME. "
            f"Received: base_path={str(base_path)!r}, which is {'a file' if base_path.exists() else 'missing'}"
        )
    folders = [path for path in base_path.iterdir() if path.name.isascii() and path.name.isdecimal() and path.is_dir()]
    if not folders:
        hint = "; it is itself a version, give its parent" if (base_path / "saved_model.pb").exists() else ""
        raise MmkerasError(
            f"Expected base_path to hold versions, folders named by a number such as 1. "
            f"Received: base_path={str(base_path)!r} with {sorted(path.name for path in base_path.iterdir())}{hint}"
        )
    return {int(path.name): path for path in sorted(folders, key=lambda path: int(path.name))}


def latest_version(folder):
    """Return the folder of a model's newest version; a version's own folder is returned as it is.

    Raises:
        MmkerasError: as `find_versions`.
    """
    if (Path(folder) / "saved_model.pb").is_file():
        return Path(folder)
    return list(find_versions(folder).values())[-1]


class LoadedModels:
    """Load one version of one model and find it for a request's ModelSpec.

    Args:
        base_path: folder of integer version folders.
        name: the model's name; the folder's where None.
        version: integer; the newest where None.

    Call arguments:
        model_spec: a request's ModelSpec.

    Raises:
        MmkerasError: no such folder or version, or it does not load or warm up.
    """

    def __init__(self, base_path, name=None, version=None):
        self.versions = find_versions(base_path)
        self.name = name or Path(base_path).expanduser().resolve().name
        if version is not None and version not in self.versions:
            raise MmkerasError(
                f"Expected version to be among {list(self.versions)} of {base_path}. Received: version={version!r}"
            )
        self.version = max(self.versions) if version is None else version
        self._servables = {}

    def load(self):
        """Load the version and answer its warm-up records."""
        path = self.versions[self.version]
        servable = Servable(path, self.name, self.version)
        try:
            replay_warm_up(servable)
        except ServingError as error:
            servable.close()
            raise MmkerasError(f"Expected the warm-up records of {path} to succeed. Received: {error}") from error
        self._servables = {self.version: servable}

    def resolve(self, request):
        """Return the servable that a request's ModelSpec names.

        Raises:
            ServingError: with TensorFlow Serving's code and text.
        """
        spec = checked_model_spec(request)
        if spec.HasField("version_label"):
            raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {spec.version_label}")
        if spec.HasField("version"):
            servable = self._servables.get(spec.version.value) if spec.name == self.name else None
            asked = f"Specific({spec.name}, {spec.version.value})"
        else:
            newest = max(self._servables, default=None)
            servable = self._servables.get(newest) if spec.name == self.name else None
            asked = f"Latest({spec.name})"
        if servable is None:
            raise ServingError("NOT_FOUND", f"Servable not found for request: {asked}")
        return servable

    def loaded_versions(self, name):
        """Return the loaded versions of a model, the highest first; none where the name is another."""
        return sorted(self._servables, reverse=True) if name == self.name else []

    def close(self):
        """Free what is loaded."""
        servables, self._servables = self._servables, {}
        for servable in servables.values():
            servable.close()


def checked_model_spec(request):
    """Return a request's ModelSpec, which must be there and have a name."""
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    if not request.model_spec.name:
        raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    return request.model_spec
