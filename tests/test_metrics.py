"""Metrics against hand-worked cases and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from audio_edge import metrics


def test_wilson_interval_of_a_worked_case():
    # Newcombe 1998, table I: 81 of 263
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)]
)
def test_wilson_interval_at_the_edges(correct, n, low, high):
    assert metrics.wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_refuses_more_hits_than_trials():
    with pytest.raises(ValueError, match="correct must be"):
        metrics.wilson_interval(3, 2)


def test_confusion_has_truth_in_rows():
    np.testing.assert_array_equal(
        metrics.confusion_matrix([0, 0, 1], [0, 1, 1], 3), [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    )


def test_evaluate_of_a_worked_case():
    probs = np.eye(3)[[0, 1, 1, 2]]
    result = metrics.evaluate(np.array([0, 0, 1, 2]), probs, ("a", "b", "c"))
    assert result["accuracy"] == 0.75
    assert result["n"] == 4
    assert result["mean_recall"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    row = result["per_class"]["b"]
    assert row.pop("interval") == pytest.approx([0.2065, 1.0], abs=5e-5)
    assert row == pytest.approx(
        {
            "precision": 0.5,
            "recall": 1.0,
            "f1": 2 / 3,
            "average_precision": 0.5,
            "auc": 5 / 6,  # of three rivals one scores as high, which counts half
            "n": 1,
        },
        abs=5e-5,
    )
    assert result["mean_average_precision"] == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert result["brier"] == 0.5  # one clip of four is wholly wrong: 2 / 4
    assert result["ece"] == 0.25  # three of four right at a confidence of 1


def test_evaluate_equals_scikit_learn(rng):
    truth, probs = rng.integers(0, 5, 300), rng.dirichlet(np.ones(5), 300)
    result = metrics.evaluate(truth, probs, tuple("abcde"))
    heard = probs.argmax(axis=1)
    assert result["macro_f1"] == pytest.approx(
        sklearn_metrics.f1_score(truth, heard, average="macro")
    )
    assert result["mean_recall"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(truth, heard)
    )
    areas = [row["auc"] for row in result["per_class"].values()]
    assert np.mean(areas) == pytest.approx(
        sklearn_metrics.roc_auc_score(truth, probs, multi_class="ovr")
    )
    assert result["mean_average_precision"] == pytest.approx(
        sklearn_metrics.average_precision_score(np.eye(5)[truth], probs)
    )
    assert result["brier"] == pytest.approx(
        sklearn_metrics.brier_score_loss(truth, probs, scale_by_half=False)
    )
    np.testing.assert_array_equal(
        result["confusion"], sklearn_metrics.confusion_matrix(truth, heard)
    )


def test_absent_class_does_not_count_in_the_means():
    result = metrics.evaluate(np.array([0, 1]), np.eye(3)[:2], ("a", "b", "c"))
    assert result["mean_recall"] == result["macro_f1"] == result["mean_average_precision"] == 1.0
    row = result["per_class"]["c"]
    assert (row["n"], row["average_precision"], row["auc"]) == (0, None, None)


def test_a_class_without_rivals_has_no_auc():
    result = metrics.evaluate(np.array([0, 0]), np.eye(2)[[0, 1]], ("a", "b"))
    assert result["per_class"]["a"]["auc"] is None
    assert result["per_class"]["a"]["average_precision"] == 1.0


def test_logits_are_judged_but_not_for_calibration():
    result = metrics.evaluate(np.array([0, 1]), 9 * np.eye(2), ("a", "b"))
    assert result["accuracy"] == 1.0
    assert result["ece"] is result["brier"] is result["reliability"] is None


def test_softmax_rounded_above_one_is_still_a_probability():
    probs = np.eye(2, dtype=np.float32) * np.float32(1 + 1e-7)
    assert metrics.evaluate(np.array([0, 1]), probs, ("a", "b"))["ece"] == 0.0


def test_accuracy_by_snr_sorts_and_counts():
    rows = metrics.accuracy_by_snr([(10, True), (0, False), (10.0, True), (0, True), (10, False)])
    assert [(row["snr_db"], row["n"]) for row in rows] == [(0, 2), (10, 3)]
    assert [row["accuracy"] for row in rows] == [0.5, pytest.approx(2 / 3)]
    assert rows[1]["interval"] == list(metrics.wilson_interval(2, 3))
    assert metrics.accuracy_by_snr([]) == []


def test_evaluate_refuses_a_wrong_shape():
    with pytest.raises(ValueError, match="probs must be"):
        metrics.evaluate(np.array([0]), np.ones((1, 2)), ("a", "b", "c"))


def test_snr_of_a_tenth_is_20_db():
    assert metrics.snr_db(np.ones(5), np.full(5, 1.1)) == pytest.approx(20)
    assert metrics.snr_db(np.ones(5), np.ones(5)) == math.inf
