"""Tiny .tflite models with known weights, each made once a session."""

from __future__ import annotations

from functools import cache

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from audio_edge.card import Card, attach

CLIP_SAMPLES, SAMPLE_RATE = 1600, 16000
PARAMS = 3 * 3 * 4 + 4 + 4 * 3 + 3  # convolution, its bias, dense layer, its bias


def convert(function, *shape: int, optimize: bool = False) -> bytes:
    """A Python function of one float32 tensor of fixed shape -> flatbuffer."""
    concrete = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32)])
    module = tf.Module()
    module.call = concrete
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete.get_concrete_function()], module
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimize else []
    return converter.convert()


def half_zero_kernel() -> np.ndarray:
    """[3, 3, 1, 4], 18 of 36 values zero."""
    kernel = np.linspace(-1, 1, 36).astype(np.float32)
    kernel[::2] = 0
    return kernel.reshape(3, 3, 1, 4)


@cache
def keyword_model(quantized: bool = False) -> bytes:
    """Waveform [1, 1600] -> log-mel -> convolution with half its kernel zero -> 3 probabilities.

    With `quantized`, what follows the log-mel is int8, by fake quantisation.
    """
    rng = np.random.default_rng(0)
    mel = np.abs(rng.normal(size=(129, 8))).astype(np.float32)
    dense = np.array([[1, 2, 0], [0, 1, 1], [2, 0, 1], [1, 1, 2]], np.float32) / 2

    def fake(x, low, high, narrow=False):
        if not quantized:
            return x
        return tf.quantization.fake_quant_with_min_max_args(x, low, high, narrow_range=narrow)

    def call(waveform):
        frames = tf.signal.frame(waveform, 240, 160)
        spectrum = tf.signal.rfft(frames, [256])
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        logmel = tf.expand_dims(tf.math.log(tf.matmul(power, mel) + 1e-6), -1)
        x = fake(logmel, -14.0, 14.0)
        kernel = fake(tf.constant(half_zero_kernel()), -1.0, 1.0, True)
        x = tf.nn.conv2d(x, kernel, 1, "VALID") + np.float32([0.1, 0.2, 0.3, 0.4])
        x = fake(tf.nn.relu(x), 0.0, 60.0)
        x = fake(tf.reduce_mean(x, [1, 2]), 0.0, 60.0)
        x = tf.matmul(x, fake(tf.constant(dense), -1.0, 1.0, True)) + np.float32([0.1, 0.2, 0.3])
        return tf.nn.softmax(fake(x, -60.0, 60.0))

    return convert(call, 1, CLIP_SAMPLES, optimize=quantized)


@cache
def loudness_model() -> bytes:
    """Waveform [1, 1600] -> probabilities of (loud, quiet): loud from a mean square of 0.01 on."""

    def call(waveform):
        power = tf.reduce_mean(tf.square(waveform), axis=1, keepdims=True)
        return tf.nn.softmax(tf.concat([1000 * (power - 0.01), tf.zeros_like(power)], axis=1))

    return convert(call, 1, CLIP_SAMPLES)


@cache
def dense_model(inputs: int, outputs: int) -> bytes:
    """One fully connected layer of ones, [1, inputs] -> [1, outputs]."""
    weights = tf.ones((inputs, outputs))
    return convert(lambda x: tf.matmul(x, weights), 1, inputs)


def carded(model: bytes, *, labels: tuple[str, ...], stage: str = "float") -> bytes:
    """The model with our card."""
    return attach(model, Card(labels, SAMPLE_RATE, CLIP_SAMPLES, name="tiny", stage=stage))


def with_custom_op(model: bytes, name: str, *, of: str = "SOFTMAX") -> bytes:
    """The model with one of its operator codes turned into a custom op."""
    root = schema.ModelT.InitFromPackedBuf(model, 0)
    for code in root.operatorCodes:
        if code.builtinCode == getattr(schema.BuiltinOperator, of):
            custom = schema.BuiltinOperator.CUSTOM
            code.builtinCode = code.deprecatedBuiltinCode = custom
            code.customCode = name.encode()
    builder = Builder(len(model))
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())
