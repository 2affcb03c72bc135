"""Augmentation as pure TensorFlow functions of (batch, seed).

The same seed gives the same change, so that an interrupted run resumes to the same weights.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from audio_edge import acoustics, replicas
from audio_edge.acoustics import fold, rms
from audio_edge.config import AugmentConfig

SILENCE_DB = (-70.0, 0.0)  # level of made silence against full scale, peak


class NoiseBank:
    """Noise recordings laid end to end, from which random windows are drawn.

    Args:
        noises: float [samples] each, at least clip_samples long, peak 1.
        clip_samples: Length of the windows.
    """

    def __init__(self, noises: list[np.ndarray], clip_samples: int):
        if not noises or min(len(noise) for noise in noises) < clip_samples:
            shortest = min((len(noise) for noise in noises), default=0)
            raise ValueError(
                f"every noise must hold clip_samples = {clip_samples}. "
                f"Received: shortest {shortest}"
            )
        self.clip_samples = clip_samples
        lengths = np.array([len(noise) for noise in noises])
        self._starts = tf.constant(np.concatenate([[0], np.cumsum(lengths)[:-1]]), tf.int32)
        self._room = tf.constant(lengths - clip_samples + 1, tf.float32)
        self._samples = tf.constant(np.concatenate(noises), tf.float32)

    def draw(self, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """`count` random windows, each recording equally likely: float32 [count, clip_samples]."""
        noises = tf.size(self._starts)
        draw = replicas.rows(count).draw
        which = draw(tf.random.stateless_uniform, [], fold(seed, 0), 0, noises, tf.int32)
        place = draw(tf.random.stateless_uniform, [], fold(seed, 1))
        offset = tf.cast(place * tf.gather(self._room, which), tf.int32)
        start = tf.gather(self._starts, which) + offset
        return tf.gather(self._samples, start[:, None] + tf.range(self.clip_samples)[None, :])


def crop(clips: tf.Tensor, samples: int, *, seed: tf.Tensor) -> tf.Tensor:
    """Of each clip the louder of two random windows: [batch, clip_samples] -> [batch, samples]."""
    batch, room = tf.shape(clips)[0], clips.shape[1] - samples
    if not room:
        return clips
    draw = replicas.rows(batch).draw(tf.random.stateless_uniform, [2], fold(seed, 40))
    starts = tf.cast(draw * float(room + 1), tf.int32)
    places = tf.minimum(starts, room)[:, :, None] + tf.range(samples)
    windows = tf.gather(clips, places, batch_dims=1)
    levels = tf.reduce_sum(tf.square(tf.cast(windows, tf.float32)), axis=2)
    return tf.gather(windows, tf.argmax(levels, axis=1), batch_dims=1)


def waveforms(
    clips: tf.Tensor, silent: tf.Tensor, bank: NoiseBank, config: AugmentConfig, *,
    sample_rate: int, seed: tf.Tensor,
) -> tf.Tensor:  # fmt: skip
    """Change the speed, shift, filter, mix with noise, change the gain, clip to [-1, 1].

    Half of the noise plays backwards, and what becomes silence is changed as the words are: a few
    minutes of recorded sounds are all that tells the class what else there is.

    Args:
        clips: float32 [batch, samples] in [-1, 1].
        silent: bool [batch]; such a clip becomes noise alone, at a random level, or digital zero.
        bank: Background noise, in windows of at least so many samples.
        config: Ranges.
        sample_rate: Hz.
        seed: int64 [2].

    Returns:
        float32 [batch, samples] in [-1, 1].
    """
    batch = tf.shape(clips)[0]

    def uniform(salt: int, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        rows = replicas.rows(batch)
        return rows.draw(tf.random.stateless_uniform, [1], fold(seed, salt), low, high)

    shift = tf.round(uniform(2, -1.0, 1.0) * config.shift_s * sample_rate)
    noise = bank.draw(batch, fold(seed, 3))[:, : clips.shape[1]]
    noise = tf.where(uniform(41) < 0.5, noise[:, ::-1], noise)
    alone = silent[:, None]
    clips = tf.where(alone, noise, clips)
    clips = _warp(clips, shift, 1.0 + config.speed * uniform(9, -1.0, 1.0))
    clips = acoustics.filtered(clips, config, sample_rate=sample_rate, seed=seed)
    ratio = _amplitude(-uniform(4, *config.snr_db)) * rms(clips) / (rms(noise) + 1e-9)
    clips += tf.where((uniform(5) < config.noise_share) & ~alone, ratio, 0.0) * noise
    level = tf.where(uniform(7) < config.zero_share, 0.0, _amplitude(uniform(8, *SILENCE_DB)))
    gain = tf.where(alone, level, _amplitude(uniform(6, *config.gain_db)))
    return tf.clip_by_value(gain * clips, -1.0, 1.0)


def mix(
    clips: tf.Tensor, targets: tf.Tensor, config: AugmentConfig, *, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Two clips at once, and both of their labels.

    Between-class learning (Tokozume et al. 2018): a clip of share p, drawn from
    Beta(mix_alpha, mix_alpha), sounds p / (1 - p) times as loud as the other, whatever their levels
    were; the mixture keeps the power of its parts. Mixup (Zhang et al. 2018): p of the one's
    samples and 1 - p of the other's are added, so that the louder clip may hide the other.

    Args:
        clips: float32 [batch, samples].
        targets: float32 [batch, classes], each row with sum 1.
        config: `mix_share` of the clips are mixed in the first way, `mixup_share` of the others in
            the second.
        seed: int64 [2].

    Returns:
        Clips and targets of the same shapes.
    """
    if not (config.mix_share or config.mixup_share):
        return clips, targets
    rows, total = replicas.rows(tf.shape(clips)[0]), replicas.total(tf.shape(clips)[0])
    order = tf.argsort(tf.random.stateless_uniform([total], fold(seed, 30)), stable=True)
    other = order if rows.here is None else tf.gather(order, rows.here)
    alpha = tf.constant(config.mix_alpha)
    first, second = (
        rows.draw(tf.random.stateless_gamma, [1], fold(seed, salt), alpha) + 1e-9
        for salt in (31, 32)
    )
    heard = rows.draw(tf.random.stateless_uniform, [1], fold(seed, 33)) < config.mix_share
    mixed = heard | (
        rows.draw(tf.random.stateless_uniform, [1], fold(seed, 34)) < config.mixup_share
    )
    share = tf.where(mixed, first / (first + second), 1.0)
    partner, partners = (tf.gather(replicas.gathered(x), other) for x in (clips, targets))
    louder = (rms(clips) + 1e-6) / (rms(partner) + 1e-6)
    equal = 1.0 / (1.0 + louder * (1.0 - share) / share)
    weight = tf.where(heard, equal, share)
    power = tf.where(heard, tf.sqrt(tf.square(weight) + tf.square(1.0 - weight)), 1.0)
    clips = (weight * clips + (1.0 - weight) * partner) / power
    return tf.clip_by_value(clips, -1.0, 1.0), share * targets + (1 - share) * partners


def spec_augment(logmel: tf.Tensor, config: AugmentConfig, *, seed: tf.Tensor) -> tf.Tensor:
    """SpecAugment (Park et al. 2019) without warping: random bands take the clip's mean.

    Args:
        logmel: float32 [batch, frames, n_mels, 1].
        config: Number and greatest width of the masks.
        seed: int64 [2].
    """
    mean = tf.reduce_mean(logmel, axis=(1, 2, 3), keepdims=True)
    masks = [(1, config.time_width)] * config.time_masks
    masks += [(2, config.freq_width)] * config.freq_masks
    for number, (axis, width) in enumerate(masks):
        logmel = tf.where(_band(logmel, axis, width, fold(seed, 10 + number)), mean, logmel)
    return logmel


def _band(x: tf.Tensor, axis: int, width: int, seed: tf.Tensor) -> tf.Tensor:
    """bool, broadcastable to x: one random band of 0 to `width` places along `axis`."""
    size = x.shape[axis]
    draws = replicas.rows(tf.shape(x)[0]).draw(tf.random.stateless_uniform, [2, 1, 1], seed)
    span = tf.floor(draws[:, :1] * (min(width, size) + 1))
    start = tf.floor(draws[:, 1:] * (size - span + 1))
    shape = [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1]
    places = tf.reshape(tf.range(size, dtype=tf.float32), shape)
    return (places >= start) & (places < start + span)


def _warp(clips: tf.Tensor, shift: tf.Tensor, speed: tf.Tensor) -> tf.Tensor:
    """Play each clip `speed` times as fast about its middle, then move it `shift` samples later.

    Zeros come in from outside; between samples it interpolates linearly.

    Args:
        clips: float32 [batch, samples].
        shift: float32 [batch, 1], samples.
        speed: float32 [batch, 1]; 1 leaves the pitch and the pace as they are.
    """
    length = clips.shape[1]
    middle = (length - 1) / 2
    source = (tf.range(length, dtype=tf.float32)[None, :] - middle - shift) * speed + middle
    before = tf.floor(source)
    weight = source - before
    padded = tf.pad(clips, [[0, 0], [2, 2]])
    place = tf.clip_by_value(tf.cast(before, tf.int32) + 2, 0, length + 2)
    left = tf.gather(padded, place, batch_dims=1)
    right = tf.gather(padded, place + 1, batch_dims=1)
    return left + weight * (right - left)


def _amplitude(decibels: tf.Tensor) -> tf.Tensor:
    return tf.pow(10.0, decibels / 20.0)
