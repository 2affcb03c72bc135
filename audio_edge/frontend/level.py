"""Zero-crossing rate and root mean square as Keras layers, without making any frames."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from audio_edge.frontend.base import Analysis, Frontend
from audio_edge.frontend.framing import frame_sums
from audio_edge.reference import level

_STEEP = 1e30  # float32 has steps of 1e-17 at the threshold


@keras.utils.register_keras_serializable(package="audio_edge")
class ZeroCrossingRate(Frontend):
    """Share of a frame's samples before which the sign changes, zero being positive.

    Equal to `audio_edge.reference.level.zero_crossing_rate` within float32. Silence gives 0.

    Output shape: [batch, frames, 1, 1] in [0, 1).
    """

    feature, reads = "zcr", "frames"

    @property
    def width(self) -> int:
        """One."""
        return 1

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, 1]."""
        length, hop = self.config.frame_length, self.config.hop_length
        # 1 for what lies below the threshold, else 0: XNNPACK has neither comparison nor cast.
        below = (-level.SIGN_THRESHOLD - analysis.waveform) * _STEEP
        negative = tf.minimum(tf.nn.relu(below), 1.0)
        crossings = tf.abs(negative[:, 1:] - negative[:, :-1])  # [batch, samples - 1]
        # A frame has one pair of neighbours fewer than it has samples.
        return frame_sums(crossings, length - 1, hop) / length


@keras.utils.register_keras_serializable(package="audio_edge")
class RMS(Frontend):
    """Root of the mean square of each frame, without a window.

    Equal to `audio_edge.reference.level.rms` within float32. Silence gives 0.

    Output shape: [batch, frames, 1, 1] in [0, 1].
    """

    feature, reads = "rms", "frames"

    @property
    def width(self) -> int:
        """One."""
        return 1

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, 1]."""
        c = self.config
        sums = frame_sums(tf.square(analysis.waveform), c.frame_length, c.hop_length)
        return tf.sqrt(sums / c.frame_length)
