"""What is remembered of picture files: right or unknown, whatever happens to the files and to the database."""

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from mmkeras.data import picture_facts
from mmkeras.data.picture_facts import PictureFacts
from mmkeras.data.picture_stamps import digest_of, stamp_of, stamps_of
from mmkeras.data.picture_verdict import PictureVerdict

STAMPS = [(f"/a/{row}.jpg", 100 + row, 10**18 + row) for row in range(300)]
DIGESTS = [hashlib.sha256(str(row).encode()).hexdigest().encode() for row in range(300)]


@pytest.fixture
def facts(tmp_path):
    facts = PictureFacts(tmp_path / "cache")
    facts.remember_digests(STAMPS, DIGESTS)
    return facts


def test_digests_are_known_by_path_size_and_time(facts, tmp_path):
    path, size, mtime = STAMPS[7]
    asked = [
        STAMPS[9],
        None,
        (path, size + 1, mtime),
        (path, size, mtime + 1),
        ("/b", size, mtime),
        STAMPS[7],
        STAMPS[7],
    ]
    found = PictureFacts(tmp_path / "cache").digests(asked)
    assert found.dtype == "S64"
    assert found.tolist() == [DIGESTS[9], b"", b"", b"", b"", DIGESTS[7], DIGESTS[7]]
    assert facts.digests([]).shape == (0,)


def test_a_changed_file_takes_the_place_of_what_it_was(facts):
    path, size, mtime = STAMPS[7]
    facts.remember_digests([(path, size, mtime + 5), None], [DIGESTS[8], DIGESTS[1]])
    assert facts.digests([STAMPS[7], (path, size, mtime + 5)]).tolist() == [b"", DIGESTS[8]]
    assert rows_of(facts) == 300


def test_verdicts_are_of_one_decoder(facts):
    reads = PictureVerdict("", 640, 480, "JPEG")
    broken = PictureVerdict("Cannot read \udcff.jpg: cut off \u2026", 0, 0, "")
    names = [("/a/\udcff.jpg::x \u00e9", 5, -1), STAMPS[0]]
    facts.remember_verdicts(names, [broken, reads], "1")
    assert facts.verdicts([STAMPS[0], STAMPS[1], names[0], None], "1") == [reads, None, broken, None]
    assert facts.verdicts([STAMPS[0]], "2") == [None]
    facts.remember_verdicts([STAMPS[0]], [broken], "2")
    assert facts.verdicts([STAMPS[0]], "1") == [reads] and facts.verdicts([STAMPS[0]], "2") == [broken]
    assert facts.digests([STAMPS[0]]).tolist() == [DIGESTS[0]]


def test_what_nobody_asked_for_is_forgotten(facts, monkeypatch):
    today = picture_facts._today()
    monkeypatch.setattr(picture_facts, "_today", lambda: today + 60)
    assert facts.digests(STAMPS[:10]).tolist() == DIGESTS[:10]
    monkeypatch.setattr(picture_facts, "_today", lambda: today + 91)
    facts.remember_digests([("/new", 1, 1)], DIGESTS[:1])
    assert rows_of(facts) == 11
    assert facts.digests(STAMPS).tolist() == DIGESTS[:10] + [b""] * 290


def rows_of(facts):
    with sqlite3.connect(facts.file) as database:
        (count,) = database.execute("SELECT count(*) FROM facts").fetchone()
    database.close()
    return count


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"no database" * 1000,
        lambda content: content[:100],
        lambda content: content[: len(content) // 2],
        lambda content: content[:4096] + bytes(len(content) - 4096),
        lambda content: os.urandom(len(content)),
    ],
    ids=["text", "head", "half", "zeros", "noise"],
)
def test_a_damaged_database_is_made_again(facts, damage, capsys):
    facts.file.write_bytes(damage(facts.file.read_bytes()))
    assert set(facts.digests(STAMPS).tolist()) <= {b"", *DIGESTS}
    facts.remember_digests(STAMPS, DIGESTS)
    assert facts.digests(STAMPS).tolist() == DIGESTS
    assert capsys.readouterr().err == ""


def test_damage_never_makes_a_wrong_digest(facts):
    sound = facts.file.read_bytes()
    noise = random.Random(0)
    known = 0
    for _ in range(60):
        content = bytearray(sound)
        for _ in range(20):
            content[noise.randrange(len(content))] = noise.randrange(256)
        facts.file.write_bytes(content)
        for found, digest in zip(facts.digests(STAMPS).tolist(), DIGESTS, strict=True):
            assert found in (b"", digest)
            known += found == digest
    assert 0 < known < 60 * 300  # some were damaged, and others read nevertheless


def test_a_database_of_other_columns_is_made_again(tmp_path):
    with sqlite3.connect(tmp_path / "pictures.sqlite") as database:
        database.execute("CREATE TABLE facts (kind TEXT, other TEXT)")
    database.close()
    facts = PictureFacts(tmp_path)
    assert facts.digests(STAMPS[:1]).tolist() == [b""]
    facts.remember_digests(STAMPS[:1], DIGESTS[:1])
    assert facts.digests(STAMPS[:1]).tolist() == DIGESTS[:1]


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    for _ in range(2):
        facts = PictureFacts(tmp_path / "file" / "cache")
        facts.remember_digests(STAMPS, DIGESTS)
        assert facts.digests(STAMPS[:2]).tolist() == [b"", b""]
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    assert "the cache is not used" in printed.err and str(tmp_path / "file" / "cache") in printed.err


def test_a_database_that_may_only_be_read_is_read(facts, monkeypatch, capsys):
    """A file that SQLite opens for reading, as that of another user; root may write whatever the rights say."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file, **o: connect(f"file:{file}?mode=ro", uri=True, **o))
    today = picture_facts._today()
    monkeypatch.setattr(picture_facts, "_today", lambda: today + 1)
    assert facts.digests(STAMPS).tolist() == DIGESTS
    assert capsys.readouterr().err == ""
    facts.remember_digests([("/new", 1, 1)], DIGESTS[:1])
    assert "readonly database" in capsys.readouterr().err
    assert facts.digests(STAMPS).tolist() == DIGESTS


PROCESS = """
import sys
from pathlib import Path
from mmkeras.data.picture_facts import PictureFacts
facts, number = PictureFacts(sys.argv[1]), int(sys.argv[2])
for turn in range(20):
    stamps = [(f"/{number}/{turn}/{row}", row, 1) for row in range(50)]
    facts.remember_digests(stamps, [b"%064d" % row for row in range(50)])
    assert facts.digests(stamps).tolist() == [b"%064d" % row for row in range(50)]
"""


def test_processes_that_add_at_once_lose_nothing(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, tmp_path / "cache", str(number)], stderr=subprocess.PIPE)
        for number in range(3)
    ]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [(b"", 0)] * 3
    assert rows_of(PictureFacts(tmp_path / "cache")) == 3 * 20 * 50


def test_many_at_once_take_seconds(tmp_path):
    facts = PictureFacts(tmp_path)
    stamps = [(f"/some/folder/of/pictures/{row:08d}.jpg", row, row) for row in range(50_000)]
    start = time.monotonic()
    facts.remember_digests(stamps, DIGESTS[:1] * 50_000)
    assert (facts.digests(stamps) == DIGESTS[0]).all()
    assert time.monotonic() - start < 15  # about one where nothing else runs; a question for each would take minutes


class Member:
    """A picture of an archive, as far as stamps go."""

    def __init__(self, stamp):
        self.stamp = lambda: stamp


def test_stamps(tmp_path):
    file = tmp_path / "folder" / "a.jpg"
    file.parent.mkdir()
    file.write_bytes(b"12345")
    os.utime(file, ns=(1, 10**18 + 1))
    expected = (os.path.realpath(file), 5, 10**18 + 1)
    (tmp_path / "link.jpg").symlink_to(file)
    (tmp_path / "folder link").symlink_to(file.parent)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    ways = [file, str(file), tmp_path / "link.jpg", tmp_path / "folder link" / "a.jpg"]
    ways += [f"{file.parent}/../folder/./a.jpg"]
    assert stamps_of(ways) == [expected] * 5
    assert [stamp_of(one) for one in ways[:2]] == [expected] * 2
    nothing = [b"bytes", np.zeros((2, 2, 3), np.uint8), None, tmp_path / "gone", tmp_path, tmp_path / "circle", "a\0b"]
    assert stamps_of(nothing) == [None] * 7
    assert stamps_of([Member(("z.zip::a", 3, 4)), Member(None)]) == [("z.zip::a", 3, 4), None]


def test_a_file_that_was_just_written_has_no_stamp(tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    assert stamp_of(file) is None
    for seconds, known in ((-10, True), (-1, False), (1000, False)):
        os.utime(file, (time.time() + seconds,) * 2)
        assert (stamp_of(file) is not None) == known
    assert stamp_of(Member(("z.zip::a", 3, time.time_ns()))) is None


def test_digests_of_content():
    assert digest_of(b"abc") == b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    array = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    others = [array, array.reshape(2, 3, 2), array.astype(np.int8), array.tobytes()]
    assert len({digest_of(one) for one in others}) == 4
    assert digest_of(array) == digest_of(np.asfortranarray(array))
