"""Spectral contrast as a Keras layer."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras as keras

from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Frontend
from audio_edge.reference import spectral


@keras.utils.register_keras_serializable(package="audio_edge")
class SpectralContrast(Frontend):
    """Peak over valley of each octave band in dB, below 200 Hz and in `contrast_bands` above.

    Equal to `audio_edge.reference.spectral.contrast` within float32: a valley 100 dB below the
    frame's peak is rounding and worth little. Silence gives 0.

    Output shape: [batch, frames, contrast_bands + 1, 1], >= 0, dB.
    """

    feature, reads = "contrast", "power"

    def __init__(self, config: FrontendConfig | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        c = self.config
        self._bands = spectral.contrast_bands(self.sample_rate, c.n_fft, c.contrast_bands)

    @property
    def width(self) -> int:
        """The octaves, and what lies below them."""
        return self.config.contrast_bands + 1

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, width]."""
        magnitude = analysis.magnitude
        peaks, valleys = [], []  # each [batch, frames, 1]
        for start, stop, extremes in self._bands:
            band = magnitude[..., start:stop]
            peaks.append(_largest(band, extremes))
            valleys.append(-_largest(-band, extremes))
        peak = tf.maximum(tf.concat(peaks, axis=-1), spectral.CONTRAST_FLOOR)
        valley = tf.maximum(tf.concat(valleys, axis=-1), spectral.CONTRAST_FLOOR)
        return (tf.math.log(peak) - tf.math.log(valley)) * (10.0 / math.log(10.0))


def _largest(values: tf.Tensor, count: int) -> tf.Tensor:
    """Mean of the `count` largest along the last axis: [batch, frames, 1]."""
    if count == 1:  # all bands but the widest, and cheaper than sorting
        return tf.reduce_max(values, axis=-1, keepdims=True)
    top = tf.math.top_k(values, count, sorted=False).values
    return tf.reduce_mean(top, axis=-1, keepdims=True)
