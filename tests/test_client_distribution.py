"""`mmkeras-client`: which files it has, that they need no TensorFlow, and its wheel alone in a clean environment."""

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import Distribution

from .test_house import imported_modules
from .test_packaging import LEFT_BEHIND

CLIENT = "mmkeras-client"
# Imported where they are used, by what says what to install where they are missing.
TOLD = {"ml_dtypes", "tensorflow", "tensorflow_datasets", "tensorflow_text"}
# Of an extra, imported where they are needed by what says what to install where they are missing.
OF_EXTRA = {
    f"mmkeras/search_service/{name}.py": {"starlette"}
    for name in ("answers", "application", "request_fields", "request_guard")
}
# What only the whole package has, imported by the commands that need it.
NAMES = ("arguments", "check_commands", "cli", "console", "data_commands", "device_commands", "embed_commands")
NAMES += ("index_commands",)
COMMANDS = {f"mmkeras/{name}.py" for name in NAMES}


def read_setup(repository, monkeypatch, name):
    """What setup.py gives to `setup` for one of the two distributions."""
    given = {}
    monkeypatch.setenv("MMKERAS_DISTRIBUTION", name)
    monkeypatch.chdir(repository)
    monkeypatch.setattr("setuptools.setup", lambda **arguments: given.update(arguments))
    runpy.run_path(str(repository / "setup.py"))
    return given


@pytest.fixture
def client_setup(repository, monkeypatch):
    return read_setup(repository, monkeypatch, CLIENT)


@pytest.fixture
def client_files(client_setup):
    """The Python files of the client, relative to the tree."""
    command = client_setup["cmdclass"]["build_py"](Distribution({**client_setup, "script_name": "setup.py"}))
    command.ensure_finalized()
    return {Path(file).as_posix() for _, _, file in command.find_all_modules()}


def module_of(file):
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")


def imports_of(repository, file):
    """Yield (dotted name, whether it is imported with the module itself) of each import in a file that is ever run."""
    tree = ast.parse((repository / file).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(getattr(node, "test", None), "id", None) != "TYPE_CHECKING"]
    package = file.endswith("__init__.py")
    at_once = {name for _, name in imported_modules(ast.Module(outside_functions(tree), []), module_of(file), package)}
    for _, name in imported_modules(tree, module_of(file), package):
        yield name, name in at_once


def outside_functions(tree):
    """The statements of a module that run when it is imported."""
    kept = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            kept += outside_functions(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kept.append(node)
    return kept


# --- Its files ---


def test_both_distributions_have_one_version_and_one_command(repository, monkeypatch, client_setup):
    whole = read_setup(repository, monkeypatch, "mmkeras")
    assert (client_setup["name"], whole["name"]) == (CLIENT, "mmkeras")
    for key in ("version", "entry_points", "license_files", "python_requires"):
        assert client_setup[key] == whole[key]
    page = ["search_page/static/*", "search_page/templates/*"]
    assert client_setup["package_data"] == {"mmkeras": ["py.typed", *page]}


def test_an_unknown_distribution_is_refused(repository, monkeypatch):
    with pytest.raises(RuntimeError, match="Expected MMKERAS_DISTRIBUTION to be one of .*Received: 'mmkeras-skinny'"):
        read_setup(repository, monkeypatch, "mmkeras-skinny")


def test_the_whole_package_does_not_need_its_client(repository, monkeypatch, client_setup):
    whole = read_setup(repository, monkeypatch, "mmkeras")
    needed = {Requirement(line).name for line in whole["install_requires"]}
    assert CLIENT not in needed
    assert set(client_setup["install_requires"]) < set(whole["install_requires"])
    assert client_setup["extras_require"]["on-device"] == whole["extras_require"]["on-device"]
    names = {Requirement(line).name for line in client_setup["install_requires"]}
    assert names == {"numpy", "grpcio", "protobuf", "pillow", "rich"}
    for requirement in map(Requirement, client_setup["install_requires"]):
        assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}, str(requirement)


def test_its_imports_stay_within_it(repository, client_files):
    """Except of the commands, which say so where they need the whole package."""
    inside = {module_of(file) for file in client_files}
    beyond = {}
    for file in sorted(client_files):
        for name, at_once in imports_of(repository, file):
            if name.partition(".")[0] != "mmkeras" or name == "mmkeras.__version__":
                continue
            found = name in inside or name.rpartition(".")[0] in inside - {"mmkeras"}
            if not found and (at_once or file not in COMMANDS):
                beyond[f"{file}: {name}"] = at_once
    assert beyond == {}


def test_it_imports_what_it_depends_on_and_nothing_else(repository, client_setup, client_files):
    extras = [line for lines in client_setup["extras_require"].values() for line in lines]
    always, sometimes = (
        {canonicalize_name(Requirement(line).name) for line in lines}
        for lines in (client_setup["install_requires"], client_setup["install_requires"] + extras)
    )
    providers = metadata.packages_distributions()
    undeclared = set()
    for file in client_files:
        for name, at_once in imports_of(repository, file):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top == "mmkeras" or (top in TOLD and not at_once):
                continue
            declared = always if at_once and top not in OF_EXTRA.get(file, ()) else sometimes
            if not {canonicalize_name(provider) for provider in providers.get(top, [top])} & declared:
                undeclared.add(f"{file}: {name}")
    assert undeclared == set()


@pytest.fixture
def alone(repository, client_files, tmp_path):
    """A function that runs Python with the client's files and this environment's libraries."""
    for file in client_files:
        (tmp_path / "client" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / file, tmp_path / "client" / file)
    # -S: no .pth file brings the source tree back.
    path = os.pathsep.join([str(tmp_path / "client"), sysconfig.get_path("purelib")])

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": path}
        command = [sys.executable, "-S", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def test_every_module_of_it_imports_without_tensorflow(alone, client_files):
    code = f"""
import importlib, sys
for name in {sorted(map(module_of, client_files))!r}:
    importlib.import_module(name)
heavy = {{"tensorflow", "keras", "matplotlib", "scipy", "sklearn", "jinja2", "PIL", "ml_dtypes"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = alone("-c", code)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["recipes"],
        ["train", "glyphs_tiny"],
        ["evaluate", "run"],
        ["compare", "a", "b"],
        ["export", "run", "--to", "savedmodels/a"],
        ["tflite", "run", "--out", "device"],
        ["tflite", "--check", "dual_encoder_glyphs"],
        ["parity", "savedmodels/a"],
        ["serve", "savedmodels/a"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_that_it_lacks_says_what_to_install(alone, arguments):
    done = alone("-m", "mmkeras.cli", *arguments)
    assert done.returncode == 2
    assert re.fullmatch(
        r"mmkeras: error: mmkeras\.[\w.]+ is not in mmkeras-client, which is installed here: pip install mmkeras\n",
        done.stderr,
    ), done.stderr


def test_its_help_lists_every_command(alone):
    done = alone("-m", "mmkeras.cli", "--help")
    assert done.returncode == 0
    for command in ("train", "evaluate", "export", "serve", "parity", "query"):
        assert re.search(rf"^ +{command} +\w", done.stdout, re.MULTILINE), command


def test_names_that_it_lacks_say_what_to_install(alone):
    code = """
import mmkeras, mmkeras.serving
for package, name in ((mmkeras, "load_model"), (mmkeras, "models"), (mmkeras.serving, "EmbeddedServer")):
    try:
        getattr(package, name)
    except ImportError as error:
        print(error)
"""
    told = alone("-c", code).stdout.splitlines()
    modules = ["mmkeras.training", "mmkeras.models", "mmkeras.serving.embedded_server"]
    assert told == [
        f"{name} is not in mmkeras-client, which is installed here: pip install mmkeras" for name in modules
    ]


# --- Its wheel ---


@pytest.fixture(scope="session")
def client_wheels(repository, tmp_path_factory):
    """The client's sdist and wheel, built in a copy of the tree in which the whole package was built before."""
    tree = tmp_path_factory.mktemp("client") / "source"
    shutil.copytree(repository, tree, ignore=LEFT_BEHIND)
    out = tree.parent / "dist"
    for name, arguments in (("mmkeras", ["--wheel"]), (CLIENT, ["--wheel", "--sdist"])):
        done = subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out / name), *arguments, "."],
            cwd=tree,
            env={**os.environ, "MMKERAS_DISTRIBUTION": name},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return out / CLIENT


@pytest.fixture(scope="session")
def environment(client_wheels, tmp_path_factory):
    """An environment with the client and its extra from the registry, and nothing else; its `bin`."""
    folder = tmp_path_factory.mktemp("client only")
    venv.create(folder, with_pip=False, symlinks=True)
    (wheel,) = client_wheels.glob("*.whl")
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    done = subprocess.run([*command, f"{CLIENT}[on-device] @ {wheel.as_uri()}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def run_there(environment, program, *arguments, cwd):
    """Run a program of the environment, which sees nothing of the tree, and return what it printed."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([environment / program, *arguments], cwd=cwd, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_wheel_and_sdist_hold_the_clients_files_alone(client_wheels, client_files, tmp_path):
    (wheel,), (sdist,) = client_wheels.glob("*.whl"), client_wheels.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        licence = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    page = {name for name in packed if re.match("mmkeras/search_page/(static|templates)/", name)}
    assert {"mmkeras/search_page/static/page.js", "mmkeras/search_page/templates/answer.html"} <= page
    assert packed - page == client_files | {"mmkeras/py.typed"}
    assert len(licence) == 1
    # Who builds from the sdist sets no variable, and gets the client all the same.
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    clean = {name: value for name, value in os.environ.items() if name != "MMKERAS_DISTRIBUTION"}
    command = [sys.executable, "setup.py", "--name"]
    named = subprocess.run(command, cwd=tree, env=clean, capture_output=True, text=True, check=True)
    assert named.stdout.split() == [CLIENT]


@pytest.mark.slow
def test_the_documented_size_is_the_installed_one(environment, repository):
    """Within what new versions of its dependencies may change."""
    page = (repository / "docs" / "usage.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"^\| `mmkeras-client\[on-device\]` \| ([\d,]+) \|$", page, re.MULTILINE)
    (packages,) = (environment.parent / "lib").glob("python*/site-packages")
    mebibytes = sum(path.lstat().st_blocks * 512 for path in packages.rglob("*")) / 2**20
    assert mebibytes == pytest.approx(float(documented.replace(",", "")), rel=0.15)


@pytest.mark.slow
def test_the_wheel_alone_asks_searches_and_encodes(
    environment, tiny_server, tiny_version, tiny_device, tiny_model, tmp_path
):
    index, text = tiny_version / "assets.extra" / "index", "greek small letter omega"
    assert run_there(environment, "mmkeras", "--version", cwd=tmp_path).startswith("mmkeras ")
    query = ["query", text, "--server", tiny_server.address, "--model", "tiny", "--index", str(index), "-k", "3"]
    found = json.loads(run_there(environment, "mmkeras", *query, "--json", cwd=tmp_path))["results"]
    assert [item["rank"] for item in found] == [1, 2, 3]
    assert found[0]["text"] in run_there(environment, "mmkeras", *query, cwd=tmp_path)
    program = f"""
import importlib.util, json, sys
from mmkeras.on_device import DeviceSearch, TextEncoder
from mmkeras.search import EmbeddingIndex
from mmkeras.serving import Client

with Client({tiny_server.address!r}, "tiny") as client:
    index = EmbeddingIndex({str(index)!r})
    client.check_space(index)
    served = client.encode_text([{text!r}])
encoder = TextEncoder({str(tiny_device / "text_encoder_dynamic_ids.tflite")!r})
search = DeviceSearch({str(tiny_device / "text_encoder_dynamic_ids.tflite")!r}, {str(tiny_device / "index")!r})
print(json.dumps({{
    "served": served[0].tolist(),
    "encoded": encoder.encode_text([{text!r}])[0].tolist(),
    "found": [result.item["id"] for result in index.search(served, "image", k=3)[0]],
    "on_device": len(search({text!r}, k=3)),
    "installed": [name for name in ("tensorflow", "keras", "matplotlib") if importlib.util.find_spec(name)],
}}))
"""
    answers = json.loads(run_there(environment, "python", "-c", program, cwd=tmp_path))
    (expected,) = tiny_model.encode_text([text])
    np.testing.assert_allclose(answers["served"], expected, atol=1e-5)
    assert np.dot(answers["encoded"], expected) > 0.99
    assert answers["found"] == [item["id"] for item in found]
    assert answers["on_device"] == 3
    assert answers["installed"] == []
