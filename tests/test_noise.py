"""Made-up noises: level, colour and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from audio_edge.datasets import noise

RATE = 16000
KINDS = {"white", "pink", "brown", "hum", "clicks", "fan", "traffic"}


@pytest.fixture(scope="module")
def bank() -> dict[str, np.ndarray]:
    words = [np.random.default_rng(n).standard_normal(4000).astype(np.float32) for n in range(5)]
    return noise.noises(RATE, 8.0, seed=1, speech=words)


def _octave_slope_db(waveform: np.ndarray) -> float:
    """dB an octave of the power density, 100 to 6400 Hz: a line through the octave means."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / RATE)
    edges = 100 * 2.0 ** np.arange(7)
    levels = [10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].mean()) for low in edges[:-1]]
    return float(np.polyfit(np.arange(len(levels)), levels, 1)[0])


def test_every_kind_has_peak_one_and_no_dc(bank):
    assert set(bank) == KINDS | {"babble"}
    for name, waveform in bank.items():
        assert waveform.dtype == np.float32 and waveform.shape == (8 * RATE,), name
        assert np.abs(waveform).max() == pytest.approx(1, abs=1e-6), name
        assert abs(waveform.mean()) < 1e-4, name
        assert waveform.std() > 0.01, name


# An octave mean over at least 800 bins varies by 0.15 dB; the line through six by less.
@pytest.mark.parametrize(("name", "slope_db"), [("white", 0), ("pink", -3.01), ("brown", -6.02)])
def test_coloured_noise_falls_as_its_name_says(bank, name, slope_db):
    assert _octave_slope_db(bank[name]) == pytest.approx(slope_db, abs=0.3)


def test_hum_is_fifty_then_sixty_hertz(bank):
    for half, hertz in zip(np.split(bank["hum"], 2), (50, 60), strict=True):
        spectrum = np.abs(np.fft.rfft(half))
        assert spectrum.argmax() * RATE / len(half) == pytest.approx(hertz, abs=RATE / len(half))


def test_the_seed_decides():
    first, again, other = (noise.noises(RATE, 1.0, seed) for seed in (3, 3, 4))
    for name in KINDS:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])


def test_speech_adds_babble_and_changes_nothing_else(bank):
    without = noise.noises(RATE, 8.0, seed=1)
    assert set(without) == KINDS
    for name in KINDS:
        np.testing.assert_array_equal(without[name], bank[name])


@pytest.mark.parametrize("rate", [4000, 44100])
def test_short_noises_of_any_rate_are_finite(rate):
    for name, waveform in noise.noises(
        rate, 0.01, seed=0, speech=[np.zeros(0), np.ones(3)]
    ).items():
        assert len(waveform) == round(0.01 * rate) and np.isfinite(waveform).all(), name


def test_no_length_is_refused():
    with pytest.raises(ValueError, match="seconds must give at least 2 samples"):
        noise.noises(RATE, 0.0, seed=0)
