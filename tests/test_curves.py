"""ROC, DET and average precision against hand-worked cases, scikit-learn and their definitions."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from audio_edge import curves, multilabel


def test_roc_of_a_worked_case_takes_equal_scores_as_one_step():
    curve = curves.roc([True, False, True, False], [0.9, 0.5, 0.5, 0.1])
    np.testing.assert_array_equal(curve.false_alarm, [0, 0, 0.5, 1])
    np.testing.assert_array_equal(curve.hit, [0, 0.5, 1, 1])
    np.testing.assert_array_equal(curve.threshold, [np.inf, 0.9, 0.5, 0.1])
    assert curves.auc([True, False, True, False], [0.9, 0.5, 0.5, 0.1]) == 0.875


def test_det_is_the_misses_over_the_false_alarms():
    false_alarm, miss = curves.det([True, False, True, False], [0.9, 0.5, 0.5, 0.1])
    np.testing.assert_array_equal(false_alarm, [0, 0, 0.5, 1])
    np.testing.assert_array_equal(miss, [1, 0.5, 0, 0])


@pytest.mark.parametrize("levels", [4, 10_000])
def test_roc_and_auc_equal_scikit_learn_with_and_without_ties(rng, levels):
    truth, scores = rng.random(500) < 0.3, rng.integers(0, levels, 500) / levels
    curve = curves.roc(truth, scores)
    expected = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    # both are ratios of the same counts, so equal to the last bit
    for ours, theirs in zip(curve, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # a sum of up to 500 products in float64
    area = sklearn_metrics.roc_auc_score(truth, scores)
    assert curves.auc(truth, scores) == pytest.approx(area, abs=1e-12)


def test_det_equals_scikit_learn_where_that_draws(rng):
    truth, scores = rng.random(300) < 0.4, rng.integers(0, 20, 300)
    false_alarm, miss = curves.det(truth, scores)
    theirs = np.stack(sklearn_metrics.det_curve(truth, scores)[:2], axis=1)
    ours = np.stack([false_alarm, miss], axis=1)
    assert len(ours) == len(theirs) == 21
    # 1 - hits / n against misses / n: the last bit of float64
    assert np.abs(ours[:, None] - theirs).max(axis=2).min(axis=0).max() < 1e-15


def test_auc_is_how_often_a_true_clip_scores_higher(rng):
    truth, scores = rng.random(60) < 0.5, rng.integers(0, 9, 60)
    gaps = scores[truth][:, None] - scores[~truth][None, :]
    assert curves.auc(truth, scores) == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean())


@pytest.mark.parametrize("levels", [3, 10_000])
def test_average_precision_equals_scikit_learn(rng, levels):
    truth, scores = rng.random(400) < 0.1, rng.integers(0, levels, 400)
    expected = sklearn_metrics.average_precision_score(truth, scores)
    assert curves.average_precision(truth, scores) == pytest.approx(expected, abs=1e-12)


def test_order_of_equal_scores_changes_nothing(rng):
    truth = np.arange(50) % 2 == 0
    for order in (np.argsort(truth), np.argsort(~truth), rng.permutation(50)):
        assert curves.average_precision(truth[order], np.zeros(50)) == 0.5
        assert curves.auc(truth[order], np.zeros(50)) == 0.5


def test_mean_average_precision_of_a_worked_case_leaves_out_what_never_occurs():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    scores = np.array([[0.9, 0.8, 0.5], [0.2, 0.7, 0.5], [0.3, 0.1, 0.5]])
    # class 0 ranks + - +: (1 + 2/3) / 2; class 1 ranks - + +: (1/2 + 2/3) / 2
    expected = ((1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 2
    assert curves.mean_average_precision(truth, scores) == pytest.approx(expected)


def test_mean_average_precision_equals_scikit_learn(rng):
    truth, scores = rng.random((200, 6)) < 0.2, rng.random((200, 6))
    expected = sklearn_metrics.average_precision_score(truth, scores, average="macro")
    assert curves.mean_average_precision(truth, scores) == pytest.approx(expected)


def test_several_labels_a_clip_equal_scikit_learn(rng):
    truth, scores = rng.random((200, 4)) < 0.3, rng.random((200, 4))
    result = multilabel.evaluate(truth, scores, ("a", "b", "c", "d"), threshold=0.6)
    heard = scores >= 0.6
    precision, recall, f1, n = sklearn_metrics.precision_recall_fscore_support(truth, heard)
    for number, row in enumerate(result["per_class"].values()):
        expected = (precision[number], recall[number], f1[number], n[number])
        assert (row["precision"], row["recall"], row["f1"], row["n"]) == pytest.approx(expected)
    assert result["macro_f1"] == pytest.approx(f1.mean())
    assert result["mean_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))
    assert result["mean_average_precision"] == pytest.approx(
        sklearn_metrics.average_precision_score(truth, scores)
    )
    assert result["n"] == 200
    weight = truth.sum(axis=1)
    ranking = sklearn_metrics.label_ranking_average_precision_score
    some = weight > 0
    expected = ranking(truth[some], scores[some], sample_weight=weight[some])
    assert result["lwlrap"] == pytest.approx(expected)


def test_d_prime_and_best_label_of_known_scores():
    truth = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    scores = np.array([[0.9, 0.6], [0.7, 0.2], [0.8, 0.7], [0.4, 0.3]])
    result = multilabel.evaluate(truth, scores, ("a", "b"))
    assert result["accuracy"] == 0.75  # the second clip is taken for a; the last for nothing
    # areas: a 4/4, b 2/4; the normal quantile of 0.75 is 0.67449
    assert result["mean_auc"] == 0.75
    assert result["d_prime"] == pytest.approx(0.95387, abs=1e-5)


def test_a_label_on_every_clip_has_no_auc():
    result = multilabel.evaluate(np.ones((3, 1)), np.zeros((3, 1)), ("a",))
    assert result["mean_auc"] is None
    assert result["mean_average_precision"] == 1.0


@pytest.mark.parametrize(
    ("truth", "scores", "said"),
    [
        ([True, True], [0.1, 0.2], "both kinds"),
        ([False, False], [0.1, 0.2], "both kinds"),
        ([True, False], [np.nan, 0.2], "finite"),
        ([True, False], [0.2], r"must be \[n > 0\]"),
        ([], [], r"must be \[n > 0\]"),
    ],
)
def test_what_has_no_curve_is_refused(truth, scores, said):
    with pytest.raises(ValueError, match=said):
        curves.roc(truth, scores)


def test_what_has_no_average_precision_is_refused():
    with pytest.raises(ValueError, match="at least one true"):
        curves.average_precision([False], [0.3])
    with pytest.raises(ValueError, match="at least one true"):
        curves.mean_average_precision(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"must be \[n, classes\]"):
        curves.mean_average_precision(np.ones((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"must be \[n, 2\]"):
        multilabel.evaluate(np.ones((2, 3)), np.zeros((2, 3)), ("a", "b"))
