"""Two classifiers on the same clips: does one hear better, or is it chance?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def compare(right_a: np.ndarray, right_b: np.ndarray) -> dict[str, Any]:
    """Exact McNemar test of two classifiers, and the interval of their difference in accuracy.

    Only the clips that one gets right and the other wrong tell them apart.

    Args:
        right_a: bool [n], whether A was right on each clip.
        right_b: bool [n], the same of B, on the same clips in the same order.

    Returns:
        n, accuracy_a, accuracy_b, only_a and only_b (clips that only one gets right), difference
        (accuracy of A less that of B), interval (95 %, Bonett and Price) and p_value (two-sided).
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"both must be [n > 0]. Received: {a.shape}, {b.shape}")
    only_a, only_b, n = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    return {
        "n": n, "accuracy_a": int(a.sum()) / n, "accuracy_b": int(b.sum()) / n,
        "only_a": only_a, "only_b": only_b, "difference": (only_a - only_b) / n,
        "interval": list(difference_interval(only_a, only_b, n)),
        "p_value": mcnemar(only_a, only_b),
    }  # fmt: skip


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p value of the exact McNemar test: the binomial test of only_a against one half.

    Twice the smaller tail, at most 1 (Fagerland et al. 2013, equation 4); 1 if both are 0.

    Args:
        only_a: Clips that only A gets right, >= 0.
        only_b: Clips that only B gets right, >= 0.
    """
    if min(only_a, only_b) < 0:
        raise ValueError(f"counts must be >= 0. Received: {only_a}, {only_b}")
    total, term, tail = only_a + only_b, 1, 0
    for chosen in range(min(only_a, only_b) + 1):
        tail += term  # of integers, so that no tail underflows
        term = term * (total - chosen) // (chosen + 1)
    return min(1.0, 2 * tail / 2**total)


def difference_interval(
    only_a: int, only_b: int, n: int, *, z: float = 1.959964
) -> tuple[float, float]:
    """Interval of the difference of two paired proportions (Bonett and Price 2012).

    Wald's, with one clip added to each kind of disagreement; Fagerland et al. 2014 recommend it for
    its coverage with few clips.

    Args:
        only_a: Clips that only A gets right.
        only_b: Clips that only B gets right.
        n: Clips in all, >= only_a + only_b.
        z: Normal quantile of the confidence; 1.96 is 95 %.
    """
    if not 0 <= only_a + only_b <= n or min(only_a, only_b) < 0:
        raise ValueError(f"counts must fit in n. Received: {only_a}, {only_b}, n={n}")
    share_a, share_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    centre = share_a - share_b
    spread = z * math.sqrt((share_a + share_b - centre**2) / (n + 2))
    return max(-1.0, centre - spread), min(1.0, centre + spread)
