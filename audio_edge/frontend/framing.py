"""Overlapping frames of waveforms, by slices of rows, and sums over them."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

_MOST_SLICES = 24


def frame(waveform: tf.Tensor, length: int, hop: int, count: int | None = None) -> tf.Tensor:
    """Frames of a waveform; frame i starts at sample i * hop.

    The waveform is laid out in rows of `hop` samples, so that a frame is a few neighbouring rows:
    copies of whole rows, where a gather of samples would leave the delegate.

    Args:
        waveform: [batch, samples].
        length: Samples in a frame.
        hop: Samples between frames.
        count: Frames; None takes all that fit. More are filled with zeros.

    Returns:
        [batch, count, length].
    """
    samples = waveform.shape[1]
    whole, rest = divmod(length, hop)
    if samples is None or whole >= _MOST_SLICES:
        return tf.signal.frame(waveform, length, hop, pad_end=count is not None)[:, :count]
    count = 1 + (samples - length) // hop if count is None else count
    grid = _rows(waveform, hop, count + whole - (rest == 0))
    parts = [grid[:, i : i + count] for i in range(whole)]
    if rest:
        parts.append(grid[:, whole : whole + count, :rest])
    return tf.concat(parts, axis=2) if len(parts) > 1 else parts[0]


def frame_sums(values: tf.Tensor, length: int, hop: int) -> tf.Tensor:
    """Sum over each frame, made of the sums over its rows; no frame is cut out.

    Args:
        values: [batch, samples].
        length: Values in a frame.
        hop: Values between frames.

    Returns:
        [batch, frames, 1].
    """
    samples = values.shape[1]
    whole, rest = divmod(length, hop)
    if samples is None or whole >= _MOST_SLICES:
        mean = tf.nn.avg_pool1d(tf.expand_dims(values, axis=-1), length, hop, "VALID")
        return mean * length
    count = 1 + (samples - length) // hop
    grid = _rows(values, hop, count + whole - (rest == 0))
    kernel = np.ones([hop, 2], np.float32)
    kernel[rest:, 1] = 0  # the second sum is that of a row's beginning
    sums = tf.matmul(grid, kernel)  # [batch, rows, 2]
    parts = [sums[:, i : i + count, :1] for i in range(whole)]
    if rest:
        parts.append(sums[:, whole : whole + count, 1:])
    return functools.reduce(tf.add, parts)


def _rows(values: tf.Tensor, hop: int, rows: int) -> tf.Tensor:
    """The first rows of `hop` values, filled with zeros at the end: [batch, rows, hop]."""
    samples = values.shape[1]
    if rows * hop > samples:
        values = tf.pad(values, [[0, 0], [0, rows * hop - samples]])
    elif rows * hop < samples:
        values = values[:, : rows * hop]
    return tf.reshape(values, [-1, rows, hop])
