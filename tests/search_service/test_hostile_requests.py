"""What strangers send: each is told what was wrong in one sentence, and the service goes on."""

import base64
import json
import socket
import time
from concurrent import futures

import pytest

from mmkeras.search_service import ServiceLimits

from .conftest import PNG


@pytest.mark.parametrize(
    ("request_", "status", "told"),
    [
        ({}, 400, "Expected a text with a visible character"),
        ({"text": " \t\n"}, 400, "Expected a text with a visible character"),
        ({"text": 3}, 400, "Expected text to be a text"),
        ({"text": "\ud800"}, 400, "half of a surrogate pair"),
        ({"text": "x" * 70_000}, 413, "Expected a text of at most 65536 bytes"),
        ({"text": "at 1", "query": 1}, 400, "Expected fields among text, picture"),
        ({"text": "at 1", "k": 0}, 400, "Expected k to be a whole number from 1 to 200"),
        ({"text": "at 1", "k": 201}, 400, "Expected k to be"),
        ({"text": "at 1", "k": True}, 400, "Expected k to be"),
        ({"text": "at 1", "k": 1.5}, 400, "Expected k to be"),
        ({"text": "at 1", "k": 10**400}, 400, "Expected k to be"),
        ({"text": "at 1", "k": "9" * 5000}, 400, "Expected k to be"),
        ({"text": "at 1", "offset": -1}, 400, "Expected offset to be"),
        ({"text": "at 1", "offset": 10_000}, 400, "Expected offset to be a whole number from 0 to 9976"),
        ({"text": "at 1", "weight": 1.01}, 400, "Expected weight to be a number from 0 to 1"),
        ({"text": "at 1", "weight": float("nan")}, 400, "Expected weight to be"),
        ({"text": "at 1", "in": "sound"}, 400, "Expected in to be image or text"),
        ({"text": "at 1", "in": ["image"]}, 400, "Expected in to be image or text"),
        ({"picture": "no base64!"}, 400, "in base64"),
        ({"picture": 7}, 400, "Expected picture to be the bytes of a file"),
        ({"picture": base64.b64encode(b"no number").decode()}, 422, "The picture was refused: row 0 is no picture"),
        ({"picture": base64.b64encode(b"1").decode(), "id": "p1"}, 400, "Expected a picture or the id"),
        ({"id": ["p1"]}, 400, "Expected id to be a text"),
        ({"id": "../../etc/passwd"}, 404, "There is no item"),
        ({"text": "at 1", "where": "x" * 2001}, 400, "Expected where to be a text of at most 2000 characters"),
        ({"text": "at 1", "where": ["1"]}, 400, "Expected where to be a text"),
        ({"text": "at 1", "where": "no such column"}, 422, "Expected an expression over id, text"),
        ({"text": "at 1", "where": "1); DELETE FROM items; SELECT (1"}, 422, "Expected an expression"),
        ({"text": "at 1", "where": "load_extension('x')"}, 422, "Expected an expression"),
        ({"text": "at 1", "where": "(SELECT COUNT(*) FROM sqlite_master)"}, 422, "Expected an expression"),
        ({"text": "at 1", "where": "id = '\0'"}, 422, "Expected an expression"),
        ({"text": "at 1", "filters": ["kind"]}, 400, "Expected filters to be an object"),
        ({"text": "at 1", "filters": {"kind": "even"}}, 400, "Expected filters to be an object"),
        ({"text": "at 1", "filters": {"kind": [["even"]]}}, 400, "Expected filters to be an object"),
        ({"text": "at 1", "filters": {"kind": ["a"] * 101}}, 400, "Expected filters to be an object"),
        ({"text": "at 1", "filters": {'kind" OR 1 --': [1]}}, 400, "Expected columns among id, text"),
        ({"text": "at 1", "filters": "{"}, 400, "Expected filters to be a JSON object"),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_told(asking, request_, status, told):
    assert told in asking.refusal(status, **request_)
    assert asking.ids(text="at 30", k=1) == ["p3"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b"[1]", 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"[" * 100_000, 400),
        ("text/plain", b'{"text": "at 1"}', 415),
        ("", b"", 415),
        ("application/x-www-form-urlencoded", b"text=at+1", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"no form", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nat 1', 400),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nat 1\r\n--b--\r\n", 400),
    ],
)
def test_bodies_that_are_not_what_they_say(asking, kind, body, status):
    answered, _, told = asking.raw("POST", "/api/search", body, {"Content-Type": kind})
    assert answered == status, told
    assert list(json.loads(told)) == ["error"]


def form(*parts):
    """A form of (name, content) or (name, content, file name)."""
    body = b""
    for name, content, *file in parts:
        of_file = f'; filename="{file[0]}"' if file else ""
        body += f'--edge\r\nContent-Disposition: form-data; name="{name}"{of_file}\r\n\r\n'.encode() + content + b"\r\n"
    return body + b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


@pytest.mark.parametrize(
    ("parts", "status", "told"),
    [
        ([("picture", PNG + b" 42", "a.png"), ("k", b"2")], 200, '"p4"'),
        ([("picture", PNG + b" 40", "../../a.png"), ("text", b"at 60"), ("weight", b"1")], 200, '"p6"'),
        ([("text", b"at 0"), ("filters", b'{"price": [7]}')], 200, '"p7"'),
        ([("text", b"at 1"), ("k", b"many")], 400, "Expected k to be"),
        ([("text", b"at 1"), ("text", b"at 2")], 400, "Expected each field once"),
        ([("text", b"at 1", "a.txt")], 400, "Expected picture, and nothing else, as a file"),
        ([("picture", b"at 1")], 400, "Expected picture, and nothing else, as a file"),
        ([("picture", b"1", "a"), ("picture", b"2", "b")], 400, "Too many files"),
        ([(f"field{n}", b"") for n in range(30)], 400, "Too many fields"),
        ([("text", b"x" * 2_000_000)], 400, "Part exceeded"),
    ],
)
def test_forms(asking, parts, status, told):
    answered, _, body = asking.raw("POST", "/api/search", *form(*parts))
    assert answered == status, body
    assert told in body.decode()


def test_bodies_that_are_too_long(serving):
    with serving(limits=ServiceLimits(upload_bytes=1000)) as asking:
        assert "of at most 1000 bytes" in asking.refusal(413, picture=base64.b64encode(b"1" * 1001).decode())
        body, headers = form(("picture", b"1" * 1001, "a.png"))
        assert asking.raw("POST", "/api/search", body, headers)[0] == 413
        # Told by its length before a byte of it is read, and without one as soon as it is.
        body, headers = form(("picture", b"1" * 1_000_000, "a.png"))
        assert asking.raw("POST", "/api/search", body, headers)[0] == 413
        answer = talk(
            asking,
            b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"80000\r\n" + b" " * 0x80000 + b"\r\n0\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 413")
        assert asking.ids(text="at 30", k=1) == ["p3"]


def talk(asking, content, seconds=10):
    """Send bytes as they are, and return what comes until the other side closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", asking.server.port), timeout=seconds) as connection:
        connection.sendall(content)
        while part := connection.recv(65536):
            received += part
    return received


def test_a_body_that_comes_slowly_is_given_up(serving):
    with serving(limits=ServiceLimits(body_seconds=0.3)) as asking:
        started = time.monotonic()
        answer = talk(
            asking,
            b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"text"',
        )
        assert answer.startswith(b"HTTP/1.1 408") and time.monotonic() - started < 5
        assert b"Expected the whole request within 0.3 seconds. Received: 7 bytes" in answer
        assert asking.ids(text="at 30", k=1) == ["p3"]


def test_no_more_searches_at_a_time_than_are_allowed(serving):
    with serving(limits=ServiceLimits(concurrent=2)) as asking, futures.ThreadPoolExecutor(6) as pool:
        ask = {"text": "slow 30", "k": 1}
        answers = list(
            pool.map(
                lambda _: asking.raw(
                    "POST", "/api/search", json.dumps(ask).encode(), {"Content-Type": "application/json"}
                ),
                range(6),
            )
        )
        assert sorted({status for status, _, _ in answers}) == [200, 429]
        assert [status for status, _, _ in answers].count(200) >= 2
        refused = next(headers for status, headers, _ in answers if status == 429)
        assert refused["Retry-After"] == "1"
        assert asking.get("/health")["status"] == "ok"
        assert asking.ids(text="at 30", k=1) == ["p3"]


def test_an_answer_that_takes_too_long(serving):
    with serving(limits=ServiceLimits(seconds=0.2)) as asking:
        assert "longer than 0.2 seconds" in asking.refusal(503, text="slow 30")
        assert asking.ids(text="at 30", k=1) == ["p3"]


def test_an_expression_that_takes_too_long(serving):
    with serving(limits=ServiceLimits(where_seconds=0.2)) as asking:
        tables = ", ".join(f"item t{number}" for number in range(20))
        assert "in time" in asking.refusal(422, text="at 30", where=f"(SELECT COUNT(*) FROM {tables}) > 1")
        assert asking.ids(text="at 30", k=1, where="price < 100") == ["p3"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "[::2]", "0.0.0.0"])
def test_a_name_that_was_made_to_lead_here_is_not_answered(asking, host):
    content = f"GET /api/info HTTP/1.1\r\nHost: {host}:{asking.server.port}\r\nConnection: close\r\n\r\n"
    assert talk(asking, content.encode()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["127.0.0.1", "LocalHost", "[::1]"])
def test_the_names_of_this_machine_are_answered(asking, host):
    assert asking.raw("GET", "/api/info", host=host)[0] == 200


def test_every_answer_has_the_policy_and_none_lets_others_read_it(asking):
    for method, path in (("GET", "/"), ("GET", "/api/info"), ("POST", "/api/search"), ("GET", "/no"), ("OPTIONS", "/")):
        _, headers, body = asking.raw(method, path, headers={"Origin": "http://evil.example"})
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
        assert not [name for name in headers if name.lower().startswith("access-control-")]
        assert "Server" not in headers and b"Traceback" not in body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/search", 405),
        ("DELETE", "/api/item", 405),
        ("GET", "/api/nothing", 404),
        ("GET", "/static/../../setup.py", 404),
        ("GET", "/static/%2e%2e/%2e%2e/cli.py", 404),
        ("GET", "/..%2f..%2fcli.py", 404),
        ("GET", "/api/item", 400),
        ("GET", "/api/item?id=a&id=b", 400),
        ("GET", "/api/item?id=..%2F..%2Fsetup.py", 404),
        ("GET", "/api/picture?id=%00", 404),
        ("GET", "/api/picture?id=p99", 404),
        ("GET", "/api/picture?id=" + "x" * 9000, 404),
    ],
)
def test_paths(asking, method, path, status):
    answered, headers, body = asking.raw(method, path)
    assert answered == status, body
    assert list(json.loads(body)) == ["error"] and headers["Content-Type"] == "application/json"


def test_a_failure_of_our_own_is_a_sentence_and_a_line_of_the_log(asking, monkeypatch, caplog):
    monkeypatch.setattr("mmkeras.search_service.searcher.embed_query", lambda *arguments: 1 / 0)
    assert asking.refusal(500, text="at 1") == "The service failed at this request; its log says why"
    assert "ZeroDivisionError" in caplog.text
