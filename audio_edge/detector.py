"""From a stream of audio to detections: sliding window, smoothing, threshold, refractory time.

State counts hops and samples and never reads a clock, so that a recording gives the same detections
however it arrives, here and in the Kotlin and browser twins.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge.config import DetectorConfig
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter, as_float
from audio_edge.smoother import Smoother
from audio_edge.stream_batch import StreamBatch
from audio_edge.streaming_interpreter import StreamingInterpreter, open_model

BEHIND = 0.35  # of a clip: where a word's middle lies when it fires, by one spoken recording


@dataclass(frozen=True)
class Detection:
    """A label heard, its smoothed score in [0, 1], and the second of the stream where it was."""

    label: str
    score: float
    time_s: float


class Detector:
    """Hears labels in a stream or in a recording.

    Args:
        model: An `Interpreter` or a `StreamingInterpreter`, which then hears this stream alone, or
            the path of a model file.
        threshold: Smoothed score from which a label counts as heard, in (0, 1).
        window_s: Seconds over which the probabilities are averaged.
        hop_s: Seconds between two looks at the stream; of a streaming model to the nearest packet.
        refractory_s: Seconds after a detection in which nothing else is reported.

    What is None comes from the model's card, which may have settings for single labels too, and
    what that lacks from `DetectorConfig`. What is given counts for every label.

    Attributes:
        model: The interpreter.
        config: The settings of labels that have none of their own.
        configs: The settings of each label.
        hop_samples, hop_s: Samples and seconds between two inferences.
        end_samples: Samples of the stream that the latest inference had.
        smoother: The `Smoother`, set up in hops.

    Raises:
        UserError: A setting is out of range, the model cannot be loaded, or it takes several
            streams at once.
    """

    def __init__(
        self,
        model: Interpreter | StreamingInterpreter | StreamBatch | str | os.PathLike[str],
        *,
        threshold: float | None = None,
        window_s: float | None = None,
        hop_s: float | None = None,
        refractory_s: float | None = None,
    ) -> None:
        opened = open_model(model) if isinstance(model, str | os.PathLike) else model
        if isinstance(opened, StreamBatch):
            raise UserError(
                f"{opened.path}: takes {opened.streams} streams at once, and a detector hears one; "
                "convert its run without --streams"
            )
        self.model = opened
        self._packet = getattr(self.model, "packet_samples", 1)
        given = {
            "threshold": threshold,
            "window_s": window_s,
            "hop_s": hop_s,
            "refractory_s": refractory_s,
        }
        settings: dict[str, Any] = dict(self.model.card.detector) if self.model.card else {}
        apart = settings.pop("labels", {})
        given = {key: value for key, value in given.items() if value is not None}
        self.config = DetectorConfig(**{**settings, **given})
        self.configs = [
            dataclasses.replace(self.config, **{**apart.get(label, {}), **given})
            for label in self.model.labels
        ]
        packets = round(self.config.hop_s * self.model.sample_rate / self._packet)
        self.hop_samples = max(1, packets) * self._packet
        whole = self.hop_samples / self.model.sample_rate
        self.hop_s = whole if self._packet > 1 else self.config.hop_s
        hops = [self.hops(item.window_s, item.refractory_s) for item in self.configs]
        self.smoother = Smoother(
            self.model.labels,
            window=[window for window, _, _ in hops],
            threshold=[item.threshold for item in self.configs],
            refractory=[refractory for _, refractory, _ in hops],
            hold=[hold for _, _, hold in hops],
        )
        self.reset()

    @property
    def last_scores(self) -> np.ndarray | None:
        """Smoothed scores after the latest inference, float32 [classes]; None before the first."""
        return self.smoother.scores

    @property
    def _time_s(self) -> float:
        """The second of the stream that a detection by the latest inference is of."""
        behind = BEHIND * self.model.clip_samples
        return float(self.end_samples - behind) / self.model.sample_rate

    @property
    def clip_s(self) -> float:
        """Seconds that one inference is about."""
        return self.model.clip_samples / self.model.sample_rate

    def hops(self, window_s: float, refractory_s: float) -> tuple[int, int, int]:
        """Window, refractory time and hold of the `Smoother`, in hops."""
        window = max(1, round(window_s / self.hop_s))
        hold = _hops(self.clip_s + window_s, self.hop_s)
        return window, _hops(refractory_s, self.hop_s), hold

    def reset(self) -> None:
        """Begin a new stream."""
        self.smoother.reset()
        self._newest: Any = np.zeros(self.model.clip_samples, np.float32)  # clip, or probabilities
        if isinstance(self.model, StreamingInterpreter):
            self.model.reset()
        self._pushed = 0
        self._inferred, self.end_samples = False, 0  # whether the last push ran the model
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
        probs = self.infer(samples)
        heard = None if probs is None else self.smoother.step(probs)
        return Detection(self.model.labels[heard[0]], heard[1], self._time_s) if heard else None

    def infer(self, samples: np.ndarray) -> np.ndarray | None:
        """As `push`, without deciding: float32 [classes] if the model was asked, else None."""
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
        probs: np.ndarray = self._newest if streams else self.model(self._newest)
        self.end_samples = self._pushed
        self._until = self.hop_samples
        if len(rest):
            self._append(rest)
        return probs

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
