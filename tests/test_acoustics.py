"""Rooms and equalisers: known shares, decays and curves, by the seed alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import acoustics
from audio_edge.config import AugmentConfig
from audio_edge.errors import UserError

RATE, CLIP = 8000, 8000
PLAIN = AugmentConfig()
ROOM = dataclasses.replace(PLAIN, reverb_share=1.0, reverb_s=(0.3, 0.3))
CURVE = dataclasses.replace(PLAIN, eq_share=1.0, eq_db=6.0)


def seed(run=1, step=2):
    return tf.constant([run, step], tf.int64)


def filtered(clips, config, at=None):
    at = seed() if at is None else at
    return acoustics.filtered(tf.constant(clips), config, sample_rate=RATE, seed=at).numpy()


def impulses(count=200):
    clips = np.zeros((count, CLIP), np.float32)
    clips[:, 0] = 1.0
    return clips


@pytest.fixture
def noise(rng):
    return rng.normal(scale=0.1, size=(200, CLIP)).astype(np.float32)


def test_without_shares_nothing_changes(noise):
    np.testing.assert_array_equal(filtered(noise, PLAIN), noise)


@pytest.mark.parametrize(("room", "curve"), [(0.3, 0.0), (0.0, 0.6), (0.5, 0.5)])
def test_as_many_clips_change_as_the_shares_say(noise, room, curve):
    config = dataclasses.replace(PLAIN, reverb_share=room, eq_share=curve)
    changed = np.abs(filtered(noise, config) - noise).max(axis=1) > 1e-4
    either = 1 - (1 - room) * (1 - curve)
    if room and curve:  # of those that are sent through, some draw neither
        assert 0.5 * either < changed.mean() <= either
    else:
        assert changed.mean() == pytest.approx(either, abs=1 / 200)


def test_a_clip_keeps_its_level(noise):
    both = dataclasses.replace(ROOM, eq_share=1.0)
    ours = filtered(noise, both)
    np.testing.assert_allclose(
        np.square(ours).mean(axis=1), np.square(noise).mean(axis=1), rtol=1e-3
    )


def test_a_room_decays_by_60_db_in_its_time():
    tails = filtered(impulses(), ROOM)[:, 1:]
    power = np.square(tails).mean(axis=0)
    early, late = slice(200, 600), slice(1400, 1800)  # 0.15 s apart: half of 0.3 s
    drop_db = 10 * np.log10(power[early].mean() / power[late].mean())
    assert drop_db == pytest.approx(30, abs=2)  # 400 samples of 200 rooms each
    assert not tails[:, 2500:].any() or np.abs(tails[:, 2500:]).max() < 1e-6  # past the tail
    assert np.abs(tails[:, :22]).max() < 1e-6  # no echo in the first 3 ms


def test_an_equaliser_stays_within_its_range_and_is_smooth():
    clips = impulses(50)
    clips[:, 0], clips[:, 4000] = 0.0, 1.0
    decibels = 20 * np.log10(np.abs(np.fft.rfft(filtered(clips, CURVE))))
    decibels -= decibels.mean(axis=1, keepdims=True)
    assert np.ptp(decibels, axis=1).max() <= 12 + 0.5  # leakage past the ends of the clip
    assert np.ptp(decibels, axis=1).mean() > 5
    assert np.abs(np.diff(decibels[:, 200:], axis=1)).max() < 0.2  # dB a bin of 1 Hz


def test_each_clip_has_a_room_of_its_own(noise):
    same = np.repeat(noise[:1], 50, axis=0)
    assert len(np.unique(filtered(same, ROOM), axis=0)) == 50


def test_the_seed_decides(noise):
    config = dataclasses.replace(ROOM, eq_share=0.5)
    first = filtered(noise, config)
    np.testing.assert_array_equal(filtered(noise, config), first)
    assert (filtered(noise, config, seed(1, 3)) != first).any(axis=1).all()


def test_graph_and_xla_accept_a_batch_of_unknown_size(noise):
    config = dataclasses.replace(PLAIN, reverb_share=0.4, eq_share=0.3)

    def call(clips, at):
        return acoustics.filtered(clips, config, sample_rate=RATE, seed=at)

    signature = [tf.TensorSpec([None, CLIP], tf.float32), tf.TensorSpec([2], tf.int64)]
    graph = tf.function(call, input_signature=signature)
    for size in (1, 7, 64):
        expected = call(tf.constant(noise[:size]), seed())
        np.testing.assert_allclose(graph(noise[:size], seed()), expected, atol=1e-6)  # float32 FFT
        compiled = tf.function(call, jit_compile=True)(tf.constant(noise[:size]), seed())
        assert compiled.shape == (size, CLIP)
        assert np.isfinite(compiled).all()


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"reverb_share": 1.5}, "reverb_share must be in"),
        ({"reverb_s": (0.0, 0.5)}, "reverb_s must be in"),
        ({"reverb_s": (0.5, 0.2)}, "reverb_s must be \\[low, high\\]"),
        ({"eq_db": -1.0}, "eq_db must be >= 0"),
    ],
)
def test_bad_settings_are_refused(keys, rule):
    with pytest.raises(UserError, match=rule):
        AugmentConfig(**keys)
