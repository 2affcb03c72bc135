"""The front ends of other Python libraries over the same frames, as functions to be timed.

Each may do beforehand what it allows: windows and filters are made once. A library that is not
installed gives a reason instead.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge.audio import to_int16
from audio_edge.config import FrontendConfig
from audio_edge.errors import UserError
from audio_edge.reference import pcen

LIBROSA, MICRO = "librosa", "pymicro-features"


@dataclass(frozen=True)
class Rival:
    """A feature of another library.

    Attributes:
        library: Name of its package.
        feature: What it computes.
        timed: What is inside the clock.
        prepare: float32 [samples] to the input of `compute`, outside the clock.
        compute: The feature: [bands, frames] of librosa; of pymicro-features a list of frames.
    """

    library: str
    feature: str
    timed: str
    prepare: Callable[[np.ndarray], Any]
    compute: Callable[[Any], Any]

    def facts(self) -> dict[str, Any]:
        """Library, version, feature and timed, as its row shows them."""
        version = importlib.metadata.version(self.library)
        return {
            "library": self.library, "version": version, "feature": self.feature,
            "timed": self.timed,
        }  # fmt: skip

    def over(self, clips: Sequence[np.ndarray]) -> Callable[[int], Any]:
        """A function of the round's number, which takes the clips in turn."""
        inputs = [self.prepare(clip) for clip in clips]
        return lambda number: self.compute(inputs[number % len(inputs)])


def one_thread() -> contextlib.AbstractContextManager[Any]:
    """Keep the matrix products of NumPy to one thread, where the package for it is installed."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # it comes with librosa
        return contextlib.nullcontext()
    return threadpool_limits(1)


def micro() -> Rival:
    """The log-mel front end of pymicro-features, in chunks of 10 ms as its documentation has it.

    The audio front end of TFLite Micro: int16 at 16000 Hz, frames of 30 ms every 10 ms, 40 bands
    from 125 to 7500 Hz in fixed point, followed by noise reduction, gain control and logarithm.

    Raises:
        UserError: It is not installed.
    """
    try:
        from pymicro_features import MicroFrontend
    except ImportError as error:
        raise UserError(f"{MICRO} is not installed; pip install {MICRO}") from error
    front = MicroFrontend()

    def prepare(waveform: np.ndarray) -> list[bytes]:
        samples = to_int16(waveform)
        return [samples[start : start + 160].tobytes() for start in range(0, len(samples), 160)]

    def compute(chunks: list[bytes]) -> list[list[float]]:
        front.reset()
        outputs = [front.process_samples(chunk).features for chunk in chunks]
        return [bands for bands in outputs if bands]

    timed = "process_samples for each 10 ms of int16, with noise reduction and gain control"
    return Rival(MICRO, "logmel", timed, prepare, compute)


def of_librosa(config: FrontendConfig, *, sample_rate: int) -> Rival | None:
    """The features of a config by librosa, from one float32 spectrum; MFCC without differences.

    The waveform is padded beforehand by half of what the transform is longer than a frame, so that
    librosa's frames, which it centres in the transform, are ours.

    Args:
        config: Features and settings.
        sample_rate: Hz.

    Returns:
        The rival, or None where librosa has no such function.

    Raises:
        UserError: It is not installed.
    """
    try:
        import librosa  # noqa: F401
    except ImportError as error:
        raise UserError(f"{LIBROSA} is not installed; pip install {LIBROSA}") from error
    formulas = _Librosa(config, sample_rate)
    if not all(name in formulas.steps for name in config.features):
        return None
    side = (config.n_fft - config.frame_length) // 2
    after = config.n_fft - config.frame_length - side

    def prepare(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        waveform = np.asarray(waveform, np.float32)
        return waveform, np.pad(waveform, (side, after))

    timed = ", ".join(formulas.timed(config.features))
    return Rival(LIBROSA, "+".join(config.features), timed, prepare, formulas)


class _Librosa:
    """librosa's functions with their filters made: (waveform, padded) -> [bands, frames]."""

    def __init__(self, config: FrontendConfig, sample_rate: int):
        import librosa

        c = self.config = config
        self.librosa, self.rate = librosa, sample_rate
        window = librosa.filters.get_window("hann", c.frame_length)
        self.window = window.astype(np.float32)  # float64 would make the spectrum so for a while
        self.mel = librosa.filters.mel(
            sr=sample_rate, n_fft=c.n_fft, n_mels=c.n_mels, fmin=c.fmin, fmax=c.fmax or None,
            htk=True, norm=None, dtype=np.float32,
        )  # fmt: skip
        self.chroma = librosa.filters.chroma(
            sr=sample_rate, n_fft=c.n_fft, tuning=0.0, n_chroma=c.n_chroma, dtype=np.float32
        )
        self.hz = librosa.fft_frequencies(sr=sample_rate, n_fft=c.n_fft)
        self.s = pcen.smoothing(c.pcen_time_s, sample_rate=sample_rate, hop_length=c.hop_length)
        feature = librosa.feature
        frames: dict[str, Any] = {
            "frame_length": c.frame_length,
            "hop_length": c.hop_length,
            "center": False,
        }
        grid: dict[str, Any] = {"sr": sample_rate, "n_fft": c.n_fft, "freq": self.hz}
        # What each needs ("power", "magnitude" or "waveform"), its name in librosa, its formula.
        self.steps: dict[str, tuple[str, str, Callable[[np.ndarray], np.ndarray]]] = {
            "logmel": ("power", "log(mel @ power)", self._logmel),
            "mfcc": (
                "power", "feature.mfcc(S=log-mel)",
                lambda power: feature.mfcc(S=self._logmel(power), n_mfcc=c.n_mfcc, lifter=c.lifter),
            ),
            "pcen": ("power", "pcen(S=mel @ power)", self._pcen),
            "zcr": (
                "waveform", "feature.zero_crossing_rate",
                lambda y: feature.zero_crossing_rate(y, **frames),
            ),
            "rms": ("waveform", "feature.rms", lambda y: feature.rms(y=y, **frames)),
            "centroid": (
                "magnitude", "feature.spectral_centroid",
                lambda s: feature.spectral_centroid(S=s, **grid),
            ),
            "bandwidth": (
                "magnitude", "feature.spectral_bandwidth",
                lambda s: feature.spectral_bandwidth(S=s, **grid),
            ),
            "rolloff": (
                "magnitude", "feature.spectral_rolloff",
                lambda s: feature.spectral_rolloff(S=s, roll_percent=c.rolloff, **grid),
            ),
            "flatness": (
                "magnitude", "feature.spectral_flatness",
                lambda s: feature.spectral_flatness(S=s),
            ),
            "contrast": (
                "magnitude", "feature.spectral_contrast (cut 80 dB below the clip's loudest)",
                lambda s: feature.spectral_contrast(S=s, n_bands=c.contrast_bands, **grid),
            ),
            "chroma": (
                "power", "util.normalize(chroma @ power)",
                lambda power: librosa.util.normalize(self.chroma @ power, norm=np.inf, axis=-2),
            ),
        }  # fmt: skip

    def timed(self, features: Sequence[str]) -> list[str]:
        """What is computed for these features, in librosa's words."""
        needs = {self.steps[name][0] for name in features}
        words = [self.steps[name][1] for name in features]
        if needs != {"waveform"}:
            words.insert(0, "abs(stft) ** 2" if "power" in needs else "abs(stft)")
        return [*words, "concatenate"] if len(features) > 1 else words

    def __call__(self, waves: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        c = self.config
        needs = {self.steps[name][0] for name in c.features}
        given = {"waveform": waves[0]}
        if needs != {"waveform"}:
            given["magnitude"] = np.abs(
                self.librosa.stft(
                    waves[1], n_fft=c.n_fft, hop_length=c.hop_length, win_length=c.frame_length,
                    window=self.window, center=False,
                )
            )  # fmt: skip
        if "power" in needs:
            given["power"] = given["magnitude"] ** 2
        steps = [self.steps[name] for name in c.features]
        parts = [formula(given[need]) for need, _, formula in steps]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _logmel(self, power: np.ndarray) -> np.ndarray:
        return np.log(self.mel @ power + self.config.log_floor)

    def _pcen(self, power: np.ndarray) -> np.ndarray:
        c, energy = self.config, self.mel @ power
        return self.librosa.pcen(
            energy, sr=self.rate, hop_length=c.hop_length, gain=c.pcen_gain, bias=c.pcen_bias,
            power=c.pcen_power, time_constant=c.pcen_time_s, eps=c.log_floor,
            zi=(1 - self.s) * energy[:, :1],
        )  # fmt: skip
