"""From bins to mel bands: one matrix product, or one for each block of neighbouring bins."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from audio_edge.frontend.two_steps import UNUSED


def columns(weights: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Weights [n_fft // 2 + 1, bands] in the order of a transform's columns: [columns, bands]."""
    return np.where((bins == UNUSED)[:, None], 0.0, weights[bins])


def project(power: tf.Tensor, weights: np.ndarray, block: int) -> tf.Tensor:
    """Power [batch, frames, columns] times weights [columns, bands].

    Neighbouring bins are read by neighbouring bands only, so that a block of columns needs a small
    matrix: fewer constants, more operations.
    """
    total, bands = weights.shape
    if block == total:
        return tf.matmul(power, weights.astype(np.float32))
    parts = []
    for start in range(0, total, block):
        part = weights[start : start + block]
        read = np.flatnonzero(part.any(axis=0))
        if len(read):
            low, high = int(read[0]), int(read[-1]) + 1
            kernel = part[:, low:high].astype(np.float32)
            some = tf.matmul(power[..., start : start + block], kernel)
            parts.append(tf.pad(some, [[0, 0], [0, 0], [low, bands - high]]))
    return functools.reduce(tf.add, parts)  # ADD_N would leave the delegate
