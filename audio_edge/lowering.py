"""From a Keras model to a flatbuffer, by the TFLite converter, with builtin ops only."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from audio_edge import streaming


def to_flatbuffer(model: keras.Model, *, per_channel_dense: bool = True, **options: Any) -> bytes:
    """Convert a Keras model of one input and output at batch 1, with builtin ops only.

    A quantisation-aware trained body becomes int8; everything else stays float32.

    Args:
        model: As [batch, samples] -> [batch, classes].
        per_channel_dense: The converter may give dense layers a scale a channel, see
            `targets.fitting`.
        options: Of the converter.
    """
    signature = tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name="waveform")
    function = tf.function(
        lambda waveform: {"probs": model(waveform, training=False)}, input_signature=[signature],
        autograph=False,
    )  # fmt: skip
    concrete = function.get_concrete_function()
    return _lowered(concrete, model, per_channel_dense=per_channel_dense, options=options)


def stream_to_flatbuffer(stream: streaming.Streaming, *, per_channel_dense: bool = True) -> bytes:
    """Convert one step of a stream; the states inside a quantisation-aware body become int8."""
    lowered = _lowered(
        streaming.concrete(stream), stream.model, tf.int8, per_channel_dense=per_channel_dense
    )
    return streaming.in_order(lowered, stream)


def _lowered(
    concrete: Any, model: keras.Model, io: tf.DType = tf.float32, *, per_channel_dense: bool,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:  # fmt: skip
    """Convert a concrete function; `io` is the type of the inputs and outputs in an int8 body."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(concrete)], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = (
        not per_channel_dense
    )
    if any("quantize" in type(layer).__name__.lower() for layer in model.submodules):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = io
    for name, value in options.items():
        *parts, last = name.split(".")
        setattr(functools.reduce(getattr, parts, converter), last, value)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return converter.convert()
    finally:
        logging.disable(before)


def _frozen(concrete: Any) -> Any:
    """The function with its variables as constants, its inputs and outputs named as before.

    The converter saves and loads what it is given; without variables that takes half the time.
    """
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    arguments, named = concrete.structured_input_signature

    def call(*inputs: tf.Tensor, **more: tf.Tensor) -> Any:
        given = tf.nest.flatten((inputs, more))
        return tf.nest.pack_sequence_as(concrete.structured_outputs, frozen(*given))

    return tf.function(call, autograph=False).get_concrete_function(*arguments, **named)
