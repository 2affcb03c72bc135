"""The front end of a run: built from its settings, fitted to its clips, saved and loaded.

What a front end learns it learns in the float stage; the stages after it keep it as it is.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from audio_edge import files, frontend
from audio_edge.config import Config
from audio_edge.errors import UserError, first_line
from audio_edge.frontend import Frontend
from audio_edge.frontend.encoder import Encoder
from audio_edge.run import Run

# Natural log of mel power: full-scale speech stays below; 255 steps down to ln(log_floor).
LOGMEL_MAX = 8.0
PCEN_MAX = 8.0
_NORMALIZED = 6.0  # deviations of a normalised band that 255 steps span, either way
_FILE = "frontend.npz"


def build(config: Config, *, dft: str = "rfft") -> Frontend:
    """The front end of `[frontend]`, or the encoder, as yet neither fitted nor trained.

    Raises:
        UserError: The settings do not fit together, or an encoder shall be in a file.
    """
    if config.encoder.path:
        encoder = config.encoder
        if dft != "rfft":
            encoder.require_none()
        hearing = Encoder(encoder.path, pad_s=encoder.pad_s, sample_rate=config.data.sample_rate)
        hearing(tf.zeros([1, config.data.clip_samples]))
        return hearing
    try:
        made = frontend.build(config.frontend, sample_rate=config.data.sample_rate, dft=dft)
        made(tf.zeros([1, config.data.clip_samples]))
    except ValueError as error:
        raise UserError(f"[frontend] {error}") from error
    return made


def shape(config: Config, samples: int | None = None) -> tuple[int, int]:
    """(frames, bands) that a clip has in the front end of a run, or so many samples of one."""
    front, samples = build(config), samples or config.data.clip_samples
    if isinstance(front, Encoder):
        return front.shape(samples)
    return config.frontend.frames(samples), front.width


def fit(front: Frontend, clips: np.ndarray) -> None:
    """Set the normalisation, if there is one, to the mean and deviation of each band over clips.

    A band that never changes is left at its scale.

    Args:
        front: Changed in place.
        clips: int16 [n, clip_samples].
    """
    if not front.config.normalize:
        return
    front.mean.assign(tf.zeros_like(front.mean))
    front.scale.assign(tf.ones_like(front.scale))
    count, total, squares = 0, np.zeros(front.width), np.zeros(front.width)
    for start in range(0, len(clips), 256):
        part = clips[start : start + 256].astype(np.float32) / 32768.0
        bands = front(part).numpy().astype(np.float64).reshape(-1, front.width)
        count, total = count + len(bands), total + bands.sum(axis=0)
        squares += np.square(bands).sum(axis=0)
    mean = total / max(1, count)
    deviation = np.sqrt(np.maximum(squares / max(1, count) - mean**2, 0.0))
    tiny = 1e-4 * np.maximum(np.abs(mean), 1e-3)
    front.mean.assign(mean)
    front.scale.assign(1 / np.where(deviation > tiny, deviation, 1.0))


def save(front: Frontend, folder: Path) -> None:
    """Write what the front end has learnt into a stage's folder, if it learns anything."""
    if front.weights:
        with files.replacing(folder / _FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, *front.get_weights())


def load(run: Run, *, dft: str = "rfft") -> Frontend:
    """The front end that the float stage of a run has learnt, frozen.

    Raises:
        UserError: Its file is missing or damaged.
    """
    front = build(run.config, dft=dft)
    source = run.stage("float") / _FILE
    if front.weights:
        try:
            with source.open("rb") as file, np.load(file) as saved:
                front.set_weights([saved[name] for name in saved.files])
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{source}: cannot be loaded ({first_line(error)}); "
                f"delete {source.parent / 'stage.json'} and run again"
            ) from error
    front.trainable = False
    return front


def limits(config: Config) -> tuple[float, float]:
    """The fixed range of the features, which the steps of a quantised input divide."""
    c = config.frontend
    if c.normalize:
        return -_NORMALIZED, _NORMALIZED
    ranges = {
        "logmel": (math.log(c.log_floor), LOGMEL_MAX),
        "pcen": (0.0, PCEN_MAX),
        "waveform": (-1.0, 1.0),
    }
    return ranges[c.features[0]]
