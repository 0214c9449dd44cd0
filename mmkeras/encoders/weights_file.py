"""Files of published weights: arrays by name."""

from pathlib import Path

from mmkeras.archives import open_arrays
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError


def read_weights(file):
    """Read arrays by their names.

    Args:
        file: path of a `.safetensors` or `.npz` file.

    Returns:
        dict from name to array.

    Raises:
        MmkerasError: no such file, another kind of file, or one that cannot be read.
        MissingPartError: a `.safetensors` file without the package that reads it.
    """
    file = Path(file)
    if file.suffix not in (".safetensors", ".npz"):
        raise MmkerasError(f"Expected a file of weights, .safetensors or .npz. Received: {str(file)!r}")
    if not file.is_file():
        raise MmkerasError(f"There is no file of weights {str(file)!r}")
    read = _read_safetensors if file.suffix == ".safetensors" else _read_npz
    try:
        return read(file)
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
    return load_file(file)
