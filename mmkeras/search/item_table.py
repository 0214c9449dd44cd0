"""`ItemTable`: finds items by their ids, and those for which an expression is true."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.item_table_writer import ROW, TABLE

_FILTERED = "item"  # what an expression sees
_AT_ONCE = 500  # ids that are asked for in one statement
_LONGEST = 10_000_000  # bytes that a function in an expression may make
# Beside a row of the table, an expression may look into the lists that a column holds.
_READ = {TABLE, _FILTERED, "json_each", "json_tree"}
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION}


class ItemTable:
    """The items of a segment as a table that is never changed: `items.sqlite`, as `ItemTableWriter` writes it.

    Args:
        file: path of the file. It is opened at once and stays readable where another process deletes it.

    Attributes:
        columns: tuple of names, in the order in which the items brought them; `id` stands first.

    Raises:
        MmkerasError: the file is missing or damaged.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file)
        self._lock = threading.Lock()
        self._seen: tuple[str, ...] = ()
        try:
            # immutable: no lock files, so that it is read where nobody may write
            self._connection = sqlite3.connect(
                f"{self.file.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            named = self._connection.execute(f"PRAGMA table_info({TABLE})").fetchall()
        except sqlite3.Error as error:
            raise MmkerasError(f"{file} is damaged: {error}") from error
        self.columns = tuple(name for _, name, *_ in named if name != ROW)
        if "id" not in self.columns:
            raise MmkerasError(f"{file} is damaged: it has no table of items")
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def ids(self) -> list[str]:
        """Return the ids of all items, in their order."""
        return [item for (item,) in self._select(f"SELECT id FROM {TABLE} ORDER BY {ROW}")]

    def rows_of(self, ids: Iterable[str]) -> dict[str, int]:
        """Return a dict from each of some ids that is there to its row."""
        ids = list(ids)
        found: dict[str, int] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            found |= self._select(f"SELECT id, {ROW} FROM {TABLE} WHERE id IN ({', '.join('?' * len(some))})", some)
        return found

    def where(self, expression: str, columns: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows for which an expression is true.

        Args:
            expression: what SQLite takes behind WHERE. It can read the items, and nothing else.
            columns: names that it may use; those that this table lacks are NULL in it.

        Returns:
            int64 (R,), sorted.

        Raises:
            MmkerasError: an expression that SQLite does not take, or one that does more than to read items; the text
                names the columns.
        """
        try:
            with self._lock:
                self._see(columns)
                self._connection.set_authorizer(_authorized)
                try:
                    # On a line of its own, so that a comment at its end ends there.
                    found = self._connection.execute(f"SELECT {ROW} FROM {_FILTERED} WHERE (\n{expression}\n)")
                    rows = np.fromiter((row for (row,) in found), np.int64)
                finally:
                    self._connection.set_authorizer(None)
        except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError, UnicodeEncodeError) as error:
            raise MmkerasError(
                f"Expected an expression over {', '.join(columns)}, such as \"id = 'a' AND text LIKE '%dog%'\". "
                f"Received: where={expression!r} ({error})"
            ) from error
        return np.unique(rows)

    def _see(self, columns):
        """Let expressions see these columns."""
        if self._seen == tuple(columns):
            return
        own = {name.lower() for name in self.columns}
        quoted = {name: '"' + name.replace('"', '""') + '"' for name in columns}
        shown = [quote if name.lower() in own else f"NULL AS {quote}" for name, quote in quoted.items()]
        self._connection.execute("SELECT 1 FROM json_each('[]')")  # set up while that is allowed
        self._connection.execute(f"DROP VIEW IF EXISTS temp.{_FILTERED}")
        self._connection.execute(f"CREATE TEMP VIEW {_FILTERED} AS SELECT {ROW}, {', '.join(shown)} FROM {TABLE}")
        self._seen = tuple(columns)

    def _select(self, statement, values=()):
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise MmkerasError(f"{self.file} is damaged: {error}") from error


def _authorized(action, first, second, *where):
    allowed = action in _ALLOWED or (action == sqlite3.SQLITE_READ and first in _READ)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
