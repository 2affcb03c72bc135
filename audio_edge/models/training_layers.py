"""Layers for training: normalisation over the clips of all replicas, and what is quick on a CPU.

Keras' own layers are what classifiers are built of, saved with and converted from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras as keras


def for_training(classifier: keras.Model) -> keras.Model:
    """The same classifier, with the layers that suit these devices; names and weights are kept."""
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    if not several and tf.config.list_physical_devices("GPU"):
        return classifier

    def suited(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = type(layer)
        if kind is keras.layers.BatchNormalization:
            kind = SharedNormalization if several else QuickNormalization
        elif not several and kind is keras.layers.Conv2D and _is_pointwise(layer):
            kind = QuickPointwise
        return kind.from_config(layer.get_config())

    made = keras.models.clone_model(classifier, clone_function=suited)
    made.set_weights(classifier.get_weights())
    return made


def _is_pointwise(layer: keras.layers.Conv2D) -> bool:
    plain = layer.activation is keras.activations.linear and layer.groups == 1
    return plain and layer.kernel_size == (1, 1) and layer.strides == (1, 1)


class QuickPointwise(keras.layers.Conv2D):
    """A convolution of 1 by 1 on a CPU, as a product of matrices, forwards and backwards."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[batch, frames, bands, channels] -> [batch, frames, bands, filters]."""
        made = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), self.kernel[0, 0])
        made = tf.nn.bias_add(made, self.bias) if self.use_bias else made
        return tf.reshape(made, tf.concat([tf.shape(inputs)[:-1], [self.filters]], axis=0))


class _Normalization(keras.layers.BatchNormalization):
    """Keras' layer, with a way of its own while training."""

    def _note(
        self, before: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, count: tf.Tensor
    ) -> None:
        """Take statistics of `count` values a channel into the moving ones, as Keras does.

        `before` is the moving mean. Who uses it otherwise too must read it once and give it here:
        TensorFlow keeps no order between another reading and this writing when it optimises a graph
        with custom gradients.
        """
        noted = variance * count / tf.maximum(count - 1.0, 1.0)
        self.moving_mean.assign(before * self.momentum + mean * (1.0 - self.momentum))
        average = self.moving_variance
        average.assign(average * self.momentum + noted * (1.0 - self.momentum))


class SharedNormalization(_Normalization):
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
        self._note(self.moving_mean, mean, variance, count)
        scale = tf.math.rsqrt(variance + self.epsilon) * self.gamma
        return tf.cast((x - mean) * scale + self.beta, inputs.dtype)


class QuickNormalization(_Normalization):
    """Keras' layer on a CPU: sums over a batch are products with ones, for all channels at once.

    TensorFlow's fused kernel takes two to five times as long there, forwards and backwards.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Same shape as the input."""
        if not training or not self.trainable:
            return super().call(inputs, training=training)
        rows = tf.reshape(tf.cast(inputs, tf.float32), [-1, inputs.shape[-1]])
        count = tf.cast(tf.shape(rows)[0], tf.float32)
        near = tf.convert_to_tensor(self.moving_mean)
        made, mean, variance = _normalized(rows, self.gamma, self.beta, near, count, self.epsilon)
        self._note(near, mean, variance, count)
        return tf.cast(tf.reshape(made, tf.shape(inputs)), inputs.dtype)


def _normalized(
    rows: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, near: tf.Tensor, count: tf.Tensor,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:  # fmt: skip
    """[n, channels] with mean `beta` and deviation `gamma`; the mean and variance it had.

    The nearer the mean is to `near`, the fewer digits of the variance are lost.
    """

    @tf.custom_gradient
    def normalize(
        rows: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], Callable[..., tuple[tf.Tensor, ...]]]:
        def mean_of(values: tf.Tensor) -> tf.Tensor:
            return tf.matmul(ones, values)[0]

        ones = tf.fill([1, tf.shape(rows)[0]], 1.0 / count)
        mean = mean_of(rows)
        squares = mean_of(tf.math.squared_difference(rows, near))
        variance = tf.maximum(squares - tf.square(mean - near), 0.0)
        inverse = tf.math.rsqrt(variance + epsilon)
        scale = inverse * gamma

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
            """Ioffe and Szegedy 2015, section 3, as upstream * scale - rows * slope + constant."""
            level = mean_of(upstream)
            along = (mean_of(upstream * rows) - level * mean) * inverse  # with the normalised x
            slope = scale * inverse * along
            changed = upstream * scale - rows * slope + (slope * mean - scale * level)
            return changed, along * count, level * count

        return (rows * scale + (beta - scale * mean), mean, variance), gradient

    made, mean, variance = normalize(rows, gamma, beta)
    return made, tf.stop_gradient(mean), tf.stop_gradient(variance)
