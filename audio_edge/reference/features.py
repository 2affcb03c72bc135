"""The reference of every feature by its name, NumPy float64: what any front end is held against."""

from __future__ import annotations

import numpy as np

from audio_edge import mel
from audio_edge.config import FrontendConfig
from audio_edge.reference import cepstral, chroma, level, pcen, spectral


def features(waveform: np.ndarray, config: FrontendConfig, *, sample_rate: int) -> np.ndarray:
    """The features of a config, next to each other as `audio_edge.frontend.Features` stacks them.

    Args:
        waveform: [samples] in [-1, 1], at least one frame of them.
        config: Features and their settings; `normalize` is not applied.
        sample_rate: Hz.

    Returns:
        float64 [frames, width].
    """
    parts = [_feature(name, waveform, config, sample_rate) for name in config.features]
    return np.concatenate(parts, axis=1)


def mel_power(waveform: np.ndarray, config: FrontendConfig, *, sample_rate: int) -> np.ndarray:
    """Power, or magnitude if `exponent` is 1, of each mel band: float64 [frames, n_mels].

    Arguments are those of `features`.
    """
    c = config
    return power(waveform, c) ** (c.exponent / 2) @ mel.filterbank(
        sample_rate=sample_rate, n_fft=c.n_fft, n_mels=c.n_mels,
        fmin=c.fmin, fmax=c.fmax, scale=c.mel_scale,
    )  # fmt: skip


def power(waveform: np.ndarray, config: FrontendConfig) -> np.ndarray:
    """Power of each bin, windowed by a periodic Hann: float64 [frames, n_fft // 2 + 1]."""
    windowed = _frames(waveform, config) * mel.hann(config.frame_length)
    return np.abs(np.fft.rfft(windowed, config.n_fft)) ** 2


def _feature(name: str, waveform: np.ndarray, c: FrontendConfig, sample_rate: int) -> np.ndarray:
    if name in ("logmel", "mfcc", "pcen"):
        return _of_mel(name, mel_power(waveform, c, sample_rate=sample_rate), c, sample_rate)
    if name in ("waveform", "zcr", "rms"):
        frames = _frames(waveform, c)
        if name == "waveform":
            return frames
        return level.rms(frames) if name == "rms" else level.zero_crossing_rate(frames)
    spectrum = power(waveform, c)
    if name == "chroma":
        weights = chroma.filterbank(sample_rate=sample_rate, n_fft=c.n_fft, n_chroma=c.n_chroma)
        return chroma.chroma(spectrum, weights)
    if name == "contrast":
        bands = spectral.contrast_bands(sample_rate, c.n_fft, c.contrast_bands)
        return spectral.contrast(spectrum, bands)
    if name == "flatness":
        return spectral.flatness(spectrum)
    hz = spectral.frequencies(sample_rate, c.n_fft)
    if name == "rolloff":
        return spectral.rolloff(spectrum, hz, share=c.rolloff)
    return {"centroid": spectral.centroid, "bandwidth": spectral.bandwidth}[name](spectrum, hz)


def _of_mel(name: str, energy: np.ndarray, c: FrontendConfig, sample_rate: int) -> np.ndarray:
    if name == "pcen":
        s = pcen.smoothing(c.pcen_time_s, sample_rate=sample_rate, hop_length=c.hop_length)
        return pcen.pcen(
            energy, s=s, gain=c.pcen_gain, bias=c.pcen_bias, power=c.pcen_power, floor=c.log_floor
        )
    logmel = mel.log_power(energy, log_floor=c.log_floor)
    if name == "logmel":
        return logmel
    return cepstral.mfcc(logmel, n_mfcc=c.n_mfcc, lifter=c.lifter, n_deltas=c.deltas)


def _frames(waveform: np.ndarray, c: FrontendConfig) -> np.ndarray:
    """[frames, frame_length]."""
    waveform = np.asarray(waveform, np.float64)
    return np.lib.stride_tricks.sliding_window_view(waveform, c.frame_length)[:: c.hop_length]
