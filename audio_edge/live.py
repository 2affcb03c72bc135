"""Listening for days: what a detector hears in a microphone that may go away and come back.

Time is counted in samples, so a clock that jumps changes nothing; what was said while the
microphone was away is not counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge import audio
from audio_edge.detector import Detection, Detector
from audio_edge.errors import UserError

RETRY_S = 2.0  # between two looks for a lost microphone
FLOOR_DB = -90.0  # of the level, where digital silence lies too


@dataclass(frozen=True)
class Hop:
    """One hop was heard: its level in dB of full scale, and the smoothed scores, if any yet."""

    level_db: float
    scores: np.ndarray | None


@dataclass(frozen=True)
class Lost:
    """The microphone is gone; `reason` says how."""

    reason: str


@dataclass(frozen=True)
class Back:
    """The microphone is there again."""

    name: str


Event = Hop | Detection | Lost | Back


class Ring:
    """The newest samples of a stream, as int16.

    Nothing is allocated once it is made: what comes and goes for days would leave holes.

    Args:
        samples: How many are kept, > 0.
    """

    def __init__(self, samples: int) -> None:
        self._size = samples
        self._held = np.zeros(
            2 * samples, np.int16
        )  # each at two places: any run lies in one piece
        self._count, self._end = 0, 0

    def push(self, block: np.ndarray) -> None:
        """Take the next samples, float in [-1, 1], [n], any n."""
        block = audio.to_int16(block[-self._size :])
        start = self._end % self._size
        first = min(len(block), self._size - start)
        for offset in (0, self._size):
            self._held[offset + start : offset + start + first] = block[:first]
            self._held[offset : offset + len(block) - first] = block[first:]
        self._end = start + len(block)
        self._count = min(self._size, self._count + len(block))

    def newest(self) -> np.ndarray:
        """What is kept, in order of time: int16 [up to the size], good until the next push."""
        end = self._end % self._size + self._size
        return self._held[end - self._count : end]

    def clear(self) -> None:
        """Forget everything."""
        self._count = 0


def listen(
    detector: Detector, microphone: Callable[[], AbstractContextManager[Any]], *,
    ring: Ring, pause: Callable[[float], None], seconds: float | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Yield what happens, hop by hop.

    A microphone that fails is opened anew every `RETRY_S` until it is back; a new stream begins
    then, and the times of detections go on from where it was lost.

    Args:
        detector: Where the samples go.
        microphone: Opens the source, with `name` and `read(n) -> float32 [n]`.
        ring: Takes all that was heard.
        pause: Waits for seconds.
        seconds: Stop after this much sound; None goes on for ever.

    Raises:
        UserError: The microphone cannot be opened at first.
    """
    rate, hop = detector.model.sample_rate, detector.hop_samples
    left = None if seconds is None else max(1, round(seconds * rate / hop))
    hops = before = 0  # of this microphone, and of those before it was lost
    begun = lost = False
    while left is None or hops + before < left:
        try:
            with microphone() as source:
                if lost:
                    yield Back(source.name)
                begun, lost = True, False
                while left is None or hops + before < left:
                    samples = source.read(hop)
                    ring.push(samples)
                    heard = detector.push(samples)
                    hops += 1
                    yield Hop(level_db(samples), detector.last_scores)
                    if heard:
                        time_s = heard.time_s + before * hop / rate
                        yield dataclasses.replace(heard, time_s=time_s)
        except UserError as error:
            if not begun:
                raise
            if not lost:
                yield Lost(str(error))
            before, hops, lost = before + hops, 0, True
            detector.reset()
            ring.clear()
            pause(RETRY_S)


def level_db(samples: np.ndarray) -> float:
    """RMS of float samples in dB of full scale, at least `FLOOR_DB`."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(FLOOR_DB, 10 * np.log10(power)) if power > 0 else FLOOR_DB
