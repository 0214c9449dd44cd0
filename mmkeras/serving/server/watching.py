"""Looking at the models' folders and at models.config again and again, while the server runs."""

import logging
import threading
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.serving.server.config_files import parse_models

_log = logging.getLogger(__name__)


class Watch:
    """Have `ServedModels` follow folders and configuration file in a thread of its own.

    The file is followed where its content has changed; an edit that cannot be followed is logged once and tried again
    until it can or is edited, while the models stay as they were. What HandleReloadConfigRequest asked for holds until
    the file's next edit.

    Args:
        models: `ServedModels`.
        poll_seconds: pause between two looks; 0 for none at all.
        config_file: path of a models.config, or None.
        content: the file's bytes that `models` follows already.
    """

    def __init__(self, models, poll_seconds, config_file=None, content=None):
        self.models = models
        self.poll_seconds = poll_seconds
        self.config_file = config_file
        self._followed = content
        self._complaint = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mmkeras-serving-watch", daemon=True)

    def start(self):
        if self.poll_seconds:
            self._thread.start()

    def end(self):
        """Look no more; a look that is going on goes on."""
        self._ended.set()

    def join(self):
        """Wait for the last look, in which a version may be loading."""
        if self._thread.is_alive():
            self._thread.join()

    def look(self):
        """Look once, at the file and then at the folders."""
        try:
            if self.config_file is not None:
                self._follow_file()
            self._complaint = None
        except (MmkerasError, OSError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("%s is ignored: %s", self.config_file, error)
        self.models.look()

    def _follow_file(self):
        content = Path(self.config_file).read_bytes()
        if content != self._followed:
            self.models.reload(parse_models(content, self.config_file))
            self._followed = content
            _log.info("%s is followed now", self.config_file)

    def _run(self):
        while not self._ended.wait(self.poll_seconds):
            try:
                self.look()
            except Exception:  # the server goes on with what it has
                _log.exception("Looking for new versions failed")
