"""Clips in noise: that the ratio is the one asked for, and what is counted."""

import numpy as np
import pytest

from audio_edge import noisy
from audio_edge.config import DataConfig
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError

LABELS = ("silence", "word")


@pytest.fixture
def clips(rng):
    return (3000 * rng.normal(size=(6, 4000))).clip(-32768, 32767).astype(np.int16)


@pytest.fixture
def bank(rng):
    return {"hiss": rng.normal(size=9000) / 5, "hum": np.sin(np.arange(20000) / 9)}


def added(clips, bank, snr_db, seed=0):
    mixed = noisy.mix(clips, bank, snr_db=snr_db, seed=seed)
    return mixed.astype(np.float64) - clips


@pytest.mark.parametrize("snr_db", [0, 10, 30])
def test_ratio_is_the_one_asked_for(clips, bank, snr_db):
    noise = added(clips // 4, bank, snr_db)
    signal = np.square(clips // 4, dtype=np.float64).mean(axis=1)
    ratio_db = 10 * np.log10(signal / np.square(noise).mean(axis=1))
    # at 30 dB the noise has an RMS of 24 steps, and rounding adds 1/12 of a step squared
    np.testing.assert_allclose(ratio_db, snr_db, atol=0.01)


def test_loud_clips_are_lowered_not_cut_off(bank):
    clip = np.full((1, 4000), 30000, np.int16)
    clip[0, ::2] *= -1
    mixed = noisy.mix(clip, bank, snr_db=0, seed=1).astype(np.float64)
    share = (mixed @ clip[0]) / (clip[0].astype(np.float64) @ clip[0])
    noise = mixed - share * clip
    assert np.abs(mixed).max() >= 32766
    assert 0.15 < share[0] < 0.6  # a peak of up to four times the RMS is added to the clip
    powers = [np.square(part).mean() for part in (share[0] * clip.astype(np.float64), noise)]
    # the projection takes what the noise has of the clip's own shape: 1 / 4000 of it, or so
    assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(0, abs=0.3)


def test_a_clip_meets_the_same_noise_at_every_ratio(clips, bank):
    quiet, loud = added(clips // 8, bank, 20), added(clips // 8, bank, 0)
    # the same shape, ten times the amplitude; both are rounded to whole steps
    np.testing.assert_allclose(loud, 10 * quiet, atol=6)


def test_noise_depends_on_seed_and_clip_alone(clips, bank):
    whole = noisy.mix(clips, bank, snr_db=5, seed=3)
    np.testing.assert_array_equal(whole, noisy.mix(clips, bank, snr_db=5, seed=3))
    np.testing.assert_array_equal(whole[:2], noisy.mix(clips[:2], bank, snr_db=5, seed=3))
    assert (whole != noisy.mix(clips, bank, snr_db=5, seed=4)).any()


def test_silent_stretches_of_a_noise_are_passed_over(clips):
    wave = np.zeros(40000)
    wave[-6000:] = 0.1
    assert np.abs(added(clips, {"late": wave}, 10)).max(axis=1).min() > 0


@pytest.mark.parametrize(
    ("wave", "said"), [(np.zeros(9000), "silent nearly everywhere"), (np.ones(9), "as long as")]
)
def test_noise_that_cannot_serve_is_refused(clips, wave, said):
    with pytest.raises(UserError, match=said):
        noisy.mix(clips, {"noise": wave}, snr_db=0, seed=0)


def test_accuracy_counts_sounding_clips_at_each_ratio(clips, bank):
    waveforms = np.concatenate([clips, np.zeros((1, 4000), np.int16)])
    labels = np.array([0, 1, 1, 1, 1, 1, 1])  # the last "word" is digital silence

    def score(given):
        """Hears the word in clips that are no louder than before."""
        power = np.square(given, dtype=np.float64).mean(axis=1)
        return np.eye(2)[(power < 1.05 * 3000**2).astype(int)]

    split = Split(waveforms, labels, tuple("abcdefg"))
    calls = []
    found = noisy.accuracy(
        score, LABELS, split, bank, [0, 40], seed=0, progress=calls.append
    )  # fmt: skip
    rows = [(row["snr_db"], row["n"], row["accuracy"]) for row in found["rows"]]
    assert rows == [(0, 5, 0.0), (40, 5, 1.0)]
    assert (found["clean"]["n"], found["clean"]["accuracy"]) == (5, 1.0)
    assert "snr_db" not in found["clean"]
    assert (found["left_out"], found["noises"], found["seed"]) == (2, ["hiss", "hum"], 0)
    assert calls == [1, 1, 1]


def test_nothing_but_silence_has_no_ratio(bank):
    split = Split(np.zeros((2, 4000), np.int16), np.array([0, 1]), ("a", "b"))
    with pytest.raises(UserError, match="every clip is silent"):
        noisy.accuracy(lambda given: np.eye(2), LABELS, split, bank, [0], seed=0)


def test_ratios_are_read_and_sorted():
    assert noisy.ratios("30, -5,0,10.5") == [-5, 0, 10.5, 30]


@pytest.mark.parametrize("text", ["", "ten", "nan", "inf", "0,,10", "200", "-50", "0 10"])
def test_ratios_that_are_none_are_refused(text):
    with pytest.raises(UserError, match="--snr must be ratios from -40 to 100 dB"):
        noisy.ratios(text)


def test_ratio_named_twice_is_refused():
    with pytest.raises(UserError, match="must not name a ratio twice"):
        noisy.ratios("10,0,10.0")


def test_model_outside_any_run_has_no_noise(tmp_path):
    with pytest.raises(UserError, match="belongs to no run, whose noise --snr takes"):
        noisy.bank_of_run(tmp_path / "m.tflite", DataConfig())
