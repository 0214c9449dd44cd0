"""Packaging of mmkeras: version, dependencies, extras and the `mmkeras` command; and of its client.

There are two distributions of one package. `mmkeras` is all of it. `mmkeras-client` is those of its files that ask a
server, embed a corpus, search an index and run encoders on a device, under the same import name and without TensorFlow:

    python -m build --outdir dist                                    # mmkeras
    MMKERAS_DISTRIBUTION=mmkeras-client python -m build --outdir dist

`requirements.lock` beside this file pins what these bounds allow; `scripts/setup.sh` installs from it.
"""

import ast
import os
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
DISTRIBUTIONS = ("mmkeras", "mmkeras-client")


def read_distribution():
    """Return which of the two is built: what MMKERAS_DISTRIBUTION says, or what this sdist is of, or mmkeras."""
    name = os.environ.get("MMKERAS_DISTRIBUTION", "")
    sdist = ROOT / "PKG-INFO"  # only an sdist has it
    if not name and sdist.is_file():
        lines = sdist.read_text(encoding="utf-8").splitlines()
        name = next(line.removeprefix("Name: ") for line in lines if line.startswith("Name: "))
    name = name.replace("_", "-") or "mmkeras"
    if name not in DISTRIBUTIONS:
        raise RuntimeError(f"Expected MMKERAS_DISTRIBUTION to be one of {DISTRIBUTIONS}. Received: {name!r}.")
    return name


def read_version():
    """Return `__version__` of mmkeras/__init__.py, read as text: an import would need what is yet to be installed."""
    source = (ROOT / "mmkeras" / "__init__.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["__version__"]:
            return ast.literal_eval(node.value)
    raise RuntimeError('Expected a line `__version__ = "..."` in mmkeras/__init__.py. Received: none.')


def read_readme():
    """Return the long description, empty where the README does not travel with the source."""
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.is_file() else ""


# What the client has of each package, by the names of modules; None is all of it.
CLIENT_MODULES = {
    "mmkeras": {
        *("__init__", "_lazy", "archives", "arguments", "atomic", "cli", "console", "errors", "missing_part_error"),
        *("check_commands", "command_options", "data_commands", "device_commands", "embed_commands", "embed_options"),
        *("index_commands", "index_options", "limits", "printable", "progress", "progress_display", "query"),
        *("search_commands", "search_options", "unreadable_pictures"),
    },
    "mmkeras.data": {"__init__", "cache", "missing_pictures", "records", "split_names"},
    "mmkeras.data.layouts": None,
    "mmkeras.data.stores": None,
    "mmkeras.embeddings": None,
    "mmkeras.on_device": None,
    "mmkeras.search": None,
    "mmkeras.search_page": None,
    "mmkeras.search_service": None,
    "mmkeras.serving": None,
}
# What a server is made of.
NOT_IN_CLIENT = {"mmkeras.serving": {"embedded_server", "launch", "stock_server", "xla_functions"}}

CLIENT_DESCRIPTION = """\
The client of `mmkeras`, image-text embeddings on Keras 3, without TensorFlow: some of
its files under the same import name `mmkeras`.

    mmkeras query "greek small letter omega" --server HOST:8500 --model glyphs --index index

`mmkeras.serving.Client` asks a server, `mmkeras.search` an index, and with the extra `on-device`
`mmkeras.on_device` embeds texts and photographs where no server is. To train, evaluate, export and serve, install
`mmkeras`, which has all of this too. An environment takes one of the two.
"""


class BuildClient(build_py):
    """Takes the client's modules alone."""

    def find_package_modules(self, package, package_dir):
        only, never = CLIENT_MODULES[package], NOT_IN_CLIENT.get(package, ())
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if (only is None or module[1] in only) and module[1] not in never]


CLIENT_REQUIRES = [
    "numpy>=2.1,<3",
    "grpcio>=1.74,<2",
    "protobuf>=6.31.1,<8",
    "pillow>=11,<14",  # pictures to ask with, and those that an index keeps, as its caller holds them
    "rich>=13,<16",
]

INSTALL_REQUIRES = [
    *CLIENT_REQUIRES,
    # One line of TensorFlow: tensorflow-text and the serving protos follow its minor versions.
    "tensorflow>=2.21,<2.22",
    "tensorflow-text>=2.21,<2.22",
    "tensorflow-serving-api>=2.21,<2.22",
    "tensorboard>=2.21,<2.22",  # TensorFlow 2.21 no longer brings it
    "tensorflow-hub>=0.16.1,<0.17",
    "setuptools>=77,<82",  # tensorflow-hub imports pkg_resources, which 82 removed
    "keras>=3.15,<4",
    "flatbuffers>=25.9.23,<26",  # what a .tflite file is
    "ml_dtypes>=0.5.1,<1",  # bfloat16 as NumPy knows it; the client says where it would need it
    "scipy>=1.14.1,<2",
    "scikit-learn>=1.6,<2",
    "threadpoolctl>=3.5,<4",  # one BLAS thread for the modality probe, which small products slow down with more
    "sentencepiece>=0.2.3,<0.3",
    "matplotlib>=3.10,<4",  # its DejaVu fonts are the embedded data set
    "fonttools>=4.55,<5",  # which characters a font can draw
    "jinja2>=3.1,<4",
    "markupsafe>=2.1,<4",  # Jinja's own escaping, used by our filters
]

# The embedded server's HTTP port. 3.0.1 mends what let a client confuse or busy the server (CVE-2024-49768, -49769).
REST_REQUIRES = ["waitress>=3.0.1,<4"]

# Published weights as transformers and timm keep them, and their download by name; .npz files need nothing.
PRETRAINED_REQUIRES = ["safetensors>=0.5,<1", "huggingface_hub>=0.34,<3"]

# The encoders and the search where no TensorFlow is; tokenizers makes the ids of WordPiece and byte-level BPE there.
ON_DEVICE_REQUIRES = ["ai-edge-litert>=2.3,<3", "sentencepiece>=0.2.3,<0.3", "tokenizers>=0.22,<0.24"]

# Pictures and captions in Parquet files, and in what `datasets` saves.
PARQUET_REQUIRES = ["pyarrow>=18,<26"]

# An approximate search of an index of hundreds of thousands; it needs NumPy alone.
ANN_REQUIRES = ["faiss-cpu>=1.12,<2"]

# A corpus embedded on an engine.
BEAM_REQUIRES = ["apache-beam>=2.70,<3", *PARQUET_REQUIRES]

# The page to search with and its HTTP interface. python-multipart 0.0.18 mends what let one form busy the server
# (CVE-2024-53981).
UI_REQUIRES = ["starlette>=0.50,<2", "uvicorn>=0.35,<1", "python-multipart>=0.0.20,<0.1"]

TEST_REQUIRES = [
    *UI_REQUIRES,
    *REST_REQUIRES,
    *ON_DEVICE_REQUIRES,
    *PRETRAINED_REQUIRES,
    *ANN_REQUIRES,
    *BEAM_REQUIRES,
    "duckdb>=1.4,<3",  # Parquet files of embeddings are handed over to both
    "qdrant-client>=1.15,<2",
    "pytest>=8,<10",
    "pytest-xdist>=3.6,<4",
    "playwright>=1.50,<2",  # drives the system's Chromium over the search page; it fetches no browser of its own
    "ruff>=0.9,<0.18",
    "mypy>=2.4,<3",  # the tests read its words
    "build>=1.2,<2",
    # What serving/ holds for an operator, read and checked against the schemas of Compose and Kubernetes.
    "pyyaml>=6,<7",
    "jsonschema>=4.23,<5",
    "check-jsonschema>=0.33,<1",
    "kubernetes-validate>=1.32,<2",
]

# What each distribution has of its own; the rest is said once, below.
WHOLE = {
    "description": "Image-text representation learning on Keras 3 and TensorFlow, from pixels to a served query",
    "long_description": read_readme(),
    "packages": find_packages(include=["mmkeras", "mmkeras.*"]),
    "package_data": {
        "mmkeras": [
            "py.typed",
            "models/presets/*.json",
            "preprocessing/*.json",
            "training/recipes/*.toml",
            "evaluation/templates/*.css",
            "evaluation/report/templates/*.j2",
            "evaluation/comparison/templates/*.j2",
            "evaluation/data_page/templates/*.j2",
            "search_page/browser/*",
            "search_page/static/*",
            "search_page/templates/*",
        ]
    },
    "install_requires": INSTALL_REQUIRES,
    "extras_require": {
        "test": TEST_REQUIRES,
        "dev": TEST_REQUIRES,
        "rest": REST_REQUIRES,
        "pretrained": PRETRAINED_REQUIRES,
        "on-device": ON_DEVICE_REQUIRES,
        "parquet": PARQUET_REQUIRES,
        "ann": ANN_REQUIRES,
        "ui": UI_REQUIRES,
        "beam": BEAM_REQUIRES,
        "tfds": ["tensorflow-datasets>=4.9.9,<5"],  # one of its packages is no wheel; in no lock
        "mediapipe": ["mediapipe>=1.2,<2"],  # that it reads our file is tested where it is installed; in no lock
        "benchmark": ["psutil>=6,<8"],
        # For scripts/studies: deep CCA as a baseline, which brings PyTorch, and Wikipedia's raw texts.
        "studies": ["cca-zoo[deep]>=4,<5", *PARQUET_REQUIRES],
        # What scripts/benchmarks/pytorch.py and towers.py measure beside; in no lock, for its size.
        "pytorch": ["torch>=2.6,<3", "transformers>=5,<6"],
    },
}
CLIENT = {
    "description": "The client of mmkeras: ask a served image-text model, search an index, embed on a device",
    "long_description": CLIENT_DESCRIPTION,
    "packages": list(CLIENT_MODULES),
    "package_data": {"mmkeras": ["py.typed", "search_page/static/*", "search_page/templates/*"]},
    "install_requires": CLIENT_REQUIRES,
    "extras_require": {
        "on-device": ON_DEVICE_REQUIRES,
        "ann": ANN_REQUIRES,
        "ui": UI_REQUIRES,
        "parquet": PARQUET_REQUIRES,
        "beam": BEAM_REQUIRES,
    },
    "cmdclass": {"build_py": BuildClient},
    "options": {"build": {"build_base": "build/client"}},  # the other's files lie in build/lib
}

DISTRIBUTION = read_distribution()

setup(
    name=DISTRIBUTION,
    version=read_version(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="image-text retrieval, cross-modal, embeddings, Keras, TensorFlow Serving, TFLite",
    python_requires=">=3.11,<3.14",
    entry_points={"console_scripts": ["mmkeras = mmkeras.cli:main"]},
    zip_safe=False,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Graphics",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    **(CLIENT if DISTRIBUTION == "mmkeras-client" else WHOLE),
)
