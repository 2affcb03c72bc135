"""The probabilities of a long recording, computed once, and what a `Smoother` would make of them.

Of each set of windows the scores are made once; after that a threshold costs a search, not a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from audio_edge.detector import BEHIND, Detector
from audio_edge.interpreter import as_float
from audio_edge.smoother import is_ignored


@dataclass(frozen=True)
class Heard:
    """What a model gave for a recording, hop by hop.

    Attributes:
        labels: Class names.
        probs: float32 [hops, classes].
        end_s: float64 [hops], the second of the recording with which each window ends.
        clip_s: Seconds of a window.
        seconds: Length of the recording.
    """

    labels: tuple[str, ...]
    probs: np.ndarray
    end_s: np.ndarray
    clip_s: float
    seconds: float

    def time_s(self, hop: int) -> float:
        """The second that a detection of this hop is of, as `Detector.detect` tells it."""
        return min(max(float(self.end_s[hop]) - BEHIND * self.clip_s, 0.0), self.seconds)


def hear(detector: Detector, blocks: Iterable[np.ndarray]) -> Heard:
    """Ask the model at each hop of a recording, which may be longer than the memory.

    As in `Detector.detect`, silence of one clip stands before it and after it.

    Args:
        detector: Its model, and its hop; its stream begins anew.
        blocks: float in [-1, 1] or int16, [any] each, end to end.
    """
    detector.reset()
    clip, rate = detector.model.clip_samples, detector.model.sample_rate
    rows: list[np.ndarray] = []
    ends: list[int] = []
    length = 0

    def push(samples: np.ndarray) -> np.ndarray:
        """Take whole hops; returns what is left over."""
        whole = len(samples) - len(samples) % detector.hop_samples
        for hop in samples[:whole].reshape(-1, detector.hop_samples):
            probs = detector.infer(hop)
            if probs is not None:
                rows.append(probs)
                ends.append(detector.end_samples)
        return samples[whole:]

    rest = push(np.zeros(clip, np.float32))
    for block in blocks:
        length += len(block)
        rest = push(np.concatenate([rest, as_float(block)]))
    rest = push(np.concatenate([rest, np.zeros(clip, np.float32)]))
    probs = detector.infer(rest)
    if probs is not None:
        rows.append(probs)
        ends.append(detector.end_samples)
    labels = tuple(detector.model.labels)
    return Heard(
        labels, np.array(rows, np.float32).reshape(len(rows), len(labels)),
        (np.array(ends, np.int64) - clip) / rate, clip / rate, length / rate,
    )  # fmt: skip


class Scores:
    """The scores of a recording under one set of windows, ready to be held against thresholds.

    `fired` gives to the bit what `Smoother` gives, hop by hop.

    Args:
        heard: Of `hear`.
        window: Hops, one for each label.
    """

    def __init__(self, heard: Heard, window: Sequence[int]) -> None:
        windows = np.array(window)
        total = np.zeros(heard.probs.shape)
        for age in range(int(windows.max()) - 1, -1, -1):  # the oldest first, as the Smoother adds
            reach = total[age:]
            reach += np.where(age < windows, heard.probs[: len(reach)], 0.0)
        self.scores = (total / windows).astype(np.float32)
        self._best = self.scores.argmax(axis=1)
        top = self.scores[np.arange(len(self.scores)), self._best]
        self._tops = [
            (np.flatnonzero(self._best == label), top[self._best == label])
            for label in range(len(heard.labels))
        ]
        self._ignored = [is_ignored(label) for label in heard.labels]

    def fired(
        self, *, threshold: Sequence[float], refractory: Sequence[int], hold: Sequence[int]
    ) -> list[tuple[int, int]]:
        """Every (hop, label index) that fires, in order of time.

        Args:
            threshold: In (0, 1), one for each label.
            refractory: Hops, one for each label.
            hold: Hops, one for each label.
        """
        exact = np.array(threshold, np.float32)
        hops = [
            [] if ignored else places[values >= least]
            for (places, values), least, ignored in zip(
                self._tops, exact, self._ignored, strict=True
            )
        ]
        falls = [np.flatnonzero(fell) for fell in (self.scores < exact).T]
        found: list[tuple[int, int]] = []
        earliest, last, released = 0, -1, 0
        while True:
            comes = []
            for label, places in enumerate(hops):
                start = max(earliest, released) if label == last else earliest
                at = int(np.searchsorted(places, start))
                if at < len(places):
                    comes.append((int(places[at]), label))
            if not comes:
                return found
            hop, last = min(comes)
            found.append((hop, last))
            earliest = hop + max(1, refractory[last])
            at = int(np.searchsorted(falls[last], hop + 1))
            released = hop + hold[last]
            if at < len(falls[last]):
                released = min(released, int(falls[last][at]))
