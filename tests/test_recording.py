"""A made recording: its truth, its pauses, its noise, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from audio_edge.datasets import recording, speech
from audio_edge.datasets.voices import Voice

for _module, _distribution in speech.ENGINES.values():
    pytest.importorskip(_module, reason=f"{_distribution} is not installed: audio_edge[synthetic]")


@pytest.fixture(scope="module")
def said():
    words = ["yes", "go left", "stop"]
    return words, *recording.make(words, Voice("pico", "en-GB"), sample_rate=16000, seed=3)


def test_the_truth_of_a_recording_is_where_the_words_are(said):
    words, waveform, spoken = said
    assert [word.label for word in spoken] == words
    assert np.abs(waveform).max() == pytest.approx(0.5)
    inside = np.zeros(len(waveform), bool)
    for word in spoken:
        inside[round(word.start_s * 16000) : round(word.end_s * 16000)] = True
        assert 0.2 < word.end_s - word.start_s < 1.2
    power = np.square(waveform, dtype=np.float64)
    # snr_db = 20: speech plus noise within is 101 times the noise without, to the noise's drift.
    ratio_db = 10 * np.log10(power[inside].mean() / power[~inside].mean())
    assert ratio_db == pytest.approx(20.0, abs=1.0)


def test_boundaries_are_tight():
    # A word ends where it is 45 dB below its loudest; noise 60 dB below its mean cannot hide that.
    waveform, spoken = recording.make(
        ["stop", "left"], Voice("espeak", "en-US", "f1"), sample_rate=16000, seed=1, snr_db=60
    )
    power = np.square(waveform, dtype=np.float64)
    for word in spoken:
        start, end = round(word.start_s * 16000), round(word.end_s * 16000)
        for within, without in (
            (power[start : start + 400], power[start - 400 : start]),
            (power[end - 400 : end], power[end : end + 400]),
        ):
            assert within.mean() > 4 * without.mean()


def test_pauses_are_as_long_as_asked(said):
    _, waveform, spoken = said
    ends = [0.0, *(word.end_s for word in spoken)]
    starts = [*(word.start_s for word in spoken), len(waveform) / 16000]
    assert all(0.6 <= start - end <= 1.4 for start, end in zip(starts, ends, strict=True))


def test_a_recording_repeats_with_its_seed(said):
    words, waveform, spoken = said
    again, truth = recording.make(words, Voice("pico", "en-GB"), sample_rate=16000, seed=3)
    np.testing.assert_array_equal(again, waveform)
    assert truth == spoken
