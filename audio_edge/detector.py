"""From a stream of audio to detections: sliding window, smoothing, threshold, refractory time.

State counts hops and samples and never reads a clock, so that a recording gives the same detections
however it arrives, here and in the Kotlin and browser twins.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge.config import SILENCE, UNKNOWN, DetectorConfig
from audio_edge.interpreter import Interpreter, as_float
from audio_edge.streaming_interpreter import StreamingInterpreter, open_model

BEHIND = 0.35  # of a clip: where a word's middle lies when it fires, by one spoken recording
IGNORED = (SILENCE, UNKNOWN, "_silence_", "_unknown_")


def is_ignored(label: str) -> bool:
    """Whether a label means that nothing was said: silence or unknown, in any case of letters."""
    return label.lower() in IGNORED


@dataclass(frozen=True)
class Detection:
    """A label heard, its smoothed score in [0, 1], and the second of the stream where it was."""

    label: str
    score: float
    time_s: float


class Smoother:
    """Decides from one vector of probabilities a hop whether a label was heard.

    The score of a label is the mean of its last `window` probabilities, those before the beginning
    counted as 0. A label fires when all of these hold:

    - its score is the highest of all labels and at least `threshold`;
    - it is neither silence nor unknown (`is_ignored`);
    - no label has fired within the last `refractory` hops;
    - it did not fire last, or its score has been below `threshold` since, or `hold` hops have
      passed: one word fires once, and a sound that goes on is reported again every `hold` hops.

    Args:
        labels: Class names.
        window: Hops to average over, >= 1.
        threshold: In (0, 1).
        refractory: Hops, >= 0.
        hold: Hops, >= 1; longer than one word can stay in the windows.
    """

    def __init__(
        self, labels: Sequence[str], *, window: int, threshold: float, refractory: int, hold: int
    ) -> None:
        if window < 1 or refractory < 0 or hold < 1:
            raise ValueError(
                "window and hold must be >= 1, refractory >= 0. "
                f"Received: window={window}, refractory={refractory}, hold={hold}"
            )
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be in (0, 1). Received: threshold={threshold}")
        self.labels = tuple(labels)
        self.window, self.refractory, self.hold = window, refractory, hold
        self.threshold = float(np.float32(threshold))  # as exact as the scores it is compared with
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.scores: np.ndarray | None = None
        self._last: deque[np.ndarray] = deque(maxlen=self.window)
        self._since = self.refractory  # hops since a label fired; at first, long enough
        self._fired: int | None = None  # the label that fired last, until it may fire again

    def step(self, probs: np.ndarray) -> tuple[int, float] | None:
        """Take the probabilities of the next hop, float [classes].

        Returns:
            (index of the label that fires, its score), or None.
        """
        probs = np.asarray(probs, np.float32)
        if probs.shape != (len(self.labels),):
            raise ValueError(f"probs must be [{len(self.labels)}]. Received: shape={probs.shape}")
        self._last.append(probs)
        total = np.sum(self._last, axis=0, dtype=np.float64)
        self.scores = (total / self.window).astype(np.float32)
        self._since += 1
        if self._fired is not None:
            below = float(self.scores[self._fired]) < self.threshold
            if below or self._since >= self.hold:
                self._fired = None
        best = int(self.scores.argmax())
        score = float(self.scores[best])
        if score < self.threshold or best == self._fired or is_ignored(self.labels[best]):
            return None
        if self._since < self.refractory:
            return None
        self._since, self._fired = 0, best
        return best, score


class Detector:
    """Hears labels in a stream or in a recording.

    Args:
        model: An `Interpreter` or a `StreamingInterpreter`, which then hears this stream alone, or
            the path of a model file.
        threshold: Smoothed score from which a label counts as heard, in (0, 1).
        window_s: Seconds over which the probabilities are averaged.
        hop_s: Seconds between two looks at the stream; of a streaming model to the nearest packet.
        refractory_s: Seconds after a detection in which nothing else is reported.

    What is None comes from the model's card, and what that lacks from `DetectorConfig`.

    Attributes:
        model: The interpreter.
        hop_samples: Samples between two inferences.
        smoother: The `Smoother`, set up in hops.

    Raises:
        UserError: A setting is out of range, or the model cannot be loaded.
    """

    def __init__(
        self,
        model: Interpreter | StreamingInterpreter | str | os.PathLike[str],
        *,
        threshold: float | None = None,
        window_s: float | None = None,
        hop_s: float | None = None,
        refractory_s: float | None = None,
    ) -> None:
        self.model = open_model(model) if isinstance(model, str | os.PathLike) else model
        self._packet = getattr(self.model, "packet_samples", 1)
        given = {
            "threshold": threshold,
            "window_s": window_s,
            "hop_s": hop_s,
            "refractory_s": refractory_s,
        }
        settings: dict[str, Any] = dict(self.model.card.detector) if self.model.card else {}
        settings.update({key: value for key, value in given.items() if value is not None})
        self.config = DetectorConfig(**settings)
        packets = round(self.config.hop_s * self.model.sample_rate / self._packet)
        self.hop_samples = max(1, packets) * self._packet
        whole = self.hop_samples / self.model.sample_rate
        hop_s = whole if self._packet > 1 else self.config.hop_s
        clip_s = self.model.clip_samples / self.model.sample_rate
        self.smoother = Smoother(
            self.model.labels,
            window=max(1, round(self.config.window_s / hop_s)),
            threshold=self.config.threshold,
            refractory=_hops(self.config.refractory_s, hop_s),
            hold=_hops(clip_s + self.config.window_s, hop_s),
        )
        self.reset()

    @property
    def last_scores(self) -> np.ndarray | None:
        """Smoothed scores after the latest inference, float32 [classes]; None before the first."""
        return self.smoother.scores

    def reset(self) -> None:
        """Begin a new stream."""
        self.smoother.reset()
        self._newest: Any = np.zeros(self.model.clip_samples, np.float32)  # clip, or probabilities
        if isinstance(self.model, StreamingInterpreter):
            self.model.reset()
        self._pushed = 0
        self._inferred, self._time_s = False, 0.0  # whether the last push ran the model, and where
        # samples until the next inference: at first a clip, in whole packets
        self._until = -(-self.model.clip_samples // self._packet) * self._packet

    def push(self, samples: np.ndarray) -> Detection | None:
        """Take the next samples of the stream.

        The model is asked once `clip_samples` have arrived and then every `hop_samples`. A label
        fires when its sound has just come whole into the window, so the time of a detection is not
        the middle of the newest window but later: `BEHIND` clips before its end.

        Args:
            samples: float in [-1, 1] or int16, [n] with n <= hop_samples.

        Raises:
            ValueError: Wrong shape or type, too many samples, NaN or infinity.
        """
        samples = np.asarray(samples)
        if samples.ndim != 1 or len(samples) > self.hop_samples:
            raise ValueError(
                f"samples must be [n <= {self.hop_samples}]. Received: shape={samples.shape}"
            )
        samples = as_float(samples)
        self._inferred = len(samples) >= self._until
        if not self._inferred:
            self._append(samples)
            return None
        first, rest = samples[: self._until], samples[self._until :]
        self._append(first)
        streams = isinstance(self.model, StreamingInterpreter)
        heard = self.smoother.step(self._newest if streams else self.model(self._newest))
        self._time_s = (self._pushed - BEHIND * self.model.clip_samples) / self.model.sample_rate
        self._until = self.hop_samples
        self._append(rest)
        return Detection(self.model.labels[heard[0]], heard[1], self._time_s) if heard else None

    def detect(self, waveform: np.ndarray) -> list[Detection]:
        """All detections in a recording.

        The recording is heard as a stream with one clip of silence before it and one after it, so
        that words at its very beginning and end count too.

        Args:
            waveform: float in [-1, 1] or int16, [samples] at the model's rate, any length.

        Returns:
            Detections in order, their times from the recording's beginning, within it.
        """
        return self.trace(waveform)[0]

    def trace(self, waveform: np.ndarray) -> tuple[list[Detection], np.ndarray, np.ndarray]:
        """`detect`, with the smoothed scores that it decided by.

        Returns:
            (detections, float64 [n] seconds, float32 [n, classes] scores), one row an inference;
            the seconds are the middle of its window, so the first lie before the recording.
        """
        waveform = np.asarray(waveform)
        if waveform.ndim != 1:
            raise ValueError(f"waveform must be [samples]. Received: shape={waveform.shape}")
        clip = self.model.clip_samples
        padded = np.pad(as_float(waveform), clip)
        length_s, clip_s = len(waveform) / self.model.sample_rate, clip / self.model.sample_rate
        self.reset()
        found, times, scores = [], [], []
        for start in range(0, len(padded), self.hop_samples):
            heard = self.push(padded[start : start + self.hop_samples])
            if self._inferred:
                times.append(self._time_s - clip_s)
                scores.append(self.smoother.scores)
            if heard:
                time_s = min(max(heard.time_s - clip_s, 0.0), length_s)
                found.append(Detection(heard.label, heard.score, time_s))
        classes = len(self.model.labels)
        return found, np.array(times), np.array(scores, np.float32).reshape(len(times), classes)

    def _append(self, samples: np.ndarray) -> None:
        n = len(samples)
        self._pushed += n
        self._until -= n
        if isinstance(self.model, StreamingInterpreter):
            rows = self.model.push(samples)
            self._newest = rows[-1] if len(rows) else self._newest
        elif n >= len(self._newest):
            self._newest = samples[n - len(self._newest) :].copy()
        elif n:
            self._newest = np.concatenate([self._newest[n:], samples])


def _hops(seconds: float, hop_s: float) -> int:
    """Whole hops that cover `seconds`, forgiving of rounding in the last digits."""
    return max(0, math.ceil(seconds / hop_s - 1e-6))
