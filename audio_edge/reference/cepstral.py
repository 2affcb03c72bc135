"""The reference of the cepstral features, NumPy float64: MFCC and their differences in time."""

from __future__ import annotations

import numpy as np

DELTA_WIDTH = 9  # frames that a difference is fitted to, as in librosa


def dct_matrix(n_bands: int, n_coefficients: int, *, lifter: int = 0) -> np.ndarray:
    """Orthonormal DCT-II as a matrix, each coefficient weighted by its lifter.

    Equal to `scipy.fft.dct(type=2, norm="ortho")` and the lifter of `librosa.feature.mfcc`:
    1 + lifter / 2 * sin(pi * (k + 1) / lifter) for coefficient k.

    Args:
        n_bands: Bands of the logarithmic spectrum, >= 1.
        n_coefficients: Coefficients kept, the mean first, in [1, n_bands].
        lifter: Period of the lifter in coefficients, >= 0; 0 is off.

    Returns:
        float64 [n_bands, n_coefficients].

    Raises:
        ValueError: More coefficients than bands, or a negative lifter.
    """
    if not 1 <= n_coefficients <= n_bands:
        raise ValueError(
            f"n_coefficients must be in [1, n_bands]; lower n_mfcc or raise n_mels. "
            f"Received: n_coefficients={n_coefficients}, n_bands={n_bands}"
        )
    if lifter < 0:
        raise ValueError(f"lifter must be >= 0. Received: lifter={lifter}")
    order = np.arange(n_coefficients)
    angle = np.pi / n_bands * np.outer(np.arange(n_bands) + 0.5, order)
    matrix = np.sqrt(2.0 / n_bands) * np.cos(angle)
    matrix[:, 0] = np.sqrt(1.0 / n_bands)
    if lifter:
        matrix *= 1.0 + lifter / 2.0 * np.sin(np.pi * (order + 1) / lifter)
    return matrix


def delta_kernel(order: int, *, width: int = DELTA_WIDTH) -> np.ndarray:
    """Weights of the frames around one, whose sum is its `order`-th difference.

    The derivative, per frame, of the polynomial of degree `order` that fits best (Savitzky and
    Golay 1964), as `librosa.feature.delta` takes it.

    Args:
        order: Order of the derivative, >= 1.
        width: Frames, odd and > order.

    Returns:
        float64 [width], the earliest frame first.

    Raises:
        ValueError: The width is even, or too small for the order.
    """
    if order < 1 or width % 2 == 0 or width <= order:
        raise ValueError(
            f"order must be >= 1, width odd and > order. Received: order={order}, width={width}"
        )
    steps = np.arange(width) - width // 2
    fit = np.linalg.pinv(np.vander(steps, order + 1, increasing=True).astype(np.float64))
    return fit[order] * np.prod(np.arange(1, order + 1))


def deltas(features: np.ndarray, *, order: int = 1, width: int = DELTA_WIDTH) -> np.ndarray:
    """Differences in time of each band; the first and last frame are repeated past the edges.

    Equal to `librosa.feature.delta(mode="nearest")`. librosa's default fits the frames at an edge
    anew; here one kernel serves all frames. A frame depends on width // 2 frames to either side,
    so a stream has it that much later.

    Args:
        features: [frames, bands], at least one frame.
        order: Order of the difference, >= 1.
        width: Frames, odd and > order.

    Returns:
        float64 [frames, bands], per frame (order 1), per frame squared (order 2).
    """
    features = np.asarray(features, np.float64)
    side = width // 2
    padded = np.pad(features, ((side, side), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    return windows @ delta_kernel(order, width=width)


def mfcc(logmel: np.ndarray, *, n_mfcc: int = 13, lifter: int = 0, n_deltas: int = 0) -> np.ndarray:
    """Mel-frequency cepstral coefficients of log-mel power, followed by their differences.

    The logarithm is the natural one, so the values are ln(10) / 10 = 0.23 of those from dB.

    Args:
        logmel: [frames, n_mels], ln of mel power.
        n_mfcc: Coefficients, in [1, n_mels].
        lifter: See `dct_matrix`.
        n_deltas: Orders of differences that follow, >= 0.

    Returns:
        float64 [frames, n_mfcc * (1 + n_deltas)]: coefficients, first differences, second, ...
    """
    logmel = np.asarray(logmel, np.float64)
    coefficients = logmel @ dct_matrix(logmel.shape[-1], n_mfcc, lifter=lifter)
    orders = [deltas(coefficients, order=order) for order in range(1, n_deltas + 1)]
    return np.concatenate([coefficients, *orders], axis=1)
