"""`ArrowFile`: a table of Arrow's, mapped into memory."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError


def import_pyarrow() -> Any:
    """Return the module `pyarrow`.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingPartError("Parquet and Arrow files need pyarrow", "parquet") from error
    return pyarrow


@contextlib.contextmanager
def telling(path: Path, what: str) -> Iterator[None]:
    """Raise a `MmkerasError` in place of what Arrow raises of a damaged file, names and texts that are none among it.

    Args:
        path: the file.
        what: what is said of it.
    """
    pyarrow = import_pyarrow()
    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise MmkerasError(f"{path} {what}: {error}") from error


class ArrowFile:
    """A file of record batches, as `datasets` writes them; a row is read where it lies.

    Args:
        path: of the file.

    Raises:
        MmkerasError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        pyarrow = import_pyarrow()
        with telling(path, "is no readable Arrow file"):
            self._table = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all()
            # Arrow believes what a file says of where its texts and pictures lie; a damaged one would end the process.
            self._table.validate(full=True)

    @property
    def schema(self) -> Any:
        """`pyarrow.Schema`."""
        return self._table.schema

    @functools.cached_property
    def count(self) -> int:
        """The number of rows."""
        return self._table.num_rows

    def records(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows as dicts of some columns."""
        with telling(self.path, "cannot be read"):
            for batch in self._table.select(columns).to_batches():
                yield from batch.to_pylist() if columns else ({} for _ in range(batch.num_rows))

    def cell(self, column: str, row: int) -> Any:
        """Return the value of one column in one row.

        Raises:
            MmkerasError: it cannot be read.
        """
        with telling(self.path, "cannot be read"):
            return self._table[column][row].as_py()
