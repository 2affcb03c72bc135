"""Classification metrics: integer labels and score matrices in, plain numbers out.

A figure that the clips do not define, such as the recall of a class with no clip, is None, or 0
where the field's tools say 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from audio_edge import calibration, curves


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
    """Judge probabilities against the truth, one label a clip.

    Args:
        truth: int [n], indices into labels.
        probs: float [n, classes], finite.
        labels: Class names.

    Returns:
        accuracy, interval (95 % Wilson); mean_recall, macro_f1 and mean_average_precision over the
        classes that occur in the truth; ece, brier and reliability (rows of
        `calibration.reliability`), None where a score is outside [0, 1]; per_class (precision,
        recall, f1, average_precision, auc, n, interval of the recall), confusion, labels, n.
    """
    truth, probs = np.asarray(truth), np.asarray(probs)
    if probs.shape != (len(truth), len(labels)) or not len(truth):
        came = f"probs {probs.shape}, truth {truth.shape}"
        raise ValueError(f"probs must be [n > 0, {len(labels)}]. Received: {came}")
    heard = probs.argmax(axis=1)
    matrix = confusion_matrix(truth, heard, len(labels))
    per_class = {
        label: class_figures(truth == number, heard == number, probs[:, number])
        for number, label in enumerate(labels)
    }
    present = [row for row in per_class.values() if row["n"]]
    correct = int(np.diag(matrix).sum())
    return {
        "accuracy": correct / len(truth),
        "interval": list(wilson_interval(correct, len(truth))),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "mean_recall": float(np.mean([row["recall"] for row in present])),
        "mean_average_precision": float(np.mean([row["average_precision"] for row in present])),
        **_calibration(truth, probs),
        "per_class": per_class,
        "confusion": matrix.tolist(),
        "labels": list(labels),
        "n": len(truth),
    }


def class_figures(truth: np.ndarray, heard: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Figures of one class against the rest, with the keys of `evaluate`'s per_class.

    Args:
        truth: bool [n], whether it was said.
        heard: bool [n], whether it was heard.
        scores: float [n], its scores.
    """
    hits, said, claimed = (int(part.sum()) for part in (truth & heard, truth, heard))
    return {
        "precision": hits / claimed if claimed else 0.0,
        "recall": hits / said if said else 0.0,
        "f1": 2 * hits / (claimed + said) if claimed + said else 0.0,
        "average_precision": curves.average_precision(truth, scores) if said else None,
        "auc": curves.auc(truth, scores) if 0 < said < len(truth) else None,
        "n": said,
        "interval": list(wilson_interval(hits, said)),
    }


def _calibration(truth: np.ndarray, probs: np.ndarray) -> dict[str, Any]:
    if probs.min() < -1e-6 or probs.max() > 1 + 1e-6:  # a model of another project gives logits
        return {"ece": None, "brier": None, "reliability": None}
    probs = np.clip(probs, 0.0, 1.0)  # float32 may round above 1
    rows = calibration.reliability(probs.max(axis=1), probs.argmax(axis=1) == truth)
    ece = calibration.calibration_error(rows)
    return {"ece": ece, "brier": calibration.brier(truth, probs), "reliability": rows}


def accuracy_by_snr(heard: Iterable[tuple[float, bool]]) -> list[dict[str, Any]]:
    """Accuracy at each signal-to-noise ratio.

    Args:
        heard: (snr_db, whether the clip was recognised) of every clip, in any order.

    Returns:
        Rows by rising ratio: snr_db, n, accuracy, interval (95 % Wilson).
    """
    found: dict[float, list[bool]] = defaultdict(list)
    for ratio_db, right in heard:
        found[float(ratio_db)].append(bool(right))
    return [
        {
            "snr_db": ratio_db, "n": len(rights), "accuracy": sum(rights) / len(rights),
            "interval": list(wilson_interval(sum(rights), len(rights))),
        }
        for ratio_db, rights in sorted(found.items())
    ]  # fmt: skip


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Signal-to-noise ratio in dB, 10 log10(sum r^2 / sum (r - o)^2); inf if they are equal."""
    reference, other = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    noise = float(np.square(reference - other).sum())
    signal = float(np.square(reference).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
