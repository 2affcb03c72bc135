"""The reference of the log-mel front end, NumPy float64: mel scales, triangles linear in Hz.

Every other form of the front end (training graph, .tflite) is held against this one.
"""

from __future__ import annotations

import math

import numpy as np


def hz_to_mel(frequency: float | np.ndarray) -> np.ndarray:
    """HTK mel of a frequency in Hz: 2595 log10(1 + f / 700)."""
    return 2595.0 * np.log10(1.0 + np.asarray(frequency, np.float64) / 700.0)


def mel_to_hz(mel: float | np.ndarray) -> np.ndarray:
    """Frequency in Hz of an HTK mel."""
    return 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)


def slaney_edges(fmin: float, fmax: float, count: int) -> np.ndarray:
    """Frequencies in Hz at equal distances on Slaney's (1998) scale: linear, above 1 kHz log."""
    step = math.log(6.4) / 27.0  # of a mel, above 1000 Hz = 15 mel; 200 / 3 Hz below

    def to_mel(frequency: float) -> float:
        if frequency < 1000.0:
            return frequency * 3.0 / 200.0
        return 15.0 + math.log(frequency / 1000.0) / step

    mels = np.linspace(to_mel(fmin), to_mel(fmax), count)
    return np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * np.exp(step * (mels - 15.0)))


def filterbank(
    *, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None = None,
    scale: str = "htk",
) -> np.ndarray:  # fmt: skip
    """Triangular mel filters, as those of `librosa.filters.mel`.

    On the scale "htk" they have peak 1 (htk=True, norm=None), on "slaney" area 1 over Hz (librosa's
    own choice).

    Args:
        sample_rate: Hz.
        n_fft: Points of the Fourier transform.
        n_mels: Number of filters.
        fmin: Lower edge of the first filter, Hz.
        fmax: Upper edge of the last filter, Hz; None or 0 is half the sample rate.
        scale: "htk" or "slaney".

    Returns:
        float64 [n_fft // 2 + 1, n_mels].

    Raises:
        ValueError: A filter covers no bin, so that its output would always be empty.
    """
    top, count = fmax or sample_rate / 2, n_mels + 2
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(top), count))
    if scale == "slaney":
        edges = slaney_edges(fmin, top, count)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - lower) / (centre - lower)
    falling = (upper - bins[:, None]) / (upper - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(weights.sum(axis=0) == 0)
    if empty.size:
        raise ValueError(
            f"every mel filter must cover a bin of the transform. Received: n_mels={n_mels}, "
            f"n_fft={n_fft}, filter {empty[0]} lies between {lower[empty[0]]:.0f} and "
            f"{upper[empty[0]]:.0f} Hz; lower n_mels or raise n_fft"
        )
    return weights * (2.0 / (upper - lower)) if scale == "slaney" else weights


def hann(length: int) -> np.ndarray:
    """Periodic Hann window, float64 [length]."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def log_power(power: np.ndarray, *, log_floor: float = 1e-6) -> np.ndarray:
    """Natural logarithm of power above a fixed floor: ln(power + log_floor).

    The floor is absolute, not relative to the clip's peak, so a frame's value does not depend on
    the rest of the clip and streaming equals batch.

    Args:
        power: Non-negative power, any shape.
        log_floor: Power added before the logarithm, > 0. 1e-6 is -60 dB.
    """
    if log_floor <= 0:
        raise ValueError(f"log_floor must be > 0. Received: log_floor={log_floor}")
    return np.log(power + log_floor)


def logmel(
    waveform: np.ndarray,
    *,
    sample_rate: int = 16000,
    frame_length: int = 480,
    hop_length: int = 160,
    n_fft: int = 512,
    n_mels: int = 40,
    fmin: float = 20.0,
    fmax: float | None = None,
    log_floor: float = 1e-6,
) -> np.ndarray:
    """Log-mel power of a waveform, frames not centred: frame i starts at sample i * hop_length.

    Args:
        waveform: [samples] in [-1, 1], at least frame_length of them.
        sample_rate: Hz.
        frame_length: Samples in a frame, windowed by a periodic Hann.
        hop_length: Samples between frames.
        n_fft: Points of the Fourier transform, >= frame_length; zeros follow the frame.
        n_mels: Mel bands.
        fmin: Hz.
        fmax: Hz; None or 0 is half the sample rate.
        log_floor: Power added before the logarithm.

    Returns:
        float64 [frames, n_mels], frames = 1 + (samples - frame_length) // hop_length.
    """
    waveform = np.asarray(waveform, np.float64)
    if waveform.ndim != 1 or len(waveform) < frame_length:
        raise ValueError(
            f"waveform must be [samples >= {frame_length}]. Received: shape={waveform.shape}"
        )
    frames = np.lib.stride_tricks.sliding_window_view(waveform, frame_length)[::hop_length]
    spectrum = np.fft.rfft(frames * hann(frame_length), n_fft)
    power = spectrum.real**2 + spectrum.imag**2
    weights = filterbank(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    return log_power(power @ weights, log_floor=log_floor)
