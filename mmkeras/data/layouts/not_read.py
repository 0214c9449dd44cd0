"""What people keep data in that is known and not read, and what makes of it what is."""

from __future__ import annotations

import re
from pathlib import Path

from mmkeras.data.layouts.text_file import beginning

_UNPACK = "which cannot be read by row. Unpack it: "
_WRITE = "Write its pictures and captions into tars or a .jsonl file first"
_TABLE = "Write it as .csv, .jsonl or .parquet first, as `pandas` does with to_csv or to_parquet"
# By the end of a file's name, the longest first.
BY_NAME = (
    ((".tar.gz", ".tgz"), f"a compressed tar, {_UNPACK}`gunzip NAME.tar.gz`, or `gunzip -S .tgz NAME.tgz`"),
    ((".tar.bz2", ".tbz2"), f"a compressed tar, {_UNPACK}`bunzip2` leaves the tar"),
    ((".tar.xz", ".txz"), f"a compressed tar, {_UNPACK}`unxz` leaves the tar"),
    ((".tar.zst", ".tar.zstd"), f"a compressed tar, {_UNPACK}`zstd -d` leaves the tar"),
    ((".gz", ".bz2", ".xz", ".zst"), "compressed. Unpack it first: gunzip, bunzip2, unxz or zstd -d"),
    ((".zip", ".7z", ".rar"), "an archive. Unpack its captions; a zip of pictures is an image_folder"),
    ((".tfrecord", ".tfrecords"), f"a file of TFRecord, which cannot be read by row. {_WRITE}"),
    ((".arrow",), "an Arrow file, as `datasets` keeps them. Give the folder that its save_to_disk writes"),
    ((".array_record",), "a file of TensorFlow Datasets. Give its name, as tfds:coco_captions"),
    ((".mdb", ".lmdb"), f"a file of LMDB. {_WRITE}"),
    ((".xls", ".xlsx", ".ods"), "a spreadsheet. Save it as CSV in UTF-8"),
    ((".pkl", ".pickle", ".pt", ".pth"), f"a pickle, which could run any code. {_TABLE}"),
    ((".h5", ".hdf5"), f"an HDF5 file, which has no common layout of captions. {_TABLE}"),
    ((".feather", ".db", ".sqlite", ".sqlite3"), f"a table of another kind. {_TABLE}"),
    ((".xml", ".yaml", ".yml"), f"a file of a layout that is not known. {_TABLE}"),
)  # fmt: skip
URLS = "a list of URLs, which are not fetched. img2dataset fetches them and writes tars that are read"


def why_not_read(source: Path) -> str:
    """Return what a file or folder is, and what to do with it, behind `NAME is`; empty where that is not known."""
    if source.is_dir():
        return _folder(source)
    if not source.is_file():
        return ""
    name = source.name.lower()
    if reason := next((reason for suffixes, reason in BY_NAME if name.endswith(suffixes)), ""):
        return reason
    if re.match(r"\s*https?://", beginning(source, 200)):
        return URLS
    if re.search(r"tfrecords?(-|\.|$)", name):
        return next(reason for suffixes, reason in BY_NAME if ".tfrecord" in suffixes)
    if name.endswith(".txt"):
        return (
            "a text without names of pictures. Expected a heading as image,caption, or name.jpg#0, a tab and a caption "
            "a line"
        )
    return ""


def _folder(folder):
    try:
        names = sorted(path.name.lower() for path in folder.iterdir())
    except OSError as error:
        return f"a folder that cannot be read: {error.strerror}"
    if not names:
        return "an empty folder"
    if "dataset_info.json" in names or any(name.endswith(".arrow") for name in names):
        return "a cache of `datasets`. Load it with that, and give the folder that save_to_disk writes"
    for name in names:
        if "tfrecord" in name:
            return next(reason for suffixes, reason in BY_NAME if ".tfrecord" in suffixes).replace("a file", "a folder")
        if name.endswith(".mdb"):
            return f"a folder of LMDB. {_WRITE}"
        if re.search(r"\.(tar\.\w+|tgz)$", name):
            return f"a folder of compressed tars, as {name}, {_UNPACK}gunzip, bunzip2, unxz or zstd -d leave tars"
    if any(re.fullmatch(r"(captions|instances)_\w+\.json", name) for name in names):
        return "a folder of COCO's annotations. Give one of its files captions_*.json"
    if files := [name for name in names if name.endswith((".csv", ".tsv", ".json", ".jsonl", ".token", ".txt"))]:
        return f"a folder without pictures. Give one of its files, as {files[0]}"
    return ""
