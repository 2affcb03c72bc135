"""A gated recurrence over time without a loop, so that it quantises and converts."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

# The ranges that int8 LOGISTIC and TANH have in LiteRT: steps of 1/256 and 1/128.
UNIT, STATE = (0.0, 255 / 256), (-1.0, 127 / 128)


@keras.utils.register_keras_serializable(package="audio_edge")
class GatedScan(keras.layers.Layer):
    """h[t] = f[t] h[t-1] + (1 - f[t]) z[t], with f = sigmoid(gate), z = tanh(candidate), h[-1] = 0.

    The f-pooling of quasi-recurrent networks (Bradbury et al. 2017, equation 3). Gates do not
    depend on h, so the states of all frames come from a prefix scan (Hillis and Steele 1986): after
    step k each frame holds what 2^k frames did to the state, and log2(frames) steps of products and
    sums over the whole clip take the place of one step a frame. Each h lies in [-1, 1], each
    product of gates in [0, 1]: the ranges for int8 are known beforehand.

    Input: [batch, time, 1, 2 channels], first the gates and then the candidates, both before their
    activation. Output: h [batch, time, 1, channels].

    Args:
        rounded: Round every intermediate to its 256 steps, as int8 will.
    """

    def __init__(self, *, rounded: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.rounded = rounded

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The states of all frames."""
        gate, candidate = tf.split(inputs, 2, axis=3)
        keep = self._round(tf.sigmoid(gate), UNIT)
        fresh = self._round(tf.tanh(candidate), STATE)
        state = self._round(fresh - self._round(keep * fresh, STATE), STATE)
        frames, span = gate.shape[1], 1
        while span < frames:
            earlier = self._round(keep * _delayed(state, span), STATE)
            state = self._round(state + earlier, STATE)
            if 2 * span < frames:
                keep = self._round(keep * _delayed(keep, span), UNIT)
            span *= 2
        return state

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        """The input's, with half the channels."""
        return tf.TensorShape([*input_shape[:3], input_shape[3] // 2])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "rounded": self.rounded}

    def _round(self, x: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
        return tf.quantization.fake_quant_with_min_max_args(x, *limits) if self.rounded else x


def _delayed(x: tf.Tensor, frames: int) -> tf.Tensor:
    """X some frames later, zeros before it began."""
    return tf.pad(x[:, :-frames], [[0, 0], [frames, 0], [0, 0], [0, 0]])
