"""`ItemTableWriter`: writes the table by which items are found by their ids and filtered."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from mmkeras.errors import MmkerasError

TABLE, ROW = "items", "mmkeras_row"
MOST_COLUMNS = 1000  # of SQLite's 2,000


class ItemTableWriter:
    """Writes `items.sqlite`: a row for each item, a column for each of its keys.

    The column `id` holds an item's id as text. Strings and numbers are kept as they are, True and False as 1 and 0,
    lists as JSON. A key that differs from another one in its case only, or follows a thousand others, has no column.

    Args:
        file: path of a new file.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._columns: dict[str, str | None] = {"id": '"id"'}
        self._taken = {"id", ROW}
        self._row = 0
        # Nobody reads the file before it is complete: it needs no journal, and is no older for a crash.
        self._run("PRAGMA journal_mode = OFF")
        self._run("PRAGMA synchronous = OFF")
        self._run(f"CREATE TABLE {TABLE} ({ROW} INTEGER PRIMARY KEY, id TEXT NOT NULL)")
        self._run("BEGIN")

    def append(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Write items behind those that are there.

        Raises:
            OSError: a full disk.
        """
        for item in items:
            names, values = [ROW, '"id"'], [self._row, str(item["id"])]
            for key, value in item.items():
                if key != "id" and (name := self._column(str(key))) is not None:
                    names.append(name)
                    values.append(_plain(value))
            self._run(f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", values)
            self._row += 1

    def close(self) -> None:
        """Write what is left, and close the file.

        Raises:
            MmkerasError: two items of one id.
            OSError: a full disk.
        """
        try:
            self._run(f"CREATE UNIQUE INDEX items_by_id ON {TABLE} (id)")
        except sqlite3.IntegrityError as error:
            twice = f"SELECT id, MIN({ROW}), MAX({ROW}) FROM {TABLE} GROUP BY id HAVING COUNT(*) > 1 LIMIT 1"
            item, first, last = self._connection.execute(twice).fetchone()
            raise MmkerasError(
                f"Expected an id of its own for each item. Received: {item!r} in rows {first} and {last}"
            ) from error
        self._run("COMMIT")
        self._connection.close()

    def discard(self) -> None:
        """Close the file as it is."""
        self._connection.close()

    def _column(self, key):
        if key not in self._columns:
            name = '"' + key.replace('"', '""') + '"'
            known = key.lower() in self._taken or len(self._taken) > MOST_COLUMNS or "\0" in key or not key
            if not known:
                self._run(f"ALTER TABLE {TABLE} ADD COLUMN {name}")
                self._taken.add(key.lower())
            self._columns[key] = None if known else name
        return self._columns[key]

    def _run(self, statement, values=()):
        try:
            self._connection.execute(statement, values)
        except sqlite3.OperationalError as error:  # no error of the system, though a full disk is one
            raise OSError(errno.EIO, str(error)) from error


def _plain(value):
    """A value as SQLite has it: a number, a string or nothing."""
    if hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else str(value)
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False)
