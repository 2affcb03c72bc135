"""Whether a new model may take the place of the old one, and if not, why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge import paired
from audio_edge.errors import UserError
from audio_edge.review import doubts


@dataclass(frozen=True)
class Limits:
    """What a new model must keep to.

    Attributes:
        significance: Of the exact paired test that finds it better, two-sided.
        class_loss: Most that the recall of a class may lose, on the test clips and on all clips.
        larger: Most bytes of the file, as a multiple of the old one's.
        slower: Most time of one inference, as a multiple of the old one's.
        doubtful: Most of the reviewed clips that judge whose label may look wrong.
    """

    significance: float = 0.05
    class_loss: float = 0.03
    larger: float = 1.1
    slower: float = 1.3
    doubtful: float = 0.05

    def __post_init__(self) -> None:
        shares = (self.significance, self.class_loss, self.doubtful)
        if not all(0 <= share <= 1 for share in shares) or min(self.larger, self.slower) <= 0:
            raise UserError(
                "--significance, --class-loss and --doubtful must be in [0, 1], "
                f"--larger and --slower > 0. Received: {self}"
            )


@dataclass(frozen=True)
class Heard:
    """What two models heard in clips.

    Attributes:
        truth: int [n], the labels.
        old: float [n, classes], probabilities of the model that is deployed.
        new: float [n, classes], those of the new one.
    """

    truth: np.ndarray
    old: np.ndarray
    new: np.ndarray

    def right(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether right, bool [n] each: of the new model, and of the old."""
        return self.new.argmax(axis=1) == self.truth, self.old.argmax(axis=1) == self.truth


def judge(
    test: Heard, reviewed: Heard, labels: Sequence[str], costs: Mapping[str, tuple[float, float]],
    limits: Limits,
) -> dict[str, Any]:  # fmt: skip
    """Hold the new model against the old one.

    Wrong labels among the reviewed clips would let a bad model through, since the clips that judge
    come from the same hands as those that taught. So they are held against what the new model is
    sure of, as sure as it is on the test clips: see `doubts.ranked`.

    Args:
        test: On the test clips of the run.
        reviewed: On the reviewed clips that were held out.
        labels: Class names.
        costs: "size_bytes" and "p50_ms" of (old, new).
        limits: See there.

    Returns:
        promoted, reason (one sentence), all, test and reviewed (of `paired.compare`, the new model
        being A), classes (recalls old and new of each, and p_value), doubtful (rows of the reviewed
        clips) and costs.

    Raises:
        UserError: cleanlab is not installed.
    """
    both = Heard(
        *(np.concatenate(pair) for pair in zip(_parts(test), _parts(reviewed), strict=True))
    )
    found = {
        name: paired.compare(*heard.right())
        for name, heard in (("all", both), ("test", test), ("reviewed", reviewed))
    }
    rows = doubts.ranked(both.truth, both.new) - len(test.truth)
    doubtful = [int(row) for row in rows if row >= 0]
    lost = _lost({"the test clips": test, "all clips": both}, labels, limits.class_loss)
    better = found["all"]
    said = (
        f"{100 * better['accuracy_b']:.1f} % to {100 * better['accuracy_a']:.1f} % on "
        f"{better['n']} clips (p = {better['p_value']:.2g})"
    )
    reasons = [
        (
            len(doubtful) > limits.doubtful * len(reviewed.truth) and len(doubtful) > 1,
            f"the labels of {len(doubtful)} of {len(reviewed.truth)} reviewed clips look wrong; "
            "listen to them again",
        ),
        (better["difference"] <= 0, f"it hears no better: {said}"),
        (better["p_value"] > limits.significance, f"that it hears better may be chance: {said}"),
        (bool(lost), f"it loses too much of a class: {lost}"),
        *(
            (new > limit * old, f"{name} rises from {old:g} to {new:g}, beyond {limit:g} times")
            for name, limit in (("size_bytes", limits.larger), ("p50_ms", limits.slower))
            for old, new in [costs[name]]
        ),
    ]
    against = [text for holds, text in reasons if holds]
    return {
        "promoted": not against, "reason": against[0] if against else f"it hears better: {said}",
        **found, "classes": _recalls(both, labels), "doubtful": doubtful,
        "costs": {name: list(pair) for name, pair in costs.items()},
    }  # fmt: skip


def _parts(heard: Heard) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return heard.truth, heard.old, heard.new


def _recalls(heard: Heard, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    new, old = heard.right()
    rows = {label: heard.truth == number for number, label in enumerate(labels)}
    return {
        label: {
            "n": int(own.sum()), "old": float(old[own].mean()), "new": float(new[own].mean()),
            "p_value": paired.compare(new[own], old[own])["p_value"],
        }
        for label, own in rows.items() if own.any()
    }  # fmt: skip


def _lost(parts: Mapping[str, Heard], labels: Sequence[str], most: float) -> str:
    """The class that loses most, if that is too much."""
    losses = [
        (row["old"] - row["new"], label, name, row)
        for name, heard in parts.items()
        for label, row in _recalls(heard, labels).items()
    ]
    loss, label, name, row = max(losses, key=lambda item: item[0])
    if loss <= most + 1e-9:
        return ""
    return f"'{label}' falls from {100 * row['old']:.1f} % to {100 * row['new']:.1f} % on {name}"
