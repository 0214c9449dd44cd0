"""The page of a folder without a server: the files of the search page, with a source that searches in the browser."""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib import resources
from pathlib import Path

from mmkeras.export.web.runtime import FOLDER as RUNTIME

PARTS = resources.files("mmkeras") / "search_page"
STATIC = "static"
LICENSE = "apache-license.txt"
WORKER = "worker.js"
# What the page of a server has and this one does not.
_OF_A_SERVER = {"source.js", "server_source.js"}
_SOURCE = '/** What this page searches: the index beside it. */\nexport { source } from "./browser_source.js";\n'
# Nothing foreign: no script, no picture, no connection but to where the page comes from. A network is WebAssembly.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
_HEAD = "<head>"
_IN_HEAD = f"""
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="manifest" href="manifest.json">"""
# Pictures are compressed already.
_NOT_PACKED = {".bin", ".png", ".jpg", ".gz"}


def write_page(folder: Path, name: str, runtime: dict[str, bytes], data: Path) -> None:
    """Write the page beside its data, of one version: its worker and its cache are named by all that is in the folder.

    Args:
        folder: `pathlib.Path`, in which only `data` is yet.
        name: of the page where it is installed.
        runtime: see `runtime_files`.
        data: folder in `folder`, which is renamed to say what is in it.

    Raises:
        OSError: a full disk.
    """
    own, page = (Path(str(PARTS / name)) for name in ("browser", STATIC))
    static = folder / STATIC
    static.mkdir()
    for file in sorted(page.iterdir()):
        if file.name not in {*_OF_A_SERVER, "index.html"}:
            (static / file.name).write_bytes(file.read_bytes())
    for file in sorted(own.glob("*.js")):
        if file.name != WORKER:
            (static / file.name).write_bytes(file.read_bytes())
    (static / "source.js").write_text(_SOURCE)
    html = (page / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(html.replace(_HEAD, _HEAD + _IN_HEAD, 1), encoding="utf-8")
    (folder / "manifest.json").write_text(_manifest(name), encoding="utf-8")
    (folder / RUNTIME).mkdir()
    for file_name, content in {**runtime, "LICENSE": (own / LICENSE).read_bytes()}.items():
        (folder / RUNTIME / file_name).write_bytes(content)
    named = data.rename(folder / f"data-{_digest(data)[:12]}")
    worker = (own / WORKER).read_text(encoding="utf-8")
    version = hashlib.sha256(f"{_digest(folder)} {worker}".encode()).hexdigest()[:12]
    (static / "version.js").write_text(
        "/** Which data this page reads, and the name of what it keeps of them. */\n"
        f'export const DATA = "{named.name}/";\n'
        f"export const CACHE = (root) => `mmkeras ${{root.pathname}} {version}`;\n"
    )
    shell = ["./", "index.html", "manifest.json", *(f"{STATIC}/{file.name}" for file in sorted(static.iterdir()))]
    declared = f'const VERSION = "{version}";\nconst SHELL = {json.dumps(shell)};\n\n'
    (folder / WORKER).write_text(declared + worker, encoding="utf-8")


def pack(folder: Path) -> dict[str, int]:
    """Write NAME.gz beside each file of a folder that is not compressed by itself.

    Args:
        folder: `pathlib.Path`.

    Returns:
        dict from a file's path within the folder to its bytes as a browser is sent it, packed where it is.

    Raises:
        OSError: a full disk.
    """
    sizes = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if file.suffix not in _NOT_PACKED:
            content = gzip.compress(content, 9, mtime=0)
            file.with_name(f"{file.name}.gz").write_bytes(content)
        sizes[file.relative_to(folder).as_posix()] = len(content)
    return sizes


def first_visit(sizes: dict[str, int]) -> int:
    """Return the bytes of a first visit with a search, but for pictures.

    Args:
        sizes: see `pack`.
    """
    never = {f"{RUNTIME}/LICENSE", f"{RUNTIME}/NOTICE"}
    return sum(
        size
        for name, size in sizes.items()
        if name not in never and "_compat_" not in name and not name.endswith(".bin")
    )


def _manifest(name):
    icon = {"src": f"{STATIC}/icon.svg", "sizes": "any", "type": "image/svg+xml"}
    described = {"name": name, "short_name": name, "start_url": "./", "scope": "./", "display": "standalone"}
    return json.dumps(described | {"icons": [icon]}, indent=2, ensure_ascii=False) + "\n"


def _digest(folder):
    """The digest of all files of a folder, of their names too."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            digest.update(f"{file.relative_to(folder).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
