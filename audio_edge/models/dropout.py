"""Dropout whose mask is a function of (seed, step), so that an interrupted run resumes exactly."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from audio_edge import replicas


@keras.utils.register_keras_serializable(package="audio_edge")
class StatelessDropout(keras.layers.Layer):
    """Inverted dropout driven by a step counter that the training loop sets.

    Keras' own Dropout draws from a stateful generator that no checkpoint brings back.

    Args:
        rate: Share of inputs set to zero while training, in [0, 1).
        seed: Integer seed.
    """

    def __init__(self, rate: float, *, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate, self.seed = rate, seed
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Same shape as the input; the input itself when not training."""
        if not training or self.rate == 0:
            return inputs
        seed = tf.stack([tf.constant(self.seed, tf.int64), self.step])
        rows, each = replicas.rows(tf.shape(inputs)[0]), tf.unstack(tf.shape(inputs)[1:])
        kept = rows.draw(tf.random.stateless_uniform, each, seed) >= self.rate
        return tf.where(kept, inputs / (1 - self.rate), tf.zeros_like(inputs))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
