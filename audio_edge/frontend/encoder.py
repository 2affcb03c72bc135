"""Embeddings of a published network in the place of features, for networks that teach others."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import tensorflow as tf

from audio_edge import encoders
from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Frontend


class Encoder(Frontend):
    """What a published network makes of the waveform, frozen; its file runs outside the graph.

    Each dimension of the embeddings is normalised as `FrontendConfig.normalize` says.

    Args:
        path: As `encoders.load` takes it.
        pad_s: Silence before and after each clip, which networks for long recordings are used to.
        sample_rate: Hz.

    Input shape: [batch, samples] in [-1, 1], as many in every call.
    Output shape: [batch, frames, width, 1].

    Raises:
        UserError: The file is missing, or takes or gives something else.
    """

    feature, reads = "encoder", "waveform"

    def __init__(self, path: str, *, pad_s: float = 0.0, sample_rate: int = 16000):
        super().__init__(FrontendConfig(normalize=True), sample_rate=sample_rate)
        self._encode, self._pad = encoders.load(path), round(pad_s * sample_rate)
        self._shapes: dict[int, tuple[int, int]] = {}

    @cached_property
    def width(self) -> int:
        """Dimensions of an embedding."""
        return self.shape(self.sample_rate)[1]

    def shape(self, samples: int) -> tuple[int, int]:
        """(frames, width) of clips of so many samples."""
        if samples not in self._shapes:
            _, *shape = self._encode(np.zeros([1, samples + 2 * self._pad], np.float32)).shape
            self._shapes[samples] = (shape[0], shape[1])
        return self._shapes[samples]

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The embeddings of the waveform: [batch, frames, width]."""
        waveform = analysis.waveform
        padded = tf.pad(waveform, [[0, 0], [self._pad, self._pad]])
        embeddings = tf.numpy_function(self._encode, [padded], tf.float32, stateful=False)
        return tf.ensure_shape(embeddings, [None, *self.shape(waveform.shape[1])])
