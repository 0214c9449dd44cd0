"""Packaging of mmkeras: version, dependencies, extras and the `mmkeras` command.

`requirements.lock` beside this file pins what these bounds allow; `scripts/setup.sh` installs from it.
"""

import ast
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


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


INSTALL_REQUIRES = [
    # One line of TensorFlow: tensorflow-text and the serving protos follow its minor versions.
    "tensorflow>=2.21,<2.22",
    "tensorflow-text>=2.21,<2.22",
    "tensorflow-serving-api>=2.21,<2.22",
    "tensorboard>=2.21,<2.22",  # TensorFlow 2.21 no longer brings it
    "tensorflow-hub>=0.16.1,<0.17",
    "setuptools>=77,<82",  # tensorflow-hub imports pkg_resources, which 82 removed
    "keras>=3.15,<4",
    "grpcio>=1.74,<2",
    "protobuf>=6.31.1,<8",
    "flatbuffers>=25.9.23,<26",  # what a .tflite file is
    "numpy>=2.1,<3",
    "ml_dtypes>=0.5.1,<1",  # bfloat16 in the client, without TensorFlow
    "scipy>=1.14.1,<2",
    "scikit-learn>=1.6,<2",
    "threadpoolctl>=3.5,<4",  # one BLAS thread for the modality probe, which small products slow down with more
    "sentencepiece>=0.2.1,<0.3",
    "pillow>=11,<14",
    "matplotlib>=3.10,<4",  # its DejaVu fonts are the embedded data set
    "fonttools>=4.55,<5",  # which characters a font can draw
    "jinja2>=3.1,<4",
    "markupsafe>=2.1,<4",  # Jinja's own escaping, used by our filters
    "rich>=13,<16",
]

# The embedded server's HTTP port. 3.0.1 mends what let a client confuse or busy the server (CVE-2024-49768, -49769).
REST_REQUIRES = ["waitress>=3.0.1,<4"]

# Published weights as transformers and timm keep them; .npz files need nothing.
PRETRAINED_REQUIRES = ["safetensors>=0.5,<1"]

# The text encoder and the search where no TensorFlow is.
ON_DEVICE_REQUIRES = ["ai-edge-litert>=2.3,<3", "sentencepiece>=0.2.1,<0.3"]

TEST_REQUIRES = [
    *REST_REQUIRES,
    *ON_DEVICE_REQUIRES,
    *PRETRAINED_REQUIRES,
    "pytest>=8,<10",
    "pytest-xdist>=3.6,<4",
    "ruff>=0.9,<0.18",
    "build>=1.2,<2",
    # What serving/ holds for an operator, read and checked against the schemas of Compose and Kubernetes.
    "pyyaml>=6,<7",
    "jsonschema>=4.23,<5",
    "check-jsonschema>=0.33,<1",
    "kubernetes-validate>=1.32,<2",
]

setup(
    name="mmkeras",
    version=read_version(),
    description="Image-text representation learning on Keras 3 and TensorFlow, from pixels to a served query",
    long_description=read_readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="image-text retrieval, cross-modal, embeddings, Keras, TensorFlow Serving, TFLite",
    packages=find_packages(include=["mmkeras", "mmkeras.*"]),
    package_data={
        "mmkeras": [
            "py.typed",
            "models/presets/*.json",
            "training/recipes/*.toml",
            "evaluation/templates/*.css",
            "evaluation/report/templates/*.j2",
            "evaluation/comparison/templates/*.j2",
        ]
    },
    python_requires=">=3.11,<3.14",
    install_requires=INSTALL_REQUIRES,
    extras_require={
        "test": TEST_REQUIRES,
        "dev": TEST_REQUIRES,
        "rest": REST_REQUIRES,
        "pretrained": PRETRAINED_REQUIRES,
        "on-device": ON_DEVICE_REQUIRES,
        "mediapipe": ["mediapipe>=1.2,<2"],  # that it reads our file is tested where it is installed; in no lock
        "benchmark": ["psutil>=6,<8"],
        # For scripts/studies: deep CCA as a baseline, which brings PyTorch, and Wikipedia's raw texts.
        "studies": ["cca-zoo[deep]>=4,<5", "pyarrow>=18,<26"],
        "pytorch": ["torch>=2.6,<3"],  # what scripts/benchmarks/pytorch.py measures beside; in no lock, for its size
    },
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
)
