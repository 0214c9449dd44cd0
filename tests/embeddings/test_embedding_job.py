"""A whole job in this process: what it writes, that it goes on, and what it refuses."""

import io
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from mmkeras.embeddings import EmbeddingJob, EncoderSettings, list_parts
from mmkeras.embeddings.corpus_row import CorpusRow
from mmkeras.embeddings.shard import Shard
from mmkeras.embeddings.shard_embedding import batches_of, embed_shard
from mmkeras.errors import MmkerasError

from ..export.test_full_disk import files_of_at_most
from .conftest import BROKEN, COUNT, MISSING, encoded


@pytest.fixture(scope="module")
def encoder(tiny_version):
    return EncoderSettings(str(tiny_version), "encode_image_tolerant").open()


@pytest.fixture
def job(tiny_version, photos, tmp_path, encoder, monkeypatch):
    """A function that makes a job; the model is loaded once for all of them."""
    opened = EncoderSettings.open

    def open_once(self):
        return encoder if self == EncoderSettings(str(tiny_version), "encode_image_tolerant") else opened(self)

    monkeypatch.setattr(EncoderSettings, "open", open_once)
    monkeypatch.setattr(encoder, "close", lambda: None)

    def make(**changed):
        given = {"model": tiny_version.parent, "source": photos, "to": tmp_path / "to", "rows_per_shard": 5}
        return EmbeddingJob(**{**given, **changed})

    return make


def rows_of(parquet, folder):
    return [row for file in list_parts(folder) for row in parquet.read_table(file).to_pylist()]


def test_embeddings_are_those_of_the_model(job, tmp_path, parquet, tiny_version, tiny_model, photos):
    summary = job().run()
    assert (summary.rows, summary.failed, summary.files, summary.written) == (COUNT, 2, 3, 3)
    rows = rows_of(parquet, tmp_path / "to")
    assert [row["id"] for row in rows] == [f"{number:02}.png" for number in range(COUNT)]
    assert [row["price"] for row in rows] == [number / 4 for number in range(COUNT)]
    assert {row["split"] for row in rows} == {"train"} and rows[1]["shop"] == "shop 1"
    told = {row["id"]: row["error"] for row in rows if row["error"]}
    assert set(told) == {BROKEN, MISSING}
    assert told[BROKEN].startswith("expected a JPEG, PNG") and "is missing in" in told[MISSING]
    good = [row for row in rows if not row["error"]]
    pixels = tiny_model.image_preprocessor.load([photos.parent / row["picture"] for row in good])
    np.testing.assert_allclose([row["embedding"] for row in good], tiny_model.encode_image(pixels), atol=1e-5)
    info = parquet.read_schema(list_parts(tmp_path / "to")[0]).metadata
    assert (info[b"mmkeras.model"], info[b"mmkeras.version"], info[b"mmkeras.dim"]) == (b"tiny", b"1", b"16")


def test_texts_are_embedded_by_the_signature_of_texts(job, tmp_path, parquet, tiny_model):
    assert job(signature="encode_text").run().rows == COUNT
    rows = rows_of(parquet, tmp_path / "to")
    assert [row["text"] for row in rows] == [f"picture {number}" for number in range(COUNT)]
    assert rows[0]["id"] == "text-0" and rows[0]["picture"] is None
    expected = tiny_model.encode_text([row["text"] for row in rows])
    np.testing.assert_allclose([row["embedding"] for row in rows], expected, atol=1e-5)


def test_a_strict_signature_fails_no_batch(job, tmp_path, parquet):
    summary = job(signature="encode_image").run()
    assert summary.failed == 2 and summary.first_error.startswith(f"{BROKEN}: expected a JPEG")


def test_a_second_run_makes_what_is_missing_and_touches_nothing_else(job, tmp_path):
    job().run()
    first, second, third = list_parts(tmp_path / "to")
    content = second.read_bytes()
    second.unlink()
    before = [file.stat().st_mtime_ns for file in (first, third)]
    summary = job().run()
    assert (summary.written, summary.embedded, summary.rows) == (1, 5, COUNT)
    assert second.read_bytes() == content
    assert [file.stat().st_mtime_ns for file in (first, third)] == before
    assert job().run().written == 0


def test_workers_write_what_one_writes(job, tmp_path):
    job().run()
    for worker in range(2):
        summary = job(worker=worker, workers=2, to=tmp_path / "shared").run()
        assert summary.of_files == 3 and summary.files == (2, 1)[worker]
    alone, shared = (list_parts(tmp_path / folder) for folder in ("to", "shared"))
    assert [file.read_bytes() for file in alone] == [file.read_bytes() for file in shared]


def test_a_folder_of_another_space_or_source_is_refused_and_left_as_it_is(job, tmp_path, monkeypatch, encoder, photos):
    job().run()
    before = {file: file.read_bytes() for file in list_parts(tmp_path / "to")}
    first = min(before)
    with monkeypatch.context() as other:
        other.setattr(encoder, "space_id", "0" * 64)
        with pytest.raises(MmkerasError, match=f"{first} is of another space: expected space_id='000000000000"):
            job().run()
    changed = tmp_path / "changed"
    shutil.copytree(photos.parent, changed)
    (changed / "00.png").write_bytes(encoded(99, side=30))
    with pytest.raises(MmkerasError, match=f"{first} is of other rows of the source"):
        job(source=changed / "captions.csv").run()
    with pytest.raises(MmkerasError, match=f"{first} is of another number of shards: expected 4, of 12 rows with 3"):
        job(rows_per_shard=3).run()
    with pytest.raises(MmkerasError, match=f"{first} is of another signature"):
        job(signature="encode_image").run()
    assert {file: file.read_bytes() for file in list_parts(tmp_path / "to")} == before


def test_a_truncated_file_is_named(job, tmp_path):
    job().run()
    file = list_parts(tmp_path / "to")[1]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(MmkerasError, match=f"{file} is no readable Parquet file; remove it, and it is made again"):
        job().run()
    file.unlink()
    assert job().run().written == 1


def test_after_a_full_disk_the_next_run_goes_on(job, tmp_path):
    job().run()
    first, second, _ = list_parts(tmp_path / "to")
    for file in list_parts(tmp_path / "to")[1:]:
        file.unlink()
    with pytest.raises(MmkerasError, match=f"{second} could not be written"), files_of_at_most(1500):
        job().run()
    assert os.listdir(tmp_path / "to") == [first.name]
    assert job().run().written == 2


def test_pictures_that_cannot_be_opened_are_rows_with_an_error(job, tmp_path, parquet):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in ("a.png", "b.png"):
            archive.writestr(name, encoded(1))
    content = bytearray((tmp_path / "p.zip").read_bytes())
    content[60] ^= 0xFF  # within the first picture, whose checksum is wrong then
    (tmp_path / "p.zip").write_bytes(content)
    (tmp_path / "c.csv").write_text("image,caption\na.png,a\nb.png,b\n")
    assert job(source=tmp_path / "c.csv", images=tmp_path / "p.zip").run().failed == 1
    a, b = rows_of(parquet, tmp_path / "to")
    assert a["embedding"] is None and "Bad CRC-32" in a["error"] and b["error"] is None


def test_thumbnails_are_small_pictures(job, tmp_path, parquet):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((600, 300, 3), np.uint8)).save(tmp_path / "in" / "large.jpg")
    (tmp_path / "in" / "small.png").write_bytes(encoded(1))
    (tmp_path / "in" / "zzz.png").write_bytes(b"no picture")
    job(source=tmp_path / "in", thumbnails=True).run()
    large, small, none = rows_of(parquet, tmp_path / "to")
    shown = [Image.open(io.BytesIO(row["thumbnail"])) for row in (large, small)]
    assert [(one.format, one.size) for one in shown] == [("JPEG", (128, 256)), ("PNG", (24, 24))]
    assert none["thumbnail"] is None and none["error"]


def test_thumbnails_are_not_added_to_files_that_have_none(job, tmp_path):
    job(thumbnails=True).run()
    assert job().run().written == 0
    job(to=tmp_path / "bare").run()
    with pytest.raises(MmkerasError, match="part-00000-of-00003.parquet has no thumbnails. Nothing was overwritten"):
        job(to=tmp_path / "bare", thumbnails=True).run()


def test_where_rows_are_kept_meanwhile_there_may_be_no_room(job, tmp_path, monkeypatch):
    with pytest.raises(MmkerasError, match="The rows of .*captions.csv could not be kept in .*: File too large"):
        with files_of_at_most(10):
            job().run()
    assert not (tmp_path / "to").exists()


def test_what_killed_processes_left_goes_after_a_day(job, tmp_path):
    (tmp_path / "to").mkdir()
    old, new = tmp_path / "to" / ".tmp-1.parquet", tmp_path / "to" / ".tmp-2.parquet"
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    job().run()
    assert new.exists() and not old.exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"worker": 2, "workers": 2}, "Expected worker to be a number from 0 to 1, of 2 workers. Received: worker=2"),
        ({"rows_per_shard": 0}, "Expected rows_per_shard to be at least 1"),
        ({"model": "nowhere"}, "Expected base_path to be a model's folder"),
        ({"source": "nowhere.csv"}, "There is no captions file nowhere.csv"),
        ({"source": "glyphs"}, "Expected pictures or texts of a file or a folder. Received: glyphs"),
        ({"version": 9}, "Expected version to be among"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(job, changed, told):
    with pytest.raises(MmkerasError, match=told):
        job(**changed)


def test_a_file_in_the_place_of_the_folder(job, tmp_path):
    (tmp_path / "to").touch()
    with pytest.raises(MmkerasError, match="Expected a folder for the embeddings"):
        job()


# --- Batches ---


def test_batches_are_bounded_by_rows_and_by_bytes():
    rows = [CorpusRow(str(row), size=size) for row, size in enumerate([1, 1, 1, 9 << 20, 9 << 20, 40 << 20, 1])]
    assert [[row.id for row in batch] for batch in batches_of(rows, 2)] == [["0", "1"], ["2", "3"], ["4"], ["5"], ["6"]]
    assert list(batches_of([], 2)) == []


def test_only_a_few_batches_are_in_memory(look_up, tmp_path, parquet):
    """However many rows there are: what is read ahead waits for what is written."""
    counts = {"read": 0, "written": 0, "most": 0}

    class Counting(look_up):
        def encode(self, contents):
            counts["read"] += len(contents)
            counts["most"] = max(counts["most"], counts["read"] - counts["written"])
            return super().encode(contents)

    def advance(rows):
        counts["written"] += rows

    rows = [CorpusRow(str(row), text=chr(65 + row % 26)) for row in range(1000)]
    shard = Shard(0, 1, len(rows), 0, 0, "d" * 64)
    assert embed_shard(shard, rows, {}, Counting("encode_text"), tmp_path, batch=10, advance=advance)
    assert counts["read"] == counts["written"] == 1000 and counts["most"] <= 40
