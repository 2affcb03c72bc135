"""Rooms and devices as random filters: what lies between a talker and the samples.

Pure TensorFlow functions of (batch, seed), as those of `augment`.
"""

from __future__ import annotations

import math

import tensorflow as tf

from audio_edge import replicas
from audio_edge.config import AugmentConfig
from audio_edge.replicas import Rows

_FIRST_ECHO_S = 0.003
_POINTS = 7  # of an equaliser's curve, at equal distances over log frequency
_LOWEST_HZ = 60.0


def filtered(
    clips: tf.Tensor, config: AugmentConfig, *, sample_rate: int, seed: tf.Tensor
) -> tf.Tensor:
    """Send some clips through a room, some through an equaliser, some through both.

    A room is the direct sound and a tail of noise that falls by 60 dB in `reverb_s` seconds, as
    diffuse sound does (Polack 1988), between 12 dB below and 3 dB above the direct sound. An
    equaliser is a smooth curve of up to `eq_db` either way. A clip keeps its RMS.

    Args:
        clips: float32 [batch, samples].
        config: Shares and ranges.
        sample_rate: Hz.
        seed: int64 [2].

    Returns:
        float32 [batch, samples].
    """
    share = 1 - (1 - config.reverb_share) * (1 - config.eq_share)
    if share == 0:
        return clips
    batch, samples = replicas.total(tf.shape(clips)[0]), clips.shape[1]
    draws = tf.random.stateless_uniform([batch], fold(seed, 20))
    # As many clips a batch as the share says: the others pay nothing for the transforms.
    chosen = tf.cast(tf.math.ceil(share * tf.cast(batch, tf.float32) - 1e-3), tf.int32)
    order = tf.argsort(draws, stable=True)
    (rows, first), (_, rest) = replicas.ours(order[:chosen]), replicas.ours(order[chosen:])
    some, others = tf.gather(clips, first), tf.gather(clips, rest)
    tail = math.ceil(config.reverb_s[1] * sample_rate) if config.reverb_share else 0
    length = 1 << (samples + tail - 1).bit_length()
    spectrum = tf.signal.rfft(some, [length])
    if config.reverb_share:
        room = _room(rows, tail, config, sample_rate, fold(seed, 21))
        response = tf.signal.rfft(room, [length])
        spectrum *= _sometimes(response, config.reverb_share / share, rows, fold(seed, 22))
    if config.eq_share:
        curve = _curve(rows, length // 2 + 1, config.eq_db, sample_rate, fold(seed, 23))
        response = tf.cast(curve, tf.complex64)
        spectrum *= _sometimes(response, config.eq_share / share, rows, fold(seed, 24))
    changed = tf.signal.irfft(spectrum, [length])[:, :samples]
    changed *= rms(some) / (rms(changed) + 1e-9)
    return tf.gather(
        tf.concat([changed, others], axis=0), tf.argsort(tf.concat([first, rest], axis=0))
    )


def _room(
    rows: Rows, samples: int, config: AugmentConfig, sample_rate: int, seed: tf.Tensor
) -> tf.Tensor:
    """Impulse responses, the direct sound 1 at sample 0: float32 [n, samples]."""
    uniform = tf.random.stateless_uniform
    reverb_s = rows.draw(uniform, [1], fold(seed, 0), *config.reverb_s)
    level_db = rows.draw(uniform, [1], fold(seed, 1), -12.0, 3.0)
    time_s = tf.range(samples, dtype=tf.float32)[None, :] / sample_rate
    decay = tf.exp(-math.log(1000.0) * time_s / reverb_s) * tf.cast(
        time_s >= _FIRST_ECHO_S, tf.float32
    )
    tail = decay * rows.draw(tf.random.stateless_normal, [samples], fold(seed, 2))
    energy = tf.reduce_sum(tf.square(tail), axis=1, keepdims=True)
    tail *= tf.pow(10.0, level_db / 20) / tf.sqrt(energy + 1e-9)
    return tf.concat([tf.ones_like(tail[:, :1]), tail[:, 1:]], axis=1)


def _curve(rows: Rows, bins: int, most_db: float, sample_rate: int, seed: tf.Tensor) -> tf.Tensor:
    """Amplitude over frequency, straight between points in dB: float32 [n, bins]."""
    points_db = rows.draw(tf.random.stateless_uniform, [_POINTS], seed, -most_db, most_db)
    hertz = tf.range(bins, dtype=tf.float32) * (sample_rate / 2 / (bins - 1))
    span = math.log(sample_rate / 2 / _LOWEST_HZ)
    place = tf.math.log(tf.maximum(hertz, _LOWEST_HZ) / _LOWEST_HZ) / span * (_POINTS - 1)
    # Hat functions around the points: [points, bins].
    hats = tf.nn.relu(1 - tf.abs(place[None, :] - tf.range(_POINTS, dtype=tf.float32)[:, None]))
    return tf.pow(10.0, tf.matmul(points_db, hats) / 20)


def _sometimes(response: tf.Tensor, share: float, rows: Rows, seed: tf.Tensor) -> tf.Tensor:
    """The response for a share of the clips, 1 for the others."""
    draws = rows.draw(tf.random.stateless_uniform, [1], seed)
    return tf.where(draws < share, response, tf.ones_like(response))


def rms(x: tf.Tensor) -> tf.Tensor:
    """Root of the mean square of each row: [batch, 1]."""
    return tf.sqrt(tf.reduce_mean(tf.square(x), axis=1, keepdims=True))


def fold(seed: tf.Tensor, salt: int) -> tf.Tensor:
    """A seed of its own for each purpose: int64 [2]."""
    return tf.random.experimental.stateless_fold_in(seed, salt)
