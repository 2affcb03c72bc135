"""Is a score of 0.9 right nine times in ten? Reliability, its error, and the Brier score."""

from __future__ import annotations

from typing import Any

import numpy as np


def reliability(
    confidence: np.ndarray, right: np.ndarray, *, bins: int = 15
) -> list[dict[str, Any]]:
    """Confidence against accuracy in bins of equal width (Guo et al. 2017, section 2).

    Args:
        confidence: float [n] in [0, 1], the highest score of each clip.
        right: bool [n], whether that class was the true one.
        bins: Number of bins, >= 1; each is open below and closed above, but the first holds 0 too.

    Returns:
        One row a bin: low, high, n, and the means confidence and accuracy, None in an empty bin.
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, bool)
    if confidence.shape != right.shape or confidence.ndim != 1:
        came = f"{confidence.shape}, {right.shape}"
        raise ValueError(f"confidence and right must be [n]. Received: {came}")
    if bins < 1:
        raise ValueError(f"bins must be >= 1. Received: bins={bins}")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidence must be in [0, 1]. Received: a value outside, or NaN")
    edges = np.arange(bins + 1) / bins
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    rows: list[dict[str, Any]] = []
    for number in range(bins):
        inside = place == number
        n = int(inside.sum())
        rows.append({
            "low": float(edges[number]), "high": float(edges[number + 1]), "n": n,
            "confidence": float(confidence[inside].mean()) if n else None,
            "accuracy": float(right[inside].mean()) if n else None,
        })  # fmt: skip
    return rows


def calibration_error(rows: list[dict[str, Any]]) -> float:
    """Expected calibration error, in [0, 1]: the gap of each bin, weighted by its clips.

    ECE = sum n_b / n |accuracy_b - confidence_b| (Guo et al. 2017, equation 3).

    Args:
        rows: Of `reliability`, at least one clip in all.
    """
    total = sum(row["n"] for row in rows)
    if not total:
        raise ValueError("rows must hold at least one clip. Received: none")
    gaps = (row["n"] * abs(row["accuracy"] - row["confidence"]) for row in rows if row["n"])
    return float(sum(gaps) / total)


def brier(truth: np.ndarray, probs: np.ndarray) -> float:
    """Brier score of several classes (Brier 1950, equation 2), in [0, 2], 0 is perfect.

    The mean over the clips of sum_k (p_k - y_k)^2, where y is 1 for the true class and 0 elsewhere.

    Args:
        truth: int [n], the true classes.
        probs: float [n, classes] in [0, 1].
    """
    truth, probs = np.asarray(truth), np.asarray(probs, np.float64)
    if probs.ndim != 2 or truth.shape != probs.shape[:1] or not truth.size:
        came = f"{truth.shape}, {probs.shape}"
        raise ValueError(f"truth must be [n > 0], probs [n, classes]. Received: {came}")
    target = np.arange(probs.shape[1]) == truth[:, None]
    return float(np.square(probs - target).sum(axis=1).mean())
