"""Judging clips that carry several labels each, or none, by their sigmoid scores."""

from __future__ import annotations

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
        mean_average_precision, mean_auc (None if no class has both kinds of clips) and macro_f1
        over the classes that occur; per_class as of `evaluate`; labels, n.
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
    return {
        "mean_average_precision": curves.mean_average_precision(truth, scores),
        "mean_auc": float(np.mean(areas)) if areas else None,
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "per_class": per_class,
        "labels": list(labels),
        "n": len(truth),
    }
