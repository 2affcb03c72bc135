"""Clips that go: on request, by age and by room. Only their hashes stay, so that they stay gone."""

from __future__ import annotations

from typing import Any

from audio_edge.review.store import Store, terms_of

_DAY = 86400.0
_TOO_MUCH = (
    "id IN (SELECT id FROM (SELECT id, sum(2 * samples) OVER (ORDER BY added DESC, "
    "id DESC) AS taken FROM clips) WHERE taken > ?2)"
)


def delete(store: Store, which: str, *values: Any) -> int:
    """Delete the clips that a condition picks, with their decisions; returns how many."""
    with store.transaction(write=True) as db:
        db.execute(f"INSERT OR IGNORE INTO gone SELECT sha256 FROM clips WHERE {which}", values)
        count = db.execute(f"DELETE FROM clips WHERE {which}", values).rowcount
    store.sweep()
    return count


def expire(store: Store, now: float) -> int:
    """Delete what is older, and of the oldest what is more, than the terms allow.

    Args:
        store: Of the queue.
        now: Seconds since 1970.
    """
    which = f"added < ?1 OR {_TOO_MUCH}"
    with store.transaction() as db:
        terms = terms_of(db)
        limits = (now - terms.keep_days * _DAY, terms.keep_mb * 1e6)
        if not db.execute(f"SELECT 1 FROM clips WHERE {which} LIMIT 1", limits).fetchone():
            return 0
    return delete(store, which, *limits)
