"""The review queue: a SQLite file, and the clips beside it as WAV.

Nothing is kept without a consent on record, nothing twice, nothing longer or more than the terms
allow, and what was deleted stays so. Every change is one transaction, from any number of threads
and processes. The caller says what time it is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import audio, files
from audio_edge.errors import UserError

WHYS = ("low margin", "disagreement", "reported", "control sample", "doubtful label")
MAX_S = 60.0  # of a clip
FILE = "queue.sqlite"
_DAY = 86400.0
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
_ITEMS = """
SELECT clips.*, decisions.kind, decisions.label, decisions.id AS decision FROM clips
LEFT JOIN decisions ON decisions.id = (SELECT max(id) FROM decisions WHERE clip = clips.id)
"""
_OPEN = " (kind IS NULL OR kind = 'skip') "


@dataclass(frozen=True)
class Terms:
    """What may be kept, and what it is sorted into.

    Attributes:
        labels: What a clip may be called.
        consent: Who agreed to what, in words; while it is empty nothing is taken in.
        keep_days: Age at which a clip goes, reviewed or not.
        keep_mb: Megabytes of audio beyond which the oldest clips go.
    """

    labels: tuple[str, ...] = ()
    consent: str = ""
    keep_days: float = 90.0
    keep_mb: float = 1000.0

    def __post_init__(self) -> None:
        if not (0 < self.keep_days < 1e5 and 0 < self.keep_mb < 1e9):
            received = f"{self.keep_days:g} days, {self.keep_mb:g} MB"
            raise UserError(f"days and mb to keep must be > 0. Received: {received}")
        if len(set(self.labels)) != len(self.labels) or not all(map(str.strip, self.labels)):
            raise UserError(f"labels must be distinct names. Received: {', '.join(self.labels)}")


@dataclass(frozen=True)
class Item:
    """One clip.

    Attributes:
        sha256: Of its samples and rate.
        path: The WAV.
        source: Who or what recorded it, as far as it is known: a device, a speaker.
        model: Name of the model that heard it.
        model_sha256: Of that model's file, "" where it is not known.
        scores: Of each label, as that model gave them.
        why: One of `WHYS`.
        given: The label that a data set has for it, or "".
        sample_rate: Hz.
        samples: How many.
        added: Seconds since 1970.
        kind: None, "label", "skip" or "drop": what was decided last.
        label: What it was called, if the kind is "label".
    """

    sha256: str
    path: Path
    source: str
    model: str
    model_sha256: str
    scores: dict[str, float]
    why: str
    given: str
    sample_rate: int
    samples: int
    added: float
    kind: str | None
    label: str


class Queue:
    """A review queue in a folder.

    Args:
        folder: Where it lies; `create` makes one.

    Raises:
        UserError: There is none, or it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        if not self.path.is_file():
            raise UserError(
                f"{folder}: no review queue; make one with "
                "python -m training.review FOLDER set --model MODEL.tflite --consent TEXT"
            )
        with self._transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise UserError(f"{self.path}: of format {version}, not {_VERSION}; update audio_edge")

    @property
    def terms(self) -> Terms:
        """What was agreed upon."""
        with self._transaction() as db:
            return _terms(db)

    def agree(self, terms: Terms) -> None:
        """Set the terms."""
        with self._transaction(write=True) as db:
            _agree(db, terms)

    def add(
        self, samples: np.ndarray, sample_rate: int, *, source: str, model: str, why: str,
        now: float, scores: Mapping[str, float] | None = None, model_sha256: str = "",
        given: str = "",
    ) -> str | None:  # fmt: skip
        """Take in a clip, unless it is there already or was deleted.

        Args:
            samples: float in [-1, 1] or int16, [n], at most `MAX_S` seconds.
            sample_rate: Hz.
            source: See `Item`, as are model, model_sha256, scores, why and given.
            model: See there.
            why: See there.
            now: Seconds since 1970.
            scores: See there.
            model_sha256: See there.
            given: See there.

        Returns:
            Its hash if it was taken in, else None.

        Raises:
            UserError: No consent is on record, the clip is too long, the disk refuses.
        """
        if why not in WHYS:
            raise ValueError(f"why must be one of {', '.join(WHYS)}. Received: {why!r}")
        pcm = _pcm(samples)
        if pcm.ndim != 1 or not 0 < len(pcm) <= MAX_S * sample_rate:
            raise UserError(f"{self.folder}: takes clips of up to {MAX_S:g} s; cut it")
        digest = digest_of(pcm, sample_rate)
        told = json.dumps(
            {label: round(float(score), 6) for label, score in (scores or {}).items()}
        )
        self.expire(now)
        with self._transaction(write=True) as db:
            if not _terms(db).consent:
                raise UserError(
                    f"{self.folder}: no consent is on record, so nothing is kept; give it with "
                    f"python -m training.review {self.folder} set --consent 'WHO TO WHAT'"
                )
            known = (
                "SELECT 1 FROM clips WHERE sha256 = ?1 UNION SELECT 1 FROM gone WHERE sha256 = ?1"
            )
            if db.execute(known, (digest,)).fetchone():
                return None
            db.execute(
                "INSERT INTO clips (sha256, source, model, model_sha256, scores, why, given, "
                "sample_rate, samples, added) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (digest, source, model, model_sha256, told, why, given, sample_rate, len(pcm), now),
            )
            with files.replacing(self._sound(digest)) as draft:  # before the row can be seen
                audio.write(draft, pcm, sample_rate)
        return digest

    def next(self, count: int = 1) -> list[Item]:
        """Clips to be decided on, in the order they came; those skipped come last."""
        order = " ORDER BY decision IS NOT NULL, decision, clips.id LIMIT ?"
        return self._items(f"WHERE {_OPEN} {order}", count)

    def find(self, sha256: str) -> Item:
        """One clip.

        Raises:
            UserError: It is not there.
        """
        found = self._items("WHERE sha256 = ?", sha256)
        if not found:
            raise UserError(f"{self.folder}: has no clip {sha256}; it may have been deleted")
        return found[0]

    def reviewed(self) -> list[Item]:
        """The clips that were given a label, in the order they came."""
        return self._items("WHERE kind = 'label' ORDER BY clips.id")

    def decide(self, sha256: str, kind: str, label: str = "") -> None:
        """Note a decision: "label" with a label, "skip" to ask again later, "drop" for no use.

        Raises:
            UserError: No such clip, or no such label.
        """
        if kind not in ("label", "skip", "drop") or (kind == "label") != bool(label):
            raise UserError(f"a decision is label, skip or drop. Received: {kind!r} {label!r}")
        with self._transaction(write=True) as db:
            if label and label not in (known := _terms(db).labels):
                raise UserError(f"{label!r} is no label; there are: {', '.join(known)}")
            clip = db.execute("SELECT id FROM clips WHERE sha256 = ?", (sha256,)).fetchone()
            if clip is None:
                raise UserError(f"{self.folder}: has no clip {sha256}; it may have been deleted")
            made = (kind, label, clip["id"])
            db.execute("INSERT INTO decisions (kind, label, clip) VALUES (?, ?, ?)", made)

    def undo(self) -> str | None:
        """Take back the last decision there is, and say of which clip; None if there is none."""
        with self._transaction(write=True) as db:
            last = db.execute(
                "SELECT decisions.id, sha256 FROM decisions JOIN clips ON clips.id = clip "
                "ORDER BY decisions.id DESC LIMIT 1"
            ).fetchone()
            if last is None:
                return None
            db.execute("DELETE FROM decisions WHERE id = ?", (last["id"],))
            return str(last["sha256"])

    def progress(self) -> dict[str, Any]:
        """Counts: open (skipped ones too), skipped, label, drop, and labels, one count each."""
        with self._transaction() as db:
            rows = db.execute(
                f"SELECT kind, label, count(*) AS n FROM ({_ITEMS}) GROUP BY kind, label"
            ).fetchall()
        counts = {"open": 0, "skip": 0, "label": 0, "drop": 0}
        labels: dict[str, int] = {}
        for row in rows:
            if row["kind"] in (None, "skip"):
                counts["open"] += row["n"]
            if row["kind"] is not None:
                counts[row["kind"]] += row["n"]
            if row["kind"] == "label":
                labels[row["label"]] = row["n"]
        return {**counts, "labels": labels}

    def delete(self, *, sha256: str | None = None, source: str | None = None) -> int:
        """Delete a clip, or all of a source, for good; returns how many there were."""
        if (sha256 is None) == (source is None):
            raise ValueError("give sha256 or source")
        column, value = ("source", source) if sha256 is None else ("sha256", sha256)
        with self._transaction(write=True) as db:
            count = _drop(db, f"{column} = ?", value)
        self._sweep()
        return count

    def expire(self, now: float) -> int:
        """Delete what is older, and of the oldest what is more, than the terms allow."""
        with self._transaction() as db:
            terms = _terms(db)
            too_much = (
                "id IN (SELECT id FROM (SELECT id, sum(2 * samples) OVER (ORDER BY added DESC, "
                "id DESC) AS taken FROM clips) WHERE taken > ?2)"
            )
            which = f"added < ?1 OR {too_much}"
            limits = (now - terms.keep_days * _DAY, terms.keep_mb * 1e6)
            if not db.execute(f"SELECT 1 FROM clips WHERE {which} LIMIT 1", limits).fetchone():
                return 0
        with self._transaction(write=True) as db:
            count = _drop(db, which, *limits)
        self._sweep()
        return count

    def _items(self, where: str, *values: Any) -> list[Item]:
        with self._transaction() as db:
            rows = [dict(row) for row in db.execute(f"{_ITEMS} {where}", values)]
        names = {field.name for field in dataclasses.fields(Item)}
        for row in rows:
            row.update(path=self._sound(row["sha256"]), scores=json.loads(row["scores"]))
            row["label"] = row["label"] or ""
        return [Item(**{key: row[key] for key in names}) for row in rows]

    def _sound(self, sha256: str) -> Path:
        return self.folder / "audio" / f"{sha256}.wav"

    def _sweep(self) -> None:
        """Remove sounds without a row; nobody adds one meanwhile."""
        with self._transaction(write=True) as db:
            kept = {f"{row['sha256']}.wav" for row in db.execute("SELECT sha256 FROM clips")}
            for path in (self.folder / "audio").glob("*"):
                if path.name not in kept:
                    path.unlink(missing_ok=True)

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        with _connected(self.path) as db:
            db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield db
            db.execute("COMMIT")  # closing without it takes all back


def create(folder: str | os.PathLike[str], terms: Terms) -> Queue:
    """The queue in a folder, with these terms; made if there is none."""
    path = Path(folder) / FILE
    if not path.is_file():
        with files.replacing(path) as draft:
            draft.unlink()
            with _connected(draft) as db:
                db.executescript(_SCHEMA)
                _agree(db, terms)
    queue = Queue(folder)
    queue.agree(terms)
    return queue


def digest_of(samples: np.ndarray, sample_rate: int) -> str:
    """The hash that a clip has in a queue, float in [-1, 1] and int16 alike."""
    head = f"{sample_rate} Hz\n".encode()
    return files.sha256(head + _pcm(samples).astype("<i2").tobytes())


def _pcm(samples: np.ndarray) -> np.ndarray:
    given = np.asarray(samples)
    return given if given.dtype == np.int16 else audio.to_int16(given)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA secure_delete = ON")  # what is deleted is written over
            yield db
    except sqlite3.Error as error:
        raise UserError(
            f"{path}: {error}; check the file, its permissions and the space"
        ) from error


def _terms(db: sqlite3.Connection) -> Terms:
    told = json.loads(db.execute("SELECT json FROM terms").fetchone()["json"])
    return Terms(**{**told, "labels": tuple(told["labels"])})


def _agree(db: sqlite3.Connection, terms: Terms) -> None:
    told = json.dumps(dataclasses.asdict(terms))
    db.execute("INSERT OR REPLACE INTO terms (one, json) VALUES (1, ?)", (told,))


def _drop(db: sqlite3.Connection, which: str, *values: Any) -> int:
    """Delete clips, their decisions with them, and remember only their hashes."""
    db.execute(f"INSERT OR IGNORE INTO gone SELECT sha256 FROM clips WHERE {which}", values)
    return db.execute(f"DELETE FROM clips WHERE {which}", values).rowcount
