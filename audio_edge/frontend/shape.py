"""Centroid, bandwidth, roll-off and flatness of the spectrum as Keras layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Frontend
from audio_edge.reference import spectral


@keras.utils.register_keras_serializable(package="audio_edge")
class SpectralCentroid(Frontend):
    """Mean frequency in Hz, weighted by magnitude.

    Equal to `audio_edge.reference.spectral.centroid` within float32. Silence gives 0.

    Output shape: [batch, frames, 1, 1], Hz.
    """

    feature, reads = "centroid", "power"

    def __init__(self, config: FrontendConfig | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        self._hz = spectral.frequencies(self.sample_rate, self.config.n_fft).astype(np.float32)

    @property
    def width(self) -> int:
        """One."""
        return 1

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, 1]."""
        return _centroid(analysis.magnitude, self._hz)


@keras.utils.register_keras_serializable(package="audio_edge")
class SpectralBandwidth(Frontend):
    """Deviation in Hz of the frequencies from their centroid, weighted by magnitude.

    Equal to `audio_edge.reference.spectral.bandwidth` within float32. Silence gives 0.

    Output shape: [batch, frames, 1, 1], Hz.
    """

    feature, reads = "bandwidth", "power"

    def __init__(self, config: FrontendConfig | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        self._hz = spectral.frequencies(self.sample_rate, self.config.n_fft).astype(np.float32)

    @property
    def width(self) -> int:
        """One."""
        return 1

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, 1]."""
        magnitude = analysis.magnitude
        # The squares are of deviations: E[f^2] - E[f]^2 would cancel for a narrow band.
        deviation = self._hz - _centroid(magnitude, self._hz)  # [batch, frames, bins]
        moment = tf.reduce_sum(magnitude * tf.square(deviation), axis=-1, keepdims=True)
        return tf.sqrt(moment / _total(magnitude))


@keras.utils.register_keras_serializable(package="audio_edge")
class SpectralRolloff(Frontend):
    """Frequency in Hz of the first bin up to which the magnitudes reach `rolloff` of their sum.

    Equal to `audio_edge.reference.spectral.rolloff`, but where the share is reached within float32
    of a bin's edge: there it may be the next bin. Silence gives 0.

    Output shape: [batch, frames, 1, 1], Hz.
    """

    feature, reads = "rolloff", "power"

    @property
    def width(self) -> int:
        """One."""
        return 1

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, 1]."""
        total = _running_sum(analysis.magnitude)  # [batch, frames, blocks * block]
        # The zeros after the last bin leave the sum as it is, so its end is the whole.
        below = tf.cast(total < self.config.rolloff * total[..., -1:], tf.float32)
        count = tf.reduce_sum(below, axis=-1, keepdims=True)
        return count * (self.sample_rate / self.config.n_fft)


@keras.utils.register_keras_serializable(package="audio_edge")
class SpectralFlatness(Frontend):
    """Geometric over arithmetic mean of the power: near 0 for a tone, 0.56 for white noise.

    Equal to `audio_edge.reference.spectral.flatness` within float32. Silence gives 1.

    Output shape: [batch, frames, 1, 1] in (0, 1].
    """

    feature, reads = "flatness", "power"

    @property
    def width(self) -> int:
        """One."""
        return 1

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, 1]."""
        power = tf.maximum(analysis.power, spectral.FLATNESS_FLOOR)
        geometric = tf.exp(tf.reduce_mean(tf.math.log(power), axis=-1, keepdims=True))
        return geometric / tf.reduce_mean(power, axis=-1, keepdims=True)


def _total(magnitude: tf.Tensor) -> tf.Tensor:
    """Sum over the bins, never 0: [batch, frames, 1]."""
    total = tf.reduce_sum(magnitude, axis=-1, keepdims=True)
    return tf.maximum(total, spectral.MAGNITUDE_FLOOR)


def _centroid(magnitude: tf.Tensor, hz: np.ndarray) -> tf.Tensor:
    """Mean frequency: [batch, frames, 1]."""
    return tf.matmul(magnitude, hz[:, None]) / _total(magnitude)


def _running_sum(values: tf.Tensor) -> tf.Tensor:
    """Cumulative sum over the last axis, padded with zeros to a whole number of blocks.

    Sums inside blocks of about sqrt(bins), then the sums of the blocks before: two triangles of a
    few kilobytes, where one over all bins would be 264 KB at 257 bins, and CUMSUM leaves XNNPACK.
    """
    bins = values.shape[-1]
    block = math.isqrt(bins - 1) + 1
    blocks = -(-bins // block)
    padded = tf.pad(values, [[0, 0], [0, 0], [0, blocks * block - bins]])
    shape = [-1, values.shape[1], blocks, block]
    upper = np.triu(np.ones([block, block], np.float32))
    inside = tf.matmul(tf.reshape(padded, shape), upper)  # [batch, frames, blocks, block]
    strict = np.triu(np.ones([blocks, blocks], np.float32), 1)
    before = tf.matmul(tf.squeeze(inside[..., -1:], axis=-1), strict)  # [batch, frames, blocks]
    total = inside + tf.expand_dims(before, axis=-1)
    return tf.reshape(total, [-1, values.shape[1], blocks * block])
