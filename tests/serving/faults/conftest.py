"""Versions that tell who answers, folders to publish them in, and `mmkeras serve` in a process of its own."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest


@pytest.fixture(scope="session")
def times_path(tmp_path_factory):
    """A function of a version that returns the folder of a model which multiplies `x` by it, and tells it too."""
    import tensorflow as tf

    class Times(tf.Module):
        def __init__(self):
            super().__init__()
            self.version = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x * self.version, "version": tf.ones_like(x) * self.version}

    times, folder = Times(), tmp_path_factory.mktemp("written")

    def times_path(version):
        path = folder / str(version)
        if not path.exists():
            times.version.assign(version)
            tf.saved_model.save(times, str(path), signatures=times.__call__)
        return path

    return times_path


@pytest.fixture
def base_path(tmp_path):
    """The empty folder of a model."""
    folder = tmp_path / "times"
    folder.mkdir()
    return folder


@pytest.fixture
def publish(times_path, base_path):
    """A function that gives a version to the server, as an operator does: copied beside, then renamed."""

    def publish(version):
        shutil.copytree(times_path(version), base_path / ".tmp-new")
        return (base_path / ".tmp-new").rename(base_path / str(version))

    return publish


class ServingProcess:
    """`mmkeras serve` with arguments, until it is killed."""

    def __init__(self, *arguments, **settings):
        command = [sys.executable, "-m", "mmkeras.cli", "serve", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)
        line = self.process.stdout.readline()
        if "gRPC at" not in line:
            self.kill()
            raise RuntimeError(line + self.process.stderr.read())
        self.address = re.search(r"gRPC at (\S+?)[ ;]", line)[1]
        self.rest_address = "http://" + re.search(r"HTTP at (\S+);", line)[1]
        self.errors = []
        # Read, or a server that complains much would wait for its reader.
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True).start()

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """A function of the command line's arguments that starts a `ServingProcess`; it is killed after the test."""
    (tmp_path / "no binaries").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no binaries"))  # no tensorflow_model_server
    started = []

    def serve(*arguments, **settings):
        started.append(ServingProcess(*arguments, **settings))
        return started[-1]

    yield serve
    for server in started:
        server.kill()


@pytest.fixture
def settles():
    """A function that waits until a condition holds, and says whether it does."""

    def settles(condition, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    return settles


@pytest.fixture
def open_files():
    """A function that counts the files that this process has open."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("counts open files in /proc")
    return lambda: len(os.listdir("/proc/self/fd"))
