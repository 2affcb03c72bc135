"""Chroma, the power of each pitch class, as a Keras layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Frontend
from audio_edge.reference import chroma


@keras.utils.register_keras_serializable(package="audio_edge")
class Chroma(Frontend):
    """Power of each of `n_chroma` pitch classes, the strongest of a frame being 1.

    Equal to `audio_edge.reference.chroma.chroma` within float32. Silence gives 0.

    Output shape: [batch, frames, n_chroma, 1] in [0, 1].
    """

    feature, reads = "chroma", "power"

    def __init__(self, config: FrontendConfig | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        c = self.config
        self._weights = chroma.filterbank(
            sample_rate=self.sample_rate, n_fft=c.n_fft, n_chroma=c.n_chroma
        ).astype(np.float32)

    @property
    def width(self) -> int:
        """Pitch classes."""
        return self.config.n_chroma

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, width]."""
        raw = tf.matmul(analysis.power, self._weights)  # [batch, frames, n_chroma]
        strongest = tf.reduce_max(raw, axis=-1, keepdims=True)
        return raw / tf.maximum(strongest, chroma.POWER_FLOOR)
