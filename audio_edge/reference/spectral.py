"""The reference of the features of a spectrum's shape, NumPy float64, from the power of each bin.

Definitions are librosa's. Each frame stands alone: nothing depends on the rest of the clip.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# What a sum of magnitudes is raised to before a division. A lone 16-bit step at the window's edge,
# where 30 ms weigh it by 4e-5, still has 1e-9 in each bin, so only silence is changed.
MAGNITUDE_FLOOR = 1e-10
FLATNESS_FLOOR = 1e-10  # power of a bin, as in librosa; that of 16-bit rounding is about 1e-8
CONTRAST_FLOOR = 1e-6  # magnitude; librosa's 1e-10 lies below the rounding of a float32 transform
CONTRAST_FMIN, CONTRAST_QUANTILE = 200.0, 0.02  # Hz; share of a band's bins


class Band(NamedTuple):
    """Bins [start, stop) of a band, and how many of them make its peak and its valley."""

    start: int
    stop: int
    extremes: int


def frequencies(sample_rate: int, n_fft: int) -> np.ndarray:
    """Frequency of each bin in Hz, from 0 to half the sample rate: float64 [n_fft // 2 + 1]."""
    return np.arange(n_fft // 2 + 1) * sample_rate / n_fft


def centroid(power: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Mean frequency, weighted by magnitude.

    Equal to `librosa.feature.spectral_centroid`. Silence gives 0.

    Args:
        power: [frames, bins], >= 0.
        hz: Frequency of each bin, [bins].

    Returns:
        float64 [frames, 1], Hz.
    """
    return _shares(power) @ hz[:, None]


def bandwidth(power: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Deviation of the frequencies from their centroid, weighted by magnitude.

    Equal to `librosa.feature.spectral_bandwidth(p=2)`. Silence gives 0.

    Args:
        power: [frames, bins], >= 0.
        hz: Frequency of each bin, [bins].

    Returns:
        float64 [frames, 1], Hz.
    """
    deviation = hz - centroid(power, hz)
    return np.sqrt(np.sum(_shares(power) * deviation**2, axis=1, keepdims=True))


def rolloff(power: np.ndarray, hz: np.ndarray, *, share: float = 0.85) -> np.ndarray:
    """Frequency of the first bin up to which the magnitudes reach `share` of their sum.

    Equal to `librosa.feature.spectral_rolloff`. Silence gives 0.

    Args:
        power: [frames, bins], >= 0.
        hz: Frequency of each bin, [bins].
        share: In (0, 1).

    Returns:
        float64 [frames, 1], Hz.
    """
    total = np.cumsum(np.sqrt(power), axis=1)
    return hz[np.sum(total < share * total[:, -1:], axis=1, keepdims=True)]


def flatness(power: np.ndarray) -> np.ndarray:
    """Geometric over arithmetic mean of the power: near 0 for a tone, 0.56 for white noise.

    Equal to `librosa.feature.spectral_flatness`. Silence gives 1, as all bins are at the floor.

    Args:
        power: [frames, bins], >= 0.

    Returns:
        float64 [frames, 1] in (0, 1].
    """
    raised = np.maximum(power, FLATNESS_FLOOR)
    geometric = np.exp(np.mean(np.log(raised), axis=1, keepdims=True))
    return geometric / np.mean(raised, axis=1, keepdims=True)


def contrast_bands(sample_rate: int, n_fft: int, n_bands: int) -> list[Band]:
    """Bins of the octave bands above 200 Hz, after one band of what lies below.

    Those of `librosa.feature.spectral_contrast`: a band takes the bin below its lower edge, and its
    own last bin counts for its extremes only. The last band has all the rest.

    Args:
        sample_rate: Hz.
        n_fft: Points of the Fourier transform.
        n_bands: Octaves, >= 1.

    Returns:
        n_bands + 1 bands.

    Raises:
        ValueError: A band begins above half the sample rate, or covers no bin.
    """
    edges = np.concatenate([[0.0], CONTRAST_FMIN * 2.0 ** np.arange(n_bands + 1)])
    if edges[-2] >= sample_rate / 2:
        raise ValueError(
            f"every contrast band must begin below half the sample rate; lower contrast_bands. "
            f"Received: contrast_bands={n_bands}, sample_rate={sample_rate}"
        )
    hz = frequencies(sample_rate, n_fft)
    bands = []
    for number, (lower, upper) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        last = number == n_bands
        inside = np.flatnonzero((hz >= lower) & (hz <= upper))
        if len(inside) < (2 if number == 0 else 1):
            raise ValueError(
                f"every contrast band must cover a bin of the transform; raise n_fft. Received: "
                f"n_fft={n_fft}, a band lies between {lower:.0f} and {upper:.0f} Hz"
            )
        start = int(inside[0]) - (number > 0)
        stop = len(hz) if last else int(inside[-1]) + 1
        extremes = max(1, int(np.rint(CONTRAST_QUANTILE * (stop - start))))
        bands.append(Band(start, stop - (not last), extremes))
    return bands


def contrast(power: np.ndarray, bands: list[Band]) -> np.ndarray:
    """Ratio of peak to valley in each band: the mean of its largest to that of its smallest bins.

    Equal to `librosa.feature.spectral_contrast` where the valley is above CONTRAST_FLOOR, without
    its `top_db`, which compares with the whole clip. Like librosa's it is 10 log10 of a ratio of
    magnitudes. Silence gives 0.

    Args:
        power: [frames, bins], >= 0.
        bands: From `contrast_bands`.

    Returns:
        float64 [frames, len(bands)], >= 0, dB.
    """
    columns = []
    for start, stop, extremes in bands:
        ordered = np.sort(np.sqrt(power[:, start:stop]), axis=1)
        ends = ordered[:, -extremes:].mean(axis=1), ordered[:, :extremes].mean(axis=1)
        peak, valley = np.log10(np.maximum(ends, CONTRAST_FLOOR))
        columns.append(10.0 * (peak - valley))
    return np.stack(columns, axis=1)


def _shares(power: np.ndarray) -> np.ndarray:
    """Each bin's share of the sum of magnitudes: [frames, bins]."""
    magnitude = np.sqrt(power)
    return magnitude / np.maximum(magnitude.sum(axis=1, keepdims=True), MAGNITUDE_FLOOR)
