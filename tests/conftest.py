"""What every test starts from: the CPU, no network, fixed seeds and Keras' default settings."""

import ipaddress
import os
import random
import socket
import sys
from pathlib import Path

import pytest

# Before the first import of TensorFlow, in the processes that a test starts too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

REPOSITORY = Path(__file__).resolve().parent.parent


def is_local(family, address):
    """Return whether a socket address is on this machine."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = address[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """A test that reaches for the network fails here, on every machine, and not only on those without one."""
    connect = socket.socket.connect

    def connect_locally(self, address):
        if not is_local(self.family, address):
            raise OSError(f"Expected a test to stay on this machine. Received: a connection to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture(autouse=True)
def keras_as_new():
    """Seeds before a test; after it the dtype policy that a mixed-precision test may have left behind."""
    random.seed(0)
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.set_random_seed(0)
    yield
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def repository():
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets that `MMKERAS_DATA` names; the case is skipped where there is none."""
    folder = os.environ.get("MMKERAS_DATA")
    if not folder:
        pytest.skip("MMKERAS_DATA is unset: it names the folder of real data sets (flickr8k, wikipedia, mobilenet_v2)")
    return Path(folder)
