"""The commands in processes of their own, as a user types them."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

SIGNATURE_OUTPUTS = 7  # of all signatures of a model of pictures without categories; the tolerant one has two
PATIENCE = 600  # seconds, on a machine that does other work too


class Commands:
    """Runs `mmkeras` in a folder.

    Args:
        folder: where.
        repository: the tree whose package is run.
    """

    def __init__(self, folder, repository):
        self.folder = folder
        self.environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": str(repository),
            "COLUMNS": "120",
        }

    def __call__(self, *arguments, code=0):
        """Run a command and return what it printed; where it is to fail with `code`, what it complained."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out if code == 0 else err

    def start(self, *arguments):
        """Start a command, and hand out its process."""
        return subprocess.Popen(
            [sys.executable, "-m", "mmkeras.cli", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def served(self, model):
        """Serve a model, and hand out the option that says where it answers."""
        server = self.start("serve", model, "--port", "0")
        try:
            yield ("--server", _address_of(server))
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.communicate(timeout=60)
            finally:
                server.kill()
        assert server.returncode == 0


def _address_of(process):
    """Read what `serve` prints until it tells its address; killed, it fails, rather than waiting for ever."""
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            if found := re.search(r"127\.0\.0\.1:\d+", line):
                return found[0]
    finally:
        timer.cancel()
    raise AssertionError(process.stderr.read())
