"""A long Fourier transform as two steps of short ones (Cooley and Tukey 1965), in plain products.

With n_fft = first * second, the first step transforms the samples that lie `second` apart, for
each of `second` offsets. Its output r, the residue, is all that the bins k = r modulo `first` need:
the second step sums over the offsets, once for each bin. The samples are real, so residue first - r
is the conjugate of residue r, and half of them are computed. Bins are complex up to a phase that
the power does not show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from audio_edge import mel
from audio_edge.config import FrontendConfig
from audio_edge.frontend.framing import frame

UNUSED = -1


class Factored:
    """Two steps, the second as a grouped convolution: a residue is a group of channels.

    The first step begins with a butterfly: sums and differences of samples half a transform apart
    leave the even and the odd residues, with half of the products, and less rounding. The window is
    folded into the butterfly, the twiddle factors into the second step. The residues 0 and
    first / 2 are real and share a group.

    Args:
        config: Frame and transform settings.
        wanted: Bins to compute.
        first: Length of the first transform, a power of two in [4, n_fft / 2].
    """

    def __init__(self, config: FrontendConfig, wanted: Sequence[int] | np.ndarray, first: int):
        self.config = config
        window = np.zeros(config.n_fft)
        window[: config.frame_length] = mel.hann(config.frame_length)
        butterfly = np.stack([window, window * np.repeat([1, -1], config.n_fft // 2)])
        self.butterfly = butterfly.reshape(2, 1, 2, -1, 1).astype(np.float32)
        self.halves = [_Half(config.n_fft, wanted, first, odd) for odd in (0, 1)]
        self.bins = np.concatenate([half.bins for half in self.halves])
        self.block = len(self.bins)

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """[batch, samples] -> power [batch, frames, columns]."""
        frames = _padded_frames(waveform, self.config, self.config.n_fft)
        pairs = tf.reshape(frames, [-1, tf.shape(frames)[1], 2, self.config.n_fft // 2])
        parts = []
        for half, kernel in zip(self.halves, self.butterfly, strict=True):
            folded = tf.nn.depthwise_conv2d(pairs, kernel, [1, 1, 1, 1], "VALID")
            parts.append(half(tf.squeeze(folded, axis=2)))  # [batch, frames, columns]
        return tf.concat(parts, axis=2)


class _Half:
    """The even or the odd residues: folded [batch, frames, n_fft / 2] -> power."""

    def __init__(self, n_fft: int, wanted: Sequence[int] | np.ndarray, first: int, odd: int):
        middle, self.second = first // 2, n_fft // first
        residues = np.arange(odd, middle, 2)
        turns = np.outer(np.arange(middle), residues) / first
        waves = np.exp(-2j * np.pi * turns)
        pairs = np.stack([waves.real, waves.imag], axis=2)  # [taps, residues, 2]
        if not odd:
            pairs[:, 0, 1] = (-1.0) ** np.arange(middle)  # residue first / 2, where 0 needs nothing
        self.waves = pairs.reshape(middle, middle).astype(np.float32)
        groups: list[list[int]] = [[] for _ in residues]
        for number in wanted:
            residue = min(number % first, -number % first)
            if residue % 2 == odd:
                groups[residue % middle // 2].append(number)
        width = max(1, *(len(group) for group in groups))
        bins = np.full([len(groups), width], UNUSED)
        kernel = np.zeros([len(groups), 2, self.second, width], complex)
        for index, group in enumerate(groups):
            bins[index, : len(group)] = group
            for column, number in enumerate(group):
                turn = np.exp(-2j * np.pi * np.arange(self.second) * number / n_fft)
                if residues[index] == 0:
                    kernel[index, int(number % first == middle), :, column] = turn
                else:
                    conjugate = -1j if number % first > middle else 1j
                    kernel[index, 0, :, column] = turn
                    kernel[index, 1, :, column] = turn * conjugate
        self.bins = bins.reshape(-1)
        kernel = kernel.reshape(len(groups), 2 * self.second, width).transpose(1, 0, 2)
        kernel = kernel.reshape(1, 1, 2 * self.second, -1)
        self.real, self.imag = kernel.real.astype(np.float32), kernel.imag.astype(np.float32)

    def __call__(self, folded: tf.Tensor) -> tf.Tensor:
        moved = _first_step(folded, self.waves, self.second)
        channels = tf.reshape(moved, [-1, tf.shape(folded)[1], 1, len(self.waves) * self.second])
        real = tf.nn.conv2d(channels, self.real, 1, "VALID")
        imag = tf.nn.conv2d(channels, self.imag, 1, "VALID")
        return tf.squeeze(power(real, imag), axis=2)


class Compact:
    """Two steps with the fewest constants: the twiddle factors are a product of their own.

    All residues, 0 to first / 2, then share one complex transform of length `second`. Its output j
    is bin j * first + r: columns come in blocks of neighbouring bins, first those above a multiple
    of `first`, then those below the next one, backwards.

    Args:
        config: Frame and transform settings.
        wanted: Bins to compute.
        first: Length of the first transform, a power of two in [4, n_fft / 2].
    """

    def __init__(self, config: FrontendConfig, wanted: Sequence[int] | np.ndarray, first: int):
        self.config, self.first, self.second = config, first, config.n_fft // first
        half, second = first // 2, self.second
        taps = -(-config.frame_length // second)
        window = np.zeros(taps * second)
        window[: config.frame_length] = mel.hann(config.frame_length)
        self.window = window.astype(np.float32)
        waves = np.exp(-2j * np.pi * np.outer(np.arange(taps), np.arange(half + 1)) / first)
        waves = np.concatenate([waves.real, waves.imag[:, 1:half]], axis=1)
        self.waves = waves.astype(np.float32)  # [taps, first]
        self.twiddle = _waves(np.arange(half + 1), np.arange(second), config.n_fft)
        multiples = np.arange(second // 2)
        outputs = np.stack([multiples, second - 1 - multiples], axis=1).reshape(-1)
        self.waves2 = _waves(np.arange(second), outputs, second)
        above = multiples[:, None] * first + np.arange(half + 1)
        below = (multiples[:, None] + 1) * first - np.arange(half + 1)
        bins = np.stack([above, below], axis=1).reshape(-1)
        keep = np.zeros(len(bins), bool)
        keep[np.unique(bins, return_index=True)[1]] = True  # the first of the bins that come twice
        self.bins = np.where(keep & np.isin(bins, wanted), bins, UNUSED)
        self.block = half + 1

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """[batch, samples] -> power [batch, frames, columns]."""
        frames = _padded_frames(waveform, self.config, len(self.window)) * self.window
        moved = _first_step(frames, self.waves, self.second)
        real = moved[:, : self.block]
        imag = tf.pad(moved[:, self.block :], [[0, 0], [1, 1], [0, 0]])
        cos, sin = self.twiddle
        turned = real * cos - imag * sin, real * sin + imag * cos
        real, imag = (tf.reshape(part, [-1, self.second]) for part in turned)
        cos, sin = self.waves2
        summed = power(
            tf.matmul(real, cos) - tf.matmul(imag, sin), tf.matmul(real, sin) + tf.matmul(imag, cos)
        )  # [batch * frames * residues, outputs]
        summed = tf.transpose(tf.reshape(summed, [-1, self.block, self.second]), [0, 2, 1])
        return tf.reshape(summed, [-1, tf.shape(frames)[1], self.second * self.block])


def power(real: tf.Tensor, imag: tf.Tensor) -> tf.Tensor:
    """Squared magnitude, any shape."""
    return real * real + imag * imag


def _padded_frames(waveform: tf.Tensor, config: FrontendConfig, length: int) -> tf.Tensor:
    """Frames of `length` samples, as many as `config` counts: [batch, frames, length]."""
    samples = waveform.shape[1]
    if samples is None:
        raise ValueError("waveform must have a fixed number of samples; only dft='rfft' does not")
    return frame(waveform, length, config.hop_length, config.frames(samples))


def _first_step(frames: tf.Tensor, waves: np.ndarray, second: int) -> tf.Tensor:
    """[batch, frames, taps * second], [taps, outputs] -> [batch * frames, outputs, second]."""
    taps, outputs = waves.shape
    columns = tf.transpose(tf.reshape(frames, [-1, taps, second]), [0, 2, 1])
    moved = tf.matmul(tf.reshape(columns, [-1, taps]), waves)
    return tf.transpose(tf.reshape(moved, [-1, second, outputs]), [0, 2, 1])


def _waves(rows: np.ndarray, columns: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and minus sine of 2 pi row * column / period, each float32 [rows, columns]."""
    waves = np.exp(-2j * np.pi * np.outer(rows, columns) / period)
    return waves.real.astype(np.float32), waves.imag.astype(np.float32)
