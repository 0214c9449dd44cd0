"""Verdicts become pairs that training reads, and those on wrong results are kept apart."""

import json
from concurrent import futures

import pytest

from mmkeras.data.layouts import find_layout
from mmkeras.data.records import read_records
from mmkeras.errors import MmkerasError
from mmkeras.search_service import FeedbackFile


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_verdicts_are_pairs_that_training_reads(asking, tmp_path):
    file = tmp_path / "feedback.jsonl"
    assert not file.exists()
    asking.post("/api/feedback", {"text": 'a \u03c9\u2028 in the "sun"', "id": "p3", "verdict": 1}, 204)
    asking.post("/api/feedback", {"text": "a dog", "id": "p4", "verdict": -1}, 204)
    asking.post("/api/feedback", {"query_id": "p5", "id": "p6", "verdict": 1}, 204)
    records, problems, count = read_records(find_layout(file))
    assert (problems, count) == ([], 2)
    assert [(record.image, record.captions) for record in records] == [
        ("p3", ['a \u03c9\u2028 in the "sun"']),
        ("p6", ["picture 5"]),
    ]
    rejected = lines(tmp_path / "feedback.rejected.jsonl")
    assert [(line["image"], line["captions"], line["verdict"]) for line in rejected] == [("p4", ["a dog"], -1)]
    told = rejected[0]
    assert (told["model"], told["version"], told["space_id"]) == ("toy", 1, "space-1")
    assert told["time"].endswith("Z")


@pytest.mark.parametrize(
    ("verdict", "status", "told"),
    [
        ({"text": "a", "id": "p3", "verdict": 0}, 400, "Expected verdict to be 1 or -1"),
        ({"text": "a", "id": "p3", "verdict": True}, 400, "Expected verdict to be 1 or -1"),
        ({"text": "a", "id": "p3", "verdict": [1]}, 400, "Expected verdict to be 1 or -1"),
        ({"text": "a", "id": "p3"}, 400, "Expected verdict to be 1 or -1"),
        ({"text": " ", "id": "p3", "verdict": 1}, 400, "Expected text or query_id. Received: none"),
        ({"text": "a", "query_id": "p1", "id": "p3", "verdict": 1}, 400, "Received: both"),
        ({"text": "a", "id": 3, "verdict": 1}, 400, "Expected id"),
        ({"text": "a", "verdict": 1}, 400, "Expected id"),
        ({"text": "x" * 70_000, "id": "p3", "verdict": 1}, 413, "at most 65536 bytes"),
        ({"text": "a", "id": "../p3", "verdict": 1}, 404, "There is no item '../p3'"),
        ({"query_id": "p99", "id": "p3", "verdict": 1}, 404, "There is no item 'p99'"),
        ({"text": "a", "id": "p3", "verdict": 1, "path": "/etc"}, 400, "Expected fields among"),
    ],
)
def test_what_is_no_verdict(asking, tmp_path, verdict, status, told):
    assert told in asking.post("/api/feedback", verdict, status)["error"]
    assert list(tmp_path.glob("feedback*")) == []


def test_a_page_of_elsewhere_cannot_send_a_verdict_in_a_form(asking):
    body = b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\np3\r\n--b--\r\n'
    status, _, told = asking.raw("POST", "/api/feedback", body, {"Content-Type": "multipart/form-data; boundary=b"})
    assert (status, b"Expected application/json" in told) == (415, True)


def test_without_a_file_none_are_taken(serving):
    with serving() as asking:
        assert asking.get("/api/info")["feedback"] is False
        assert "--feedback" in asking.post("/api/feedback", {"text": "a", "id": "p3", "verdict": 1}, 404)["error"]


def test_a_verdict_that_changes_takes_the_one_before_back(tmp_path):
    file = FeedbackFile(tmp_path / "f.jsonl")
    (tmp_path / "f.jsonl").write_text('{"image": "b.jpg", "captions": ["a dog"]}\nno json\n')
    file.append("a dog", "a.jpg", 1)
    file.append("a cat", "a.jpg", 1)
    file.append("a dog", "a.jpg", -1)
    kept = (tmp_path / "f.jsonl").read_text().splitlines()
    assert kept[:2] == ['{"image": "b.jpg", "captions": ["a dog"]}', "no json"]
    assert [json.loads(line)["captions"] for line in kept[2:]] == [["a cat"]]
    assert [line["captions"] for line in lines(file.rejected)] == [["a dog"]]
    file.append("a dog", "a.jpg", 1)
    assert lines(file.rejected) == []
    assert [json.loads(line)["captions"] for line in file.file.read_text().splitlines()[2:]] == [["a cat"], ["a dog"]]


def test_many_at_a_time_are_whole_lines(tmp_path):
    file = FeedbackFile(tmp_path / "f.jsonl")
    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: file.append("x" * 5000 + str(number), "a.jpg", 1), range(200)))
    written = lines(tmp_path / "f.jsonl")
    assert sorted(int(line["captions"][0].strip("x")) for line in written) == list(range(200))


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(MmkerasError, match=r"Expected a file that ends in \.jsonl"):
        FeedbackFile(tmp_path / "feedback.json")
    (tmp_path / "file").touch()
    with pytest.raises(MmkerasError, match="could not be written"):
        FeedbackFile(tmp_path / "file" / "feedback.jsonl")
