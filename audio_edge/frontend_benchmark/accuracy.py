"""How far a front end is from the float64 reference: the signals, the scales and the errors.

An error is the greatest difference from the reference over all frames and bands of a signal, in
units of the feature's scale. A band is near if its power, or the valley of its contrast, lies
within 60 dB of its frame's strongest: what lies deeper is the rounding of a float32 transform.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audio_edge import audio, scoring
from audio_edge.config import FrontendConfig
from audio_edge.datasets.speech import Speaker
from audio_edge.datasets.voices import Voice
from audio_edge.errors import UserError
from audio_edge.reference import features, spectral

RATE = 16000  # Hz, of the signals
NEAR_DB = 60.0
SCALES = {
    "logmel": "1, the natural logarithm of power",
    "mfcc": "sqrt(n_mels): what a change of every logarithm by 1 adds to the first coefficient",
    "pcen": "1, its own unit",
    "zcr": "1, a crossing at every sample",
    "rms": "1, full scale",
    "centroid": "half the sample rate",
    "bandwidth": "half the sample rate",
    "rolloff": "half the sample rate",
    "flatness": "1, a flat spectrum",
    "contrast": "10 dB, a factor of ten between peak and valley",
    "chroma": "1, the strongest class",
    "waveform": "1, full scale",
}
_BANDS = ("logmel", "pcen", "contrast")  # features that may rest on a part of the spectrum
_CLIPS = 40
_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def noise() -> np.ndarray:
    """Gaussian noise, 0.2 of full scale: float32 [1, 16000]."""
    drawn = np.random.default_rng(7).normal(scale=0.2, size=(1, RATE))
    return drawn.clip(-1, 1).astype(np.float32)


def tones() -> np.ndarray:
    """Six tones at half of full scale and a square wave at full scale: float32 [7, 16000]."""
    time = np.arange(RATE) / RATE
    hz = np.array([100.0, 440.0, 1000.0, 1234.5, 3000.0, 7000.0])
    square = np.where(np.arange(RATE) % 80 < 40, 1.0, -1.0)
    return np.vstack([0.5 * np.sin(2 * np.pi * hz[:, None] * time), square]).astype(np.float32)


def speech(
    file: str | os.PathLike[str] | None = None, folder: str | os.PathLike[str] | None = None
) -> tuple[np.ndarray | None, str | None]:
    """Seconds of speech, 40 at most, and what they are.

    Args:
        file: A recording, cut into whole seconds, the last filled with zeros.
        folder: Subfolders of recordings, of which some are taken from each. It is asked where there
            is no file; where there is neither, the offline voices speak, if they are installed.

    Returns:
        (float32 [seconds, 16000], what it is), or (None, None) where there is no speech.

    Raises:
        UserError: The file cannot be read.
    """
    if file is not None:
        clips = _seconds(audio.read(file, sample_rate=RATE)[0])
        return clips, f"{len(clips)} s of {Path(file).name}"
    if folder is not None and Path(folder).is_dir():
        read = [audio.read(path, sample_rate=RATE)[0] for path in _spread(folder)]
        clips = np.concatenate([_seconds(wave)[:1] for wave in read])
        return clips, f"{len(clips)} recordings of {Path(folder).name}"
    try:
        with Speaker() as speaker:
            said = [speaker.speak(word, Voice("pico", "en-US")) for word in _WORDS]
    except UserError:
        return None, None
    clips = np.concatenate([_seconds(audio.resample(wave, rate, RATE))[:1] for wave, rate in said])
    return clips, f"{len(clips)} words of a synthetic voice"


def _seconds(waveform: np.ndarray) -> np.ndarray:
    """Whole seconds, evenly chosen where there are more than 40: [seconds, 16000]."""
    whole = np.pad(waveform, (0, -len(waveform) % RATE)).reshape(-1, RATE)
    return whole[:: -(-len(whole) // _CLIPS)]


def _spread(folder: str | os.PathLike[str]) -> list[Path]:
    """40 recordings: the first of each subfolder, then the second, and so on."""
    seen: dict[str, int] = {}
    ranked = []
    for path, label in scoring.recordings(folder).items():
        seen[label] = seen.get(label, -1) + 1
        ranked.append((seen[label], path))
    return [path for _, path in sorted(ranked)[:_CLIPS]]


class Judge:
    """Errors of front ends with one config; the references are computed once.

    Args:
        config: Features and settings.
        signals: "noise", "tones" and, where there is any, "speech": float32 [n, 16000] each.
    """

    def __init__(self, config: FrontendConfig, signals: dict[str, np.ndarray]):
        self.signals = signals
        self.near = bool(set(config.features) & set(_BANDS))
        self._wanted, self._masks = {}, {}
        for name, clips in signals.items():
            references = [_reference(clip, config) for clip in clips]
            self._wanted[name] = np.stack([values for values, _, _ in references])
            self._masks[name] = np.stack([mask for _, mask, _ in references])
            self.scale = references[0][2]

    def __call__(self, compute: Callable[[np.ndarray], np.ndarray]) -> dict[str, float | None]:
        """The errors of a front end, float32 [16000] -> [frames, width].

        Returns:
            noise; speech; speech_near and tones_near, without the bands that are not near; None
            where there is no such signal or no such band.
        """
        names = ("noise", "speech", "speech_near", "tones_near")
        errors: dict[str, float | None] = dict.fromkeys(names)
        for name, clips in self.signals.items():
            found = np.stack([compute(clip) for clip in clips])
            error = np.abs(found - self._wanted[name]) / self.scale
            if name != "tones":
                errors[name] = float(error.max())
            if self.near and name != "noise" and self._masks[name].any():
                errors[f"{name}_near"] = float(error[self._masks[name]].max())
        return errors


def _reference(
    clip: np.ndarray, config: FrontendConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features, whether each is near (both [frames, width]), and the scales [width]."""
    parts, masks, scales = [], [], []
    known = {"mfcc": math.sqrt(config.n_mels), "contrast": 10.0}
    known |= dict.fromkeys(("centroid", "bandwidth", "rolloff"), RATE / 2)
    for name in config.features:
        one = dataclasses.replace(config, features=(name,))
        part = features.features(clip, one, sample_rate=RATE)
        near = np.ones(part.shape, bool)
        if name in _BANDS:
            weakest, strongest = _levels(name, clip, config)
            near = weakest >= strongest * 10 ** (-NEAR_DB / 10)
        parts.append(part)
        masks.append(near)
        scales.append(np.full(part.shape[1], known.get(name, 1.0)))
    return np.hstack(parts), np.hstack(masks), np.hstack(scales)


def _levels(name: str, clip: np.ndarray, config: FrontendConfig) -> tuple[np.ndarray, np.ndarray]:
    """Power that each band rests on, [frames, bands], and the strongest of a frame, [frames, 1]."""
    if name != "contrast":
        power = features.mel_power(clip, config, sample_rate=RATE)
        return power, power.max(axis=1, keepdims=True)
    power = features.power(clip, config)
    bands = spectral.contrast_bands(RATE, config.n_fft, config.contrast_bands)
    weakest = [power[:, band.start : band.stop].min(axis=1) for band in bands]
    return np.stack(weakest, axis=1), power.max(axis=1, keepdims=True)
