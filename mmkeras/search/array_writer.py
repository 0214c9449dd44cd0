"""`ArrayWriter`: an `.npy` file that grows by rows, for arrays larger than memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class ArrayWriter:
    """Writes the rows of an array to an `.npy` file as they come.

    NumPy leaves room in a file's header for a first dimension of up to 21 digits, so that the header can be written
    once more when the number of rows is known.

    Args:
        file: path of a new file.
        dtype: type of the numbers.
        width: length of a row, or `None` where a row is a number.
    """

    def __init__(self, file: str | os.PathLike[str], dtype: DTypeLike, width: int | None = None) -> None:
        self.dtype = np.dtype(dtype)
        self.width = width
        self.count = 0
        self._stream = open(file, "wb")
        self._write_header()

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows behind those that are there.

        Args:
            rows: (N, width), or (N,), of the type `dtype`.
        """
        self._stream.write(np.ascontiguousarray(rows, self.dtype).data)
        self.count += len(rows)

    def close(self) -> None:
        """Write the header anew, with the number of rows, and close the file."""
        if not self._stream.closed:
            with self._stream:
                self._stream.seek(0)
                self._write_header()

    def discard(self) -> None:
        """Close the file as it is."""
        self._stream.close()

    def _write_header(self):
        shape = (self.count,) if self.width is None else (self.count, self.width)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)
