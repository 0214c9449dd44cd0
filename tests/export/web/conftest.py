"""A run's page without a server, a host of files for it, and a browser."""

import contextlib
import functools
import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.chromium import chromium_browser as chromium_browser


@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    """The folder of the packages of LiteRT.js; the case is skipped where npm cannot fetch them."""
    from mmkeras.export.web.runtime import NAMES

    if shutil.which("npm") is None:
        pytest.skip("needs npm, which fetches LiteRT.js and is not installed")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "pack", "--silent", "--prefer-offline", "--fetch-retries=0", *NAMES]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs LiteRT.js, which npm could not fetch: {done.stderr.strip()[:200]}")
    return folder


@pytest.fixture(scope="session")
def tiny_page(tmp_path_factory, tiny_run, runtime):
    """The folder and the answer of `export_web` of `tiny_run`; read it only."""
    from mmkeras.export.web import export_web

    folder = tmp_path_factory.mktemp("web") / "tiny"
    return folder, export_web(tiny_run, folder, runtime=runtime)


class _Files(http.server.SimpleHTTPRequestHandler):
    """Sends files as Python's own server does: neither ranges nor compression."""

    def __init__(self, *arguments, log, **keywords):
        self.log = log
        super().__init__(*arguments, **keywords)

    def log_message(self, *_):
        pass

    def copyfile(self, source, outputfile):
        content = source.read()
        self.log.append((self.path, len(content)))
        with contextlib.suppress(ConnectionError):
            outputfile.write(content)


class _PackedFiles(_Files):
    """Sends what stands packed beside a file, and says of every .gz that it is packed: browsers unpack both."""

    def send_head(self):
        path = Path(self.translate_path(self.path))
        packed = path if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
        if not packed.is_file() or path.is_dir():
            return super().send_head()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path.with_suffix("") if path.suffix == ".gz" else path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(packed.stat().st_size))
        self.send_header("Cache-Control", "max-age=60")
        self.end_headers()
        return packed.open("rb")


@pytest.fixture
def host():
    """A function that serves a folder: (address, list of what was sent, a function that stops it)."""
    with contextlib.ExitStack() as stack:

        def serve(folder, packed=False):
            log = []
            handler = functools.partial(_PackedFiles if packed else _Files, log=log, directory=str(folder))
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()

            def stop():
                server.shutdown()
                server.server_close()

            stack.callback(stop)
            return f"http://127.0.0.1:{server.server_address[1]}", log, stop

        yield serve
