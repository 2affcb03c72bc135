"""One clip of the review queue, and the hash by which it is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_edge import audio, files

WHYS = ("low margin", "disagreement", "reported", "control sample", "doubtful label")
MAX_S = 60.0  # of a clip


@dataclass(frozen=True)
class Item:
    """One clip.

    Attributes:
        sha256: Of its samples and rate.
        path: The WAV.
        source: Who or what recorded it, as far as it is known: a device, a speaker.
        model: Name of the model that heard it.
        model_sha256: Of that model's file, "" where it is not known.
        scores: Of each label, as that model gave them.
        why: One of `WHYS`.
        given: The label that a data set, or who reported it, says it has, or "".
        sample_rate: Hz.
        samples: How many.
        added: Seconds since 1970.
        kind: None, "label", "skip" or "drop": what was decided last.
        label: What it was called, if the kind is "label".
    """

    sha256: str
    path: Path
    source: str
    model: str
    model_sha256: str
    scores: dict[str, float]
    why: str
    given: str
    sample_rate: int
    samples: int
    added: float
    kind: str | None
    label: str


def digest_of(samples: np.ndarray, sample_rate: int) -> str:
    """The hash that a clip has in a queue, float in [-1, 1] and int16 alike."""
    head = f"{sample_rate} Hz\n".encode()
    return files.sha256(head + pcm(samples).astype("<i2").tobytes())


def pcm(samples: np.ndarray) -> np.ndarray:
    """Samples as int16, float in [-1, 1] rounded."""
    given = np.asarray(samples)
    return given if given.dtype == np.int16 else audio.to_int16(given)
