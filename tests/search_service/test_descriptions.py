"""What the service says of itself is true: its OpenAPI document, its metrics, its page."""

import re

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search_service import SearchServer, ServiceLimits, VersionFollower
from mmkeras.search_service.application import search_application
from mmkeras.search_service.openapi import openapi_document
from mmkeras.search_service.searcher import Searcher

jsonschema = pytest.importorskip("jsonschema", reason="answers are checked against their schemas by jsonschema")


@pytest.fixture
def checked(asking):
    """A function that checks an answer against the document: (path, method, status, content)."""
    document = asking.get("/openapi.json")

    def check(path, method, status, content):
        described = document["paths"][path][method]["responses"][str(status)]["content"]
        schema = described["application/json"]["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(content)

    return check


def test_answers_are_as_they_are_described(asking, checked):
    checked("/api/info", "get", 200, asking.get("/api/info"))
    checked("/health", "get", 200, asking.get("/health"))
    checked("/api/item", "get", 200, asking.get("/api/item?id=p3"))
    checked("/api/item", "get", 404, asking.get("/api/item?id=p99", 404))
    for request in ({"text": "at 1"}, {"id": "p2", "k": 1}, {"text": "at 1", "where": "0"}):
        checked("/api/search", "post", 200, asking.search(**request))
    for request, status in (({}, 400), ({"id": "x"}, 404), ({"text": "x" * 70_000}, 413), ({"text": "nothing"}, 422)):
        checked("/api/search", "post", status, asking.search(status, **request))
    with pytest.raises(jsonschema.ValidationError):
        checked("/api/info", "get", 200, {"model": "toy"})


def test_the_document_is_one(asking):
    document = asking.get("/openapi.json")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named <= set(document["components"]["schemas"])
    request = {"components": document["components"], "$ref": "#/components/schemas/SearchRequest"}
    validator = jsonschema.Draft202012Validator(request)
    validator.validate({"text": "a", "filters": {"kind": ["a", 1, True]}, "k": 24, "in": "text"})
    assert not validator.is_valid({"text": "a", "k": 201}) and not validator.is_valid({"query": "a"})


def test_every_path_is_described(asking):
    document = openapi_document(ServiceLimits())
    guard = search_application(Searcher(asking.follower))
    paths = {route.path for route in guard.app.routes} - {"/openapi.json", "/", "/static", ""}
    assert paths == set(document["paths"])


def test_metrics(asking):
    asking.search(text="at 35", k=1)  # its best scores cos 5, above the threshold of .9
    asking.search(text="at 180", k=1)  # and this one's below
    asking.search(text="at 180", id="p11", k=1)  # of a text and a picture together it says nothing
    asking.search(400)
    asking.get("/api/item?id=p99", 404)
    asking.raw("GET", "/some/where")
    status, headers, body = asking.raw("GET", "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['mmkeras_search_requests_total{path="/api/search",status="200"}'] == "3"
    assert values['mmkeras_search_requests_total{path="/api/search",status="400"}'] == "1"
    assert values['mmkeras_search_requests_total{path="/api/item",status="404"}'] == "1"
    assert values['mmkeras_search_requests_total{path="/static",status="404"}'] == "1"
    assert values['mmkeras_search_request_seconds_bucket{path="/api/search",le="+Inf"}'] == "4"
    assert values['mmkeras_search_request_seconds_count{path="/api/search"}'] == "4"
    assert 0 < float(values['mmkeras_search_step_seconds_sum{step="embed"}']) < 10
    assert values["mmkeras_search_weak_searches_total"] == "1"
    told = ("ready", "items", "index_generation", "model_version")
    assert [values[f"mmkeras_search_{name}"] for name in told] == ["1", "12", "1", "1"]
    for line in lines:
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? [0-9.e+-]+', line), line
    buckets = [
        int(value)
        for name, value in values.items()
        if name.startswith('mmkeras_search_request_seconds_bucket{path="/api/search"')
    ]
    assert buckets == sorted(buckets)


def test_files_of_the_page_and_no_others(asking, tmp_path):
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<!doctype html><title>Search</title>")
    (page / "page.js").write_text("export {}")
    (tmp_path / "secret").write_text("secret")
    (page / "link").symlink_to(tmp_path / "secret")
    follower = VersionFollower(asking.follower.server, "toy", asking.follower.finder)
    with SearchServer(follower, port=0, page=page) as server:
        asking.server = server
        status, headers, body = asking.raw("GET", "/")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b"Search" in body and headers["Cache-Control"] == "no-cache"
        assert asking.raw("GET", "/", headers={"If-None-Match": headers["ETag"]})[0] == 304
        status, headers, _ = asking.raw("GET", "/static/page.js")
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        for path in (
            "/page.js",
            "/static/link",
            "/../secret",
            "/%2e%2e/secret",
            "/static/..%2f..%2fsecret",
            "/static//etc/passwd",
        ):
            assert asking.raw("GET", path)[0] == 404
        assert asking.get("/api/info")["model"] == "toy"


def test_a_proxy_on_this_machine_may_pass_its_name_on(asking):
    follower = VersionFollower(asking.follower.server, "toy", asking.follower.finder)
    with SearchServer(follower, port=0, names=["Search.example"]) as server:
        asking.server = server
        assert [asking.raw("GET", "/api/info", host=host)[0] for host in ("search.example", "evil.example")] == [
            200,
            400,
        ]


def test_a_port_that_is_taken(asking):
    follower = VersionFollower(asking.follower.server, "toy", asking.follower.finder)
    with pytest.raises(MmkerasError, match=r"Expected a port that is free on 127\.0\.0\.1, or 0 for any"):
        SearchServer(follower, port=asking.server.port)
    with pytest.raises(MmkerasError, match="Expected port to be a number from 0 to 65535"):
        SearchServer(follower, port=65536)
    with pytest.raises(MmkerasError, match="Expected an address of this machine"):
        SearchServer(follower, host="no host", port=0)
