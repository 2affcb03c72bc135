"""Augmentation: each transform with its interval closed, then the seeds and the graph."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import augment
from audio_edge.augment import SILENCE_DB, NoiseBank
from audio_edge.config import AugmentConfig

RATE, CLIP = 16000, 800
STILL = AugmentConfig(
    shift_s=0.0, speed=0.0, gain_db=(0.0, 0.0), noise_share=0.0, snr_db=(10.0, 10.0),
    time_masks=0, freq_masks=0,
)  # fmt: skip


def seed(run=7, step=3):
    return tf.constant([run, step], tf.int64)


def changed(clips, config=STILL, *, silent=None, noise=None, at=(7, 3), **keys):
    config = dataclasses.replace(config, **keys)
    silent = np.zeros(len(clips), bool) if silent is None else silent
    noise = square() if noise is None else noise
    return augment.waveforms(
        tf.constant(clips, tf.float32), tf.constant(silent), NoiseBank([noise], CLIP), config,
        sample_rate=RATE, seed=seed(*at),
    ).numpy()  # fmt: skip


def square(length=3 * CLIP):
    """Full scale everywhere, so that a window's peak is the level it was given."""
    return np.where(np.arange(length) % 20 < 10, 1.0, -1.0).astype(np.float32)


@pytest.fixture
def clips(rng):
    return rng.uniform(-0.2, 0.2, (64, CLIP)).astype(np.float32)


def rms_db(x):
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64), axis=1))


def test_closed_intervals_change_nothing(clips):
    np.testing.assert_array_equal(changed(clips), clips)


def test_bank_draws_whole_windows_of_one_recording_and_every_one_of_them():
    noises = [1000.0 * number + np.arange(CLIP + room) for number, room in ((1, 0), (2, 3), (3, 9))]
    drawn = NoiseBank(noises, CLIP).draw(tf.constant(600), seed()).numpy()
    assert drawn.shape == (600, CLIP)
    np.testing.assert_array_equal(np.diff(drawn, axis=1), 1)  # never across a seam
    which, start = np.divmod(drawn[:, 0], 1000)
    for number, room in ((1, 0), (2, 3), (3, 9)):
        assert set(start[which == number]) == set(range(room + 1))
    # recordings are equally likely whatever their length: 200 each, four deviations are 46
    np.testing.assert_allclose(np.bincount(which.astype(int))[1:], 200, atol=46)


@pytest.mark.parametrize("noises", [[], [np.zeros(CLIP), np.zeros(CLIP - 1)]])
def test_bank_without_room_for_a_clip_is_refused(noises):
    with pytest.raises(ValueError, match=f"clip_samples = {CLIP}. Received: shortest"):
        NoiseBank(noises, CLIP)


def test_crop_is_the_louder_of_two_windows_anywhere_in_the_clip():
    """Each clip counts up in its own thousands, so that a window tells where it was cut."""
    clips = np.arange(300, dtype=np.int16)[None] + 1000 * np.arange(1, 31, dtype=np.int16)[:, None]
    cut = augment.crop(tf.constant(clips), 100, seed=seed()).numpy()
    assert cut.dtype == np.int16
    np.testing.assert_array_equal(np.diff(cut, axis=1), 1)
    np.testing.assert_array_equal(cut[:, 0] // 1000, np.arange(1, 31))
    starts = cut[:, 0] % 1000
    assert 110 < starts.mean() < 160  # the later of two is the louder: two thirds of 200
    assert len(set(starts)) > 15
    again, other = (
        augment.crop(tf.constant(clips), 100, seed=at).numpy() for at in (seed(), seed(step=4))
    )
    np.testing.assert_array_equal(cut, again)
    assert (cut != other).any()


def test_crop_of_a_whole_clip_is_the_clip(clips):
    np.testing.assert_array_equal(augment.crop(tf.constant(clips), CLIP, seed=seed()), clips)


def warped(clips, shift, speed):
    columns = [tf.constant(x, tf.float32)[:, None] for x in (shift, speed)]
    return augment._warp(tf.constant(clips, tf.float32), *columns).numpy()


def test_shift_moves_by_the_samples_given_and_zeros_come_in():
    moved = warped([[1, 2, 3, 4]] * 5, [0, 1, -1, 3, -9], [1] * 5)
    np.testing.assert_array_equal(
        moved, [[1, 2, 3, 4], [0, 1, 2, 3], [2, 3, 4, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    )


def test_speed_and_shift_equal_numpy_interpolation_with_zeros_outside(clips, rng):
    shift = rng.integers(-200, 200, 64)
    speed = rng.uniform(0.6, 1.4, 64)
    middle, padded = (CLIP - 1) / 2, np.pad(clips, ((0, 0), (1, 1)))
    for number, found in enumerate(warped(clips, shift, speed)):
        source = (np.arange(CLIP) - middle - shift[number]) * speed[number] + middle
        wanted = np.interp(source, np.arange(-1, CLIP + 1), padded[number], left=0, right=0)
        # float32 places a sample of up to 1100 to 1e-4, and neighbours differ by 0.4 at most
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_speed_moves_the_pitch_within_its_limit_either_way():
    tone = 0.2 * np.sin(2 * np.pi * 1000 * np.arange(CLIP) / RATE)
    out = changed(np.repeat(tone[None], 64, 0), speed=0.2)
    window = np.hanning(CLIP // 2)
    spectra = np.abs(np.fft.rfft(out[:, CLIP // 4 : -CLIP // 4] * window, 16384))
    pitch = spectra.argmax(axis=1) * RATE / 16384
    assert pitch.min() > 798  # to a bin of 1 Hz
    assert pitch.max() < 1202
    # 64 uniform draws: none in the outer quarter of a side but once in 4000 times
    assert pitch.min() < 850
    assert pitch.max() > 1150


def test_shift_is_whole_samples_within_its_limit_either_way(clips):
    limit = 160
    moved = changed(clips, shift_s=limit / RATE)
    drawn = []
    for before, after in zip(clips, moved, strict=True):
        padded = np.pad(before, limit)
        places = range(-limit, limit + 1)
        equal = [p for p in places if np.array_equal(padded[limit - p :][:CLIP], after)]
        assert len(equal) == 1
        drawn += equal
    # 64 uniform draws: beyond half the limit on one side all but 1 in 10^8 times
    assert min(drawn) < -limit / 2
    assert max(drawn) > limit / 2


def test_noise_is_added_at_the_ratio_asked_for(clips, rng):
    noise = rng.normal(size=5000).astype(np.float32)
    added = changed(clips, noise=noise, noise_share=1.0, snr_db=(10.0, 10.0)) - clips
    np.testing.assert_allclose(rms_db(clips) - rms_db(added), 10.0, atol=0.01)  # float32


def test_ratios_fill_their_interval(rng):
    clips = rng.uniform(-0.02, 0.02, (400, CLIP)).astype(np.float32)
    added = changed(clips, noise_share=1.0, snr_db=(-5.0, 25.0)) - clips
    ratios = rms_db(clips) - rms_db(added)
    assert ratios.min() > -5.01  # float32
    assert ratios.max() < 25.01
    np.testing.assert_allclose(np.quantile(ratios, [0.1, 0.5, 0.9]), [-2, 10, 22], atol=3.5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_share_of_clips_with_noise_is_the_one_asked_for(rng, share):
    clips = rng.uniform(-0.2, 0.2, (500, CLIP)).astype(np.float32)
    noisy = (changed(clips, noise_share=share) != clips).any(axis=1).mean()
    assert noisy == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 500))


def test_gain_is_in_decibels(clips):
    np.testing.assert_allclose(changed(clips, gain_db=(-6.0206, -6.0206)), clips / 2, rtol=1e-5)
    gains = rms_db(changed(clips, gain_db=(-12.0, 6.0))) - rms_db(clips)
    assert -12.001 < gains.min() < -8
    assert 2 < gains.max() < 6.001


def test_gain_applies_to_clip_and_noise_alike(clips):
    loud, soft = (changed(clips, noise_share=1.0, gain_db=(gain, gain)) for gain in (0.0, -20.0))
    np.testing.assert_allclose(soft, loud / 10, atol=1e-7)


def test_output_never_leaves_full_scale(rng):
    clips = rng.uniform(-1, 1, (64, CLIP)).astype(np.float32)
    out = changed(clips, AugmentConfig(), noise_share=1.0, snr_db=(-30.0, 0.0), gain_db=(6.0, 6.0))
    assert np.abs(out).max() == 1.0


@pytest.mark.parametrize("noise", [square(), np.zeros(CLIP, np.float32)])
def test_silent_input_stays_finite(noise):
    clips = np.zeros((32, CLIP), np.float32)
    silent = np.arange(32) % 2 == 0
    out = changed(clips, AugmentConfig(), silent=silent, noise=noise, noise_share=1.0)
    assert np.isfinite(out).all()
    assert not out[~silent].any()  # no signal, so no noise at any ratio to it


@pytest.fixture(scope="module")
def silence():
    count = 3000
    return changed(np.full((count, CLIP), 0.3, np.float32), silent=np.ones(count, bool))


def test_silence_is_noise_at_levels_within_its_interval_or_digital_zero(silence):
    peaks = np.abs(silence).max(axis=1)
    levels = 20 * np.log10(peaks[peaks > 0])
    low, high = SILENCE_DB
    assert low - 0.001 < levels.min() < low + 1
    assert high - 1 < levels.max() < high + 0.001
    # uniform in decibels: deviation 70 / sqrt(12) = 20.2, four of the mean's are 1.6
    assert levels.mean() == pytest.approx((low + high) / 2, abs=1.6)
    # the shape is the noise's: full scale at every sample, either sign
    np.testing.assert_allclose(np.abs(silence), np.repeat(peaks[:, None], CLIP, 1), rtol=1e-6)


def test_share_of_digital_zero_is_the_one_asked_for_a_tenth_unless_given(silence):
    zeros = (~silence.any(axis=1)).mean()
    assert AugmentConfig().zero_share == 0.1
    assert zeros == pytest.approx(0.1, abs=0.022)  # four standard deviations of 3000 draws


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_silence_is_all_digital_zero_or_none_of_it_if_asked(share):
    made = changed(np.zeros((64, CLIP), np.float32), silent=np.ones(64, bool), zero_share=share)
    assert (~made.any(axis=1)).mean() == share


@pytest.mark.parametrize("made", [True, False])
def test_half_of_the_noise_plays_backwards_as_silence_and_behind_words(clips, made):
    words = np.repeat(clips, 8, axis=0)
    rising = np.linspace(-1.0, 1.0, 3 * CLIP, dtype=np.float32)
    out = changed(
        words, noise=rising, silent=np.full(len(words), made), noise_share=1.0, zero_share=0.0
    )
    slopes = np.diff(out if made else out - words, axis=1).mean(axis=1)
    assert (slopes > 0).mean() == pytest.approx(0.5, abs=0.09)  # four deviations of 512 draws
    assert slopes.all()


def test_silence_is_shifted_and_changes_its_speed_as_words_do(clips):
    silent = np.ones(len(clips), bool)
    levels = np.abs(changed(clips, silent=silent, zero_share=0.0)).max(axis=1)
    out = changed(clips, silent=silent, zero_share=0.0, shift_s=0.02)
    zeros = (out == 0).sum(axis=1)
    assert 0 < zeros.max() <= 0.02 * RATE + 1
    assert len(set(zeros)) > 20
    np.testing.assert_allclose(np.abs(out).max(axis=1), levels, rtol=1e-6)
    fast = changed(clips, silent=silent, zero_share=0.0, speed=0.3)
    turns = (fast[:, 1:] * fast[:, :-1] < 0).sum(axis=1) / (fast != 0).sum(axis=1)
    assert turns.min() < 0.85 / 10 < 1.15 / 10 < turns.max()  # the noise turns every 10 samples


def test_only_silent_rows_are_replaced(clips):
    silent = np.arange(64) < 20
    out = changed(clips, silent=silent)
    np.testing.assert_array_equal(out[~silent], clips[~silent])
    assert (out[silent] != clips[silent]).any(axis=1).all()


BUSY = AugmentConfig(shift_s=0.01, noise_share=0.7)


def test_same_seed_gives_the_same_bits(clips):
    silent = np.arange(64) % 8 == 0
    first = changed(clips, BUSY, silent=silent)
    tf.random.set_seed(99)  # no global state plays a part
    np.testing.assert_array_equal(changed(clips, BUSY, silent=silent), first)


@pytest.mark.parametrize("other", [(7, 4), (8, 3)])
def test_another_seed_or_step_changes_every_clip(clips, other):
    first, second = changed(clips, BUSY), changed(clips, BUSY, at=other)
    assert (first != second).any(axis=1).all()


def test_clips_of_a_batch_draw_by_themselves(clips):
    out = changed(np.repeat(clips[:1], 64, 0), BUSY)
    assert len(np.unique(out, axis=0)) == 64


MASKS = AugmentConfig(time_width=9, freq_width=5)


def both(clips, logmel, at, config=BUSY):
    bank, silent = NoiseBank([square()], CLIP), tf.constant(np.arange(64) % 8 == 0)
    waveforms = augment.waveforms(clips, silent, bank, config, sample_rate=RATE, seed=at)
    return waveforms, augment.spec_augment(logmel, MASKS, seed=at)


def test_graph_equals_eager(clips):
    logmel = tf.constant(clips.reshape(64, 40, 20, 1))
    graph = tf.function(both)
    for at in (seed(1, 2), seed(1, 3)):
        for ours, oracle in zip(graph(clips, logmel, at), both(clips, logmel, at), strict=True):
            np.testing.assert_allclose(ours, oracle, atol=1e-5)  # another order of float32 sums


def test_compiled_by_xla_it_is_a_function_of_the_seed_too(clips):
    # XLA makes other floats of the same random bits, so it is held against itself
    logmel = tf.constant(clips.reshape(64, 40, 20, 1))
    compiled = tf.function(both, jit_compile=True)
    first, again, other = (compiled(clips, logmel, at) for at in (seed(1), seed(1), seed(2)))
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one != three).numpy().reshape(64, -1).any(axis=1).mean() > 0.8
    assert np.abs(first[0]).max() <= 1.0
    noisy = dataclasses.replace(STILL, noise_share=1.0)
    mixed = tf.function(lambda at: both(clips, logmel, at, noisy)[0], jit_compile=True)(seed(1))
    speech = np.arange(64) % 8 != 0
    added = mixed.numpy()[speech] - clips[speech]
    np.testing.assert_allclose(rms_db(clips[speech]) - rms_db(added), 10.0, atol=0.01)  # float32


def bands(masked, before, axis):
    """For each clip the places along `axis` that were masked wholly."""
    other = 2 if axis == 1 else 1
    return (masked != before)[..., 0].all(axis=other)


@pytest.mark.parametrize(
    ("axis", "keys"),
    [
        (1, {"time_masks": 1, "time_width": 6, "freq_masks": 0}),
        (2, {"time_masks": 0, "freq_masks": 1, "freq_width": 6}),
    ],
)
def test_a_mask_is_one_band_of_at_most_its_width_filled_with_the_mean(rng, axis, keys):
    before = rng.normal(size=(400, 30, 20, 1)).astype(np.float32)
    config = dataclasses.replace(STILL, **keys)
    after = augment.spec_augment(tf.constant(before), config, seed=seed()).numpy()
    places = bands(after, before, axis)
    widths = places.sum(axis=1)
    assert set(widths) == set(range(7))  # 0 to 6, each of them
    edges = np.abs(np.diff(np.pad(places.astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1)
    np.testing.assert_array_equal(edges, 2 * (widths > 0))  # one band, not two
    assert places.any(axis=0).all()  # every place is reached, the ends too
    hidden = np.expand_dims(places, (3 - axis, 3)) & np.ones_like(before, bool)
    np.testing.assert_array_equal(after[~hidden], before[~hidden])
    means = np.broadcast_to(before.mean(axis=(1, 2, 3), keepdims=True), before.shape)
    np.testing.assert_allclose(after[hidden], means[hidden], atol=1e-6)  # float32 sums


def test_masks_wider_than_the_picture_are_cut_to_it(rng):
    before = rng.normal(size=(200, 4, 3, 1)).astype(np.float32)
    config = dataclasses.replace(STILL, time_masks=1, time_width=50)
    after = augment.spec_augment(tf.constant(before), config, seed=seed()).numpy()
    assert set(bands(after, before, 1).sum(axis=1)) == {0, 1, 2, 3, 4}


def test_each_mask_draws_by_itself_and_none_changes_nothing(rng):
    before = rng.normal(size=(300, 40, 20, 1)).astype(np.float32)
    config = dataclasses.replace(STILL, time_masks=2, time_width=3)
    twice = augment.spec_augment(tf.constant(before), config, seed=seed()).numpy()
    assert bands(twice, before, 1).sum(axis=1).max() > 3
    none = augment.spec_augment(tf.constant(before), STILL, seed=seed())
    np.testing.assert_array_equal(none, before)
    zero = dataclasses.replace(STILL, time_masks=1, time_width=0, freq_masks=1, freq_width=0)
    np.testing.assert_array_equal(augment.spec_augment(before, zero, seed=seed()), before)


LABELS = np.eye(4, dtype=np.float32)[np.arange(64) % 4]


def mixed(clips, targets=LABELS, **keys):
    config = dataclasses.replace(STILL, **{"mix_share": 1.0, "mix_alpha": 1.0, **keys})
    found = augment.mix(tf.constant(clips), tf.constant(targets), config, seed=seed())
    return [part.numpy() for part in found]


def test_mixing_none_changes_nothing(clips):
    ours, targets = mixed(clips, mix_share=0.0)
    np.testing.assert_array_equal(ours, clips)
    np.testing.assert_array_equal(targets, LABELS)


def test_mixed_labels_are_two_shares_of_one(clips):
    _, targets = mixed(clips)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert ((targets > 1e-6).sum(axis=1) <= 2).all()
    first = targets[np.arange(64), np.arange(64) % 4]
    assert 0.35 < first.mean() < 0.85  # Beta(1, 1) is uniform; partners of the same class add to it


def test_a_share_of_the_clips_is_mixed(clips):
    ours, targets = mixed(clips, mix_share=0.25)
    changed = np.abs(ours - clips).max(axis=1) > 1e-4
    assert 0.1 < changed.mean() < 0.4
    np.testing.assert_array_equal(targets[~changed], LABELS[~changed])


def test_a_share_is_how_loud_a_clip_sounds_whatever_its_level():
    # sines of other pitch and level: their levels in the mixture can be told apart
    time = np.arange(CLIP) / RATE
    pitches = 1000.0 + 100 * np.arange(16)
    levels = np.geomspace(0.001, 0.5, 16)
    clips = np.float32(levels[:, None] * np.sin(2 * np.pi * pitches[:, None] * time))
    ours, targets = mixed(clips, np.eye(16, dtype=np.float32))
    spectrum = np.abs(np.fft.rfft(ours))[:, np.int32(pitches * CLIP / RATE)]
    for row in range(16):
        found = np.flatnonzero((targets[row] > 0.02) & (targets[row] < 0.98))
        if len(found) == 2:
            one, two = found
            ratio = targets[row, one] / targets[row, two]
            louder = spectrum[row, one] / spectrum[row, two]
            assert louder == pytest.approx(ratio, rel=0.02)  # float32, clipped nowhere


def test_mixup_adds_samples_and_labels_in_the_same_shares(clips):
    clips = clips * np.linspace(0.1, 4, 64, dtype=np.float32)[:, None]
    ours, targets = mixed(clips, np.eye(64, dtype=np.float32), mix_share=0.0, mixup_share=1.0)
    np.testing.assert_allclose(ours, targets @ clips, atol=1e-5)
    assert (np.sort(targets, axis=1)[:, -2] > 0.05).mean() > 0.5


def test_mixup_is_for_clips_that_are_not_mixed_in_the_other_way(clips):
    one, both = mixed(clips), mixed(clips, mixup_share=1.0)
    np.testing.assert_array_equal(one[0], both[0])
    ours, targets = mixed(clips, np.eye(64, dtype=np.float32), mix_share=0.4, mixup_share=0.5)
    plain = np.abs(ours - clips).max(axis=1) < 1e-4
    added = ~plain & (np.abs(ours - targets @ clips).max(axis=1) < 1e-5)
    assert 0.1 < plain.mean() < 0.5  # 0.3, but for clips that are their own partners
    assert 0.1 < added.mean() < 0.5  # 0.3


def test_mixing_is_decided_by_the_seed(clips):
    config = dataclasses.replace(STILL, mix_share=1.0)
    first = augment.mix(clips, LABELS, config, seed=seed(1, 2))[0].numpy()
    np.testing.assert_array_equal(augment.mix(clips, LABELS, config, seed=seed(1, 2))[0], first)
    assert (augment.mix(clips, LABELS, config, seed=seed(1, 3))[0].numpy() != first).any()
