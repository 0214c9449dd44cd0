"""Parquet and what `datasets` saves: pictures in a column are read by row, names as files; what is none is told."""

import builtins
import json

import numpy as np
import pytest

from mmkeras.data import read
from mmkeras.data.stores.parquet_file import MOST_GROUPS, ParquetFile
from mmkeras.errors import MmkerasError
from tests.picture_files import png, records_of, write_files

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


def table(first=0, last=5, struct=True, **more):
    pictures = [png(10 * row) for row in range(first, last)]
    if struct:
        pictures = [{"bytes": content, "path": f"{row}.png"} for row, content in enumerate(pictures, first)]
    captions = [[f"one {row}", "two"] if row % 2 else [f"one {row}"] for row in range(first, last)]
    return pa.table({"image": pictures, "text": captions, **more})


def huggingface(table, **features):
    """A table with the names of categories in its schema, as `datasets` writes them."""
    return table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})


@pytest.mark.parametrize("struct", [True, False])
def test_pictures_in_a_column(tmp_path, struct):
    parquet.write_table(table(struct=struct), tmp_path / "x.parquet", row_group_size=2)
    data = read(tmp_path / "x.parquet")
    assert records_of(data)[:2] == [("x.parquet/0", ["one 0"], None), ("x.parquet/1", ["one 1", "two"], None)]
    assert data.split("all").images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
    place, size, _ = data.pictures["x.parquet/3"].stamp()
    assert place.endswith("x.parquet::3") and size == (tmp_path / "x.parquet").stat().st_size


def test_pictures_are_read_when_a_batch_wants_them(tmp_path):
    parquet.write_table(table(), tmp_path / "x.parquet", row_group_size=2)
    data = read(tmp_path / "x.parquet", memory_mib=0)
    images = data.split("all").images
    assert not isinstance(images, np.ndarray) and [images[row][0, 0, 0] for row in (4, 0, 3)] == [40, 0, 30]


def test_names_of_files(tmp_path):
    names = pa.table({"file_name": ["a.png", "b.png", None], "caption": ["one", "two", "three"], "width": [1, 2, 3]})
    write_files(tmp_path, "images/a.png", "images/b.png")
    parquet.write_table(names, tmp_path / "x.parquet")
    data = read(tmp_path / "x.parquet", skip_unreadable=0.4)
    assert records_of(data) == [("a.png", ["one"], None), ("b.png", ["two"], None)]
    assert data.missing == {} and data.unused == ["width"] and "row 2: expected" in data.left_out[0]
    paths = pa.table({"image": [{"bytes": None, "path": "a.png"}], "text": ["one"]})
    parquet.write_table(paths.cast(pa.schema([("image", BOTH), ("text", pa.string())])), tmp_path / "y.parquet")
    assert records_of(read(tmp_path / "y.parquet", images=tmp_path / "images")) == [("a.png", ["one"], None)]


BOTH = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize(
    "names",
    [
        ("train-0-of-1.parquet", "test-0-of-1.parquet"),
        ("train/0.parquet", "test/0.parquet"),
        ("data/train-0-of-1.parquet", "data/test-0-of-1.parquet"),
    ],
)
def test_a_folder_as_it_lies_on_a_hub(tmp_path, names):
    for name, part in zip(names, (table(0, 3, label=[0, 1, 0]), table(3, 5, label=[1, 1])), strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        part = huggingface(part, label={"names": ["cat", "dog"], "_type": "ClassLabel"})
        parquet.write_table(part, tmp_path / name)
    data = read(tmp_path, targets="category")
    assert data.counts == {"train": 3, "test": 2} and not data.drawn
    assert {record.image: record.labels for record in data.records}[f"{names[0].removeprefix('data/')}/1"] == ("dog",)
    assert data.train.label_names == ("cat", "dog") and data.test.images[:, 0, 0, 0].tolist() == [30, 40]


def test_a_table_without_rows_and_a_first_row_without_picture(tmp_path):
    parquet.write_table(table(0, 2), tmp_path / "train-0.parquet")
    parquet.write_table(table(0, 2).slice(0, 0), tmp_path / "test-0.parquet")
    assert records_of(read(tmp_path))[0] == ("train-0.parquet/0", ["one 0"], "train")
    pictures = pa.array([None, {"bytes": None, "path": None}, {"bytes": png(20), "path": "a.png"}], BOTH)
    parquet.write_table(pa.table({"image": pictures, "text": ["one", "two", "three"]}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet").pictures["x.parquet/2"].read_bytes() == png(20)


def test_names_that_are_kept_once(tmp_path):
    names = pa.array(["a.png", "b.png", "a.png"]).dictionary_encode()
    parquet.write_table(pa.table({"image": names, "text": ["one", "two", "three"]}), tmp_path / "x.parquet")
    assert [record.image for record in read(tmp_path / "x.parquet").records] == ["a.png", "b.png", "a.png"]


def test_each_row_group_is_read_once_in_order(tmp_path, monkeypatch):
    rows = 3 * (MOST_GROUPS + 2)
    parquet.write_table(table(0, rows), tmp_path / "x.parquet", row_group_size=3)
    file = ParquetFile(tmp_path / "x.parquet")
    read_groups, read_row_group = [], file._file.read_row_group

    class Counting:
        def read_row_group(self, group, columns):
            read_groups.append(group)
            return read_row_group(group, columns=columns)

    monkeypatch.setattr(file, "_file", Counting())
    assert [file.cell("image", row)["path"] for row in range(rows)] == [f"{row}.png" for row in range(rows)]
    assert read_groups == list(range(MOST_GROUPS + 2))
    file.cell("image", rows - 1)
    file.cell("image", 0)
    assert read_groups[MOST_GROUPS + 2 :] == [0]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"url": ["http://example.org"], "caption": ["x"]}, "img2dataset fetches them"),
        ({"image": [[1, 2]], "caption": ["x"]}, "expected the column 'image' to hold names of files.*Received: list"),
        ({"image": ["a.png"], "width": [1]}, "expected the names of columns"),
    ],
)
def test_tables_that_hold_no_pictures_with_captions(tmp_path, columns, told):
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(MmkerasError, match=told):
        read(tmp_path / "x.parquet")


def test_damaged_files_and_rows(tmp_path):
    for content in (b"", b"PAR1" + b"x" * 100):
        write_files(tmp_path, files={"x.parquet": content})
        with pytest.raises(MmkerasError, match="x.parquet is no readable Parquet file"):
            read(tmp_path / "x.parquet")
    parquet.write_table(pa.table({"image": ["a.png"], "caption": ["one"]}), tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    for there, instead in ((b"caption", b"ca\xfftion"), (b"one", b"\xff\xfe\xfd")):
        write_files(tmp_path, files={"x.parquet": content.replace(there, instead)})
        with pytest.raises(MmkerasError, match="x.parquet (is no readable Parquet file|cannot be read): .*utf-8"):
            read(tmp_path / "x.parquet")
    rows = pa.table({"image": [png(10), None], "caption": ["one", "two"]})
    parquet.write_table(rows, tmp_path / "x.parquet")
    data = read(tmp_path / "x.parquet")
    with pytest.raises(MmkerasError, match="Expected a picture in row 1 of x.parquet. Received: none"):
        data.split("all")
    with pytest.raises(MmkerasError, match="The pictures lie in .*x.parquet itself"):
        read(tmp_path / "x.parquet", images=tmp_path)


def test_what_installs_pyarrow_is_told(tmp_path, monkeypatch):
    parquet.write_table(table(), tmp_path / "x.parquet")
    import_module = builtins.__import__

    def without(name, *arguments):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name=name)
        return import_module(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MmkerasError, match=r"need pyarrow: pip install 'mmkeras\[parquet\]'"):
        read(tmp_path / "x.parquet")


def save(folder, *tables, **state):
    """Write tables as `Dataset.save_to_disk` does."""
    folder.mkdir(parents=True)
    names = [f"data-{place:05}-of-{len(tables):05}.arrow" for place in range(len(tables))]
    for name, part in zip(names, tables, strict=True):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None, **state}
    write_files(folder, files={"state.json": json.dumps(state), "dataset_info.json": "{}"})


def test_a_saved_dataset(tmp_path):
    save(tmp_path / "x", table(0, 3), table(3, 5))
    data = read(tmp_path / "x", memory_mib=0)
    rows = ["data-00000-of-00002.arrow/2", "data-00001-of-00002.arrow/0"]
    assert [record.image for record in data.records][2:4] == rows
    images = data.split("all").images
    assert data.drawn and [images[row][0, 0, 0] for row in (4, 0, 2)] == [40, 0, 20]


def test_a_saved_dataset_with_splits(tmp_path):
    label = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    save(tmp_path / "train", huggingface(table(0, 3, label=[0, 1, 1]), **label))
    save(tmp_path / "validation", huggingface(table(3, 5, label=[0, 1]), **label))
    write_files(tmp_path, files={"dataset_dict.json": '{"splits": ["train", "validation"]}'})
    data = read(tmp_path, targets="category")
    assert data.counts == {"train": 3, "dev": 2} and data.dev.images[:, 0, 0, 0].tolist() == [30, 40]
    assert data.train.label.tolist() == [0, 1, 1]


def test_saved_datasets_that_cannot_be_read(tmp_path):
    save(tmp_path / "x", table(), _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(MmkerasError, match="Save it anew, after flatten_indices"):
        read(tmp_path / "x")
    save(tmp_path / "y", table())
    write_files(tmp_path, files={"y/data-00000-of-00001.arrow": b"nothing"})
    with pytest.raises(MmkerasError, match="data-00000-of-00001.arrow is no readable Arrow file"):
        read(tmp_path / "y")
    save(tmp_path / "z", table(0, 3))
    content = (tmp_path / "z/data-00000-of-00001.arrow").read_bytes()
    for there, instead in ((b"path", b"p\xffth"), (b"one 0", b"\xff\xfe\xfd0x")):
        write_files(tmp_path, files={"z/data-00000-of-00001.arrow": content.replace(there, instead)})
        with pytest.raises(MmkerasError, match="arrow is no readable (Arrow file|table): .*(utf-8|UTF8)"):
            read(tmp_path / "z")
    write_files(tmp_path, files={"y/state.json": "[]"})
    with pytest.raises(MmkerasError, match="state.json: expected a list of _data_files"):
        read(tmp_path / "y")
