"""The review queue: clips that a model may have got wrong, and what people called them.

Nothing is kept without a consent on record, nothing twice, nothing longer or more than the terms
allow, and what was deleted stays so. The caller says what time it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from audio_edge import audio, files
from audio_edge.errors import UserError
from audio_edge.review import deletion
from audio_edge.review.items import MAX_S, WHYS, Item, digest_of, pcm
from audio_edge.review.store import ITEMS, Store, agree, make, terms_of
from audio_edge.review.terms import Terms

_OPEN = " (kind IS NULL OR kind = 'skip') "
_REPORT = f"""
UPDATE clips SET why = 'reported', given = CASE ?2 WHEN '' THEN given ELSE ?2 END
WHERE sha256 = ?1 AND (why != 'reported' OR ?2 NOT IN ('', given))
AND id IN (SELECT id FROM ({ITEMS}) WHERE {_OPEN})
"""


class Queue:
    """A review queue in a folder.

    Args:
        folder: Where it lies; `create` makes one.

    Raises:
        UserError: There is none, or it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._store = Store(folder)
        self.folder, self.path = self._store.folder, self._store.path

    @property
    def terms(self) -> Terms:
        """What was agreed upon."""
        with self._store.transaction() as db:
            return terms_of(db)

    def agree(self, terms: Terms) -> None:
        """Set the terms."""
        with self._store.transaction(write=True) as db:
            agree(db, terms)

    def add(
        self, samples: np.ndarray, sample_rate: int, *, source: str, model: str, why: str,
        now: float, scores: Mapping[str, float] | None = None, model_sha256: str = "",
        given: str = "",
    ) -> str | None:  # fmt: skip
        """Take in a clip, unless it is there already or was deleted.

        If it is there and still to be decided on, a report is noted with it: why, and given.

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
            Its hash if it was taken in, or the report is news of it; else None.

        Raises:
            UserError: No consent is on record, the clip is too long, the disk refuses.
        """
        if why not in WHYS:
            raise ValueError(f"why must be one of {', '.join(WHYS)}. Received: {why!r}")
        taken = pcm(samples)
        if taken.ndim != 1 or not 0 < len(taken) <= MAX_S * sample_rate:
            raise UserError(f"{self.folder}: takes clips of up to {MAX_S:g} s; cut it")
        digest = digest_of(taken, sample_rate)
        told = json.dumps(
            {label: round(float(score), 6) for label, score in (scores or {}).items()}
        )
        self.expire(now)
        with self._store.transaction(write=True) as db:
            if not terms_of(db).consent:
                raise UserError(
                    f"{self.folder}: no consent is on record, so nothing is kept; give it with "
                    f"python -m training.review {self.folder} set --consent 'WHO TO WHAT'"
                )
            known = (
                "SELECT 1 FROM clips WHERE sha256 = ?1 UNION SELECT 1 FROM gone WHERE sha256 = ?1"
            )
            if db.execute(known, (digest,)).fetchone():
                reported = why == "reported" and db.execute(_REPORT, (digest, given)).rowcount
                return digest if reported else None
            heard = (model, model_sha256, told)
            row = (digest, source, *heard, why, given, sample_rate, len(taken), now)
            db.execute(
                "INSERT INTO clips (sha256, source, model, model_sha256, scores, why, given, "
                f"sample_rate, samples, added) VALUES ({', '.join('?' * len(row))})", row,
            )  # fmt: skip
            with files.replacing(self._store.sound(digest)) as draft:  # before the row can be seen
                audio.write(draft, taken, sample_rate)
        return digest

    def next(self, count: int = 1) -> list[Item]:
        """Clips to be decided on, in the order they came; those skipped come last."""
        order = " ORDER BY decision IS NOT NULL, decision, clips.id LIMIT ?"
        return self._store.items(f"WHERE {_OPEN} {order}", count)

    def find(self, sha256: str) -> Item:
        """One clip.

        Raises:
            UserError: It is not there.
        """
        found = self._store.items("WHERE sha256 = ?", sha256)
        if not found:
            raise UserError(f"{self.folder}: has no clip {sha256}; it may have been deleted")
        return found[0]

    def reviewed(self) -> list[Item]:
        """The clips that were given a label, in the order they came."""
        return self._store.items("WHERE kind = 'label' ORDER BY clips.id")

    def decide(self, sha256: str, kind: str, label: str = "") -> None:
        """Note a decision: "label" with a label, "skip" to ask again later, "drop" for no use.

        Raises:
            UserError: No such clip, or no such label.
        """
        if kind not in ("label", "skip", "drop") or (kind == "label") != bool(label):
            raise UserError(f"a decision is label, skip or drop. Received: {kind!r} {label!r}")
        with self._store.transaction(write=True) as db:
            if label and label not in (known := terms_of(db).labels):
                raise UserError(f"{label!r} is no label; there are: {', '.join(known)}")
            clip = db.execute("SELECT id FROM clips WHERE sha256 = ?", (sha256,)).fetchone()
            if clip is None:
                raise UserError(f"{self.folder}: has no clip {sha256}; it may have been deleted")
            made = (kind, label, clip["id"])
            db.execute("INSERT INTO decisions (kind, label, clip) VALUES (?, ?, ?)", made)

    def undo(self) -> str | None:
        """Take back the last decision there is, and say of which clip; None if there is none."""
        with self._store.transaction(write=True) as db:
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
        with self._store.transaction() as db:
            rows = db.execute(
                f"SELECT kind, label, count(*) AS n FROM ({ITEMS}) GROUP BY kind, label"
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
        return deletion.delete(self._store, f"{column} = ?", value)

    def expire(self, now: float) -> int:
        """Delete what is older, and of the oldest what is more, than the terms allow."""
        return deletion.expire(self._store, now)


def create(folder: str | os.PathLike[str], terms: Terms) -> Queue:
    """The queue in a folder, with these terms; made if there is none."""
    make(folder, terms)
    queue = Queue(folder)
    queue.agree(terms)
    return queue
