"""The greatest frame as a layer, of however many there are."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras


@keras.utils.register_keras_serializable(package="audio_edge")
class Peak(keras.layers.Layer):
    """Maximum over time: [batch, time, bands, channels] with time at 1.

    A MAX_POOL_2D in a file, which int8 kernels take, and not a REDUCE_MAX, which they leave.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The maximum."""
        return tf.nn.max_pool2d(inputs, (inputs.shape[1], 1), 1, "VALID")

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        """The input's, with time at 1."""
        batch, _, bands, channels = input_shape
        return tf.TensorShape([batch, 1, bands, channels])
