"""Files of published weights: arrays by name."""

import importlib
from pathlib import Path

from mmkeras.archives import open_arrays
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError

POINTER = b"version https://git-lfs"


def read_weights(file):
    """Read arrays by their names.

    Args:
        file: path of a `.safetensors` or `.npz` file.

    Returns:
        dict from name to array; numbers of 16 bits, of either kind, become float32.

    Raises:
        MmkerasError: no such file, another kind of file, or one that cannot be read.
        MissingPartError: a `.safetensors` file without the package that reads it.
    """
    file = Path(file)
    if file.suffix not in (".safetensors", ".npz"):
        raise MmkerasError(f"Expected a file of weights, .safetensors or .npz. Received: {str(file)!r}")
    if not file.is_file():
        raise MmkerasError(f"There is no file of weights {str(file)!r}")
    with open(file, "rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            raise MmkerasError(
                f"{str(file)!r} cannot be read as {file.suffix}: it is a pointer of Git LFS, and `git lfs pull` "
                "fetches what it points to"
            )
    read = _read_safetensors if file.suffix == ".safetensors" else _read_npz
    try:
        return {name: _single(array) for name, array in read(file).items()}
    except ImportError:
        raise
    except Exception as error:  # of zipfile, of NumPy, or safetensors' own, which has no base class of its kind
        raise MmkerasError(f"{str(file)!r} cannot be read as {file.suffix}: {error}") from error


def _read_npz(file):
    with open_arrays(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_safetensors(file):
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingPartError("A .safetensors file needs the package safetensors", "pretrained") from error
    importlib.import_module("ml_dtypes")  # teaches NumPy the name bfloat16, by which safetensors asks for it
    return load_file(file)


def _single(array):
    is_half = array.dtype.itemsize == 2 and array.dtype.kind in "fV"
    return array.astype("float32") if is_half else array
