"""The progress bar of the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any


def progress(items: Sequence[Any]) -> Iterable[Any]:
    """A bar on stderr where tqdm is installed; drawn a few times a second, outside the timing."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, file=sys.stderr, leave=False, mininterval=0.5, disable=None)
