"""`mmkeras.load_model`: in a process that has imported nothing, and what it says of what is no model of ours."""

import ast
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import mmkeras
from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, Run


def fresh_process(program, *arguments):
    """Run a program with arguments in a new Python; return its last line of output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_fresh_process_loads_a_run_and_its_file(tiny_run, tiny_model, tmp_path):
    program = """
import sys
import mmkeras

embeddings = [mmkeras.load_model(path).encode_text(["SNOWMAN"]) for path in sys.argv[1:]]
print([float(embedding[0, 0]) for embedding in embeddings], [embedding.shape for embedding in embeddings])
"""
    (expected,) = tiny_model.encode_text(["SNOWMAN"])
    told = fresh_process(program, tiny_run.folder, tiny_run.file("model.keras"))
    values, shapes = told.removesuffix("]").split("] [")
    np.testing.assert_allclose(ast.literal_eval(f"{values}]"), [expected[0]] * 2, atol=1e-6)
    assert ast.literal_eval(f"[{shapes}]") == [(1, 16)] * 2


def test_it_is_the_one_that_a_run_has(tiny_run):
    model = mmkeras.load_model(tiny_run.folder)
    np.testing.assert_array_equal(model.encode_text(["a"]), Run(tiny_run.folder).load_model().encode_text(["a"]))
    assert not model.compiled


def test_every_class_of_ours_is_known_to_it(repository):
    """Read from the source: what is registered under mmkeras there is what a fresh process has registered."""
    registered = set()
    for path in (repository / "mmkeras").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            decorators = getattr(node, "decorator_list", [])
            if any("register_keras_serializable" in ast.unparse(decorator) for decorator in decorators):
                registered.add(f"mmkeras>{node.name}")
    program = """
import keras
from mmkeras.models import model_file

model_file._register_classes()
print(sorted(name for name in keras.saving.get_custom_objects() if name.startswith("mmkeras>")))
"""
    assert len(registered) > 20
    assert registered - set(ast.literal_eval(fresh_process(program))) == set()


def test_an_encoder_alone_is_loaded_too(tiny_model, tmp_path):
    tiny_model.text_encoder.save(tmp_path / "text.keras")
    loaded = mmkeras.load_model(tmp_path / "text.keras")
    ids = np.ones((2, 12), np.int32)
    assert loaded(ids)["embedding"].shape == (2, 16)


def test_what_is_no_run_or_no_archive_is_told_without_tensorflow(tmp_path):
    (tmp_path / "no_run").mkdir()
    (tmp_path / "text.keras").write_text("no archive")
    Run.create(tmp_path / "begun", "glyphs_tiny", Recipe.load("glyphs_tiny"))
    program = """
import sys
import mmkeras
from mmkeras.errors import MmkerasError

told = []
for path in sys.argv[1:]:
    try:
        mmkeras.load_model(path)
    except MmkerasError as error:
        told.append(str(error))
print((told, sorted({"keras", "tensorflow"} & set(sys.modules))))
"""
    paths = [tmp_path / name for name in ("nothere", "no_run", "begun", "text.keras")]
    told, loaded = ast.literal_eval(fresh_process(program, *paths))
    expected = [
        f"Expected a run folder or a .keras file. Received: path='{paths[0]}', which is missing",
        f"{paths[1]} is no run folder: it has no run.json",
        f"The run {paths[2]} has not finished. Finish it with: mmkeras train --resume {paths[2]}",
        f"{paths[3]} is no readable model: Expected a Keras archive, .keras (File is not a zip file)",
    ]
    assert told == expected
    assert loaded == []


def test_an_archive_of_another_kind_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("a.png", b"")
    with pytest.raises(MmkerasError, match=r"pictures\.zip is no readable model: Expected a Keras archive"):
        mmkeras.load_model(tmp_path / "pictures.zip")


def test_a_name_that_keras_would_not_take_is_told(tiny_run, tmp_path):
    file = tmp_path / "model.zip"
    file.write_bytes(tiny_run.file("model.keras").read_bytes())
    with pytest.raises(MmkerasError, match=r"Expected the name of a Keras archive to end in \.keras"):
        mmkeras.load_model(file)


def test_a_model_of_keras_alone_is_told(tmp_path):
    keras.Sequential([keras.Input([2]), keras.layers.Dense(1)]).save(tmp_path / "dense.keras")
    told = r"dense\.keras is no model of mmkeras: it holds a Sequential of Keras' own layers, which keras\.saving"
    with pytest.raises(MmkerasError, match=told):
        mmkeras.load_model(tmp_path / "dense.keras")


def test_a_class_that_nobody_registered_is_named(tmp_path):
    @keras.saving.register_keras_serializable("elsewhere")
    class Doubled(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    @keras.saving.register_keras_serializable("elsewhere")
    class Mine(keras.Sequential):
        pass

    file = tmp_path / "mine.keras"
    Mine([keras.Input([2]), Doubled()]).save(file)
    keras.saving.get_custom_objects().pop("elsewhere>Doubled")
    with pytest.raises(MmkerasError, match="holds the class Doubled, which is none of mmkeras'. Import") as told:
        mmkeras.load_model(file)
    assert len(str(told.value)) < 300
