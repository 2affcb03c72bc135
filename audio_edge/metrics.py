"""Classification metrics: integer labels and score matrices in, plain numbers out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def wilson_interval(correct: int, n: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927), 95 % by default.

    Args:
        correct: Successes, 0 <= correct <= n.
        n: Trials; 0 gives (0, 1).
        z: Normal quantile of the confidence.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"correct must be in [0, n]. Received: correct={correct}, n={n}")
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts [n_classes, n_classes]: row the truth, column the prediction."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(
            f"truth and predicted must be [n]. Received: {truth.shape}, {predicted.shape}"
        )
    matrix = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def evaluate(truth: np.ndarray, probs: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    """Judge probabilities against the truth.

    Args:
        truth: int [n], indices into labels.
        probs: float [n, classes].
        labels: Class names.

    Returns:
        accuracy, interval (95 % Wilson), mean_recall and macro_f1 over the classes that occur in
        the truth, per_class (precision, recall, f1, n, interval of the recall), confusion, labels,
        n.
    """
    truth, probs = np.asarray(truth), np.asarray(probs)
    if probs.shape != (len(truth), len(labels)) or not len(truth):
        came = f"probs {probs.shape}, truth {truth.shape}"
        raise ValueError(f"probs must be [n > 0, {len(labels)}]. Received: {came}")
    matrix = confusion_matrix(truth, probs.argmax(axis=1), len(labels))
    hits, support, heard = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    per_class: dict[str, dict[str, Any]] = {}
    for index, label in enumerate(labels):
        precision = hits[index] / heard[index] if heard[index] else 0.0
        recall = hits[index] / support[index] if support[index] else 0.0
        total = heard[index] + support[index]
        per_class[label] = {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(2 * hits[index] / total) if total else 0.0,
            "n": int(support[index]),
            "interval": list(wilson_interval(int(hits[index]), int(support[index]))),
        }
    present = [per_class[label] for index, label in enumerate(labels) if support[index]]
    correct = int(hits.sum())
    return {
        "accuracy": correct / len(truth),
        "interval": list(wilson_interval(correct, len(truth))),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "mean_recall": float(np.mean([row["recall"] for row in present])),
        "per_class": per_class,
        "confusion": matrix.tolist(),
        "labels": list(labels),
        "n": len(truth),
    }


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Signal-to-noise ratio in dB, 10 log10(sum r^2 / sum (r - o)^2); inf if they are equal."""
    reference, other = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    noise = float(np.square(reference - other).sum())
    signal = float(np.square(reference).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
