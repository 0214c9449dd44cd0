"""One version of one model, from the folder that was seen to the day it is unloaded."""

import time

from mmkeras.serving.errors import ServingError

_ATTEMPTS = 6  # a first one and TensorFlow Serving's five
_PAUSE_SECONDS = 60.0


class ServedVersion:
    """What is known of a version, and how many requests are running on it.

    It has no lock of its own: `ServedModels` changes and reads it under its own.

    Args:
        name: model name.
        version: integer.
        path: `pathlib.Path` of the folder.

    Attributes:
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: the ServingError of a failed load, else None.
        servable: what answers; None unless AVAILABLE or UNLOADING.
        running: number of requests that hold it.
    """

    def __init__(self, name, version, path):
        self.name = name
        self.version = version
        self.path = path
        self.state = "START"
        self.error = None
        self.servable = None
        self.running = 0
        self._attempts = 0
        self._attempted_at = 0.0
        self._content = None

    def load(self, load):
        """Return what `load(path, name, version)` returns, or the ServingError that it ended with."""
        content = self._read_content()
        # A folder that is still being copied is not one that failed five times.
        self._attempts = self._attempts + 1 if content == self._content else 1
        self._attempted_at = time.monotonic()
        self._content = content
        try:
            return load(self.path, self.name, self.version)
        except ServingError as error:
            return error
        except Exception as error:  # whatever is wrong in a folder must not end the server
            return ServingError("UNKNOWN", str(error) or type(error).__name__)

    def is_due(self):
        """Say whether a failed load is worth another attempt: its files have changed, or a minute has passed."""
        if self._read_content() != self._content:
            return True
        return self._attempts < _ATTEMPTS and time.monotonic() - self._attempted_at >= _PAUSE_SECONDS

    def __str__(self):
        because = "" if self.error is None else f" due to error: {self.error.code}: {self.error.details}"
        return f"{{{{name: {self.name} version: {self.version}}}{because}}}"

    def _read_content(self):
        """Return names, sizes and times of the files that a load reads first; a copy that goes on changes them."""
        found = []
        for folder in (self.path, self.path / "variables", self.path / "assets.extra"):
            try:
                entries = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
            except OSError:
                continue
            found += [(name, status.st_size, status.st_mtime_ns) for name, status in entries]
        return found
