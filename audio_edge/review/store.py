"""Where a review queue lies: a SQLite file, and the clips beside it as WAV.

Every change is one transaction, from any number of threads and processes. A sound without a row is
what a killed writer left, and goes with the next `sweep`; no row comes to be without its sound.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from audio_edge import files
from audio_edge.errors import UserError
from audio_edge.review.items import Item
from audio_edge.review.terms import Terms

FILE = "queue.sqlite"
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE terms (one INTEGER PRIMARY KEY CHECK (one = 1), json TEXT NOT NULL);
CREATE TABLE clips (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sha256 TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
  model TEXT NOT NULL, model_sha256 TEXT NOT NULL, scores TEXT NOT NULL, why TEXT NOT NULL,
  given TEXT NOT NULL, sample_rate INTEGER NOT NULL, samples INTEGER NOT NULL, added REAL NOT NULL
);
CREATE INDEX clips_source ON clips (source);
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, label TEXT NOT NULL,
  clip INTEGER NOT NULL REFERENCES clips (id) ON DELETE CASCADE
);
CREATE INDEX decisions_clip ON decisions (clip);
CREATE TABLE gone (sha256 TEXT PRIMARY KEY);
PRAGMA user_version = {_VERSION};
"""
ITEMS = """
SELECT clips.*, decisions.kind, decisions.label, decisions.id AS decision FROM clips
LEFT JOIN decisions ON decisions.id = (SELECT max(id) FROM decisions WHERE clip = clips.id)
"""


class Store:
    """The files of a queue.

    Args:
        folder: Where they lie; `make` makes them.

    Raises:
        UserError: There are none, or they are damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        if not self.path.is_file():
            raise UserError(
                f"{folder}: no review queue; make one with "
                "python -m training.review FOLDER set --model MODEL.tflite --consent TEXT"
            )
        with self.transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:  # what SQLite says of an empty file, and of most other databases
            raise UserError(f"{self.path}: holds no review queue; move it away and make it anew")
        if version != _VERSION:
            raise UserError(f"{self.path}: of format {version}, not {_VERSION}; update audio_edge")

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection; what is done with it holds only if the block ends well."""
        with _connected(self.path) as db:
            db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield db
            db.execute("COMMIT")  # closing without it takes all back

    def items(self, where: str, *values: Any) -> list[Item]:
        """The clips of `ITEMS` that a clause picks."""
        with self.transaction() as db:
            rows = [dict(row) for row in db.execute(f"{ITEMS} {where}", values)]
        names = {field.name for field in dataclasses.fields(Item)}
        for row in rows:
            row.update(path=self.sound(row["sha256"]), scores=json.loads(row["scores"]))
            row["label"] = row["label"] or ""
        return [Item(**{key: row[key] for key in names}) for row in rows]

    def sound(self, sha256: str) -> Path:
        """Where the WAV of a clip lies."""
        return self.folder / "audio" / f"{sha256}.wav"

    def sweep(self) -> None:
        """Remove sounds without a row; nobody adds one meanwhile."""
        with self.transaction(write=True) as db:
            kept = {f"{row['sha256']}.wav" for row in db.execute("SELECT sha256 FROM clips")}
            for path in (self.folder / "audio").glob("*"):
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def make(folder: str | os.PathLike[str], terms: Terms) -> None:
    """Make the files of a queue, unless they are there."""
    path = Path(folder) / FILE
    if not path.is_file():
        with files.replacing(path) as draft, _connected(draft) as db:
            db.executescript(_SCHEMA)
            agree(db, terms)


def terms_of(db: sqlite3.Connection) -> Terms:
    """What was agreed upon."""
    try:
        told = json.loads(db.execute("SELECT json FROM terms").fetchone()["json"])
        return Terms(**{**told, "labels": tuple(told["labels"])})
    except (ValueError, TypeError, KeyError) as error:
        raise sqlite3.DatabaseError(f"its terms are damaged ({error})") from error


def agree(db: sqlite3.Connection, terms: Terms) -> None:
    """Set the terms."""
    told = json.dumps(dataclasses.asdict(terms))
    db.execute("INSERT OR REPLACE INTO terms (one, json) VALUES (1, ?)", (told,))


class _Connection(sqlite3.Connection):
    """Takes any text: what is not UTF-8, as the name of a file may be, is written with escapes."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> sqlite3.Cursor:  # type: ignore[override]
        plain = [
            value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
            for value in values
        ]
        return super().execute(sql, plain)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that is there: of a lost one SQLite would make an empty one."""
    try:
        link = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", timeout=60, isolation_level=None, uri=True,
            factory=_Connection,
        )  # fmt: skip
        with closing(link) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA secure_delete = ON")  # what is deleted is written over
            yield db
    except sqlite3.Error as error:
        raise UserError(
            f"{path}: {error}; check the file, its permissions and the space"
        ) from error
