"""When a new model may take the old one's place, and which clips judge it."""

import numpy as np
import pytest

from audio_edge.errors import UserError
from audio_edge.retraining import reviewed, verdict
from audio_edge.review.queue import create
from audio_edge.review.terms import Terms
from training import retrain

pytest.importorskip("cleanlab", reason="cleanlab is not installed: audio_edge[review]")
LABELS = ("a", "b", "c")
SAME = {"size_bytes": (1000, 1000), "p50_ms": (1.0, 1.0)}


def sure(answers):
    """Probabilities of a model that is quite sure of these answers, float [n, 3]."""
    probs = np.full((len(answers), 3), 0.03)
    probs[np.arange(len(answers)), answers] = 0.94
    return probs


def heard(n, old_wrong, new_wrong):
    """Clips of all classes in turn, of which either model mishears some, given by number."""
    said = np.arange(n) % 3
    answers = []
    for wrong in (old_wrong, new_wrong):
        answer = said.copy()
        answer[list(wrong)] = (answer[list(wrong)] + 1) % 3
        answers.append(sure(answer))
    return verdict.Heard(said, *answers)


def judge(test, reviewed, costs=SAME, **limits):
    return verdict.judge(test, reviewed, LABELS, costs, verdict.Limits(**limits))


def test_a_model_that_hears_surely_better_is_promoted():
    found = judge(heard(300, (), ()), heard(30, range(12), ()))
    assert found["promoted"] and found["doubtful"] == []
    assert found["reason"].startswith("it hears better: 96.4 % to 100.0 % on 330 clips")
    assert (found["reviewed"]["only_a"], found["reviewed"]["only_b"]) == (12, 0)


def test_five_clips_may_be_chance_and_six_are_not():
    test = heard(300, (), ())
    assert "may be chance" in judge(test, heard(30, range(5), ()))["reason"]  # p = 2 / 2^5
    assert judge(test, heard(30, range(6), ()))["promoted"]


def test_a_model_that_hears_no_better_is_not_promoted():
    found = judge(heard(300, (), ()), heard(30, (1, 2), (1, 2, 5)), doubtful=0.1)
    assert not found["promoted"] and "hears no better" in found["reason"]


def test_a_class_that_loses_too_much_stops_a_model_that_is_better_in_all():
    test = heard(300, (), range(0, 12, 3))  # 4 of 100 of class a
    found = judge(test, heard(60, range(24), ()))
    assert found["all"]["p_value"] < 0.05 and found["all"]["difference"] > 0
    assert found["reason"] == (
        "it loses too much of a class: 'a' falls from 100.0 % to 96.0 % on the test clips"
    )
    assert judge(test, heard(60, range(24), ()), class_loss=0.05)["promoted"]


@pytest.mark.parametrize(
    "costs, said",
    [
        ({**SAME, "size_bytes": (1000, 1101)}, "size_bytes rises from 1000 to 1101"),
        ({**SAME, "p50_ms": (1.0, 1.31)}, "p50_ms rises from 1 to 1.31, beyond 1.3 times"),
    ],
)
def test_a_model_that_costs_too_much_is_not_promoted(costs, said):
    found = judge(heard(300, (), ()), heard(30, range(12), ()), costs)
    assert not found["promoted"] and said in found["reason"]


def test_wrong_labels_among_the_reviewed_clips_are_noticed():
    truth = np.arange(60) % 3
    labels = truth.copy()
    labels[:12] = (labels[:12] + 1) % 3  # 20 %
    clips = verdict.Heard(labels, sure((truth + 2) % 3), sure(truth))
    found = judge(heard(300, (), ()), clips)
    assert found["reviewed"]["difference"] > 0.7 and found["all"]["p_value"] < 1e-6
    assert sorted(found["doubtful"]) == list(range(12))
    assert found["reason"].startswith("the labels of 12 of 60 reviewed clips look wrong")


def test_limits_and_mixings_out_of_range_are_told():
    with pytest.raises(UserError, match="--class-loss"):
        verdict.Limits(class_loss=2)
    with pytest.raises(UserError, match="--hold-out must be in"):
        reviewed.Mixing(hold_out=1.0)
    with pytest.raises(UserError, match="--by must be"):
        reviewed.Mixing(by="speaker")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--epochs", "0"), ("--epochs", "-1"), ("--learning-rate", "nan"), ("--learning-rate", "-1")],
)
def test_retraining_refuses_wrong_options_before_it_looks_at_anything(capsys, option, value):
    assert retrain.main(["nowhere", "nowhere", "--registry", "new", option, value]) == 2
    assert f"error: {option} must be" in capsys.readouterr().err


@pytest.fixture
def queue(tmp_path, rng):
    """20 sources of 3 clips each, all labelled."""
    made = create(tmp_path / "queue", Terms(LABELS, consent="the testers"))
    for number in range(60):
        samples = rng.integers(-9, 9, 400).astype(np.int16)
        facts = {"source": f"s{number // 3}", "model": "m", "why": "reported", "now": 0.0}
        made.decide(made.add(samples, 16000, **facts), "label", LABELS[number % 3])
    return made


def test_a_source_never_stands_on_both_sides_and_never_changes_them(queue, rng):
    learnt, held_out = reviewed.share_out(queue, LABELS, reviewed.Mixing())
    sides = [{item.source for item in side} for side in (learnt, held_out)]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 20
    samples = rng.integers(-9, 9, 500).astype(np.int16)
    for number in range(30):
        facts = {"source": f"t{number}", "model": "m", "why": "reported", "now": 0.0}
        queue.decide(queue.add(samples + number, 16000, **facts), "label", "a")
    again = reviewed.share_out(queue, LABELS, reviewed.Mixing())
    assert {item.source for item in again[0]} > sides[0]
    assert {item.source for item in again[1]} > sides[1]


def test_clips_of_one_source_are_shared_out_only_when_asked(tmp_path, rng):
    queue = create(tmp_path / "queue", Terms(LABELS, consent="the testers"))
    for _ in range(20):
        samples = rng.integers(-9, 9, 400).astype(np.int16)
        digest = queue.add(samples, 16000, source="s", model="m", why="reported", now=0.0)
        queue.decide(digest, "label", "a")
    with pytest.raises(UserError, match="20 labelled clips of 1 sources leave none .* --by clip"):
        reviewed.share_out(queue, LABELS, reviewed.Mixing())
    learnt, held_out = reviewed.share_out(queue, LABELS, reviewed.Mixing(by="clip"))
    assert len(learnt) + len(held_out) == 20 and min(len(learnt), len(held_out)) > 2


def test_a_label_that_the_model_does_not_know_is_told(queue):
    with pytest.raises(UserError, match="labelled 'c', which the model does not know"):
        reviewed.share_out(queue, ("a", "b"), reviewed.Mixing())
