"""`FakeSearchServer`: the search service's HTTP API over a few drawn pictures, without a model or TensorFlow.

python -m tests.search_page.fake_search_server 8080 [glyphs]       # to look at the page
"""

import base64
import dataclasses
import http.server
import io
import json
import re
import sqlite3
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from .drawn_pictures import glyph, landscape

STATIC = Path(__file__).resolve().parents[2] / "mmkeras" / "search_page" / "static"
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclasses.dataclass
class Thing:
    """An item: what the index keeps of it, its captions and its picture as bytes, None where there is none."""

    item: dict
    captions: list
    picture: bytes | None

    def colour(self):
        return mean_colour(self.picture)


def mean_colour(picture):
    """The mean colour of a picture, float (3,) of 0 to 1."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), np.float32).mean((0, 1)) / 255


def landscapes(count=120):
    """Things with photographs, of several columns."""
    things = []
    for place in range(count):
        picture, caption, category = landscape(place)
        item = {"id": f"photo-{place}.jpg", "text": caption, "picture": f"photo-{place}.jpg", "category": category}
        item |= {"year": 2000 + place % 25, "tags": [category, "outdoors"], "seen": place % 3 > 0}
        item |= {"source": f"https://example.org/photos/{place}"}
        things.append(Thing(item, [caption, f"{caption}, seen from afar"], picture))
    return things


def glyphs(first=0x391, count=90):
    """Things with drawings of 32 px: Greek letters and what follows them."""
    things = []
    for code in range(first, first + count):
        if chr(code).isprintable() and chr(code).isalpha():
            picture, name = glyph(chr(code))
            item = {
                "id": f"U+{code:04X}",
                "text": name,
                "picture": f"{code}.png",
                "block": "Greek",
                "seen": code % 7 > 0,
            }
            things.append(Thing(item, [name], picture))
    return things


class FakeSearchServer:
    """Serves the page and answers its questions, one thread each; `with` starts and stops it.

    A text finds items that have its words, or words that begin so; a picture finds those of a like mean colour.

    Args:
        things: list of `Thing`.
        model: name of the model that it pretends to ask.
        port: 0 for a free one.

    Attributes:
        delays: dict from a text to the seconds that its answer takes.
        failure: None, or (status, sentence) of the answer to all that is asked of the API.
        asked: list of the queries that came, `picture` as bytes.
        verdicts: list of what came as feedback.
        version: the model's version in all answers.
    """

    def __init__(self, things, model="photos", port=0):
        self.things, self.model, self.port = things, model, port
        self.delays, self.failure, self.asked, self.verdicts, self.version = {}, None, [], [], 3
        self._server = None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        """Listen: again at the same port after `stop`."""
        self._server = _Threads(("127.0.0.1", self.port), _Handler)
        self._server.fake, self.port = self, self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Listen no more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def info(self):
        columns = {}
        for thing in self.things:
            for name, value in thing.item.items():
                columns.setdefault(name, []).append(value)
        return {
            "model": self.model,
            "version": self.version,
            "label": "stable",
            "space_id": "a-space",
            "items": len(self.things),
            "modalities": ["image", "text"],
            "columns": [column(name, values) for name, values in columns.items()],
            "scores": {"random_mean": 0.04, "random_deviation": 0.06, "threshold": 0.2},
            "tasks": {"text": True, "picture": True},
            "pictures": True,
            "feedback": True,
            "max_upload_bytes": 2_000_000,
            "server": "127.0.0.1:8500",
            "signatures": {"text": "encode_text", "picture": "encode_image"},
        }

    def search(self, query):
        """Answer a query as the service does."""
        if isinstance(query.get("picture"), str):
            query["picture"] = base64.b64decode(query["picture"])
        self.asked.append(query)
        text, k, offset = query.get("text", ""), query.get("k", 24), query.get("offset", 0)
        time.sleep(self.delays.get(text, 0))
        shown = [thing for thing in self.things if self.passes(thing, query)]
        scored = sorted(((self.score(thing, query), -place) for place, thing in enumerate(shown)), reverse=True)
        results = [
            {
                "rank": rank,
                "score": round(score, 4),
                "match": None,
                "item": shown[-place].item,
                "picture": f"api/picture?id={shown[-place].item['id']}".replace("+", "%2B")
                if shown[-place].picture
                else None,
                "captions": shown[-place].captions,
            }
            for rank, (score, place) in enumerate(scored, 1)
        ]
        return {
            "results": results[offset : offset + k],
            "total": len(shown),
            "more": len(results) > offset + k,
            "milliseconds": {"embed": 4.2, "search": 1.1, "all": 6.4},
            "model": self.model,
            "version": self.version,
            "space_id": "a-space",
            "generation": 1,
        }

    def score(self, thing, query):
        """A cosine of sorts."""
        parts = []
        if query.get("text"):
            own = re.findall(r"\w+", " ".join(thing.captions).lower())
            words = re.findall(r"\w+", query["text"].lower()) or ["?"]
            parts.append(0.02 + 0.4 * sum(any(w.startswith(word) for w in own) for word in words) / len(words))
        if query.get("id"):
            other = self.find(query["id"])
            parts.append(1 - float(np.abs(other.colour() - thing.colour()).mean()) if other.picture else 0.0)
        if query.get("picture"):
            near = 1 - float(np.abs(mean_colour(query["picture"]) - thing.colour()).mean()) if thing.picture else 0.0
            parts.append(near)
        weight = query.get("weight", 0.5)
        return parts[0] if len(parts) == 1 else weight * parts[0] + (1 - weight) * parts[1]

    def passes(self, thing, query):
        for name, values in (query.get("filters") or {}).items():
            own = thing.item.get(name)
            if not any(value in own if isinstance(own, list) else value == own for value in values):
                return False
        if not query.get("where"):
            return True
        names = [name for name, value in thing.item.items() if not isinstance(value, list)]
        table = ", ".join(f'? AS "{name}"' for name in names)
        with sqlite3.connect(":memory:") as database:
            statement = f"SELECT * FROM (SELECT {table}) WHERE ({query['where']}\n)"
            return bool(database.execute(statement, [thing.item[name] for name in names]).fetchall())

    def find(self, name):
        return next((thing for thing in self.things if str(thing.item["id"]) == name), None)


def column(name, values):
    """What `api/info` says of a column."""
    kinds = {str: "text", bool: "flag", int: "number", float: "number", list: "list"}
    single = [one for value in values for one in (value if isinstance(value, list) else [value])]
    most = sorted(set(single), key=lambda value: (-single.count(value), str(value)))[:30]
    return {"name": name, "kind": kinds[type(values[0])], "values": most}


class _Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        address = urlsplit(self.path)
        named = parse_qs(address.query).get("id", [""])[0]
        if address.path.startswith("/api/"):
            return self.api(address.path, named)
        name = "index.html" if address.path == "/" else address.path.removeprefix("/static/")
        file = STATIC / name
        if file.parent != STATIC or not file.is_file():
            return self.answer(404, b"", "text/plain")
        return self.answer(200, file.read_bytes(), KINDS[file.suffix])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.api(self.path, None, json.loads(body))

    def api(self, path, named, body=None):
        fake = self.server.fake
        if fake.failure:
            return self.tell(fake.failure[0], {"error": fake.failure[1]})
        thing = fake.find(named) if named else None
        if path == "/api/info":
            return self.tell(200, fake.info())
        if path == "/api/search":
            try:
                return self.tell(200, fake.search(body))
            except sqlite3.Error as error:
                return self.tell(422, {"error": f"Expected an expression over the columns. Received: {error}"})
        if path == "/api/feedback":
            fake.verdicts.append(body)
            return self.answer(204, b"", "text/plain")
        if path == "/api/item" and thing:
            picture = f"api/picture?id={named}".replace("+", "%2B") if thing.picture else None
            return self.tell(200, {"item": thing.item, "captions": thing.captions, "picture": picture})
        if path == "/api/picture" and thing and thing.picture:
            kind = "image/png" if thing.picture.startswith(b"\x89PNG") else "image/jpeg"
            return self.answer(200, thing.picture, kind)
        return self.tell(404, {"error": f"Expected an address of this API. Received: {self.path}"})

    def tell(self, status, content):
        self.answer(status, json.dumps(content).encode(), "application/json")

    def answer(self, status, body, kind):
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # the page wants this answer no more
            pass


if __name__ == "__main__":
    things = glyphs() if "glyphs" in sys.argv else landscapes()
    fake = FakeSearchServer(things, "glyphs" if "glyphs" in sys.argv else "photos", int(sys.argv[1]))
    with fake:
        print(fake.address)
        threading.Event().wait()
