"""Detections in long recordings held against the truth, and the choice of settings, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from audio_edge import detection, operating
from audio_edge.detection import Recording, judge
from audio_edge.detector import BEHIND, Detector
from audio_edge.errors import UserError
from audio_edge.events import Word
from audio_edge.operating import Setting, Trial, choose
from audio_edge.replay import Heard

LABELS = ("silence", "low", "high")
LOW, HIGH = 1, 2


def recording(words, *, peaks=(), hops=600, hop_s=0.1, name="r") -> Recording:
    """An hour is 36,000 hops; `peaks` are (hop, label, probability), silence everywhere else."""
    probs = np.zeros((hops, 3), np.float32)
    for hop, label, prob in peaks:
        probs[hop, label] = prob
    probs[:, 0] = 1 - probs[:, 1:].sum(axis=1)
    ends = np.arange(hops) * hop_s
    return Recording(name, Heard(LABELS, probs, ends, 1.0, hops * hop_s), tuple(words))


def at(middle_s: float) -> int:
    """The hop whose detection is told to be at a second."""
    return round((middle_s + BEHIND) / 0.1)


def word(label: str, middle_s: float, snr_db: float | None = None) -> Word:
    return Word(label, middle_s - 0.25, middle_s + 0.25, snr_db)


def test_keyword_is_found_once_and_the_rest_is_false():
    said = [word("low", 5.0), word("high", 10.0), word("other", 15.0), word("silence", 20.0)]
    fired = [(at(5.0), LOW), (at(5.4), LOW), (at(10.0), LOW), (at(15.0), HIGH)]
    outcome = judge(recording(said), fired)
    assert [item.label for item in outcome.said] == ["low", "high"]  # the others are only speech
    assert outcome.hops == (at(5.0), None)
    assert outcome.false == ((at(5.4), LOW), (at(10.0), LOW), (at(15.0), HIGH))


def test_collar_counts_from_the_middle_of_the_word():
    given = recording([word("low", 5.0)])
    assert judge(given, [(at(5.25), LOW)], collar_s=0.3).hops == (at(5.25),)
    assert judge(given, [(at(5.65), LOW)], collar_s=0.6).hops == (None,)


def test_delay_counts_from_the_end_of_the_word():
    outcome = judge(recording([word("low", 5.0)]), [(at(5.0), LOW)])
    assert outcome.delay_s(0) == pytest.approx(at(5.0) * 0.1 - 5.25)
    missed = judge(recording([word("low", 5.0)]), [])
    with pytest.raises(ValueError, match="was not found"):
        missed.delay_s(0)


def test_figures_of_two_recordings_by_hand():
    first = judge(
        recording([word("low", 5.0), word("low", 9.0), word("high", 20.0)], hops=18000),
        [(at(5.0), LOW), (at(9.2), LOW), (at(30.0), HIGH)],
    )
    second = judge(recording([word("low", 5.0)], hops=18000), [(at(40.0), LOW), (at(50.0), LOW)])
    found = detection.figures([first, second])
    assert found["hours"] == pytest.approx(1.0)
    low, high, total = found["per_label"]["low"], found["per_label"]["high"], found["total"]
    assert list(found["per_label"]) == ["low", "high"]
    assert (low["said"], low["missed"], low["false_accepts"]) == (3, 1, 2)
    assert (high["said"], high["missed"], high["false_accepts"]) == (1, 1, 1)
    assert (total["said"], total["missed"], total["false_accepts"]) == (4, 2, 3)
    assert (total["miss_rate"], total["false_accepts_per_hour"]) == (0.5, pytest.approx(3.0))
    # Garwood's interval of 3, and delays of 0.15 s (a hop that ends 5.4 s) and 0.35 s
    assert total["false_accepts_interval"] == pytest.approx([0.6187, 8.7673], abs=1e-4)
    delays = [at(5.0) / 10 - 5.25, at(9.2) / 10 - 9.25]
    assert low["delay_median_s"] == pytest.approx(np.mean(delays))
    assert high["delay_median_s"] is None
    assert high["miss_interval"][0] < 1 == high["miss_interval"][1]


def test_misses_are_told_by_their_ratio_to_noise():
    said = [
        word("low", 5.0, 1.0),
        word("low", 9.0, 4.9),
        word("low", 15.0, -1.0),
        word("low", 20.0),
    ]
    rows = detection.misses_by_snr([judge(recording(said), [(at(5.0), LOW)])])
    told = [(row["from_db"], row["to_db"], row["said"], row["missed"]) for row in rows]
    assert told == [(-5.0, 0.0, 1, 1), (0.0, 5.0, 2, 1)]


def test_false_accepts_are_told_by_what_was_said():
    said = [word("five", 5.0), word("nine", 10.0), word("low", 20.0)]
    fired = [(at(5.2), LOW), (at(10.0), HIGH), (at(30.0), LOW), (at(40.0), LOW)]
    rows = detection.false_by_word([judge(recording(said), fired)])
    told = [(row["heard"], row["said"], row["count"]) for row in rows]
    assert told[0] == ("low", None, 2)
    assert sorted(told[1:]) == [("high", "nine", 1), ("low", "five", 1)]


def test_sweep_moves_one_threshold_for_all_labels():
    peaks = [(at(5.0), LOW, 0.95), (at(10.0), LOW, 0.7), (at(20.0), HIGH, 0.8)]
    given = recording([word("low", 5.0), word("low", 10.0)], peaks=peaks, hops=36000)
    points = detection.sweep([given], [(1, 4, 10)] * 3, thresholds=(0.6, 0.75, 0.9, 0.99))
    rows = [
        (point["total"]["missed"], point["total"]["false_accepts"], point["total"]["miss_rate"])
        for point in points
    ]
    assert rows == [(0, 1, 0.0), (1, 1, 0.5), (1, 0, 0.5), (2, 0, 1.0)]
    assert points[0]["per_label"]["high"] == {
        "said": 0, "missed": 0, "false_accepts": 1, "miss_rate": None,
        "false_accepts_per_hour": pytest.approx(1.0),
    }  # fmt: skip


def trial(missed: int, false: int, threshold: float = 0.5, window_s: float = 0.3) -> Trial:
    return Trial(Setting(threshold, window_s, 0.8), missed, false)


def test_choice_spends_false_accepts_where_they_save_most():
    """One false accept saves 2 misses of a, or 5 of b; two of b save 6."""
    trials = {
        "a": [trial(10, 0, 0.9), trial(8, 1, 0.8)],
        "b": [trial(20, 0, 0.9), trial(15, 1, 0.8), trial(14, 2, 0.7)],
    }
    for most, wanted in ((0, (0.9, 0.9)), (1, (0.9, 0.8)), (2, (0.8, 0.8)), (3, (0.8, 0.7))):
        chosen = choose(trials, most)
        assert (chosen["a"].threshold, chosen["b"].threshold) == wanted


def test_choice_is_the_best_of_all_combinations(rng):
    """Against trying them all."""
    import itertools

    for _ in range(30):
        trials = {
            label: [
                trial(int(rng.integers(0, 9)), int(rng.integers(0, 5)), float(rng.uniform()))
                for _ in range(6)
            ]
            for label in "abc"
        }
        most = int(rng.integers(0, 8))
        fits = [
            sum(item.missed for item in some)
            for some in itertools.product(*trials.values())
            if sum(item.false for item in some) <= most
        ]
        chosen = choose(trials, most)
        if not fits:
            assert chosen is None
            continue
        picked = [next(i for i in trials[label] if i.setting == chosen[label]) for label in "abc"]
        assert sum(item.missed for item in picked) == min(fits)
        assert sum(item.false for item in picked) <= most


def test_ties_go_to_the_higher_threshold_then_the_shorter_window():
    trials = {"a": [trial(1, 0, 0.5), trial(1, 0, 0.7), trial(1, 0, 0.7, 0.2), trial(2, 0, 0.9)]}
    assert choose(trials, 0)["a"] == Setting(0.7, 0.2, 0.8)


def test_no_choice_within_the_bound_is_none():
    assert choose({"a": [trial(0, 2)]}, 1) is None


@pytest.fixture
def detector(carded_path) -> Detector:
    return Detector(carded_path, hop_s=0.1, window_s=0.1)


def development() -> Recording:
    """An hour: low is said at 0.9 and heard falsely at 0.7; high the other way round, once."""
    said = [word("low", 10.0 * n) for n in range(1, 20)]
    said += [word("high", 10.0 * n) for n in range(20, 40)]
    peaks = [(at(10.0 * n), LOW, 0.9) for n in range(1, 20)]
    peaks += [(at(10.0 * n), HIGH, 0.7) for n in range(20, 40)]
    peaks += [(at(1000.0 + 10 * n), LOW, 0.7) for n in range(30)]
    return recording(said, peaks=[*peaks, (at(2000.0), HIGH, 0.9)], hops=36000)


def test_calibration_gives_each_label_its_own_threshold(detector):
    chosen, outcomes = operating.calibrate(detector, [development()], most_per_hour=1.0)
    assert set(chosen) == {"low", "high"}
    assert 0.7 < chosen["low"].threshold <= 0.9
    assert chosen["high"].threshold <= 0.7
    assert {own.window_s for own in chosen.values()} == {0.1}  # a peak is one hop long
    total = detection.figures(outcomes)["total"]
    assert (total["missed"], total["false_accepts"]) == (0, 1)


def test_stricter_bound_costs_misses(detector):
    _, outcomes = operating.calibrate(detector, [development()], most_per_hour=0.0)
    total = detection.figures(outcomes)["total"]
    assert (total["missed"], total["false_accepts"]) == (20, 0)


def test_bound_that_cannot_be_kept_is_a_user_error(detector):
    said = [word("low", 10.0), word("high", 20.0)]
    loud = [(300 * n + hop, LOW, 1.0) for n in range(1, 9) for hop in range(12)]
    with pytest.raises(UserError, match="no setting gives at most 1 false accepts an hour"):
        operating.calibrate(detector, [recording(said, peaks=loud, hops=3600)], most_per_hour=1.0)


def test_word_that_is_never_said_is_a_user_error(detector):
    with pytest.raises(UserError, match="'high' is never said"):
        operating.calibrate(detector, [recording([word("low", 5.0)])], most_per_hour=1.0)
