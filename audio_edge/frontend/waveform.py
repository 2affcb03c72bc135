"""The frames themselves as a feature, for classifiers that learn their own filters."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Frontend


@keras.utils.register_keras_serializable(package="audio_edge")
class Waveform(Frontend):
    """Samples of each frame, unchanged and without a window.

    The layer is called "frames": a model's input is called "waveform" already.

    Output shape: [batch, frames, frame_length, 1] in [-1, 1].
    """

    feature, reads = "waveform", "frames"

    def __init__(self, config: FrontendConfig | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(config, **{"name": "frames", **kwargs})

    @property
    def width(self) -> int:
        """Samples of a frame."""
        return self.config.frame_length

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, width]."""
        return analysis.frames
