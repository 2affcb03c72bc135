"""The progress bar of the benchmarks, and a kind of argument."""

from __future__ import annotations

import argparse
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


def whole_numbers(text: str) -> list[int]:
    """Whole numbers between commas, of an argument."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        message = f"must be whole numbers between commas, such as 1,2,4. Received: {text}"
        raise argparse.ArgumentTypeError(message) from None
