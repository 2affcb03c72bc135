"""Reliability, its error and the Brier score against hand-worked cases and scikit-learn."""

import numpy as np
import pytest
from sklearn import calibration as sklearn_calibration
from sklearn import metrics as sklearn_metrics

from audio_edge import calibration


def test_reliability_of_a_worked_case():
    rows = calibration.reliability([0.0, 0.5, 0.6, 1.0], [False, True, True, False], bins=2)
    assert rows == [
        {"low": 0.0, "high": 0.5, "n": 2, "confidence": 0.25, "accuracy": 0.5},
        {"low": 0.5, "high": 1.0, "n": 2, "confidence": 0.8, "accuracy": 0.5},
    ]
    assert calibration.calibration_error(rows) == pytest.approx(0.5 * 0.25 + 0.5 * 0.3)


def test_empty_bin_has_no_means():
    row = calibration.reliability([0.9], [True], bins=2)[0]
    assert (row["n"], row["confidence"], row["accuracy"]) == (0, None, None)


def test_reliability_equals_scikit_learn(rng):
    confidence = rng.random(400)
    right = rng.random(400) < confidence**2
    rows = [row for row in calibration.reliability(confidence, right, bins=7) if row["n"]]
    accuracy, mean = sklearn_calibration.calibration_curve(right, confidence, n_bins=7)
    np.testing.assert_allclose([row["accuracy"] for row in rows], accuracy)
    np.testing.assert_allclose([row["confidence"] for row in rows], mean)


def test_error_is_the_weighted_gap_of_an_overconfident_model(rng):
    right = rng.random(2000) < 0.7
    rows = calibration.reliability(np.full(2000, 0.9), right)
    # one bin holds all clips, so that the error is the gap of the means
    assert calibration.calibration_error(rows) == pytest.approx(0.9 - right.mean())


def test_error_of_a_calibrated_model_is_near_zero(rng):
    confidence = rng.random(200_000)
    rows = calibration.reliability(confidence, rng.random(200_000) < confidence)
    # each of 15 bins holds about 13000 clips, whose mean strays by 0.004 at most (one sigma)
    assert calibration.calibration_error(rows) < 0.01


def test_brier_of_worked_cases():
    assert calibration.brier([0, 1], np.eye(2)) == 0.0
    assert calibration.brier([1, 0], np.eye(2)) == 2.0
    assert calibration.brier([0], np.full((1, 4), 0.25)) == pytest.approx(0.75**2 + 3 * 0.25**2)


def test_brier_equals_scikit_learn(rng):
    truth, probs = rng.integers(0, 4, 100), rng.dirichlet(np.ones(4), 100)
    expected = sklearn_metrics.brier_score_loss(truth, probs, scale_by_half=False)
    assert calibration.brier(truth, probs) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("confidence", "right", "bins", "said"),
    [
        ([1.5], [True], 15, r"in \[0, 1\]"),
        ([np.nan], [True], 15, r"in \[0, 1\]"),
        ([0.5], [True], 0, "bins must be >= 1"),
        ([0.5, 0.5], [True], 15, r"must be \[n\]"),
    ],
)
def test_reliability_refuses_what_is_no_confidence(confidence, right, bins, said):
    with pytest.raises(ValueError, match=said):
        calibration.reliability(confidence, right, bins=bins)


def test_no_clip_has_no_error():
    with pytest.raises(ValueError, match="at least one clip"):
        calibration.calibration_error(calibration.reliability([], []))
    with pytest.raises(ValueError, match=r"must be \[n > 0\]"):
        calibration.brier([0, 1], np.eye(3))
