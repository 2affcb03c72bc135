"""The smoother and its replay: as the golden file states, and as each other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from audio_edge.detector import Detector
from audio_edge.replay import Heard, Scores, hear
from audio_edge.smoother import Smoother
from tests import golden_smoothing as golden
from tests.conftest import LABELS, SAMPLE_RATE, tone

CASES = json.loads(golden.FILE.read_text(encoding="utf-8"))["cases"]
SETTINGS = ("window", "threshold", "refractory", "hold")


def heard_of(case) -> Heard:
    probs = np.array(case["probs"], np.float32)
    return Heard(tuple(case["labels"]), probs, np.arange(len(probs)) * 0.1, 1.0, 10.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_smoother_does_what_the_golden_file_states(case):
    smoother = Smoother(case["labels"], **{key: case[key] for key in SETTINGS})
    fired = []
    for hop, probs in enumerate(case["probs"]):
        heard = smoother.step(np.array(probs))
        fired += [{"hop": hop, "label": heard[0], "score": heard[1]}] if heard else []
    assert fired == case["fired"]
    assert smoother.scores.tolist() == case["scores_at_end"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_replay_does_what_the_golden_file_states(case):
    scores = Scores(heard_of(case), case["window"])
    fired = scores.fired(**{key: case[key] for key in SETTINGS[1:]})
    assert fired == [(item["hop"], item["label"]) for item in case["fired"]]
    assert [float(scores.scores[hop, label]) for hop, label in fired] == [
        item["score"] for item in case["fired"]
    ]
    assert scores.scores[-1].tolist() == case["scores_at_end"]


def test_golden_file_wants_what_its_command_decides():
    """Its inputs are those of the file, since other versions of NumPy may draw others."""
    for case in CASES:
        wanted = {key: case[key] for key in ("fired", "scores_at_end")}
        assert golden.decide(case) == wanted, case["name"]
    assert len({case["name"] for case in CASES}) == len(CASES) == 50


def test_golden_file_tells_float64_sums_from_float32():
    case = next(case for case in CASES if case["name"] == "sums are in float64")
    assert len(case["fired"]) == 1
    total = np.float32(0)
    for _, prob in case["probs"]:
        total = np.float32(total + np.float32(prob))
    assert total / np.float32(5) < np.float32(case["threshold"][1])


def test_replay_equals_the_smoother_on_long_random_probabilities(rng):
    """Bit for bit: both add in the same order."""
    labels = ("up", "down", "go", "unknown")
    for _ in range(30):
        probs = np.repeat(rng.dirichlet(np.full(4, 0.3), 150), 4, axis=0).astype(np.float32)
        settings = {
            "window": rng.integers(1, 9, 4).tolist(), "hold": rng.integers(1, 20, 4).tolist(),
            "threshold": rng.uniform(0.1, 0.95, 4).tolist(),
            "refractory": rng.integers(0, 12, 4).tolist(),
        }  # fmt: skip
        smoother = Smoother(labels, **settings)
        answers = [smoother.step(row) for row in probs]
        wanted = [(hop, item[0]) for hop, item in enumerate(answers) if item]
        heard = Heard(labels, probs, np.arange(600) * 0.1, 1.0, 60.0)
        scores = Scores(heard, settings.pop("window"))
        assert scores.fired(**settings) == wanted
        assert len(wanted) > 10


def test_heard_and_replayed_is_detected(carded_path, rng):
    """In blocks of any size, with the times and scores of `Detector.detect`."""
    detector = Detector(carded_path)
    parts = [("low", 0.1), ("silence", 0.5), ("high", 0.13), ("silence", 0.4), ("low", 0.1)]
    waveform = np.concatenate([tone(label, seconds) for label, seconds in parts])
    wanted = detector.detect(waveform)
    blocks = np.split(waveform, sorted(rng.integers(0, len(waveform), 12)))
    heard = hear(detector, blocks)
    assert heard.seconds == pytest.approx(len(waveform) / SAMPLE_RATE)
    smoother = detector.smoother
    scores = Scores(heard, smoother.window)
    fired = scores.fired(
        threshold=smoother.threshold, refractory=smoother.refractory, hold=smoother.hold
    )
    found = [
        (LABELS[label], float(scores.scores[hop, label]), heard.time_s(hop)) for hop, label in fired
    ]
    assert [item[0] for item in found] == ["low", "high", "low"]
    for (label, score, time_s), item in zip(found, wanted, strict=True):
        assert (label, score) == (item.label, item.score)
        assert time_s == pytest.approx(item.time_s, abs=1e-9)


def test_nothing_heard_fires_nothing(carded_path):
    detector = Detector(carded_path)
    heard = hear(detector, [])
    assert (
        Scores(heard, (2, 2, 2)).fired(threshold=(0.5,) * 3, refractory=(1,) * 3, hold=(4,) * 3)
        == []
    )
    empty = Heard(LABELS, np.empty((0, 3), np.float32), np.empty(0), 0.1, 0.0)
    assert (
        Scores(empty, (2, 2, 2)).fired(threshold=(0.5,) * 3, refractory=(1,) * 3, hold=(4,) * 3)
        == []
    )
