"""Smoothing from literals, and detection on tones whose times are known."""

from __future__ import annotations

import numpy as np
import pytest

from audio_edge.detector import Detection, Detector
from audio_edge.errors import UserError
from audio_edge.smoother import Smoother
from tests.conftest import CLIP, LABELS, SAMPLE_RATE, tone

LOW, HIGH, NONE = [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]


def fired(smoother: Smoother, steps: list[list[float]]) -> list[tuple[int, int]]:
    """(step, label index) of everything that fires."""
    heard = [smoother.step(np.array(probs)) for probs in steps]
    return [(index, item[0]) for index, item in enumerate(heard) if item]


def smoother(**changes) -> Smoother:
    settings = {"window": 3, "threshold": 0.7, "refractory": 4, "hold": 10, **changes}
    return Smoother(LABELS, **settings)


def test_score_is_the_mean_of_the_window():
    chosen = smoother(window=2, threshold=0.6)
    assert chosen.step(np.array([0.5, 0.5, 0.0])) is None
    assert chosen.step(np.array([0.1, 0.9, 0.0])) == (1, pytest.approx(0.7))
    np.testing.assert_allclose(chosen.scores, [0.3, 0.7, 0.0], atol=1e-7)


def test_windows_before_the_beginning_count_as_zero():
    chosen = smoother()
    chosen.step(np.array(LOW))
    np.testing.assert_allclose(chosen.scores, [0, 1 / 3, 0], atol=1e-7)
    assert fired(smoother(), [LOW, LOW, LOW]) == [(2, 1)]


def test_score_equal_to_the_threshold_fires():
    assert fired(smoother(window=2, threshold=0.5), [NONE, LOW]) == []  # a tie goes to silence
    assert fired(smoother(window=4, threshold=0.5), [LOW, LOW]) == [(1, 1)]
    assert fired(smoother(window=1, threshold=0.7), [[0.3, 0.7, 0.0]]) == [(0, 1)]


@pytest.mark.parametrize("name", ["silence", "unknown", "_silence_", "_unknown_", "Silence"])
def test_silence_and_unknown_never_fire(name):
    chosen = Smoother((name, "yes"), window=1, threshold=0.5, refractory=0, hold=5)
    assert [chosen.step(np.array([1.0, 0.0])) for _ in range(20)] == [None] * 20


def test_one_word_fires_once_until_its_score_has_fallen():
    steps = [LOW] * 6 + [NONE] * 3 + [LOW] * 3
    assert fired(smoother(), steps) == [(2, 1), (11, 1)]


def test_sound_that_goes_on_is_reported_every_hold_hops():
    assert fired(smoother(), [LOW] * 25) == [(2, 1), (12, 1), (22, 1)]


def test_refractory_holds_back_every_label():
    steps = [LOW] * 3 + [HIGH] * 6
    assert fired(smoother(refractory=0), steps) == [(2, 1), (5, 2)]
    assert fired(smoother(refractory=3), steps) == [(2, 1), (5, 2)]
    assert fired(smoother(refractory=4), steps) == [(2, 1), (6, 2)]


def test_reset_forgets_scores_and_refractory():
    chosen = smoother()
    fired(chosen, [LOW] * 3)
    chosen.reset()
    assert chosen.scores is None
    assert fired(chosen, [LOW] * 3) == [(2, 1)]


@pytest.mark.parametrize(
    "change",
    [{"window": 0}, {"threshold": 0.0}, {"threshold": 1.0}, {"refractory": -1}, {"hold": 0}],
)
def test_smoother_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}.*Received"):
        smoother(**change)


def test_smoother_refuses_probs_of_another_length():
    with pytest.raises(ValueError, match=r"probs must be \[3\]. Received: shape=\(2,\)"):
        smoother().step(np.zeros(2))


@pytest.fixture
def detector(carded_path) -> Detector:
    return Detector(carded_path)


def recording() -> np.ndarray:
    """low around 0.45 s, high around 1.05 s, 1.5 s long."""
    parts = [("silence", 0.4), ("low", 0.1), ("silence", 0.5), ("high", 0.1), ("silence", 0.4)]
    return np.concatenate([tone(label, seconds) for label, seconds in parts])


def test_settings_come_from_the_card_and_then_from_the_arguments(carded_path):
    chosen = Detector(carded_path, threshold=0.9, refractory_s=0.2)
    assert (chosen.config.threshold, chosen.config.hop_s) == (0.9, 0.025)
    assert chosen.hop_samples == 400
    parts = chosen.smoother
    settings = {(parts.window, parts.refractory, parts.hold)}
    assert settings == {((2,) * 3, (8,) * 3, (6,) * 3)}  # hold: (0.1 + 0.05) / 0.025


def test_settings_out_of_range_are_a_user_error(carded_path):
    with pytest.raises(UserError, match="threshold must be in"):
        Detector(carded_path, threshold=1.5)


def test_detect_finds_the_tones_near_their_middle(detector):
    """Half a clip either way: a tone can fire as soon as it dominates, or once it is whole."""
    found = detector.detect(recording())
    assert [item.label for item in found] == ["low", "high"]
    assert [item.time_s for item in found] == pytest.approx([0.45, 1.05], abs=0.05)
    assert all(0.7 <= item.score <= 1 for item in found)


def test_words_at_the_very_beginning_and_end_are_heard(detector):
    waveform = np.concatenate([tone("low", 0.1), tone("silence", 0.3), tone("high", 0.1)])
    found = detector.detect(waveform)
    assert [item.label for item in found] == ["low", "high"]
    assert all(0 <= item.time_s <= len(waveform) / SAMPLE_RATE for item in found)


def test_recording_shorter_than_a_clip_is_heard(detector):
    assert [item.label for item in detector.detect(tone("low", 0.08))] == ["low"]


def test_empty_and_silent_recordings_give_nothing(detector):
    assert detector.detect(np.zeros(0, np.float32)) == []
    assert detector.detect(tone("silence", 2)) == []


def test_detect_twice_gives_the_same(detector):
    assert detector.detect(recording()) == detector.detect(recording())


def test_int16_recording_gives_the_same_labels(detector):
    pcm = np.rint(recording() * 32767).astype(np.int16)
    assert [item.label for item in detector.detect(pcm)] == ["low", "high"]


def pushed(detector: Detector, waveform: np.ndarray, sizes: list[int]) -> list[Detection]:
    detector.reset()
    found, start = [], 0
    while start < len(waveform):
        size = sizes[start % len(sizes)]
        heard = detector.push(waveform[start : start + size])
        found += [heard] if heard else []
        start += size
    return found


def test_stream_does_not_depend_on_the_size_of_the_blocks(detector):
    whole = pushed(detector, recording(), [400])
    assert [item.label for item in whole] == ["low", "high"]
    assert pushed(detector, recording(), [1, 7, 399, 160, 23]) == whole


def test_first_inference_needs_a_whole_clip(detector):
    for _ in range(CLIP // 400 - 1):
        detector.push(np.zeros(400))
        assert detector.last_scores is None
    detector.push(np.zeros(399))
    assert detector.last_scores is None
    detector.push(np.zeros(1))
    assert detector.last_scores is not None


def test_time_is_a_third_of_a_clip_before_the_newest_windows_end(detector):
    """Window of two hops: with the tone there from the first sample, the second inference fires."""
    found = pushed(detector, tone("low", 0.2), [400])
    assert [item.time_s for item in found] == [pytest.approx(0.1 + 0.025 - 0.035)]


def test_trace_gives_one_row_an_inference(detector):
    found, times, scores = detector.trace(recording())
    assert found == detector.detect(recording())
    assert scores.shape == (len(times), 3)
    np.testing.assert_allclose(np.diff(times), 0.025, atol=1e-9)
    assert times[0] == pytest.approx(-0.035)  # a clip of silence stands before the recording
    for item in found:
        row = int(np.abs(times - item.time_s).argmin())
        assert scores[row, LABELS.index(item.label)] == pytest.approx(item.score)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(401), np.zeros((1, 400)), np.zeros(400, np.int64), np.full(400, np.nan)],
    ids=["long", "rank 2", "int64", "nan"],
)
def test_push_states_rule_and_received(detector, samples):
    with pytest.raises(ValueError, match="must be .*Received: "):
        detector.push(samples)


def test_hop_longer_than_the_clip_works(carded_path):
    chosen = Detector(carded_path, hop_s=0.2, window_s=0.2)
    waveform = np.concatenate([tone("silence", 0.4), tone("low", 0.35), tone("silence", 0.4)])
    assert [item.label for item in chosen.detect(waveform)] == ["low"]
