"""`mmkeras embed` in processes of its own: what it prints, and that it goes on after it was killed."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mmkeras.cli import main
from mmkeras.embeddings import list_parts
from mmkeras.embeddings.part import count_rows

from .conftest import COUNT, encoded

MANY, A_SHARD = 400, 5


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of pictures alone, small ones, more than a process embeds before it is killed."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(MANY):
        (folder / f"{number:03}.png").write_bytes(encoded(number, side=8))
    return folder


def begin(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "mmkeras.cli", "embed", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_half_way(process, folder):
    """Kill a process as soon as a file is there; return the names of those that are there then."""
    deadline = time.monotonic() + 180
    while not list(folder.glob("part-*")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return sorted(file.name for file in folder.glob("part-*"))


def test_it_says_what_it_did(tiny_version, photos, tmp_path, capsys, parquet):
    command = ["embed", tiny_version.parent, photos, "--to", tmp_path / "to", "--rows-per-shard", 5]
    assert main(list(map(str, command))) == 0
    told = capsys.readouterr().out
    assert "Without an embedding: 2 of 12, column error says why. The first: 03.png: expected a JPEG, PNG" in told
    assert re.search(r"Embedded: 12 rows in 3 files; \d+s, [\d,]+ a second\n", told)
    assert main(list(map(str, [*command, "--shard", "1/2"]))) == 0
    assert "Embedded: 5 rows in 1 of 3 files, 1 of them were there before\n" in capsys.readouterr().out
    assert sum(count_rows(file)[0] for file in list_parts(tmp_path / "to")) == COUNT


@pytest.mark.slow
@pytest.mark.parametrize("runner", [(), ("--runner", "DirectRunner")], ids=["alone", "on Beam"])
def test_a_killed_worker_leaves_whole_files_and_the_next_one_goes_on(tiny_version, many, tmp_path, parquet, runner):
    if runner:
        pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install 'mmkeras[beam]'")
    to = tmp_path / "to"
    command = (tiny_version, many, "--to", to, "--rows-per-shard", A_SHARD, "--batch", 5, *runner)
    there = kill_half_way(begin(*command), to)
    assert 0 < len(there) < MANY // A_SHARD
    kept = {name: (to / name).stat().st_mtime_ns for name in there}
    assert {count_rows(to / name) for name in there} == {(A_SHARD, 0)}
    process = begin(*command)
    told = process.communicate()[0]
    assert process.returncode == 0, told
    also = f", {len(there)} of them were there before"
    assert f"Embedded: {MANY} rows in {MANY // A_SHARD} files{also}" in told
    assert {name: (to / name).stat().st_mtime_ns for name in there} == kept
    rows = [row for file in list_parts(to) for row in parquet.read_table(file, columns=["id"])["id"].to_pylist()]
    assert rows == [f"{number:03}.png" for number in range(MANY)]
    assert not list(to.glob(".tmp-*.parquet")) or len(list(to.glob(".tmp-*.parquet"))) == 1  # that of the killed one
