"""From probabilities to detections: mean over a window, threshold, refractory time, label by label.

It counts hops and needs nothing else, so that a twin in another language can equal it to the bit:
`tests/golden/smoothing.json` states what it does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio_edge.config import SILENCE, UNKNOWN

IGNORED = (SILENCE, UNKNOWN, "_silence_", "_unknown_")


def is_ignored(label: str) -> bool:
    """Whether a label means that nothing was said: silence or unknown, in any case of letters."""
    return label.lower() in IGNORED


class Smoother:
    """Decides from one vector of probabilities a hop whether a label was heard.

    The score of a label is the mean of its last `window` probabilities, those before the beginning
    counted as 0: float32 values added up in float64, the oldest first, divided, and rounded to
    float32. A label fires when all of these hold:

    - its score is the highest of all labels, the first of equals, and at least its `threshold`,
      rounded to float32;
    - it is neither silence nor unknown (`is_ignored`);
    - as many hops have passed since a label fired as the `refractory` of that label says;
    - it did not fire last, or its score has been below its threshold since, or its `hold` hops have
      passed: one word fires once, and a sound that goes on is reported again every `hold` hops.

    Args:
        labels: Class names.
        window: Hops to average over, >= 1.
        threshold: In (0, 1).
        refractory: Hops, >= 0.
        hold: Hops, >= 1; longer than one word can stay in the windows.

    Each setting is one value for all labels, or one for each of them.
    """

    def __init__(
        self, labels: Sequence[str], *, window: int | Sequence[int],
        threshold: float | Sequence[float], refractory: int | Sequence[int],
        hold: int | Sequence[int],
    ) -> None:  # fmt: skip
        self.labels = tuple(labels)
        self.window, self.threshold = self._each(window), self._each(threshold)
        self.refractory, self.hold = self._each(refractory), self._each(hold)
        if min(self.window) < 1 or min(self.refractory) < 0 or min(self.hold) < 1:
            raise ValueError(
                "window and hold must be >= 1, refractory >= 0. "
                f"Received: window={window}, refractory={refractory}, hold={hold}"
            )
        if not 0 < min(self.threshold) <= max(self.threshold) < 1:
            raise ValueError(f"threshold must be in (0, 1). Received: threshold={threshold}")
        # as exact as the scores they are compared with
        self.threshold = tuple(float(np.float32(value)) for value in self.threshold)
        self._windows = np.array(self.window)
        places = {size: np.flatnonzero(self._windows == size) for size in self.window}
        self._groups = list(places.items())  # window -> the labels that have it
        self._ignored = [is_ignored(label) for label in self.labels]
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.scores: np.ndarray | None = None
        # the last rows, each at two places, so that any window of them lies in one piece; a column
        # more than labels, because numpy adds up a single column in another order
        self._rows = np.zeros((2 * max(self.window), len(self.labels) + 1))
        self._end = 0
        self._since, self._pause = 0, 0  # hops since a label fired, and how many must pass
        self._fired: int | None = None  # the label that fired last, until it may fire again

    def step(self, probs: np.ndarray) -> tuple[int, float] | None:
        """Take the probabilities of the next hop, float [classes].

        Returns:
            (index of the label that fires, its score), or None.
        """
        probs = np.asarray(probs, np.float32)
        if probs.shape != (len(self.labels),):
            raise ValueError(f"probs must be [{len(self.labels)}]. Received: shape={probs.shape}")
        longest = len(self._rows) // 2
        place = self._end % longest
        self._rows[place, :-1] = self._rows[place + longest, :-1] = probs
        self._end = place + longest + 1
        total = np.empty(len(self.labels))
        for size, labels in self._groups:
            total[labels] = self._rows[self._end - size : self._end].sum(axis=0)[labels]
        self.scores = (total / self._windows).astype(np.float32)
        self._since += 1
        if self._fired is not None:
            below = float(self.scores[self._fired]) < self.threshold[self._fired]
            if below or self._since >= self.hold[self._fired]:
                self._fired = None
        best = int(self.scores.argmax())
        score = float(self.scores[best])
        if score < self.threshold[best] or best == self._fired or self._ignored[best]:
            return None
        if self._since < self._pause:
            return None
        self._since, self._pause, self._fired = 0, self.refractory[best], best
        return best, score

    def _each(self, value: float | Sequence[float]) -> tuple:
        """One value for each label."""
        values = tuple(value) if isinstance(value, Sequence) else (value,) * len(self.labels)
        if len(values) != len(self.labels):
            raise ValueError(f"{len(self.labels)} values must be given. Received: {value}")
        return values
