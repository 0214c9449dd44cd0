"""What every test starts from: the CPU, no network, fixed seeds and Keras' default settings."""

import gc
import ipaddress
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# Before the first import of TensorFlow, in the processes that a test starts too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# Tracing makes millions of objects that live on. Python looks for garbage among them less often: 4 % of the time.
gc.set_threshold(200_000, 20, 100)
GARBAGE = 2**29  # bytes of memory more than after the last look that a file may leave

REPOSITORY = Path(__file__).resolve().parent.parent
# What takes longest, begun first: at the end of a suite the processes would wait for the one that had it last.
LONGEST = (
    "end_to_end/test_fusion.py",
    "training/test_resume.py",
    "end_to_end",
    "export/tflite/test_device_release.py",
    "serving/faults",
    "models/test_soft_mask.py",
    "test_types.py",
    "training/test_taught_training.py",
    "models",
    "export",
    "training",
)


def pytest_collection_modifyitems(items):
    """Put the files that take longest first; within a file, and among the others, the order stays."""

    def place(item):
        path = item.path.relative_to(REPOSITORY / "tests").as_posix()
        return next((rank for rank, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))

    items.sort(key=place)


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


def resident_bytes():
    """The memory that this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux
        return 0


_after_last_look = [0]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Forget the graphs of a file that left gigabytes.

    TensorFlow keeps the gradient function of each custom gradient that was traced, by its name, and with it the graph,
    for as long as the process lives: in one with hundreds of models memory runs out.
    """
    last = nextitem is None or nextitem.path != item.path
    if not last or "tensorflow" not in sys.modules or resident_bytes() < _after_last_look[0] + GARBAGE:
        return
    from tensorflow.python.framework import ops

    registry = ops.gradient_registry._registry
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        del registry[name]
    gc.collect()
    _after_last_look[0] = resident_bytes()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Leave graphs as they are traced: most run a few times, and TensorFlow's rewriting takes longer than running them.

    What is compared with a server to the letter has them rewritten, for an operation's error names the functions that
    rewriting dissolves. It is set before any fixture starts a server, whose threads keep what they find. Tests of what
    a run computes to the last bit, and all processes that tests start, have it too: see `determinism`.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        served = {"conformance", "serving"} & set(item.path.relative_to(REPOSITORY).parts)
        tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": not served})


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


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder of PEM files for localhost: authority.pem, and server.pem, server.key, client.pem, client.key.

    The case is skipped where there is no `openssl` command.
    """
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new_key, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=authority")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for who in ("server", "client"):
        openssl("req", *new_key, "-keyout", f"{who}.key", "-out", f"{who}.request", "-subj", f"/CN={who}")
        signed_by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{who}.request", *signed_by, "-out", f"{who}.pem")
    return folder


SMALL_PRESET = {
    "model": "DualEncoder",
    "image_preprocessor": {"height": 32, "width": 32, "aspect": "pad"},
    "image_encoder": {"kind": "conv", "widths": [8, 16], "embedding_dim": 16, "dropout": 0.2},
    "text_preprocessor": {"vocabulary_size": 200, "sequence_length": 12},
    "text_encoder": {
        "kind": "text_cnn",
        "width": 16,
        "kernel_sizes": [1, 2],
        "filters": 8,
        "dropout": 0.2,
        "token_dropout": 0.15,
        "embedding_dim": 16,
    },
}


@pytest.fixture(scope="session")
def small_preset(tmp_path_factory):
    """The path of a preset that trains in seconds, with every random part switched on."""
    file = tmp_path_factory.mktemp("presets") / "small.json"
    file.write_text(json.dumps(SMALL_PRESET))
    return file


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, small_preset):
    """A finished `Run` over 60 glyphs of each split; read it, and change only copies."""
    from mmkeras.training import Recipe, Run, train

    # Not deterministic: that is a mode of the whole process, and other tests run in it.
    settings = [f"preset={small_preset}", "limit=60", "epochs=1", "batch_size=32", "deterministic=false"]
    run = Run.create(tmp_path_factory.mktemp("runs") / "tiny", "glyphs_tiny", Recipe.load("glyphs_tiny", settings))
    train(run, verbose=0)
    return run


@pytest.fixture(scope="session")
def tiny_model(tiny_run):
    """The model of `tiny_run`, loaded from its folder."""
    return tiny_run.load_model()


@pytest.fixture(scope="session")
def tiny_version(tmp_path_factory, tiny_run):
    """The first version of the served model "tiny": `tiny_run`, evaluated and exported; read it only."""
    from mmkeras.evaluation.report.run_report import evaluate_run
    from mmkeras.export import export_run

    evaluate_run(tiny_run)
    return export_run(tiny_run, tmp_path_factory.mktemp("savedmodels") / "tiny")


@pytest.fixture(scope="session")
def tiny_device(tmp_path_factory, tiny_run):
    """The folder that `mmkeras tflite` writes of `tiny_run`, with an index; read it only."""
    from mmkeras.export.tflite import export_tflite

    folder = tmp_path_factory.mktemp("device") / "tiny"
    export_tflite(tiny_run, folder, index="int8")
    return folder


@pytest.fixture(scope="session")
def litert():
    """LiteRT's module; the case is skipped where it is not installed."""
    return pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install 'mmkeras[on-device]'")


@pytest.fixture(scope="session")
def tiny_server(tiny_version):
    """An `EmbeddedServer` of `tiny_version`."""
    from mmkeras.serving import EmbeddedServer

    with EmbeddedServer(tiny_version.parent) as server:
        yield server
