"""The rules of the house that a machine can read: which way imports point, how long a file is, what it is called."""

import ast
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

LEAVES = {"layers", "losses", "metrics", "preprocessing"}
FOUNDATION = {
    "errors",
    "missing_part_error",
    "_lazy",
    "_config",
    "archives",
    "atomic",
    "tensors",
    "ids",
    "printable",
    "progress",
    "progress_display",
    "limits",
    "unreadable_pictures",
}  # every room may import these; they import nothing of ours
# Left to right: a room imports from rooms further left. The rooms of one set are siblings and do not know each other.
WAY = [{"data"}, {"encoders"}, {"models"}, {"training"}, {"evaluation"}, {"search"}, {"on_device"}, {"export"}]
WAY += [{"serving", "search_page"}, {"embeddings"}, {"search_service"}]
WAY += [{"parity", "query", "arguments", "embed_options", "index_options", "search_options"}, {"gate"}]
WAY += [{"command_options", "console"}]
WAY += [{f"{name}_commands" for name in ("check", "data", "device", "embed", "index", "search")}, {"cli"}]
ALLOWED = {leaf: set() for leaf in LEAVES} | {name: set() for name in FOUNDATION} | {"data": {"preprocessing"}}
for place, rooms in enumerate(WAY[1:], start=1):
    ALLOWED |= {room: LEAVES.union(*WAY[:place]) for room in rooms}
# These know no model: an index and a server hold and serve whatever was made elsewhere, and a device runs it.
ALLOWED |= {"search": set(), "serving": set(), "search_page": set(), "on_device": {"search"}}
ALLOWED |= {"search_service": {"search", "serving"}}
# What the rooms within a room may import of each other.
WITHIN = {"evaluation": {"measuring": set(), "report": {"measuring"}, "comparison": set(), "data_page": set()}}
# What runs where TensorFlow does not: on a client's machine and on a device. It knows rooms of its kind only.
# The embedded server imports it when it loads a model.
WITHOUT_TENSORFLOW = ["serving", "search", "search_page", "on_device", "embeddings", "search_service"]

LONGEST = 350
VAGUE = {"util", "utils", "helper", "helpers", "misc", "common", "manager", "managers"}
# Files that may hold more than one public class, with the reason.
SEVERAL_CLASSES = {
    "encoders/inverted_residuals.py": "the rows of two tables that say what a network is made of",
    "layers/masked_pooling.py": "mean and maximum of one idea, a few lines each",
    "serving/answer_types.py": "the keys of nested dicts, which have no behaviour",
    "training/callbacks.py": "the callbacks of one training, which rely on each other's order",
}
KERAS_CLASSES = {"Layer", "Loss", "Model", "Metric", "Sequential", "ImageTextModel"}


def python_files(*folders):
    """The Python files below the given folders, sorted."""
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imported_modules(tree, module, is_package):
    """Yield (line, dotted module) of everything that the syntax tree of `module` imports, wherever it does so."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*start, node.module] if node.module else start)
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mmkeras":
            yield node.lineno, f"mmkeras.{node.attr}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def backward_arrows(root):
    """Return one line for each import below `root` (a folder named mmkeras) that runs against the way of the house."""
    arrows = []
    for path in python_files(root):
        inside = path.relative_to(root)
        if inside == Path("__init__.py"):
            continue  # hands every room on, lazily
        room = inside.parts[0].removesuffix(".py")
        is_package = path.name == "__init__.py"
        dotted = [root.name, *inside.parts[:-1]] + ([] if is_package else [path.stem])
        allowed = FOUNDATION | {room} | ALLOWED.get(room, set())
        if room in FOUNDATION:
            allowed = FOUNDATION
        for line, target in imported_modules(ast.parse(path.read_text(encoding="utf-8")), ".".join(dotted), is_package):
            parts = target.split(".")
            if parts[0] != root.name or len(parts) == 1 or parts[1].startswith("__"):
                continue
            if room not in ALLOWED:
                arrows.append(f"{inside.as_posix()}:{line}: {room} is no room of the house (CONTRIBUTING.md)")
            elif parts[1] not in allowed:
                arrows.append(f"{inside.as_posix()}:{line}: {room} imports {parts[1]}")
            elif parts[1] == room and len(parts) > 2 and len(inside.parts) > 2:
                rooms, inner = WITHIN.get(room, {}), inside.parts[1]
                if inner in rooms and parts[2] in rooms and parts[2] not in rooms[inner] | {inner}:
                    arrows.append(f"{inside.as_posix()}:{line}: {room}/{inner} imports {room}/{parts[2]}")
    return arrows


def tracked_files(repository):
    """Every file that git tracks or would: in a copy without git, every file that is not in an ignored folder."""
    command = ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        inside = (repository / ".git").exists()
    except (OSError, subprocess.CalledProcessError):
        inside = False
    if inside:
        return [repository / name for name in listing.split("\0") if name and (repository / name).is_file()]
    skipped = {"runs", "build", "dist", "__pycache__", "savedmodels"}
    return [
        path
        for path in sorted(repository.rglob("*"))
        if path.is_file()
        and not any(part in skipped or part.endswith(".egg-info") for part in path.relative_to(repository).parts)
        and not any(part.startswith(".") and part != ".ci" for part in path.relative_to(repository).parts)
    ]


def bases(node):
    """The last word of each base class of a class definition."""
    return {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}


def test_imports_point_one_way(repository):
    assert backward_arrows(repository / "mmkeras") == []


@pytest.mark.parametrize(
    ("file", "source", "arrow"),
    [
        ("layers/attention.py", "from mmkeras.losses import triplet", "layers imports losses"),
        ("metrics/retrieval.py", "import mmkeras.data.glyphs", "metrics imports data"),
        ("data/pipeline.py", "from mmkeras import models", "data imports models"),
        ("encoders/text.py", "def build():\n    from ..training import run", "encoders imports training"),
        ("models/dual_encoder.py", "import mmkeras\nmmkeras.export.save()", "models imports export"),
        ("training/run.py", "importlib.import_module('mmkeras.evaluation.report')", "training imports evaluation"),
        ("serving/client.py", "from mmkeras.export.saved_model import export", "serving imports export"),
        ("serving/embedded_server.py", "from mmkeras.search.index import EmbeddingIndex", "serving imports search"),
        ("search/index.py", "from mmkeras.metrics import retrieval", "search imports metrics"),
        ("on_device/search.py", "from mmkeras.export.space import space_id", "on_device imports export"),
        ("on_device/search.py", "from mmkeras.preprocessing import text", "on_device imports preprocessing"),
        ("parity.py", "from mmkeras.cli import main", "parity imports cli"),
        (
            "evaluation/measuring/evaluate.py",
            "from mmkeras.evaluation.report.tables import gap_table",
            "evaluation/measuring imports evaluation/report",
        ),
        (
            "evaluation/comparison/page.py",
            "from mmkeras.evaluation.measuring import save_metrics",
            "evaluation/comparison imports evaluation/measuring",
        ),
        ("errors.py", "from mmkeras import data", "errors imports data"),
        ("attic/old.py", "from mmkeras import data", "attic is no room of the house"),
        (
            "search/__init__.py",
            "if TYPE_CHECKING:\n    from ..export import space_id as space_id",
            "search imports export",
        ),
    ],
)
def test_a_planted_backward_arrow_is_found(tmp_path, file, source, arrow):
    path = tmp_path / "mmkeras" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    found = backward_arrows(tmp_path / "mmkeras")
    assert len(found) == 1
    assert arrow in found[0]
    assert found[0].startswith(file)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("layers/attention.py", "import keras\nfrom mmkeras.layers.masking import mask"),
        ("layers/attention.py", "from mmkeras.errors import MmkerasError"),
        ("data/glyphs.py", "from mmkeras.preprocessing.image import ImagePreprocessor"),
        ("models/dual_encoder.py", "from mmkeras.encoders.text import text_cnn\nfrom ..losses import contrastive"),
        ("evaluation/report/run_report.py", "from mmkeras.evaluation.measuring.evaluate import evaluate"),
        ("evaluation/comparison/page.py", "from mmkeras.evaluation.rendering import render\nfrom . import figures"),
        ("on_device/search.py", "from mmkeras.search.index import EmbeddingIndex"),
        ("export/release.py", "from mmkeras.search.writer import IndexWriter\nfrom . import space"),
        ("training/run.py", "import mmkeras\nversion = mmkeras.__version__"),
        ("cli.py", "def main():\n    from mmkeras.parity import compare\n    from mmkeras.search import index"),
    ],
)
def test_forward_arrows_pass(tmp_path, file, source):
    path = tmp_path / "mmkeras" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert backward_arrows(tmp_path / "mmkeras") == []


def test_files_are_short(repository):
    lengths = {
        path.relative_to(repository).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(repository / "mmkeras", repository / "scripts", repository / "tests")
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_names_say_what_is_inside(repository):
    vague = []
    for path in python_files(repository / "mmkeras", repository / "scripts", repository / "tests"):
        inside = path.relative_to(repository)
        words = {word for part in inside.with_suffix("").parts for word in part.split("_")}
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                words |= {word.lower() for word in re.findall("[A-Z][a-z]*", node.name)}
        vague += [f"{inside}: {word}" for word in sorted(words & VAGUE)]
    assert vague == []


def test_one_public_class_a_file(repository):
    root = repository / "mmkeras"
    crowded = {}
    for path in python_files(root):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        if len(classes) > 1:
            crowded[path.relative_to(root).as_posix()] = classes
    assert {path: classes for path, classes in crowded.items() if path not in SEVERAL_CLASSES} == {}


def test_keras_classes_are_registered(repository):
    unregistered = []
    for path in python_files(repository / "mmkeras"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and bases(node) & KERAS_CLASSES:
                decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
                if not re.search(r"register_keras_serializable\((package=)?'mmkeras'", decorators):
                    unregistered.append(f"{path.relative_to(repository)}:{node.lineno}: {node.name}")
    assert unregistered == []


def defined_names(path):
    """The names that a module defines at its top level; a package's, those of its folder."""
    if path.is_dir():
        return {path.name}
    body = ast.parse(path.with_suffix(".py").read_text(encoding="utf-8")).body
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return {getattr(node, "name", None) for node in body} | {getattr(target, "id", None) for target in targets}


def exported_names(path):
    """Yield (name, alias, module) of each import that a package `__init__` declares below `if TYPE_CHECKING:`."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                for alias in statement.names:
                    yield alias.name, alias.asname, statement.module


def test_lazy_names_exist(repository):
    """A name that a package hands on lazily fails at its first use only, so each is looked up here."""
    dangling, exported = [], 0
    for path in (repository / "mmkeras").rglob("__init__.py"):
        for name, _, module in exported_names(path):
            exported += 1
            source = path.parent.joinpath(*(module or name).split("."))
            exists = source.is_dir() or source.with_suffix(".py").is_file()
            if not exists or (module and name not in defined_names(source)):
                dangling.append(f"{path.parent.relative_to(repository)}: {name} of {module or name}")
    assert dangling == []
    assert exported > 100


def test_lazy_names_are_handed_on_as_what_they_are(repository):
    """Type checkers take `name as name` for an export; a function named as its module would become the module."""
    wrong = []
    for path in (repository / "mmkeras").rglob("__init__.py"):
        for name, alias, module in exported_names(path):
            if alias != name or module == name:
                wrong.append(f"{path.parent.relative_to(repository)}: from .{module or ''} import {name} as {alias}")
    assert wrong == []


def test_no_open_ends_in_the_library(repository):
    """Read from the comments alone: a string may hold any word."""
    found = []
    for path in python_files(repository / "mmkeras", repository / "scripts"):
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type == tokenize.COMMENT and re.search(r"\b(TODO|FIXME|XXX|HACK)\b", token.string):
                    found.append(f"{path.relative_to(repository)}:{token.start[0]}: {token.string}")
    assert found == []


# A home or working folder of some machine, a package registry's host. Spelled apart: this file is read too.
MACHINE_FOLDERS = ["wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers"]
REGISTRY_HOSTS = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "ana" + "conda.org"]
MACHINE = re.compile(rf"(?<![\w.~*}}-])/({'|'.join(MACHINE_FOLDERS)})/|({'|'.join(map(re.escape, REGISTRY_HOSTS))})")


@pytest.mark.parametrize("name", [f"/{folder}/data" for folder in MACHINE_FOLDERS] + REGISTRY_HOSTS)
def test_a_planted_machine_name_is_found(name):
    assert MACHINE.search(f'path = "{name}"')
    assert not MACHINE.search(f"docs/{MACHINE_FOLDERS[0]}/ and framework/{MACHINE_FOLDERS[1]}/")


def test_no_file_names_a_machine(repository):
    found = []
    for path in tracked_files(repository):
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(repository)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_light_imports_load_no_tensorflow(repository):
    """Every package, the client's and the device's modules and the command line, in one fresh process."""
    root = repository / "mmkeras"
    light = [path.parent for path in root.rglob("__init__.py")] + [root / "cli.py"]
    light += [path for place in WITHOUT_TENSORFLOW for path in [root / place, *(root / place).rglob("*.py")]]
    names = sorted({".".join(path.relative_to(repository).with_suffix("").parts) for path in light if path.exists()})
    names = [name for name in names if not name.endswith("__init__")]
    assert {"mmkeras", "mmkeras.search", "mmkeras.serving"} <= set(names)
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    heavy = {{"tensorflow", "keras", "tf_keras"}} & set(sys.modules)
    if heavy:
        sys.exit(f"{{name}} imports {{sorted(heavy)}}")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
