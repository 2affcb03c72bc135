"""The mean over one axis as a layer, which keeps its dimension."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.utils.register_keras_serializable(package="audio_edge")
class Mean(keras.layers.Layer):
    """Mean over an axis: [batch, time, bands, channels] with that axis at 1.

    Args:
        axis: 1, over time, or 2, over the bands.
    """

    def __init__(self, axis: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The mean."""
        return tf.reduce_mean(inputs, axis=self.axis, keepdims=True)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        """The input's, with the axis at 1."""
        return tf.TensorShape(
            [1 if axis == self.axis else size for axis, size in enumerate(input_shape)]
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "axis": self.axis}
