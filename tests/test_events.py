"""Matching of events: by hand, and as sed_eval 0.2.1 answers 200 random cases."""

from __future__ import annotations

import importlib.util
import itertools
import json

import pytest

from audio_edge import events
from audio_edge.events import Word, figures, match, poisson_interval
from tests import golden_sed_eval as golden

GOLDEN = json.loads(golden.FILE.read_text(encoding="utf-8"))


def word(start: float, end: float | None = None, label: str = "a") -> Word:
    return Word(label, start, start + 0.5 if end is None else end)


def same(got, wanted):
    """To 1e-9: both sides are a few divisions of small integers."""
    for name, figure in wanted.items():
        if figure is None:
            assert got[name] is None, name
        else:
            assert got[name] == pytest.approx(figure, abs=1e-9), name


def check(case, wanted):
    said, heard = ([Word(*row) for row in case[key]] for key in ("said", "heard"))
    found = figures(
        said, heard, golden.LABELS, collar_s=case["collar_s"], end_share=case["end_share"]
    )
    same(found["overall"], wanted["overall"])
    for label in golden.LABELS:
        same(found["per_class"][label], wanted["per_class"][label])


def test_200_random_cases_are_as_sed_eval_has_them():
    assert len(GOLDEN["cases"]) == 200
    kinds = {case["end_share"] for case in GOLDEN["cases"]}
    assert kinds == {None, 0.0, 0.2, 0.5}
    for case in GOLDEN["cases"]:
        check(case, case["wanted"])


@pytest.mark.skipif(not importlib.util.find_spec("sed_eval"), reason="sed_eval is not installed")
def test_sed_eval_itself_agrees():
    for case in golden.cases():
        check(case, golden.ask(case))


def test_collar_is_included_and_no_more():
    assert match([word(1.0)], [word(1.25)], collar_s=0.25) == [(0, 0)]
    assert match([word(1.0)], [word(0.75)], collar_s=0.25) == [(0, 0)]
    assert match([word(1.0)], [word(1.2501)], collar_s=0.25) == []
    assert match([word(1.0)], [word(1.0)], collar_s=0) == [(0, 0)]


def test_other_labels_are_no_answer():
    assert match([word(1.0)], [word(1.0, label="b")], collar_s=1) == []


def test_each_event_answers_one_other_the_nearer_first():
    assert match([word(1.0)], [word(1.2), word(1.1)], collar_s=0.5) == [(0, 1)]
    assert match([word(1.0), word(1.3)], [word(1.1)], collar_s=0.5) == [(0, 0)]


def test_pairs_make_way_for_more_pairs():
    """The first word is nearer to the only answer of the second, and has another one."""
    said, heard = [word(1.0), word(1.4)], [word(1.1), word(0.7)]
    assert match(said, heard, collar_s=0.35) == [(0, 1), (1, 0)]


def test_as_many_pairs_as_any_choice_could_make(rng):
    """Against trying every assignment of up to four answers."""
    for _ in range(40):
        said = [word(round(start, 1)) for start in rng.uniform(0, 2, rng.integers(1, 5))]
        heard = [word(round(start, 1)) for start in rng.uniform(0, 2, rng.integers(1, 5))]
        pairs = match(said, heard, collar_s=0.25)
        assert len({place for place, _ in pairs}) == len({place for _, place in pairs})
        assert all(abs(said[a].start_s - heard[b].start_s) <= 0.25 for a, b in pairs)
        slots = [*range(len(heard)), *[None] * len(said)]
        most = max(
            sum(
                answer is not None and abs(one.start_s - heard[answer].start_s) <= 0.25
                for one, answer in zip(said, chosen, strict=True)
            )
            for chosen in set(itertools.permutations(slots, len(said)))
        )
        assert len(pairs) == most


def test_ends_count_by_the_collar_or_a_share_of_the_length():
    said = [word(1.0, 3.0)]
    late = [word(1.0, 3.9)]
    assert match(said, late, collar_s=0.2) == [(0, 0)]
    assert match(said, late, collar_s=0.2, end_share=0.45) == [(0, 0)]  # 0.9 s of 2 s
    assert match(said, late, collar_s=0.2, end_share=0.4) == []
    assert match(said, [word(1.0, 3.2)], collar_s=0.25, end_share=0.0) == [(0, 0)]


def test_figures_by_hand():
    said = [word(1.0), word(3.0), word(5.0), word(2.0, label="b"), word(4.0, label="x")]
    heard = [word(1.1), word(3.1), word(3.2), word(8.0), word(4.0, label="x")]
    found = figures(said, heard, ("a", "b", "c"), collar_s=0.2)
    row = found["per_class"]["a"]
    assert (row["said"], row["heard"], row["hits"], row["missed"], row["false"]) == (3, 4, 2, 1, 2)
    same(row, {"precision": 0.5, "recall": 2 / 3, "f1": 4 / 7, "error_rate": 1.0})
    same(found["per_class"]["b"], {"precision": None, "recall": 0.0, "f1": None, "error_rate": 1.0})
    same(found["per_class"]["c"], {"precision": None, "recall": None, "deletion_rate": None})
    same(found["overall"], {"precision": 0.5, "recall": 0.5, "f1": 0.5, "error_rate": 1.0})
    same(found["average"], {"recall": 1 / 3, "error_rate": 1.0, "precision": 0.5})


@pytest.mark.parametrize("bad", [{"collar_s": -1}, {"collar_s": 1, "end_share": -0.1}])
def test_negative_limits_are_refused(bad):
    with pytest.raises(ValueError, match="must be >= 0"):
        match([], [], **bad)


def test_poisson_interval_is_garwoods():
    """Oracle: the quantiles of chi squared, by SciPy; to the nine digits of the bisection."""
    stats = pytest.importorskip("scipy.stats")
    for count in (0, 1, 2, 10, 300):
        for tail in (0.025, 0.05):
            low, high = poisson_interval(count, tail=tail)
            assert high == pytest.approx(stats.chi2.ppf(1 - tail, 2 * count + 2) / 2, rel=1e-9)
            wanted = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
            assert low == pytest.approx(wanted, rel=1e-9)


def test_poisson_interval_refuses_negative_counts():
    with pytest.raises(ValueError, match="count must be >= 0"):
        events.poisson_interval(-1)
