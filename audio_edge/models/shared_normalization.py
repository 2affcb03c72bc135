"""Batch normalisation over the clips of all replicas, so that their number changes nothing."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


def share(classifier: keras.Model) -> keras.Model:
    """The same classifier with normalisation over all replicas; names and weights are kept."""

    def shared(layer: keras.layers.Layer) -> keras.layers.Layer:
        if type(layer) is keras.layers.BatchNormalization:
            return SharedNormalization.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    made = keras.models.clone_model(classifier, clone_function=shared)
    made.set_weights(classifier.get_weights())
    return made


class SharedNormalization(keras.layers.BatchNormalization):
    """Keras' layer, with mean and variance over the clips of all replicas while training.

    Keras' own `synchronized=True` notes another variance than its layer for one device, which
    divides by n - 1, and keeps it on each replica by itself, so that a checkpoint would need all
    of them. Here every replica notes the same.
    """

    def add_weight(self, *args: Any, **options: Any) -> tf.Variable:
        """A weight that is the same on all replicas."""
        options.pop("synchronization", None)
        options.pop("aggregation", None)
        return super().add_weight(*args, **options)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Same shape as the input."""
        replica = tf.distribute.get_replica_context()
        if not training or not self.trainable or replica is None:
            return super().call(inputs, training=training)
        x = tf.cast(inputs, tf.float32)
        axes = list(range(x.shape.rank - 1))
        own = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        sums = tf.concat([tf.reduce_sum(x, axes), own[None]], axis=0)
        sums = replica.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        count = sums[-1]
        mean = sums[:-1] / count
        squares = tf.reduce_sum(tf.square(x - mean), axes)
        variance = replica.all_reduce(tf.distribute.ReduceOp.SUM, squares) / count
        noted = variance * count / tf.maximum(count - 1.0, 1.0)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, noted)):
            average.assign(average * self.momentum + value * (1.0 - self.momentum))
        scale = tf.math.rsqrt(variance + self.epsilon) * self.gamma
        return tf.cast((x - mean) * scale + self.beta, inputs.dtype)
