"""Days of sound as fast as they can be heard: whether memory grows and losses are survived."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from audio_edge import live
from audio_edge.detector import Detection, Detector
from audio_edge.errors import UserError
from audio_edge.hits import Hits
from audio_edge.probe import resident

HIT_S = 3.0
HITS_MB = 5.0  # kept in the temporary folder


class Simulated:
    """A microphone that plays a recording over and over, and is lost after some hops.

    Args:
        waveform: float32 [samples].
        hops: Reads until it is lost.
    """

    name = "simulated microphone"

    def __init__(self, waveform: np.ndarray, hops: int) -> None:
        self._waveform, self._left, self._at = waveform, hops, 0

    def read(self, n: int) -> np.ndarray:
        """The next `n` samples, until it is lost."""
        if not self._left:
            raise UserError(f"{self.name}: lost (as planned); plug it in again")
        self._left -= 1
        places = (self._at + np.arange(n)) % len(self._waveform)
        self._at = int(places[-1]) + 1
        return self._waveform[places]

    def __enter__(self) -> Simulated:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def endure(
    detector: Detector, waveform: np.ndarray, *, hours: float, lost_every_s: float = 1800.0
) -> Iterator[dict[str, Any]]:
    """Listen for hours, saving hits; the microphone is lost and comes back now and then.

    Args:
        detector: With its model.
        waveform: float32 [samples] in [-1, 1], played over and over.
        hours: Of sound.
        lost_every_s: Seconds of sound from one loss to the next.

    Yields:
        After the first minute, then after each hour or at the end: heard_s, detections, lost,
        saved, resident_mib (None where the system does not tell).
    """
    rate, hop = detector.model.sample_rate, detector.hop_samples
    each = max(1, round(lost_every_s * rate / hop))
    ring, counts = live.Ring(round(HIT_S * rate)), {"detections": 0, "lost": 0}
    marks = itertools.chain([60.0], (3600.0 * hour for hour in itertools.count(1)))
    mark, heard_s = next(marks), 0.0
    with tempfile.TemporaryDirectory() as folder:
        hits = Hits(folder, {}, max_mb=HITS_MB)

        def row() -> dict[str, Any]:
            return {
                "heard_s": heard_s, **counts, "saved": hits.saved, "resident_mib": resident(),
            }  # fmt: skip

        events = live.listen(
            detector, lambda: Simulated(waveform, each), ring=ring, pause=lambda _: None,
            seconds=3600 * hours,
        )  # fmt: skip
        for event in events:
            if isinstance(event, live.Hop):
                heard_s += hop / rate
                if heard_s >= mark - 1e-6:
                    yield row()
                    mark = next(marks)
            elif isinstance(event, live.Lost):
                counts["lost"] += 1
            elif isinstance(event, Detection):
                counts["detections"] += 1
                hits.save(event, ring.newest(), rate, {}, f"{counts['detections']}")
        yield row()
