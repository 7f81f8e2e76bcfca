"""The index of a history: what was read of each run, so that listing thousands of them reads only what changed.

It can be thrown away at any time. It lies in the directory itself or, where that is read-only, in the user's cache;
without either it is in memory. Each write is one transaction of SQLite, so several processes may share it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
import sqlite3
from collections.abc import Iterator, Sequence

import platformdirs

NAME = ".tfperf-history.sqlite"
VERSION = 1  # of the tables and of what is in them; an index of another version is built anew

_WAIT_S = 10.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS entries (path TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS configs (digest TEXT PRIMARY KEY, content TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS judged (digest TEXT PRIMARY KEY, content TEXT NOT NULL)",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexedRun:
    """A row: a run as it was read when its files had this fingerprint."""

    path: str
    fingerprint: str
    content: str


class HistoryIndex:
    """The rows of a history, and where they are kept.

    Args:
        store: the directory of the history.
        rebuild: whether to forget what is there.

    Attributes:
        runs: path -> row.
        configs: digest -> facts of the config.
        judged: digest of a series -> what was found in it.
        notes: what was wrong with the index, one sentence each.
    """

    def __init__(self, store: pathlib.Path, *, rebuild: bool = False) -> None:
        self.notes: list[str] = []
        self._places = [store / NAME, _in_cache(store)]
        self._writable = list(self._places)
        if rebuild:
            for place in self._places:
                with contextlib.suppress(OSError):
                    place.unlink(missing_ok=True)
        self.runs: dict[str, IndexedRun] = {}
        self.configs: dict[str, str] = {}
        self.judged: dict[str, str] = {}
        for place in reversed(self._places):
            self._load(place)

    def save(
        self,
        *,
        runs: Sequence[IndexedRun] = (),
        gone: Sequence[str] = (),
        configs: Sequence[tuple[str, str]] = (),
        judged: Sequence[tuple[str, str]] = (),
        outdated: Sequence[str] = (),
    ) -> None:
        """Keeps rows, and forgets the paths in `gone` and the judgements in `outdated`; at least in memory."""
        self.runs |= {row.path: row for row in runs}
        self.configs |= dict(configs)
        self.judged |= dict(judged)
        for path in gone:
            self.runs.pop(path, None)
        for digest in outdated:
            self.judged.pop(digest, None)
        while self._writable:
            if self._write(self._writable[0], runs=runs, gone=gone, configs=configs, judged=judged, outdated=outdated):
                return
            del self._writable[0]
            # The next place may know nothing of what was loaded from this one.
            runs, configs, judged = list(self.runs.values()), list(self.configs.items()), list(self.judged.items())

    def _load(self, place: pathlib.Path) -> None:
        if not place.is_file():
            return
        try:
            with _opened(place, write=False) as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version != VERSION:
                    self._forget(place, f"is of version {version} and not {VERSION}")
                    return
                rows = connection.execute("SELECT path, fingerprint, content FROM entries").fetchall()
                self.runs |= {path: IndexedRun(path=path, fingerprint=mark, content=text) for path, mark, text in rows}
                self.configs |= dict(connection.execute("SELECT digest, content FROM configs").fetchall())
                self.judged |= dict(connection.execute("SELECT digest, content FROM judged").fetchall())
        except sqlite3.OperationalError as error:  # busy for too long, or not ours to read
            self.notes.append(f"The index {place} could not be read: {error}.")
            self._writable = [each for each in self._writable if each != place]
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            self._forget(place, f"is damaged ({error})")

    def _forget(self, place: pathlib.Path, why: str) -> None:
        """Removes an index that can't be used."""
        try:
            place.unlink(missing_ok=True)
            self.notes.append(f"The index {place} {why}; it is built anew.")
        except OSError as error:
            self.notes.append(f"The index {place} {why}, and can't be removed: {error.strerror}. It is not used.")
            self._writable = [each for each in self._writable if each != place]

    def _write(
        self,
        place: pathlib.Path,
        *,
        runs: Sequence[IndexedRun],
        gone: Sequence[str],
        configs: Sequence[tuple[str, str]],
        judged: Sequence[tuple[str, str]],
        outdated: Sequence[str],
    ) -> bool:
        if not (runs or gone or configs or judged or outdated):
            return True
        try:
            if place == self._places[1]:
                place.parent.mkdir(parents=True, exist_ok=True)
            with _opened(place, write=True) as connection:
                connection.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.executemany("DELETE FROM entries WHERE path = ?", [(path,) for path in gone])
                connection.executemany("DELETE FROM judged WHERE digest = ?", [(digest,) for digest in outdated])
                connection.executemany(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)",
                    [(row.path, row.fingerprint, row.content) for row in runs],
                )
                connection.executemany("INSERT OR REPLACE INTO configs VALUES (?, ?)", configs)
                connection.executemany("INSERT OR REPLACE INTO judged VALUES (?, ?)", judged)
                connection.execute("COMMIT")
            return True
        except (sqlite3.DatabaseError, OSError):  # read-only, full, or removed meanwhile: the next place, or memory
            return False


@contextlib.contextmanager
def _opened(place: pathlib.Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    # Only a connection that may write makes the file. What reads it leaves no journal in a read-only directory.
    mode = "rwc" if write else "ro"
    location = f"{place.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(location, uri=True, timeout=_WAIT_S, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def _in_cache(store: pathlib.Path) -> pathlib.Path:
    digest = hashlib.sha256(str(store.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return platformdirs.user_cache_path("tfperf") / "history" / f"{digest}.sqlite"
