"""Judging clips that carry several labels each, or none, by their sigmoid scores."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from audio_edge import curves, metrics


def evaluate(
    truth: np.ndarray, scores: np.ndarray, labels: tuple[str, ...], *, threshold: float = 0.5
) -> dict[str, Any]:
    """Judge the scores of clips that carry several labels each, or none.

    Args:
        truth: bool [n, classes], at least one true.
        scores: float [n, classes], sigmoid scores, finite.
        labels: Class names.
        threshold: A score at or above it counts as heard, for precision, recall and F1.

    Returns:
        accuracy: share of clips whose highest score is one of their labels, or, if they have none,
        below the threshold; interval (95 % Wilson); mean_average_precision, mean_auc (None if no
        class has both kinds of clips), macro_f1 and mean_recall over the classes that occur;
        d_prime, sqrt(2) times the normal quantile of mean_auc (None where that is 0 or 1); lwlrap;
        per_class as of `metrics.evaluate`; labels, n.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    if truth.shape != scores.shape or truth.ndim != 2 or truth.shape[1] != len(labels):
        came = f"truth {truth.shape}, scores {scores.shape}"
        raise ValueError(f"truth and scores must be [n, {len(labels)}]. Received: {came}")
    per_class = {
        label: metrics.class_figures(
            truth[:, number], scores[:, number] >= threshold, scores[:, number]
        )
        for number, label in enumerate(labels)
    }
    present = [row for row in per_class.values() if row["n"]]
    areas = [row["auc"] for row in present if row["auc"] is not None]
    area = float(np.mean(areas)) if areas else None
    best = truth[np.arange(len(truth)), scores.argmax(axis=1)]
    right = int(np.where(truth.any(axis=1), best, scores.max(axis=1) < threshold).sum())
    return {
        "accuracy": right / len(truth),
        "interval": list(metrics.wilson_interval(right, len(truth))),
        "mean_average_precision": curves.mean_average_precision(truth, scores),
        "lwlrap": lwlrap(truth, scores),
        "mean_auc": area,
        "d_prime": math.sqrt(2) * NormalDist().inv_cdf(area) if area and area < 1 else None,
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "mean_recall": float(np.mean([row["recall"] for row in present])),
        "per_class": per_class,
        "labels": list(labels),
        "n": len(truth),
    }


def lwlrap(truth: np.ndarray, scores: np.ndarray) -> float:
    """Label-weighted label-ranking average precision (Howard et al. 2019, DCASE task 2).

    For each label of each clip: of the classes that score at least as high, the share that are
    labels of the clip too. The mean over all labels of all clips.

    Args:
        truth: bool [n, classes], at least one true.
        scores: float [n, classes].
    """
    precisions = []
    for has, row in zip(np.asarray(truth, bool), np.asarray(scores), strict=True):
        for score in row[has]:
            above = row >= score
            precisions.append((above & has).sum() / above.sum())
    return float(np.mean(precisions))
