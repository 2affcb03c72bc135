"""Weight clustering that outlasts quantisation-aware training, to the last bit of the int8 file."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

_Scheme: Any = tfmot.quantization.keras.default_8bit.Default8BitQuantizeScheme
_Registry: Any = tfmot.quantization.keras.default_8bit.Default8BitQuantizeRegistry


class ClusteredScheme(_Scheme):
    """As tfmot's default, but convolution kernels keep their clusters, and their zeros.

    tfmot's own scheme does not do for convolutions: where all filters have equally many distinct
    weights it gives each filter clusters of its own, and a scale for each filter rounds one weight
    to many values. Here a kernel has one scale, and its weights move cluster by cluster.
    """

    def get_quantize_registry(self) -> Any:
        """The registry that the scheme takes its settings of layers from."""
        return _ClusteredRegistry()


class _ClusteredRegistry(_Registry):
    def get_quantize_config(self, layer: keras.layers.Layer) -> Any:
        config = super().get_quantize_config(layer)
        if type(layer) is keras.layers.Conv2D and layer.name != "logits":
            config.weight_quantizer = KeptClusters()
        return config


class KeptClusters(tfmot.quantization.keras.quantizers.Quantizer):
    """Int8 weights of one scale a kernel, those that begin equal kept equal, and zeros zero.

    Each weight is replaced by the mean of its cluster. The gradient of that mean is shared evenly,
    so that all of a cluster take the same steps.
    """

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Note which weights are equal now, as weights that are saved."""
        kernel = getattr(layer.layer, name).numpy()
        _, numbers = np.unique(kernel, return_inverse=True)

        def noted(what: str, shape: Any, value: Any, dtype: str = "float32") -> tf.Variable:
            start = keras.initializers.Constant(value)
            label = f"{name}_{what}"
            return layer.add_weight(
                label, shape=shape, initializer=start, trainable=False, dtype=dtype
            )

        filters = (tensor_shape[-1],)
        return {
            "numbers": noted("cluster", kernel.shape, numbers.reshape(kernel.shape), "int32"),
            "used": noted("used", kernel.shape, (kernel != 0).astype(np.float32)),
            "min_var": noted("min", filters, -6.0),
            "max_var": noted("max", filters, 6.0),
        }

    def __call__(
        self, inputs: tf.Tensor, training: bool, weights: dict[str, Any], **kwargs: Any
    ) -> tf.Tensor:
        """The kernel as int8 will have it: [height, width, inputs, filters]."""
        numbers = tf.reshape(weights["numbers"], [-1])
        most = int(np.prod(inputs.shape))
        means = tf.math.unsorted_segment_mean(tf.reshape(inputs, [-1]), numbers, most)
        kernel = tf.reshape(tf.gather(means, numbers), inputs.shape) * weights["used"]
        if training:
            limit = tf.fill(weights["max_var"].shape, tf.reduce_max(tf.abs(kernel)))
            weights["max_var"].assign(limit)
            weights["min_var"].assign(-limit)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            kernel, weights["min_var"], weights["max_var"], narrow_range=True
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments: none."""
        return {}
