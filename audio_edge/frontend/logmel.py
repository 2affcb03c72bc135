"""Log-mel power as a Keras layer."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from audio_edge.frontend.base import Analysis, Frontend


@keras.utils.register_keras_serializable(package="audio_edge")
class LogMel(Frontend):
    """Natural logarithm of mel power: ln(|rfft(frame * hann)|^exponent @ mel + log_floor).

    Equal to `audio_edge.mel.logmel` within float32. Nothing depends on the clip's or batch's
    maximum, so batches of any size, whole clips and streams agree. Silence gives ln(log_floor).
    """

    feature, reads = "logmel", "mel"

    @property
    def width(self) -> int:
        """Mel bands."""
        return self.config.n_mels

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, n_mels]."""
        return tf.math.log(analysis.mel_power + self.config.log_floor)
