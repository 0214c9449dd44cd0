"""The layouts in which class-labelled feature sets are published: where each of their arrays lies, read on demand."""

import dataclasses
import functools
import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmkeras.archives import MAX_ARCHIVE_BYTES, open_arrays
from mmkeras.errors import MmkerasError

ALLOWED = (
    "an .npz file of image_SPLIT, text_SPLIT and label_SPLIT, a folder of SPLIT_img.mat, SPLIT_txt.mat and "
    "SPLIT_img_lab.mat, or a folder of img_SPLIT_fea.txt, txt_SPLIT_fea.txt and img_SPLIT_list.txt"
)
_LARGEST_NUMBER = 8  # bytes


@dataclasses.dataclass(frozen=True)
class FeaturePart:
    """One array of a feature set.

    Args:
        where: the file, and the array in it where it holds several; for messages.
        read: function without arguments that returns the array.
    """

    where: str
    read: Callable


def find_parts(source):
    """Find the arrays of a feature set.

    Args:
        source: path of an `.npz` file, or of a folder of `.mat` or `.txt` files.

    Returns:
        dict from a split's name to a dict of `FeaturePart`: `image`, `text` and `label`, and where there are such
        `text_label`, `id` (a name of each row) and `words` (what each text says); and a part with the names of the
        categories, or `None` where the labels are their names.

    Raises:
        MmkerasError: none of the layouts, or one that lacks a part.
    """
    source = Path(source)
    if source.is_dir():
        splits, categories = _in_folder(source), None
    else:
        splits, categories = _in_npz(source)
    if not splits:
        raise MmkerasError(f"{source} is no feature set. Expected {ALLOWED}")
    for split, parts in splits.items():
        if missing := [part for part in ("image", "text", "label") if part not in parts]:
            raise MmkerasError(f"{source}: split {split!r} lacks its {missing[0]} part. Expected {ALLOWED}")
    return splits, categories


def is_feature_folder(source):
    """Return whether a path is that of a folder with parts of a feature set."""
    return Path(source).is_dir() and bool(_in_folder(Path(source)))


def _in_npz(file):
    """Read an archive's table of contents; Wikipedia's layout of the features of Rasiwasia et al. 2010."""
    try:
        with open_arrays(file) as archive:
            names = archive.files
    except FileNotFoundError as error:
        raise MmkerasError(f"There is no feature file {file}") from error
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise MmkerasError(f"{file} is no feature set: {error}. Expected {ALLOWED}") from error

    def part(name):
        return FeaturePart(f"{file}, {name}", functools.partial(_read_npz, file, name))

    splits = {}
    for name in names:
        kind, _, split = name.partition("_")
        if split and kind in ("image", "text", "label", "id", "words"):
            splits.setdefault(split, {})[kind] = part(name)
    return splits, part("categories") if "categories" in names else None


def _in_folder(folder):
    """Find the files of the packs of Pascal Sentence (.mat, one variable a file) and of XMediaNet (.txt)."""
    forms = (
        (r"(\w+)_img\.mat", "image", _read_mat),
        (r"(\w+)_txt\.mat", "text", _read_mat),
        (r"(\w+)_img_lab\.mat", "label", _read_mat),
        (r"(\w+)_txt_lab\.mat", "text_label", _read_mat),
        (r"img_(\w+)_fea\.txt", "image", _read_numbers),
        (r"txt_(\w+)_fea\.txt", "text", _read_numbers),
        (r"img_(\w+)_list\.txt", "label", functools.partial(_read_list, column="label")),
        (r"img_(\w+)_list\.txt", "id", functools.partial(_read_list, column="id")),
        (r"txt_(\w+)_list\.txt", "text_label", functools.partial(_read_list, column="label")),
    )
    splits = {}
    for file in sorted(folder.iterdir()):
        for form, kind, read in forms:
            if found := re.fullmatch(form, file.name):
                splits.setdefault(found[1], {})[kind] = FeaturePart(str(file), functools.partial(read, file))
    return splits


def _read_npz(file, name):
    try:
        with open_arrays(file) as archive:
            return archive[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:  # of objects, or cut off
        raise MmkerasError(f"{file}, {name}: expected an array of numbers or strings. Received: {error}") from error


def _read_mat(file):
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        _check_sizes(file, whosmat(file))
        variables = {name: value for name, value in loadmat(file).items() if not name.startswith("__")}
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise MmkerasError(f"{file}: expected a MATLAB file, up to version 7.2. Received: {error}") from error
    if len(variables) != 1:
        raise MmkerasError(f"{file}: expected one variable. Received: {', '.join(sorted(variables)) or 'none'}")
    return next(iter(variables.values()))


def _check_sizes(file, declared):
    """Judge a MATLAB file, whose variables are packed, by the shapes that it declares."""
    numbers = sum(math.prod(shape) for _, shape, _ in declared)
    if numbers * _LARGEST_NUMBER > MAX_ARCHIVE_BYTES:
        raise MmkerasError(f"{file}: expected at most {MAX_ARCHIVE_BYTES} bytes. Received: {numbers} numbers")


def _read_numbers(file):
    """Read rows of numbers that blanks separate."""
    try:
        return np.loadtxt(file, np.float32, ndmin=2)
    except (OSError, UnicodeDecodeError) as error:
        raise MmkerasError(f"{file} cannot be read: {error}") from error
    except ValueError as error:
        raise MmkerasError(f"{file}, {_bad_line(file)}") from error


def _bad_line(file):
    """Say which line of a file of numbers is none."""
    width = None
    for number, line in enumerate(file.read_text().splitlines(), 1):
        words = line.partition("#")[0].split()
        for word in words:
            try:
                float(word)
            except ValueError:
                return f"line {number}: expected numbers. Received: {word!r}"
        if width not in (None, len(words)) and words:
            return f"line {number}: expected {width} numbers, as on the lines before. Received: {len(words)}"
        width = len(words) or width
    return "expected numbers"


def _read_list(file, column):
    """Read the label or the name of each row, of lines `PATH LABEL`."""
    found = []
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MmkerasError(f"{file} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        if not name or not label.lstrip("-").isdecimal():
            raise MmkerasError(f"{file}, line {number}: expected PATH LABEL, a whole number. Received: {line!r}")
        found.append(int(label) if column == "label" else name.strip())
    return np.array(found)
