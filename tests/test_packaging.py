"""What a user gets from pip: the bounds, the lock, and the built wheel in an environment of its own."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from build.util import project_wheel_metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

# What a test or a run leaves in a tree is no part of its source.
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*", "build", "dist", "runs", "savedmodels", "tests")
DATA_SUFFIXES = {".toml", ".json", ".j2", ".html", ".css", ".js", ".svg", ".typed"}
# Of extras that one script or test each needs.
UNLOCKED = ("torch", "transformers", "cca-zoo", "mediapipe", "tensorflow-datasets")


@pytest.fixture(scope="session")
def source_tree(repository, tmp_path_factory):
    """A copy of the source, so that building leaves nothing in the tree."""
    tree = tmp_path_factory.mktemp("packaging") / "source tree"
    shutil.copytree(repository, tree, ignore=LEFT_BEHIND)
    return tree


@pytest.fixture(scope="session")
def package_metadata(source_tree):
    return project_wheel_metadata(source_tree, isolated=False)


@pytest.fixture(scope="session")
def requirements(package_metadata):
    return [Requirement(line) for line in package_metadata.get_all("Requires-Dist")]


@pytest.fixture(scope="session")
def locked(repository):
    """Name to version of every line of requirements.lock."""
    lines = (repository / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 and not set(line) & set(" ;@<>~*") for line in pins)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in pins)}


def test_python_versions(package_metadata):
    supported = SpecifierSet(package_metadata["Requires-Python"])
    versions = ["3.10", "3.11", "3.11.7", "3.12", "3.13", "3.14"]
    assert list(supported.filter(versions)) == ["3.11", "3.11.7", "3.12", "3.13"]


def test_every_dependency_is_bounded_on_both_sides(requirements):
    for requirement in requirements:
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"}, str(requirement)


def test_setuptools_still_has_pkg_resources(requirements, locked):
    """tensorflow-hub 0.16.1 imports it, and setuptools 82 left it out."""
    (setuptools,) = [requirement for requirement in requirements if requirement.name == "setuptools"]
    assert setuptools.specifier.contains(locked["setuptools"])
    assert not setuptools.specifier.contains("82.0.0")


def test_the_lock_pins_what_the_bounds_allow(requirements, locked):
    for requirement in requirements:
        if requirement.name in UNLOCKED:
            continue
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"requirements.lock lacks {requirement.name}"
        assert requirement.specifier.contains(version), f"requirements.lock has {version}, setup.py {requirement}"


def test_the_lock_is_complete(locked):
    """Every dependency of a locked package, down to the last, is locked too, in a version that its dependant takes."""
    for name in sorted(locked):
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                version = locked.get(canonicalize_name(requirement.name))
                assert version is not None, f"{name} needs {requirement}"
                assert requirement.specifier.contains(version, prereleases=True), f"{name} needs {requirement}"


def test_every_import_is_a_declared_dependency(repository, requirements):
    """An import of the library that only happens to be installed breaks elsewhere."""
    declared = {canonicalize_name(requirement.name) for requirement in requirements}
    providers = metadata.packages_distributions()
    undeclared = set()
    for path in (repository / "mmkeras").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names or top == "mmkeras":
                    continue
                if not {canonicalize_name(provider) for provider in providers.get(top, [top])} & declared:
                    undeclared.add(f"{path.relative_to(repository)}: {name}")
    assert undeclared == set()


def test_version_is_that_of_the_module(package_metadata, repository):
    source = (repository / "mmkeras" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{package_metadata["Version"]}"' in source


@pytest.fixture(scope="session")
def built(source_tree):
    """The folder that holds the sdist and the wheel that was built from it."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(source_tree.parent / "dist"), "."],
        cwd=source_tree,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return source_tree.parent / "dist"


@pytest.fixture(scope="session")
def installed(built, tmp_path_factory):
    """An environment with mmkeras from the wheel and nothing of the source tree; its dependencies are those of here."""
    folder = tmp_path_factory.mktemp("clean environment")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (wheel,) = built.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
    )
    (package,) = folder.rglob("mmkeras/__init__.py")
    # The .pth files of that folder are not read in their turn, so an editable mmkeras there stays unseen.
    (package.parent.parent / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run_installed(installed, *arguments, cwd):
    """Run a program of the clean environment outside the source tree."""
    program = installed / ("Scripts" if os.name == "nt" else "bin") / arguments[0]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run([program, *arguments[1:]], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_sdist_and_wheel_carry_the_package_data(built, source_tree):
    root = source_tree / "mmkeras"
    data = {path.relative_to(source_tree).as_posix() for path in root.rglob("*") if path.suffix in DATA_SUFFIXES}
    code = {path.relative_to(source_tree).as_posix() for path in root.rglob("*.py")}
    assert "mmkeras/py.typed" in data
    (wheel,) = built.glob("*.whl")
    (sdist,) = built.glob("*.tar.gz")
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    assert data | code <= in_wheel
    assert data | code | {"setup.py", "LICENSE"} <= in_sdist
    assert {name.partition("/")[0] for name in in_wheel if ".dist-info" not in name} == {"mmkeras"}


@pytest.mark.slow
def test_the_wheel_runs_outside_the_tree(installed, tmp_path):
    where = run_installed(installed, "python", "-c", "import mmkeras; print(mmkeras.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed), where.stdout + where.stderr
    shown = run_installed(installed, "mmkeras", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for command in ("train", "evaluate", "export", "serve", "query", "parity"):
        assert command in shown.stdout


@pytest.mark.slow
def test_the_wheel_trains_a_recipe_outside_the_tree(installed, tmp_path):
    run = tmp_path / "a run"
    done = run_installed(installed, "mmkeras", "train", "glyphs_tiny", "--out", str(run), "epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (run / "run.json").is_file()
    assert (run / "model.keras").is_file()
