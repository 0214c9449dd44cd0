"""The files of LiteRT.js, which run a network in a browser: fetched by npm or given, and checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from mmkeras.errors import MmkerasError

VERSION = "2.5.3"
FOLDER = "litert"
# SHA-512 of the packages as `npm pack` writes them, by the names that it gives them.
PACKAGES = {
    f"litertjs-core-{VERSION}.tgz": (
        "3e51a66cc3aaf568ad5fb14ed2385b749c3d1ad85ab6ccae0905e34edff0259a"
        "3414b6b0e3cab8b73f08c2a82a08892f8981abf4e1432f59029cde27cd6a3225"
    ),
    f"litertjs-wasm-utils-{VERSION}.tgz": (
        "e1f262c3ab4142722cfb48c7fce435ea760e89297cffecd99e7e61dae97c6932"
        "878b4e6c56a656e7cd139a4efca42da44f7f40f4e60155d15ac2d799fec23591"
    ),
}
NAMES = (f"@litertjs/core@{VERSION}", f"@litertjs/wasm-utils@{VERSION}")
PACK = f"npm pack {' '.join(NAMES)}"
_CORE, _UTILS = PACKAGES
# WebAssembly with relaxed SIMD, and for browsers without it.
_KINDS = ("litert_wasm_internal", "litert_wasm_compat_internal")
_FILES = {
    "index.js": (_CORE, "dist/index.js"),
    "wasm-utils.js": (_UTILS, "dist/index.js"),
    **{f"{kind}.{suffix}": (_CORE, f"wasm/{kind}.{suffix}") for kind in _KINDS for suffix in ("js", "wasm")},
}
# A browser finds no package by its name: that would take an import map, which is a script within the page.
_IMPORT, _IMPORT_HERE = b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.js"'
_NOTICE = f"""\
LiteRT.js {VERSION}, of https://github.com/google-ai-edge/LiteRT, Copyright Google LLC, under the Apache License 2.0,
which stands in LICENSE. index.js is changed in one line, where it names the file wasm-utils.js; nothing else is.
"""
_PATIENCE = 600  # seconds


def check_runtime(folder: str | os.PathLike[str] | None = None) -> None:
    """Check that the runtime can be had, before any work is done for it.

    Args:
        folder: holds the packages as `npm pack` wrote them; `None` where npm shall fetch them.

    Raises:
        MmkerasError: a package is missing or another one than expected; without a folder, npm is not installed.
    """
    if folder is not None:
        for name in PACKAGES:
            _checked(Path(folder) / name)
    elif shutil.which("npm") is None:
        raise MmkerasError(
            "Expected npm, which fetches LiteRT.js, or --runtime DIR with what it fetched elsewhere "
            f"({PACK}). Received: neither"
        )


def runtime_files(folder: str | os.PathLike[str] | None = None) -> dict[str, bytes]:
    """Return the files of LiteRT.js for a page, with their licence.

    Args:
        folder: see `check_runtime`.

    Returns:
        dict from name to content: `index.js`, `wasm-utils.js`, two kinds of WebAssembly with their loaders, `LICENSE`
        and `NOTICE`.

    Raises:
        MmkerasError: see `check_runtime`; npm could not fetch the packages, or what it fetched is not what is expected.
    """
    check_runtime(folder)
    with tempfile.TemporaryDirectory() as fetched:
        if folder is None:
            _fetch(fetched)
        packages = {name: _checked(Path(folder or fetched) / name) for name in PACKAGES}
        files = {name: _member(packages[package], path) for name, (package, path) in _FILES.items()}
    files["index.js"] = files["index.js"].replace(_IMPORT, _IMPORT_HERE)
    return files | {"NOTICE": _NOTICE.encode()}


def _fetch(folder):
    npm = shutil.which("npm")
    command = [npm, "pack", "--silent", "--ignore-scripts", "--prefer-offline", *NAMES]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE)
        problem = "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip() or "it said nothing")
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise MmkerasError(
            f"LiteRT.js could not be fetched ({problem.splitlines()[0]}). Where there is a connection, run {PACK} in a "
            "folder DIR, and give --runtime DIR"
        )


def _checked(file):
    """The path of a package that is the one expected."""
    try:
        digest = hashlib.sha512(file.read_bytes()).hexdigest()
    except OSError as error:
        raise MmkerasError(
            f"{file} cannot be read ({error.strerror or error}). Expected what {PACK} writes into a folder"
        ) from error
    if digest != PACKAGES[file.name]:
        raise MmkerasError(f"{file} is another file than {PACK} writes: its SHA-512 is {digest[:16]}...")
    return file


def _member(package, path):
    with tarfile.open(package) as archive:
        return archive.extractfile(f"package/{path}").read()
