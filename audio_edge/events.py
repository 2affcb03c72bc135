"""Events in time: what was said against what was heard, matched one to one; rates and intervals.

As the field's tool, sed_eval, does for event-based metrics: a heard event answers a said one of its
label if it begins within a collar of it and, where asked for, ends near it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Word:
    """A word, or any other event, between two times in seconds; its ratio to noise, if known."""

    label: str
    start_s: float
    end_s: float
    snr_db: float | None = None

    @property
    def middle_s(self) -> float:
        """Seconds, half way between start and end."""
        return (self.start_s + self.end_s) / 2


def match(
    said: Sequence[Word], heard: Sequence[Word], *, collar_s: float,
    end_share: float | None = None,
) -> list[tuple[int, int]]:  # fmt: skip
    """As many pairs as there can be, each event in one of them at most.

    Args:
        said: The truth, of any labels, in any order.
        heard: What answers it.
        collar_s: Seconds between two starts that still answer each other, this many included.
        end_share: None asks for the start alone. Else the ends too must be within `collar_s`, or
            within this share of the length of the word said, whichever is more.

    Returns:
        (position in said, position in heard) of each pair, by position in said.
    """
    if collar_s < 0 or (end_share is not None and end_share < 0):
        raise ValueError(f"must be >= 0. Received: collar_s={collar_s}, end_share={end_share}")
    order = sorted(range(len(heard)), key=lambda place: heard[place].start_s)
    starts = [heard[place].start_s for place in order]

    def near(word: Word) -> list[int]:
        """Those that answer a word, the nearest first."""
        first = bisect_left(starts, word.start_s - collar_s - 1e-6)
        last = bisect_right(starts, word.start_s + collar_s + 1e-6)
        answers = [place for place in order[first:last] if _answers(word, heard[place])]
        return sorted(answers, key=lambda place: abs(heard[place].start_s - word.start_s))

    def _answers(word: Word, other: Word) -> bool:
        alike = word.label == other.label and abs(word.start_s - other.start_s) <= collar_s
        if not alike or end_share is None:
            return alike
        reach_s = max(collar_s, end_share * (word.end_s - word.start_s))
        return abs(word.end_s - other.end_s) <= reach_s

    return _largest([near(word) for word in said])


def _largest(choices: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """A largest matching: each row gets one of its choices, none twice (Kuhn 1955).

    A row that finds all its choices taken looks, by breadth first, for others that can move.
    """
    taken: dict[int, int] = {}  # choice -> its row
    given: dict[int, int] = {}  # row -> its choice
    for row in range(len(choices)):
        asked_by: dict[int, int] = {}
        waiting, free = deque([row]), None
        while waiting and free is None:
            asking = waiting.popleft()
            for choice in choices[asking]:
                if choice not in asked_by:
                    asked_by[choice] = asking
                    if choice not in taken:
                        free = choice
                        break
                    waiting.append(taken[choice])
        while free is not None:
            mover = asked_by[free]
            left = given.get(mover)
            taken[free], given[mover] = mover, free
            free = left
    return sorted(given.items())


def figures(
    said: Sequence[Word], heard: Sequence[Word], labels: Sequence[str], *, collar_s: float,
    end_share: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Event-based figures, label by label, of all events, and averaged over the labels.

    Args:
        said: The truth; labels that are not among `labels` do not count.
        heard: What answers it.
        labels: Those that count.
        collar_s: Of `match`.
        end_share: Of `match`.

    Returns:
        per_class (label -> figures), overall and average, each with precision, recall, f1,
        deletion_rate (missed / said), insertion_rate (false / said) and their sum error_rate, None
        where nothing defines them; all but average with the counts said, heard, hits, missed and
        false. An average is over the labels that define a figure.
    """
    counts = {}
    for label in labels:
        some = [word for word in said if word.label == label]
        others = [word for word in heard if word.label == label]
        hits = len(match(some, others, collar_s=collar_s, end_share=end_share))
        counts[label] = (len(some), len(others), hits)
    per_class = {label: _rates(*row) for label, row in counts.items()}
    overall = _rates(*(sum(column) for column in zip(*counts.values(), strict=True)))
    average = {}
    for key in ("precision", "recall", "f1", "deletion_rate", "insertion_rate", "error_rate"):
        known = [row[key] for row in per_class.values() if row[key] is not None]
        average[key] = sum(known) / len(known) if known else None
    return {"per_class": per_class, "overall": overall, "average": average}


def _rates(said: int, heard: int, hits: int) -> dict[str, Any]:
    missed, false = said - hits, heard - hits
    both = said and heard
    return {
        "said": said, "heard": heard, "hits": hits, "missed": missed, "false": false,
        "precision": hits / heard if heard else None,
        "recall": hits / said if said else None,
        "f1": 2 * hits / (said + heard) if both else None,
        "deletion_rate": missed / said if said else None,
        "insertion_rate": false / said if said else None,
        "error_rate": (missed + false) / said if said else None,
    }  # fmt: skip


def poisson_interval(count: int, *, tail: float = 0.025) -> tuple[float, float]:
    """Exact interval of the mean of a Poisson variable that was seen once (Garwood 1936).

    Divided by hours, the interval of a rate per hour.

    Args:
        count: What was seen, >= 0.
        tail: Probability left out at either end; 0.025 gives 95 %.
    """
    if count < 0 or not 0 < tail < 0.5:
        raise ValueError(f"count must be >= 0, tail in (0, 0.5). Received: {count}, {tail}")
    high = _mean_where(lambda mean: _at_most(count, mean) < tail)
    low = _mean_where(lambda mean: _at_most(count - 1, mean) < 1 - tail) if count else 0.0
    return low, high


def _at_most(count: int, mean: float) -> float:
    """Probability of at most `count` events."""
    logs = (n * math.log(mean) - mean - math.lgamma(n + 1) for n in range(count + 1))
    return math.fsum(math.exp(term) for term in logs)


def _mean_where(passed: Callable[[float], bool]) -> float:
    """The least mean for which a condition, once true, stays true; by bisection."""
    low, high = 1e-12, 1.0
    while not passed(high):
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if passed(middle) else (middle, high)
    return high
