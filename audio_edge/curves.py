"""Curves of one class against the rest: ROC, DET, their areas, and mean average precision.

Equal scores are one step: no order among them is made up, so the figures do not depend on the order
of the clips.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    """One point for every distinct score, from the strictest threshold to the loosest.

    false_alarm: float64 [points] in [0, 1], rising: share of the negatives taken for positives.
    hit: float64 [points] in [0, 1], rising: share of the positives found.
    threshold: float64 [points], falling from infinity: a score at or above it counts as positive.
    """

    false_alarm: np.ndarray
    hit: np.ndarray
    threshold: np.ndarray

    @property
    def miss(self) -> np.ndarray:
        """float64 [points]: 1 - hit, which DET curves draw over `false_alarm`."""
        return 1.0 - self.hit


def roc(truth: np.ndarray, scores: np.ndarray) -> Curve:
    """Receiver operating characteristic (Fawcett 2006, algorithm 1), from (0, 0) to (1, 1).

    Args:
        truth: bool [n], at least one true and one false.
        scores: float [n], higher for more likely true, finite.
    """
    hits, alarms, threshold = _steps(truth, scores)
    if not hits[-1] or not alarms[-1]:
        raise ValueError(f"truth must have both kinds. Received: {int(hits[-1])} true")
    return Curve(
        np.concatenate([[0.0], alarms / alarms[-1]]),
        np.concatenate([[0.0], hits / hits[-1]]),
        np.concatenate([[np.inf], threshold]),
    )


def det(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detection error trade-off (Martin et al. 1997): (false-alarm rates, miss rates).

    Args:
        truth: bool [n], at least one true and one false.
        scores: float [n], finite.

    Returns:
        float64 [points] each in [0, 1]; the first rises from 0, the second falls from 1.
    """
    curve = roc(truth, scores)
    return curve.false_alarm, curve.miss


def auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC: how often a true clip scores above a false one, ties counting half."""
    curve = roc(truth, scores)
    middles = (curve.hit[1:] + curve.hit[:-1]) / 2
    return float(np.sum(np.diff(curve.false_alarm) * middles))


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean of the precision over the steps of recall, not interpolated: sum (R_i - R_i-1) P_i.

    Args:
        truth: bool [n], at least one true.
        scores: float [n], finite.
    """
    hits, alarms, _ = _steps(truth, scores)
    if not hits[-1]:
        raise ValueError("truth must have at least one true. Received: none")
    gains = np.diff(hits, prepend=0.0) / hits[-1]
    return float(np.sum(gains * hits / (hits + alarms)))


def mean_average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Average precision, averaged over the classes (mAP of AudioSet, Gemmeke et al. 2017).

    Args:
        truth: bool [n, classes], several labels a clip or none; a class that is nowhere true does
            not count.
        scores: float [n, classes], sigmoid scores as they are.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    if truth.shape != scores.shape or truth.ndim != 2:
        came = f"{truth.shape}, {scores.shape}"
        raise ValueError(f"truth and scores must be [n, classes]. Received: {came}")
    present = np.flatnonzero(truth.any(axis=0))
    if not present.size:
        raise ValueError("truth must have at least one true. Received: none")
    return float(np.mean([average_precision(truth[:, k], scores[:, k]) for k in present]))


def _steps(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits and false alarms at or above each distinct score, highest first, and those scores."""
    truth, scores = np.asarray(truth, bool), np.asarray(scores, np.float64)
    if truth.shape != scores.shape or truth.ndim != 1 or not truth.size:
        came = f"{truth.shape}, {scores.shape}"
        raise ValueError(f"truth and scores must be [n > 0]. Received: {came}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite. Received: NaN or infinity")
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each run of equals
    hits = found[last].astype(np.float64)
    return hits, last + 1 - hits, ranked[last]
