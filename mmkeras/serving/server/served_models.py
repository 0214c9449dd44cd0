"""The models of a server: which versions are loaded, which one answers a request, and how that changes."""

import contextlib
import logging
import threading

from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.loading import load_servable
from mmkeras.serving.server.model_configs import check_model_configs, wanted_versions, wanted_versions_of_new_model
from mmkeras.serving.server.served_version import ServedVersion

_log = logging.getLogger(__name__)


class ServedModels:
    """Load versions of models as their folders and policies ask for, while requests go on.

    A new version is loaded and warmed up before the old one goes; one that fails to load replaces nothing. A version
    that goes takes no new requests and is freed with the last of those that it has. One change is made at a time, by
    whoever calls `start`, `reload` or `look`; `resolve` and `statuses` never wait for it.

    Args:
        load: function of (folder, model name, version) that returns a servable: `run`, `signatures`, `name`, `version`
            and `close`, as `Servable` has them. It raises ServingError where the version cannot be served.

    Example:
        >>> models = ServedModels()
        >>> models.start(models_config("glyphs", "/models/glyphs"))
        >>> with models.resolve(ModelSpec(name="glyphs")) as servable:
        ...     servable.run("encode_text", {"text": texts}, ["embedding"])
    """

    def __init__(self, load=load_servable):
        self.load = load
        self._changing = threading.Lock()
        self._lock = threading.Lock()  # of everything below and of every ServedVersion; never held for long
        self._configs = {}
        self._versions = {}
        self._labels = {}
        self._complaints = {}

    def start(self, model_config_list):
        """Load the models of a ModelConfigList.

        Labels may name any version that the list itself loads; `reload` refuses those, as the original does here too.

        Raises:
            ServingError: the list cannot be followed, or a model has no version that loads; nothing stays loaded.
        """
        configs = list(model_config_list.config)
        try:
            with self._changing:
                check_model_configs(configs)
                for config in configs:
                    wanted_versions_of_new_model(config)
                failed = self._change(configs, {})
                if failed:
                    raise ServingError("UNKNOWN", _not_available("servable(s)", failed))
                self._labels = self._checked_labels(configs)
        except Exception:
            self.close()
            raise

    def reload(self, model_config_list, seconds=None):
        """Follow another ModelConfigList instead; return when every model that is new in it is available.

        A list that is refused changes nothing. One with a model that fails to load is in force all the same, as on the
        original: the model's status tells the error, and its load is tried again.

        Args:
            model_config_list: ModelConfigList; models that it leaves out are unloaded.
            seconds: how long to wait for another change to end; for ever where None.

        Raises:
            ServingError: with TensorFlow Serving's code and text; NOT_FOUND where a new model has no version, for which
                the original waits without end.
        """
        configs = list(model_config_list.config)
        if not self._changing.acquire(timeout=-1 if seconds is None else max(seconds, 0)):
            raise ServingError("DEADLINE_EXCEEDED", "Another change of the models was still going on")
        try:
            check_model_configs(configs)
            labels = self._checked_labels(configs)
            for config in configs:
                if config.name not in self._configs:
                    wanted_versions_of_new_model(config)
            failed = self._change(configs, labels)
        finally:
            self._changing.release()
        if failed:
            raise ServingError("UNKNOWN", _not_available("model(s)", failed))

    def look(self):
        """Look at the models' folders once, and load and unload what has changed there."""
        with self._changing:
            for config in self._configs.values():
                self._follow(config)

    @contextlib.contextmanager
    def resolve(self, model_spec):
        """Give the servable that a request's ModelSpec names, which stays loaded until the block ends.

        Args:
            model_spec: ModelSpec, or None where the request has none.

        Raises:
            ServingError: with TensorFlow Serving's code and text.
        """
        version = self._hold(model_spec)
        try:
            yield version.servable
        finally:
            self._let_go(version)

    def statuses(self, name):
        """Return [(version, state, ServingError or None)] of a model, the highest version first."""
        with self._lock:
            versions = self._versions.get(name, {})
            return [(number, versions[number].state, versions[number].error) for number in sorted(versions)[::-1]]

    def known_name(self, name, other):
        """Return a model's name where it is one of the list in force, else `other`; clients invent any number."""
        with self._lock:
            return name if name in self._configs else other

    def newest(self, name):
        """Return the number of the newest available version of a model, or None."""
        with self._lock:
            return self._newest(name)

    def close(self):
        """Unload everything; what still runs is cancelled."""
        with self._changing:
            with self._lock:
                versions = [version for versions in self._versions.values() for version in versions.values()]
                servables = [version.servable for version in versions if version.servable is not None]
                for version in versions:
                    version.servable = None
                    version.state = "END"
                self._configs, self._labels = {}, {}
            for servable in servables:
                servable.close()

    def _hold(self, spec):
        if spec is None:
            raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
        if not spec.name:
            raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        with self._lock:
            if choice == "version":
                number = spec.version.value
            elif choice == "version_label":
                number = self._labels.get(spec.name, {}).get(spec.version_label)
                if number is None:
                    raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {spec.version_label}")
            else:
                number = self._newest(spec.name)
            version = self._versions.get(spec.name, {}).get(number)
            if version is not None and version.state == "AVAILABLE":
                version.running += 1
                return version
        asked = f"Specific({spec.name}, {number})" if choice else f"Latest({spec.name})"
        raise ServingError("NOT_FOUND", f"Servable not found for request: {asked}")

    def _let_go(self, version):
        with self._lock:
            version.running -= 1
            servable = self._freed(version)
        self._end(version, servable)

    def _newest(self, name):
        versions = self._versions.get(name, {})
        return max((number for number, version in versions.items() if version.state == "AVAILABLE"), default=None)

    def _checked_labels(self, configs):
        """Return {model: {label: version}}, where every version is available now."""
        with self._lock:
            for config in configs:
                for number in config.version_labels.values():
                    version = self._versions.get(config.name, {}).get(number)
                    if version is None or version.state != "AVAILABLE":
                        raise ServingError(
                            "FAILED_PRECONDITION",
                            f"Request to assign label to version {number} of model {config.name}, "
                            "which is not currently available for inference",
                        )
        return {config.name: dict(config.version_labels) for config in configs}

    def _change(self, configs, labels):
        """Put a list in force; return those versions that keep a new model from being available."""
        with self._lock:
            new = [config.name for config in configs if config.name not in self._configs]
            self._configs = {config.name: config for config in configs}
            self._labels = labels
            left_out = [name for name in self._versions if name not in self._configs]
        for name in left_out:
            self._unload(name, keep=())
        for config in configs:
            self._follow(config, at_once=config.name in new)
        with self._lock:
            failed = []
            for name in new:
                ended = [version for version in self._versions.get(name, {}).values() if version.error is not None]
                if self._newest(name) is None:
                    failed += sorted(ended, key=lambda version: version.version)[-1:]
        return failed

    def _follow(self, config, at_once=False):
        """Bring one model to what its folder holds and its policy asks for; failed loads are tried again if due."""
        try:
            wanted = wanted_versions(config)
        except ServingError as error:
            # The folder may be back in a moment, as on a network drive: what is loaded stays.
            self._complain(config.name, f"{error.details}; what is loaded stays")
            return
        for number, path in wanted.items():
            self._load(config.name, number, path, at_once)
        with self._lock:
            versions = self._versions.get(config.name, {})
            replaced = not wanted or any(versions[number].state == "AVAILABLE" for number in wanted)
        if replaced:
            self._unload(config.name, keep=wanted)
        if wanted:
            self._complaints.pop(config.name, None)
        else:
            self._complain(config.name, f"No versions of servable {config.name} found under {config.base_path}")

    def _load(self, name, number, path, at_once):
        version = self._versions.get(name, {}).get(number)
        if version is None or version.state == "UNLOADING" or (version.state == "END" and version.error is None):
            version = ServedVersion(name, number, path)
        elif version.state == "END" and version.path != path:
            version = ServedVersion(name, number, path)
        elif version.state != "END" or not (at_once or version.is_due()):
            # As on the original, the number of what is loaded says what it is, wherever it lies by now.
            return
        with self._lock:
            self._versions.setdefault(name, {})[number] = version
            version.state = "LOADING"
        loaded = version.load(self.load)
        failed = isinstance(loaded, ServingError)
        with self._lock:
            version.error = loaded if failed else None
            version.servable = None if failed else loaded
            version.state = "END" if failed else "AVAILABLE"
        if failed:
            _log.error("Version %s of model %s failed to load: %s", number, name, loaded)
        else:
            _log.info("Version %s of model %s is available", number, name)

    def _unload(self, name, keep):
        with self._lock:
            going = [
                version
                for number, version in self._versions.get(name, {}).items()
                if number not in keep and version.state == "AVAILABLE"
            ]
            for version in going:
                version.state = "UNLOADING"
            servables = [self._freed(version) for version in going]
        for version, servable in zip(going, servables, strict=True):
            self._end(version, servable)

    def _freed(self, version):
        """Return the servable of a version that goes and that no request holds any more, else None."""
        if version.state != "UNLOADING" or version.running:
            return None
        servable, version.servable = version.servable, None
        return servable

    def _end(self, version, servable):
        if servable is not None:
            servable.close()
            with self._lock:
                version.state = "END"
            _log.info("Version %s of model %s is unloaded", version.version, version.name)

    def _complain(self, name, text):
        """Log what is wrong with a model's folder, once."""
        if self._complaints.get(name) != text:
            self._complaints[name] = text
            _log.warning("%s", text)


def _not_available(what, versions):
    return f"{len(versions)} {what} did not become available: {{{''.join(f'{version}, ' for version in versions)}}}"
