"""Mel-frequency cepstral coefficients and their differences as a Keras layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Frontend
from audio_edge.reference import cepstral


@keras.utils.register_keras_serializable(package="audio_edge")
class MFCC(Frontend):
    """DCT-II of ln(mel power + log_floor), liftered, followed by `deltas` orders of differences.

    Equal to `audio_edge.reference.cepstral.mfcc` within float32. A difference looks four frames to
    either side and repeats the first and last frame past the edges, so in a stream the four newest
    frames are provisional. Silence gives the DCT of ln(log_floor), and differences of 0.

    Output shape: [batch, frames, n_mfcc * (1 + deltas), 1].
    """

    feature, reads = "mfcc", "mel"

    def __init__(self, config: FrontendConfig | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        c = self.config
        self._dct = cepstral.dct_matrix(c.n_mels, c.n_mfcc, lifter=c.lifter).astype(np.float32)
        self._kernels = [
            cepstral.delta_kernel(order).astype(np.float32).reshape(-1, 1, 1, 1)
            for order in range(1, c.deltas + 1)
        ]

    @property
    def width(self) -> int:
        """Coefficients, and as many for each order of differences."""
        return self.config.n_mfcc * (1 + self.config.deltas)

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, width]."""
        logmel = tf.math.log(analysis.mel_power + self.config.log_floor)
        # A DCT of differences is the difference of DCTs. In this order the converter keeps the
        # differences in float where an int8 classifier follows; the other way it takes int8.
        parts = [logmel, *self._differences(logmel)]
        return tf.concat([tf.matmul(part, self._dct) for part in parts], axis=-1)

    def _differences(self, logmel: tf.Tensor) -> list[tf.Tensor]:
        """Each order of differences: [batch, frames, n_mels]."""
        if not self._kernels:
            return []
        side = cepstral.DELTA_WIDTH // 2
        # XNNPACK joins five at most, so each edge is repeated by itself.
        before = tf.concat([logmel[:, :1]] * side, axis=1)
        after = tf.concat([logmel[:, -1:]] * side, axis=1)
        padded = tf.concat([before, logmel, after], axis=1)
        image = tf.expand_dims(padded, axis=-1)  # [batch, frames + 8, n_mels, 1]
        orders = [tf.nn.conv2d(image, kernel, 1, "VALID") for kernel in self._kernels]
        return [tf.squeeze(order, axis=-1) for order in orders]
