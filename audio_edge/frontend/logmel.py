"""Log-mel spectrogram as a Keras layer whose graph converts to builtin TFLite ops."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import mel
from audio_edge.config import FrontendConfig


@keras.utils.register_keras_serializable(package="audio_edge")
class LogMel(keras.layers.Layer):
    """Natural logarithm of mel power: ln(|rfft(frame * hann)|^2 @ mel + log_floor).

    Equal to `audio_edge.mel.logmel` within float32. Nothing depends on the clip's or batch's
    maximum, so batches of any size, whole clips and streams agree.

    Args:
        config: Frame, transform and mel settings.
        sample_rate: Hz.

    Input shape: [batch, samples] in [-1, 1], samples >= frame_length.
    Output shape: [batch, frames, n_mels, 1], frames = 1 + (samples - frame_length) // hop_length.
    """

    def __init__(
        self,
        config: FrontendConfig | dict[str, Any] | None = None,
        *,
        sample_rate: int = 16000,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "logmel", "dtype": "float32", **kwargs})
        self.config = (
            FrontendConfig(**config) if isinstance(config, dict) else config or FrontendConfig()
        )
        self.sample_rate = sample_rate
        c = self.config
        weights = mel.filterbank(
            sample_rate=sample_rate, n_fft=c.n_fft, n_mels=c.n_mels, fmin=c.fmin, fmax=c.fmax
        )
        self._mel = weights.astype(np.float32)
        self._window = mel.hann(c.frame_length).astype(np.float32)

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        """[batch, samples] -> [batch, frames, n_mels, 1]."""
        c = self.config
        # [batch, frames, frame_length]
        frames = tf.signal.frame(waveform, c.frame_length, c.hop_length)
        spectrum = tf.signal.rfft(frames * self._window, [c.n_fft])  # [batch, frames, bins]
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        mel_power = tf.matmul(power, self._mel)  # [batch, frames, n_mels]
        return tf.expand_dims(tf.math.log(mel_power + c.log_floor), -1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as plain values."""
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "sample_rate": self.sample_rate,
        }
