"""The power spectrum of frames, computed in one of four forms that agree within float32.

    rfft      `tf.signal.rfft`: made for training; in a .tflite file its op is left to no delegate.
    dense     two matrix products: many constants, and few operations for short transforms only.
    factored  two short transforms, with grouped convolutions: the fastest in a .tflite file.
    compact   the same with the fewest constants.

Bins that nobody reads are left out where that saves something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from audio_edge import mel
from audio_edge.config import FrontendConfig
from audio_edge.frontend.framing import frame
from audio_edge.frontend.two_steps import UNUSED, Compact, Factored, power

FORMS = ("rfft", "dense", "factored", "compact")
_LEAST_SECOND = 16  # values in a product of the second step: they fill a vector register


class Transform(Protocol):
    """Waveforms to the power of their frames, Hann-windowed.

    Attributes:
        bins: int [columns], the bin of the transform that each column holds, or UNUSED.
        block: Neighbouring columns hold neighbouring bins in blocks of this many.
    """

    bins: np.ndarray
    block: int

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """[batch, samples] -> power [batch, frames, columns]."""


def make(form: str, config: FrontendConfig, wanted: Sequence[int] | np.ndarray) -> Transform:
    """The transform of that form which gives at least the wanted bins, each 0 to n_fft / 2.

    The factored and compact forms fall back to the dense one where that needs fewer operations.

    Raises:
        ValueError: The form is unknown.
    """
    if form not in FORMS:
        raise ValueError(f"dft must be one of {', '.join(FORMS)}. Received: dft={form!r}")
    if form == "rfft":
        return _Rfft(config)
    first = best_split(config, wanted)
    if form == "dense" or first is None:
        return _Dense(config, wanted)
    return (Factored if form == "factored" else Compact)(config, wanted, first)


def best_split(config: FrontendConfig, wanted: Sequence[int] | np.ndarray) -> int | None:
    """The length of the first transform that needs the fewest products, or None for dense."""
    products: dict[int | None, int] = {None: 2 * config.frame_length * len(wanted)}
    first = 4
    while config.n_fft // first >= _LEAST_SECOND:
        second = config.n_fft // first
        products[first] = config.n_fft * first // 2 + 4 * second * len(wanted)
        first *= 2
    return min(products, key=lambda first: products[first])


def positions(bins: np.ndarray, wanted: Sequence[int] | np.ndarray) -> np.ndarray:
    """Column of each wanted bin: int [wanted]."""
    column = {int(number): index for index, number in enumerate(bins) if number != UNUSED}
    return np.array([column[int(number)] for number in wanted])


class _Rfft:
    def __init__(self, config: FrontendConfig):
        self.config, self.bins = config, np.arange(config.n_fft // 2 + 1)
        self.block = len(self.bins)
        self.window = mel.hann(config.frame_length).astype(np.float32)

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        c = self.config
        frames = tf.signal.frame(waveform, c.frame_length, c.hop_length)
        spectrum = tf.signal.rfft(frames * self.window, [c.n_fft])  # [batch, frames, bins]
        return power(tf.math.real(spectrum), tf.math.imag(spectrum))


class _Dense:
    def __init__(self, config: FrontendConfig, wanted: Sequence[int] | np.ndarray):
        self.config, self.bins = config, np.array(wanted)
        self.block = len(self.bins)
        turns = np.outer(np.arange(config.frame_length), self.bins) / config.n_fft
        waves = mel.hann(config.frame_length)[:, None] * np.exp(-2j * np.pi * turns)
        self.real, self.imag = waves.real.astype(np.float32), waves.imag.astype(np.float32)

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        frames = frame(waveform, self.config.frame_length, self.config.hop_length)
        return power(tf.matmul(frames, self.real), tf.matmul(frames, self.imag))
