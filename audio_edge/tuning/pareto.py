"""Which trials are not beaten: none is both as accurate and as cheap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_CHEAPER = 0.998  # the text of its card alone makes a file some bytes smaller than another


def front(rows: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The trials within the limit that no other one beats, cheapest first.

    Args:
        rows: Of `search.search`.
        kind: The cost that counts: "size_bytes" or "latency_ms".
    """
    kept: list[dict[str, Any]] = []
    judged = [row for row in rows if row["status"] == "done"]
    for row in sorted(judged, key=lambda row: (-row["accuracy"], row[kind])):
        if not kept or row[kind] < _CHEAPER * kept[-1][kind]:
            kept.append(row)
    return kept[::-1]


def best(rows: Sequence[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    """The most accurate trial within the limit, the cheapest of equals; None if there is none."""
    found = front(rows, kind)
    return found[-1] if found else None
