"""Per-channel energy normalisation as a Keras layer whose parameters are learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Frontend
from audio_edge.reference import pcen

_FASTEST = 1 - 1e-6  # the logit of a coefficient of 1 would be infinite


@keras.utils.register_keras_serializable(package="audio_edge")
class PCEN(Frontend):
    """Mel power over its own recent level: (E / (log_floor + M)^gain + bias)^power - bias^power.

    M is E smoothed over time, M[t] = (1 - s) M[t-1] + s E[t], from M[0] = E[0] of the clip. Equal
    to `audio_edge.reference.pcen.pcen` within float32. Silence gives 0.

    Each band learns its own gain, bias, power and s (Wang et al. 2017, "Trainable frontend"). The
    weights are ln(gain), ln(bias), ln(power) and logit(s), so that no step leaves the valid range:
    bias > 0, s in (0, 1), and gain and power in (0, 1] by a constraint that keeps logarithms <= 0.

    Output shape: [batch, frames, n_mels, 1], >= 0.
    """

    feature, reads = "pcen", "mel"

    def __init__(self, config: FrontendConfig | dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        c = self.config
        start = pcen.smoothing(c.pcen_time_s, sample_rate=self.sample_rate, hop_length=c.hop_length)
        s = min(start, _FASTEST)
        self.log_gain = self._weight("log_gain", np.log(c.pcen_gain), constraint=_at_most_one)
        self.log_bias = self._weight("log_bias", np.log(c.pcen_bias))
        self.log_power = self._weight("log_power", np.log(c.pcen_power), constraint=_at_most_one)
        self.logit_s = self._weight("logit_s", np.log(s / (1 - s)))

    def _weight(self, name: str, value: float, **kwargs: Any) -> tf.Variable:
        return self.add_weight(
            name, [self.config.n_mels], initializer=keras.initializers.Constant(value), **kwargs
        )

    @property
    def width(self) -> int:
        """Mel bands."""
        return self.config.n_mels

    def smooth(
        self, mel_power: tf.Tensor, state: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The level M of each band, and the state with which the next chunk of a stream goes on.

        The recurrence is unrolled by doubling, M[t] += (1 - s)^n M[t - n] for n = 1, 2, 4, ...,
        which is exact, and takes 7 steps for 98 frames.

        Args:
            mel_power: [batch, frames, n_mels]; the number of frames must be known to the graph.
            state: [batch, n_mels], M of the frame before the first; None takes M[0] = E[0].

        Returns:
            M, [batch, frames, n_mels], and its last frame, [batch, n_mels].
        """
        frames = mel_power.shape[1]
        kept, taken = tf.sigmoid(-self.logit_s), tf.sigmoid(self.logit_s)  # 1 - s and s
        before = mel_power[:, :1] if state is None else tf.expand_dims(state, axis=1)
        level = tf.concat([before, taken * mel_power], axis=1)  # [batch, 1 + frames, n_mels]
        span = 1
        while span <= frames:
            past = tf.pad(level[:, :-span], [[0, 0], [span, 0], [0, 0]])
            level += kept * past
            kept = tf.square(kept)
            span *= 2
        level = level[:, 1:]
        return level, level[:, -1]

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, width]."""
        energy = analysis.mel_power
        level, analysis.level = self.smooth(energy, analysis.level)
        gain, bias, power = (tf.exp(w) for w in (self.log_gain, self.log_bias, self.log_power))
        # Powers by exp and log, which XNNPACK has and POW it has not; bias^power is taken out, so
        # that silence gives exactly 0.
        ratio = energy * tf.exp(-gain * tf.math.log(level + self.config.log_floor)) / bias
        growth = tf.exp(power * tf.math.log(ratio + 1.0)) - 1.0
        return tf.exp(power * self.log_bias) * growth


def _at_most_one(logarithm: tf.Tensor) -> tf.Tensor:
    return tf.minimum(logarithm, 0.0)
