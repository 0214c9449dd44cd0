"""`PictureFacts`: what was found out about picture files before, known again by path, size and time of change."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.cache import cache_folder, tell_unused
from mmkeras.data.picture_stamps import Stamp
from mmkeras.data.picture_verdict import PictureVerdict

Result = TypeVar("Result")
Question: TypeAlias = tuple[int, str, int, int]

DIGEST = "digest"
KEPT_DAYS = 90  # what no one asked for in that time is forgotten
PATIENCE = 30  # seconds that a process waits while another one writes
# What SQLite says of a file that is damaged, no database, or one of other columns; others, as a full disk, may pass.
DAMAGES = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_IOERR_SHORT_READ")
COLUMNS = ["kind", "key", "size", "mtime_ns", "used", "value", "sum"]
TABLE = (
    "CREATE TABLE IF NOT EXISTS facts (kind TEXT, key TEXT, size INTEGER, mtime_ns INTEGER, used INTEGER, value TEXT, "
    "sum INTEGER, PRIMARY KEY (kind, key)) WITHOUT ROWID"
)


class PictureFacts:
    """Remembers of picture files the SHA-256 of their bytes, and whether and how they can be read.

    A fact is known by a stamp, see `stamps_of`: path, size and time of change, as `make` and `rsync` judge. A file that
    has changed since is unknown, and what is remembered of it then takes the place of what was. What nobody asked for
    in 90 days is forgotten.

    It is the SQLite database `pictures.sqlite` in the cache folder. Each call is one question or one transaction,
    whatever the number of files, and several processes may ask and add at once. Each row has a checksum, and a database
    that is damaged is made again. A folder that cannot be written costs time, never the result: a line on stderr tells.

    Args:
        folder: the cache folder; by default the user's.

    Example:
        >>> facts, stamps = PictureFacts(), stamps_of(paths)
        >>> digests = facts.digests(stamps)  # bytes strings, b"" where nothing is known
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = Path(folder) if folder else cache_folder()
        self.file = self.folder / "pictures.sqlite"

    def digests(self, stamps: Sequence[Stamp | None]) -> NDArray[np.bytes_]:
        """Return the known digests of files.

        Args:
            stamps: list of N stamps; `None` is never known.

        Returns:
            array (N,) of `S64`: SHA-256 in hexadecimal, `b""` where it is not known.
        """
        return np.array([digest or "" for digest in self._known(DIGEST, stamps)], "S64")

    def remember_digests(self, stamps: Sequence[Stamp | None], digests: Iterable[bytes]) -> None:
        """Remember the digests of files.

        Args:
            stamps: list of N stamps, taken before the files were read; `None` is passed over.
            digests: N digests, SHA-256 in hexadecimal as ASCII bytes.
        """
        self._remember(DIGEST, stamps, (digest.decode() for digest in digests))

    def verdicts(self, stamps: Sequence[Stamp | None], decoder: str) -> list[PictureVerdict | None]:
        """Return what is known of pictures under a decoder.

        Args:
            stamps: list of N stamps; `None` is never known.
            decoder: string that differs wherever a verdict might, such as a version.

        Returns:
            list of N verdicts, `None` where nothing is known.
        """
        return [found and PictureVerdict(*found) for found in self._known(f"verdict {decoder}", stamps)]

    def remember_verdicts(
        self, stamps: Sequence[Stamp | None], verdicts: Iterable[PictureVerdict], decoder: str
    ) -> None:
        """Remember what looking at pictures said.

        Args:
            stamps: list of N stamps, taken before the files were read; `None` is passed over.
            verdicts: N verdicts.
            decoder: see `verdicts`.
        """
        self._remember(f"verdict {decoder}", stamps, verdicts)

    def _known(self, kind: str, stamps: Sequence[Stamp | None]) -> list[Any]:
        asked = [(row, json.dumps(stamp[0]), *stamp[1:]) for row, stamp in enumerate(stamps) if stamp is not None]
        found: list[Any] = [None] * len(stamps)
        if asked and self.file.exists():
            for row, value in self._with_database(lambda database: _select(database, kind, asked)) or ():
                found[row] = json.loads(value)
        return found

    def _remember(self, kind: str, stamps: Sequence[Stamp | None], values: Iterable[Any]) -> None:
        today = _today()
        rows = []
        for stamp, value in zip(stamps, values, strict=True):
            if stamp is not None:
                fact = (kind, json.dumps(stamp[0]), *stamp[1:], json.dumps(value))
                rows.append((*fact[:4], today, fact[4], _checksum(*fact)))
        if rows:
            self._with_database(lambda database: _insert(database, rows, today))

    def _with_database(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Return what `work` makes of the database, made again where it is damaged; `None` where it cannot be used."""
        for attempt in range(2):
            try:
                with self._connection() as database:
                    return work(database)
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last: SQLite quotes what is damaged
                damaged = isinstance(error, UnicodeDecodeError) or _name_of(error).startswith(DAMAGES)
                if attempt or not damaged or not self._removed():
                    tell_unused(self.folder, f"{self.file}: {error}")
                    return None
        return None

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        # SQLite's rollback journal, which works in folders of a network too, where its write-ahead log does not. A
        # connection each time: none is inherited by a fork or left open.
        with contextlib.closing(sqlite3.connect(self.file, timeout=PATIENCE, isolation_level=None)) as database:
            database.text_factory = bytes
            database.execute("PRAGMA temp_store = MEMORY")
            yield database

    def _removed(self) -> bool:
        # A process that still has the old file open may spoil the new one, which the checksums of the rows tell.
        try:
            for ending in ("", "-journal", "-wal", "-shm"):
                Path(f"{self.file}{ending}").unlink(missing_ok=True)
        except OSError:
            return False
        return True


def _select(database: sqlite3.Connection, kind: str, asked: list[Question]) -> list[tuple[int, bytes]]:
    """The values of those that are known, each with its row."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
        return []
    database.execute("CREATE TEMP TABLE asked (row INTEGER, key TEXT, size INTEGER, mtime_ns INTEGER)")
    database.executemany("INSERT INTO asked VALUES (?, ?, ?, ?)", asked)
    rows = database.execute(
        "SELECT row, key, size, mtime_ns, value, sum, used FROM asked JOIN facts USING (key, size, mtime_ns) "
        "WHERE kind = ?",
        [kind],
    ).fetchall()
    today = _today()
    if any(used != today for *_, used in rows):
        with contextlib.suppress(sqlite3.Error):  # a folder that is only read: nothing is lost
            database.execute(
                "UPDATE facts SET used = ? WHERE kind = ? AND key IN (SELECT key FROM asked) AND used != ?",
                [today, kind, today],
            )
    return [
        (row, value)
        for row, key, size, mtime_ns, value, checksum, _ in rows
        if checksum == _checksum(kind, key, size, mtime_ns, value)
    ]


def _insert(database: sqlite3.Connection, rows: list[tuple[Any, ...]], today: int) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute(TABLE)
    database.executemany(f"INSERT OR REPLACE INTO facts ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    if database.execute("PRAGMA user_version").fetchone()[0] != today:  # once a day
        database.execute("DELETE FROM facts WHERE used < ?", [today - KEPT_DAYS])
        database.execute(f"PRAGMA user_version = {today}")
    database.execute("COMMIT")


def _checksum(*fact: Any) -> int:
    """A number that tells a row which was damaged on the disk; what is read back as bytes was written as ASCII."""
    return zlib.crc32(
        " ".join([one.decode("ascii", "replace") if isinstance(one, bytes) else str(one) for one in fact]).encode()
    )


def _name_of(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", "")


def _today() -> int:
    return int(time.time() // 86_400)
