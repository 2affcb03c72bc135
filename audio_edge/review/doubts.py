"""Labels of a data set that are likely wrong, by confident learning.

Northcutt, Jiang and Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels",
as their library cleanlab does it. It believes the model as far as the model was not taught these
very labels: what it says of its own training clips is little.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from audio_edge.errors import UserError


def require() -> None:
    """Raise a `UserError` unless cleanlab is installed."""
    if find_spec("cleanlab") is None:
        raise UserError(
            "cleanlab is not installed, which finds doubtful labels; pip install audio_edge[review]"
        )


def ranked(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """The clips whose label is likely wrong, int [doubtful], the least likely to be right first.

    Args:
        labels: int [n], the classes that the data set says.
        probs: float [n, classes], by a model that has not learnt from these clips.

    Raises:
        UserError: cleanlab is not installed.
    """
    require()
    from cleanlab.filter import find_label_issues

    labels, probs = np.asarray(labels), np.asarray(probs, np.float64)
    here = np.unique(labels)  # a class without a clip has no threshold
    if len(here) < 2:
        return np.zeros(0, np.int64)
    kept = probs[:, here] + 1e-9
    found = find_label_issues(
        np.searchsorted(here, labels), kept / kept.sum(axis=1, keepdims=True),
        return_indices_ranked_by="self_confidence", n_jobs=1,
    )  # fmt: skip
    return np.asarray(found, np.int64)
