"""The reference of per-channel energy normalisation, NumPy float64.

Y. Wang et al., "Trainable frontend for robust and far-field keyword spotting", ICASSP 2017.
"""

from __future__ import annotations

import numpy as np


def smoothing(time_s: float, *, sample_rate: int, hop_length: int) -> float:
    """Coefficient s of the smoother M[t] = (1 - s) M[t-1] + s E[t] with a given time constant.

    Equal to that of `librosa.pcen`: (sqrt(1 + 4 T^2) - 1) / (2 T^2), T in frames, written so that
    it does not cancel when T is small.

    Args:
        time_s: Time constant in seconds, > 0.
        sample_rate: Hz.
        hop_length: Samples between frames.

    Returns:
        s in (0, 1].
    """
    if time_s <= 0:
        raise ValueError(f"time_s must be > 0. Received: time_s={time_s}")
    frames = time_s * sample_rate / hop_length
    return float(2.0 / (1.0 + np.sqrt(1.0 + 4.0 * frames**2)))


def smooth(
    energy: np.ndarray, s: float | np.ndarray, state: np.ndarray | None = None
) -> np.ndarray:
    """Each band's energy, smoothed over time: M[t] = (1 - s) M[t-1] + s E[t].

    Args:
        energy: [frames, bands], at least one frame.
        s: Coefficient in (0, 1], one for all or one a band.
        state: [bands], M of the frame before the first, so that a stream goes on where it was;
            None takes the first frame, as if it had lasted for ever: M[0] = E[0].

    Returns:
        float64 [frames, bands]; the last row is the state of the next call.
    """
    energy = np.asarray(energy, np.float64)
    smoothed = np.empty_like(energy)
    last = energy[0] if state is None else np.asarray(state, np.float64)
    for number, row in enumerate(energy):
        smoothed[number] = last = (1.0 - s) * last + s * row
    return smoothed


def pcen(
    energy: np.ndarray,
    *,
    s: float | np.ndarray,
    gain: float | np.ndarray = 0.98,
    bias: float | np.ndarray = 2.0,
    power: float | np.ndarray = 0.5,
    floor: float = 1e-6,
    state: np.ndarray | None = None,
) -> np.ndarray:
    """Energy over its own recent level: (E / (floor + M)^gain + bias)^power - bias^power.

    Equal to `librosa.pcen(zi=(1 - s) * state)`. Silence gives 0.

    Args:
        energy: Mel power, [frames, bands], >= 0.
        s: Smoothing coefficient in (0, 1].
        gain: Share of the level taken away, > 0; 1 is all of it.
        bias: Offset before compression, > 0.
        power: Exponent of the compression, in (0, 1].
        floor: Power added to the level, > 0.
        state: See `smooth`.

    Returns:
        float64 [frames, bands], >= 0.
    """
    energy = np.asarray(energy, np.float64)
    level = floor + smooth(energy, s, state)
    # bias^power taken out, so that what is far below the bias does not cancel
    growth = np.expm1(power * np.log1p(energy * level**-gain / bias))
    return np.power(bias, power) * growth
