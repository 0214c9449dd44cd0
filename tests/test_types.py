"""What a type checker and an editor know of the public interface."""

import dataclasses
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys

import pytest

import mmkeras
from mmkeras.serving import AsyncClient, Client

DATACLASS_MAKES = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"}


def public_packages():
    """The package and its sub-packages that hand names on."""
    names = [info.name for info in pkgutil.walk_packages(mmkeras.__path__, "mmkeras.") if info.ispkg]
    packages = [importlib.import_module(name) for name in names]
    return [mmkeras, *(package for package in packages if hasattr(package, "__all__"))]


def unannotated(function):
    """The parameters of a function, and "return", that no annotation says anything about."""
    signature = inspect.signature(function)
    bare = [
        name
        for place, (name, parameter) in enumerate(signature.parameters.items())
        if parameter.annotation is inspect.Parameter.empty and not (place == 0 and name in ("self", "cls"))
    ]
    return bare + (["return"] if signature.return_annotation is inspect.Signature.empty else [])


def functions_of(value):
    """Yield (name, function) of what is public: a function itself, the methods of a class, all of a module's own."""
    if inspect.isfunction(value):
        yield "", value
    elif inspect.isclass(value):
        for name, method in methods_of(value).items():
            yield f".{name}", method
    elif inspect.ismodule(value) and not hasattr(value, "__path__"):
        own = {name: inner for name, inner in vars(value).items() if getattr(inner, "__module__", "") == value.__name__}
        for name, inner in own.items():
            if not name.startswith("_"):
                yield from ((f".{name}{method}", function) for method, function in functions_of(inner))


def methods_of(cls):
    """The public and special methods that a class has from code of ours, those of our base classes among them."""
    ours = [base for base in reversed(cls.__mro__) if base.__module__.startswith("mmkeras.")]
    made = DATACLASS_MAKES if dataclasses.is_dataclass(cls) else set()
    found = {}
    for name, member in {name: member for base in ours for name, member in vars(base).items()}.items():
        for holder in ("fget", "func", "__func__"):  # of a property, a cached property, a class method
            member = getattr(member, holder, member)
        special = name.startswith("__") and name.endswith("__") and name not in made
        if inspect.isfunction(member) and (special or not name.startswith("_")):
            found[name] = member
    return found


def bare_names(package):
    """One line for each public function or method of a package that lacks an annotation."""
    return [
        f"{package.__name__}.{name}{method}: {bare}"
        for name in package.__all__
        for method, function in functions_of(getattr(package, name))
        if (bare := unannotated(function))
    ]


@pytest.mark.parametrize("package", public_packages(), ids=lambda package: package.__name__)
def test_everything_public_is_annotated(package):
    assert package.__all__
    assert bare_names(package) == []


@pytest.mark.parametrize("name", ["arguments", "atomic", "cli", "console", "query"])
def test_modules_that_no_package_hands_on_are_annotated_too(name):
    functions = dict(functions_of(importlib.import_module(f"mmkeras.{name}")))
    assert functions
    assert {name: bare for name, function in functions.items() if (bare := unannotated(function))} == {}


def test_a_missing_annotation_is_found(tmp_path, monkeypatch):
    (tmp_path / "mmkeras_planted.py").write_text(
        "__all__ = ['Thing', 'make']\n"
        "def make(a: int, *b: int, **c): ...\n"
        "class Thing:\n"
        "    def __init__(self, size) -> None: ...\n"
        "    def _inner(self, x): ...\n"
        "    @property\n"
        "    def size(self): ...\n"
        "    @classmethod\n"
        "    def of(cls, other: int) -> 'Thing': ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    planted = importlib.import_module("mmkeras_planted")
    planted.Thing.__module__ = "mmkeras.planted"
    assert bare_names(planted) == [
        "mmkeras_planted.Thing.__init__: ['size']",
        "mmkeras_planted.Thing.size: ['return']",
        "mmkeras_planted.make: ['c', 'return']",
    ]


def test_every_call_of_the_async_client_is_declared_as_a_coroutine():
    of_client, of_async = (methods_of(client) for client in (Client, AsyncClient))
    calls = {name for name in of_client if not name.startswith("__")} - {"max_batch", "close"}
    assert {"predict", "encode_text", "models", "wait_until_ready"} <= calls
    for name in calls:
        told = inspect.signature(of_async[name])
        expected = inspect.signature(of_client[name])
        assert told.return_annotation == f"Coroutine[Any, Any, {expected.return_annotation}]"
        assert told.parameters == expected.parameters


# A user's file, checked as mypy is without any setting. Behind each `#` stands how the type begins that is revealed.
PROGRAM = """
import numpy as np

import mmkeras
from mmkeras import export, losses, parity
from mmkeras.data import Glyphs, PairedData
from mmkeras.evaluation import Comparison
from mmkeras.layers import FeatureQueue
from mmkeras.losses import Triplet, info_nce
from mmkeras.metrics import find_measure, retrieval_metrics
from mmkeras.models import CMGAN, DualEncoder, ModalityInvariant, Preset
from mmkeras.on_device import DeviceSearch, TextEncoder
from mmkeras.preprocessing import ImagePreprocessor, TextPreprocessor
from mmkeras.embeddings import ParquetEmbeddings
from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch
from mmkeras.serving import AsyncClient, Client, EmbeddedServer, TlsFiles
from mmkeras.training import Recipe, Run, train

rows = np.ones((4, 8), np.float32)

reveal_type(Triplet(margin=0.2))  # mmkeras.losses.triplet.Triplet
reveal_type(Triplet()([1, 2], (rows, rows)))  # mmkeras.tensors.Tensor
reveal_type(Triplet().get_config())  # dict[str, Any]
reveal_type(info_nce(rows, rows, 0.07) + 1)  # mmkeras.tensors.Tensor
reveal_type(losses.triplet_loss(rows, rows, negatives="semi_hard").numpy())  # numpy.ndarray
reveal_type(FeatureQueue(4096, embedding_dim=256).size)  # int

reveal_type(ImagePreprocessor(32, 32, aspect="pad").load(["a.png", b"..."]))  # numpy.ndarray
reveal_type(ImagePreprocessor(32, 32).decode(b"..."))  # mmkeras.tensors.Tensor
reveal_type(TextPreprocessor.train(["a dog"], 100, 8)(["a"]))  # mmkeras.tensors.Tensor
reveal_type(Glyphs().split("dev"))  # mmkeras.data.paired.PairedData
reveal_type(Glyphs().split("dev").shown_texts)  # list[str]

model = DualEncoder.from_preset("dual_encoder_glyphs", texts=Glyphs().split("train").shown_texts)
reveal_type(model)  # mmkeras.models.dual_encoder.DualEncoder
reveal_type(model.encode_text(["a dog"]))  # numpy.ndarray
reveal_type(model.encode_image(["a.png", b"..."]))  # numpy.ndarray
reveal_type(model.text_preprocessor)  # mmkeras.preprocessing.tokenizer.Tokenizer |
reveal_type(model.temperature.value)  # mmkeras.tensors.Tensor
reveal_type(model.adversary)  # mmkeras.models.modality_adversary.ModalityAdversary | None
reveal_type(model.roles)  # dict[str, int]
reveal_type(ModalityInvariant.from_preset("modality_invariant_glyphs").adversary.weight)  # float
reveal_type(CMGAN.from_preset("cm_gan_wikipedia").represent_text(rows))  # numpy.ndarray
reveal_type(Preset.load("dual_encoder_glyphs").build_image_encoder())  # mmkeras.encoders.encoder.Encoder
reveal_type(Preset.load("dual_encoder_glyphs").build_image_encoder().takes)  # Literal['pixels'] |

run = Run("runs/glyphs")
reveal_type(run.recipe.training_stages[0].name)  # str
reveal_type(run.load_model())  # mmkeras.models.image_text_model.ImageTextModel
reveal_type(train(run, verbose=0).encode_text(["a"]))  # numpy.ndarray
reveal_type(mmkeras.load_model("runs/glyphs").encode_text(["a"]))  # numpy.ndarray
reveal_type(Recipe.load("glyphs_dual_encoder", ["epochs=2"]))  # mmkeras.training.recipe.Recipe
reveal_type(Recipe.load("glyphs_dual_encoder").learning_rate)  # float

reveal_type(retrieval_metrics(rows, rows, [1, 2, 3, 4], range(4))["rsum"])  # float
reveal_type(find_measure("rsum"))  # mmkeras.metrics.measure.Measure | None
reveal_type(Comparison(["runs/a", "runs/b"]).groups[0].mean("rsum"))  # float | None

index = EmbeddingIndex("index")
reveal_type(index.search(rows, "image", k=3)[0][0])  # mmkeras.search.search_result.SearchResult
reveal_type(index.search(rows, "image")[0][0].score)  # float
reveal_type(index.items)  # list[dict[str, Any]]
reveal_type(index.refreshed().where("price < 30"))  # numpy.ndarray
reveal_type(index.embeddings("image"))  # numpy.ndarray
reveal_type(IndexEditor("index").remove(["a"]))  # int
reveal_type(IndexEditor("index").add([ItemBatch([{"id": "a", "text": ""}], {"image": rows})]))  # tuple[int, int]
reveal_type(ParquetEmbeddings("embeddings").space_id)  # str
reveal_type(IndexWriter("space", "int8").precision)  # Literal['float32'] | Literal['float16'] | Literal['int8']
reveal_type(TextEncoder("ids.tflite").encode_text(["a"]))  # numpy.ndarray
reveal_type(DeviceSearch("ids.tflite", index)("a", k=3))  # list[mmkeras.search.search_result.SearchResult]
reveal_type(export.export_run)  # def (run: mmkeras.training.run.Run
reveal_type(parity.check_parity(parity.golden_of("1"), parity.saved_model_predict("1")))  # list[mmkeras.parity.

with EmbeddedServer("savedmodels/glyphs") as server, Client(server.address, "glyphs", tls=TlsFiles()) as client:
    reveal_type(client)  # mmkeras.serving.client.Client
    reveal_type(client.encode_text(["a", "b"]))  # numpy.ndarray
    reveal_type(client.check_space(index))  # str
    reveal_type(client.metadata()["signatures"]["encode_text"]["inputs"]["text"]["dtype"])  # str
    reveal_type(client.classify(texts=["a"], k=2))  # list[list[tuple[str, float]]]
    reveal_type(mmkeras.serving.ServingError("NOT_FOUND", "no").code)  # str


async def ask(client: AsyncClient, data: PairedData) -> None:
    reveal_type(await client.encode_text(data.shown_texts))  # numpy.ndarray
    reveal_type((await client.status())[0]["version"])  # int
"""

# A line at the end of that file, and the one error that it is.
WRONG_LINES = {
    "client.encode_texts(['a'])": '"Client" has no attribute "encode_texts"',
    "client.encode_text(3)": 'Argument 1 to "encode_text" of "Client" has incompatible type "int"',
    "client.status()[0]['status']": 'TypedDict "VersionStatus" has no key "status"',
    "index.search(rows, 'picture')": 'Argument 2 to "search" of "EmbeddingIndex" has incompatible type',
    "Triplet(negatives='hard')": 'Argument "negatives" to "Triplet" has incompatible type',
    "mmkeras.search.EmbeddingIndices('index')": "Module has no attribute",
    "mmkeras.load_models('runs/glyphs')": "Module has no attribute",
    "mmkeras.load_model(3)": 'Argument 1 to "load_model" has incompatible type "int"',
    "model.encode_text(3)": 'Argument 1 to "encode_text" of "ImageTextModel" has incompatible type "int"',
    "DualEncoder.from_preset(3)": 'Argument 1 to "from_preset" of "ImageTextModel" has incompatible type "int"',
    "Glyphs().split('training')": 'Argument 1 to "split" of "Glyphs" has incompatible type',
    "run.load()": '"Run" has no attribute "load"',
    "Recipe.load('a').epoch": '"Recipe" has no attribute "epoch"',
    "retrieval_metrics(rows, rows, [1, 2, 3, 4])": 'Missing positional argument "text_image_id"',
    "info_nce(rows, rows)": 'Missing positional argument "temperature" in call to "info_nce"',
}


@pytest.fixture(scope="module")
def mypy(repository, tmp_path_factory):
    """A function from a user's program, and flags of mypy, to the (line, message) pairs of errors and of notes."""
    folder = tmp_path_factory.mktemp("types")
    # On the path of Python, and not in the folder that mypy runs in, mmkeras is a package that somebody installed.
    path = os.pathsep.join([str(repository), *filter(None, [os.environ.get("PYTHONPATH")])])

    def check(program, *flags):
        (folder / "use.py").write_text(program)
        command = [sys.executable, "-m", "mypy", "--config-file=", f"--cache-dir={folder / 'cache'}", *flags, "use.py"]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode in (0, 1) and not done.stderr, done.stdout + done.stderr
        found = [re.fullmatch(r"use\.py:(\d+): (error|note): (.*)", line) for line in done.stdout.splitlines()]
        told = [(int(match[1]), match[2], match[3]) for match in found if match]
        return [[(line, text) for line, kind, text in told if kind == wanted] for wanted in ("error", "note")]

    return check


def revealing_lines(program):
    """Line number to how the type begins that `program` expects there."""
    lines = enumerate(program.splitlines(), start=1)
    return {number: line.rpartition("  # ")[2] for number, line in lines if "reveal_type(" in line}


def test_a_users_program_has_types(mypy):
    errors, notes = mypy(PROGRAM)
    assert errors == []
    expected = revealing_lines(PROGRAM)
    assert len(expected) > 20
    revealed = dict(notes)
    for line, start in expected.items():
        assert revealed[line].startswith(f'Revealed type is "{start}'), PROGRAM.splitlines()[line - 1]


def test_a_users_mistakes_are_found(mypy):
    first = len(PROGRAM.splitlines()) + 1
    errors, _ = mypy(PROGRAM + "\n".join(WRONG_LINES))
    assert [line for line, _ in errors] == list(range(first, first + len(WRONG_LINES)))
    for (_, told), expected in zip(errors, WRONG_LINES.values(), strict=True):
        assert told.startswith(expected)


# Keras and TensorFlow declare no types: what derives from their classes has everything, unless mypy reads their source.
KERAS_PROGRAM = """
import keras
import tensorflow as tf

from mmkeras.encoders import conv_image_encoder
from mmkeras.layers import FeatureQueue
from mmkeras.losses import info_nce, triplet_loss
from mmkeras.models import DualEncoder

rows = tf.constant([[0.6, 0.8]])
loss = 0.5 * info_nce(rows, rows, 0.07) + triplet_loss(rows, rows)
tensor: tf.Tensor = loss

reveal_type(conv_image_encoder(32, 32))  # mmkeras.encoders.encoder.Encoder
reveal_type(loss)  # mmkeras.tensors.Tensor
FeatureQueue(4096, 256).no_such()

model = DualEncoder.from_preset("dual_encoder_glyphs", texts=["a"])
model.compile(keras.optimizers.Adam(1e-3))
model.fit(loss, steps_per_epoch=100)
reveal_type(model.optimizers["main"])  # keras.src.optimizers.optimizer.Optimizer
reveal_type(model.parts["image_encoder"])  # keras.src.layers.layer.Layer
model.no_such()
"""


@pytest.mark.slow
def test_what_derives_from_keras_is_checked_where_mypy_follows_its_source(mypy):
    errors, notes = mypy(KERAS_PROGRAM, "--follow-untyped-imports")
    assert errors == [
        (16, '"FeatureQueue" has no attribute "no_such"  [attr-defined]'),
        (23, '"DualEncoder" has no attribute "no_such"  [attr-defined]'),
    ]
    for line, start in revealing_lines(KERAS_PROGRAM).items():
        assert dict(notes)[line].startswith(f'Revealed type is "{start}'), dict(notes)[line]


@pytest.mark.slow
def test_mypy_finds_nothing_in_the_package(repository, tmp_path):
    command = [sys.executable, "-m", "mypy", f"--cache-dir={tmp_path}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
