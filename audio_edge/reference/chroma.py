"""The reference of chroma, the power of each pitch class, NumPy float64, as librosa defines it."""

from __future__ import annotations

import numpy as np

# What the strongest class is raised to before a division; a lone 16-bit step at the window's edge,
# where 30 ms weigh it by 4e-5, gives 3e-17, so only silence is changed.
POWER_FLOOR = 1e-20


def filterbank(*, sample_rate: int, n_fft: int, n_chroma: int = 12) -> np.ndarray:
    """Gaussian filters around each pitch class, from C, weighted towards the middle octaves.

    Equal to `librosa.filters.chroma`: A is 440 Hz, octaves weigh by a Gaussian of 2 about 5.

    Args:
        sample_rate: Hz.
        n_fft: Points of the Fourier transform.
        n_chroma: Pitch classes in an octave, >= 1.

    Returns:
        float64 [n_fft // 2 + 1, n_chroma].
    """
    pitch = n_chroma * np.log2(np.arange(1, n_fft) * sample_rate / n_fft / (440.0 / 16))
    pitch = np.concatenate([[pitch[0] - 1.5 * n_chroma], pitch])  # 0 Hz has none; librosa's choice
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1.0]])
    half = np.round(n_chroma / 2)
    distance = pitch[:, None] - np.arange(n_chroma)
    distance = np.remainder(distance + half + 10 * n_chroma, n_chroma) - half
    weights = np.exp(-0.5 * (2.0 * distance / width[:, None]) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= np.exp(-0.5 * ((pitch / n_chroma - 5.0) / 2.0) ** 2)[:, None]
    return np.roll(weights, -3 * (n_chroma // 12), axis=1)[: n_fft // 2 + 1]


def chroma(power: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Power of each pitch class, the strongest of a frame being 1.

    Equal to `librosa.feature.chroma_stft(tuning=0)`. Silence gives 0.

    Args:
        power: [frames, bins], >= 0.
        weights: See `filterbank`.

    Returns:
        float64 [frames, n_chroma] in [0, 1].
    """
    raw = power @ weights
    return raw / np.maximum(raw.max(axis=1, keepdims=True), POWER_FLOOR)
