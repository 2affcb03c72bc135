"""One live stream in a worker: bytes in, detections out, and the sound of those worth a look."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from audio_edge.detector import Detector
from audio_edge.errors import UserError
from audio_edge.interpreter import as_float
from audio_edge.serving.chosen import Chosen

FORMATS: dict[str, np.dtype[Any]] = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}


class Ear:
    """One live stream.

    Args:
        detector: Of this stream alone.
        encoding: One of `FORMATS`.
        choose: Says of the clip that ends with a detection whether it is worth a person's time;
            None keeps no sound.
    """

    def __init__(
        self, detector: Detector, encoding: str,
        choose: Callable[[np.ndarray], list[Chosen]] | None = None,
    ) -> None:  # fmt: skip
        self._detector, self._dtype, self._choose = detector, FORMATS[encoding], choose
        self._newest = np.zeros(0, np.float32)

    def push(self, content: bytes) -> tuple[list[dict[str, Any]], list[Chosen]]:
        """Take the next samples, any number of them.

        Returns:
            Detections, and the clips that were chosen; theirs have the hash as `clip`.

        Raises:
            UserError: Half a sample, NaN or infinity.
        """
        if len(content) % self._dtype.itemsize:
            size = self._dtype.itemsize
            raise UserError(f"a message must hold whole samples of {size} bytes each")
        samples = np.frombuffer(content, self._dtype)
        if samples.dtype.kind == "f":
            if not np.isfinite(samples).all():
                raise UserError("samples must be finite; they hold NaN or infinity")
            samples = np.clip(samples, -1, 1)
        hop, told, found = self._detector.hop_samples, [], []
        for start in range(0, len(samples), hop):
            part = samples[start : start + hop]
            heard = self._detector.push(part)
            if self._choose:
                self._remember(part)
            if heard:
                told.append(dataclasses.asdict(heard))
            for clip in self._choose(self._newest) if heard and self._choose else ():
                told[-1]["clip"] = clip.facts["sha256"]
                found.append(clip)
        return told, found

    def _remember(self, samples: np.ndarray) -> None:
        joined = np.concatenate([self._newest, as_float(samples)])
        self._newest = joined[-self._detector.model.clip_samples :]
