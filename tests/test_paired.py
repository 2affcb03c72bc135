"""The paired test against published examples, SciPy and a count of all outcomes."""

import itertools

import numpy as np
import pytest
from scipy import stats

from audio_edge import paired


def test_mcnemar_of_a_published_example():
    # Fagerland, Lydersen and Laake 2014, table V (Bentur et al.): 1 against 7 of 21 pairs;
    # 2 (C(8, 0) + C(8, 1)) / 2^8
    assert paired.mcnemar(1, 7) == 18 / 256


@pytest.mark.parametrize(("a", "b"), [(0, 0), (3, 3), (0, 5), (12, 30), (400, 300), (0, 2000)])
def test_mcnemar_equals_the_binomial_test_of_scipy(a, b):
    expected = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert paired.mcnemar(a, b) == pytest.approx(expected, rel=1e-9, abs=0)
    assert paired.mcnemar(b, a) == paired.mcnemar(a, b)


def test_mcnemar_counts_outcomes_at_least_as_uneven():
    outcomes = [sum(flips) for flips in itertools.product([0, 1], repeat=7)]
    as_uneven = [ones for ones in outcomes if abs(ones - 3.5) >= 2.5]
    assert paired.mcnemar(1, 6) == len(as_uneven) / len(outcomes)


def test_interval_of_a_published_example():
    # the same example and table; 2/23 - 8/23 -+ 1.96 sqrt((10/23 - (6/23)^2) / 23)
    assert paired.difference_interval(1, 7, 21) == pytest.approx((-0.5084, -0.0134), abs=5e-5)


def test_interval_covers_the_true_difference_as_often_as_it_says(rng):
    only_a, only_b = 0.08, 0.03
    counts = rng.multinomial(200, [only_a, only_b, 1 - only_a - only_b], 4000)
    found = [paired.difference_interval(a, b, 200) for a, b, _ in counts]
    covered = np.mean([low <= only_a - only_b <= high for low, high in found])
    # 4000 draws of 0.95 stray by 0.0034; three sigmas, and the coverage itself is near, not exact
    assert covered == pytest.approx(0.95, abs=0.015)


def test_equal_models_differ_by_nothing():
    result = paired.compare([True, False, True], [True, False, True])
    assert (result["difference"], result["p_value"]) == (0.0, 1.0)
    low, high = result["interval"]
    assert low == pytest.approx(-high)


def test_comparison_of_a_worked_case():
    a = np.array([1, 1, 1, 1, 0, 0, 1, 1], bool)
    b = np.array([1, 1, 0, 0, 1, 0, 0, 0], bool)
    result = paired.compare(a, b)
    assert result["interval"] == list(paired.difference_interval(4, 1, 8))
    del result["interval"]
    assert result == {
        "n": 8, "accuracy_a": 0.75, "accuracy_b": 0.375, "only_a": 4, "only_b": 1,
        "difference": 0.375, "p_value": 2 * 6 / 32,
    }  # fmt: skip


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match=r"both must be \[n > 0\]"):
        paired.compare([True], [True, False])
    with pytest.raises(ValueError, match="counts must be >= 0"):
        paired.mcnemar(-1, 2)
    with pytest.raises(ValueError, match="counts must fit"):
        paired.difference_interval(3, 3, 5)
