"""The reference of the features of level and sign, NumPy float64, from frames without a window."""

from __future__ import annotations

import numpy as np

SIGN_THRESHOLD = 1e-10  # a sample must lie further below zero to count as negative, as in librosa


def zero_crossing_rate(frames: np.ndarray) -> np.ndarray:
    """Share of a frame's samples before which the sign changes; zero counts as positive.

    Equal to `librosa.feature.zero_crossing_rate(center=False)`. Silence gives 0.

    Args:
        frames: [frames, frame_length] in [-1, 1].

    Returns:
        float64 [frames, 1] in [0, 1): crossings between neighbours, divided by frame_length.
    """
    negative = np.asarray(frames) < -SIGN_THRESHOLD
    return np.sum(negative[:, 1:] != negative[:, :-1], axis=1, keepdims=True) / negative.shape[1]


def rms(frames: np.ndarray) -> np.ndarray:
    """Root of the mean square of a frame.

    Equal to `librosa.feature.rms(center=False)`. Silence gives 0.

    Args:
        frames: [frames, frame_length] in [-1, 1].

    Returns:
        float64 [frames, 1] in [0, 1]; 1 is a full-scale square wave.
    """
    return np.sqrt(np.mean(np.square(np.asarray(frames, np.float64)), axis=1, keepdims=True))
