"""The search without its trainings: what varies, what is proposed, what is kept and refused."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from audio_edge import files
from audio_edge.config import Config, from_dict
from audio_edge.errors import UserError
from audio_edge.metrics import wilson_interval
from audio_edge.tuning import pareto, proposals, results, search, space, trial
from audio_edge.tuning.limit import LATENCY, SIZE, Limit, Meter
from audio_edge.tuning.search import Budget, Plan

SPACE = {"train": {"learning_rate": {"min": 1e-3, "max": 1e-1, "log": True}}}
BY_MODEL = {
    "model": {"name": ["ds_cnn", "kwt"], "ds_cnn": {"width": [8, 16]}, "kwt": {"depth": [3]}},
    "augment": {"snr_db": [[0.0, 10.0], [20.0, 30.0]]},
}


def proposed(given, algorithm, *, seed=0, count=14, score=lambda values, share: 0.5):
    """[(values, share)] of the first candidates."""
    found = []

    def attempt(values, share):
        if len(found) == count:
            raise proposals.Enough
        found.append((values, share))
        return score(values, share)

    proposals.propose(space.parse(given, Config()), algorithm, seed=seed, attempt=attempt)
    return found


@pytest.mark.parametrize("name", ["ds_cnn", "bc_resnet", "mobile_cnn", "crnn", "kwt"])
def test_built_in_space_fits_any_model_of_the_config(name):
    found = space.default(from_dict({"model": {"name": name}}))
    assert found[0].choices[0] == name
    assert {item.key for item in found if item.model == name} == {"model.width", "model.depth"}


def test_steps_reach_the_greatest_value():
    given = {"augment": {"speed": {"min": 0.0, "max": 0.3, "step": 0.1}}}
    [item] = space.parse(given, Config())
    assert item.choices == (0.0, 0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "train.learnin_rate = [1e-3]",
            r"unknown key 'learnin_rate'; did you mean 'learning_rate'",
        ),
        ("trian.epochs = [1]", r"unknown section \[trian\]; did you mean 'train'"),
        ("data.words = [['a', 'b']]", "data.words cannot be tuned"),
        ("run.seed = [0, 1]", "run.seed cannot be tuned"),
        ("augment.speed = [0.1, 0.9]", r"speed must be in \[0, 0.5\)"),
        ("model.width = {min = 8, max = 9.5}", "min, max and step must be whole numbers"),
        ("model.width = {min = 8}", "model.width takes a list of values or {min, max}"),
        ("model.padding = {min = 1, max = 2}", "model.padding takes a list of values. Received"),
        ("model.width = {min = 9, max = 8}", "takes min < max"),
        ("train.ema = {min = 0.0, max = 0.9, log = true}", "log = true needs min > 0"),
        ("model.width = [8, 8]", "must list different values"),
        ("model.name = ['ds_cn']", "unknown name 'ds_cn'"),
        ("model.kwt.width = [8]", "for a model that is not in the search"),
        ("model.width = [8]\nmodel.ds_cnn.width = [9]", "give either"),
        ("train = 3", "must be a section of keys"),
        ("", "no key to vary"),
        ("a = [", "not valid TOML"),
    ],
)
def test_wrong_space_is_one_sentence_that_names_the_file(tmp_path, text, said):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        space.load(path, Config())
    assert str(caught.value).count(str(path)) == 1


def test_same_seed_and_scores_propose_the_same_candidates():
    found = [proposed(SPACE, "hyperband", seed=seed, count=8) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert all(1e-3 <= values["train.learning_rate"] <= 1e-1 for values, _ in found[0])


def test_hyperband_gives_more_epochs_to_the_better_third():
    def score(values, share):
        return values["train.learning_rate"]

    found = proposed(SPACE, "hyperband", score=score)
    shares = [share for _, share in found[:13]]
    assert shares == pytest.approx([1 / 9] * 9 + [1 / 3] * 3 + [1])
    order = sorted((values["train.learning_rate"] for values, _ in found[:9]), reverse=True)
    promoted = [values["train.learning_rate"] for values, _ in found[9:13]]
    assert promoted == [*order[:3], order[0]]


def test_bayesian_search_uses_all_epochs_closes_in_on_the_best_and_can_be_repeated():
    def score(values, share):
        return 1 - abs(np.log10(values["train.learning_rate"]) + 1.6)

    found = proposed(SPACE, "bayesian", count=8, score=score)
    assert {share for _, share in found} == {1.0}
    scores = [score(*candidate) for candidate in found]
    assert max(scores[:4]) < max(scores[4:]) > 0.95  # the first four are random
    assert proposed(SPACE, "bayesian", count=6, score=score) == found[:6]


def test_what_is_for_one_model_comes_with_that_model_only():
    found = [values for values, _ in proposed(BY_MODEL, "hyperband", count=9)]
    assert {values["model.name"] for values in found} == {"ds_cnn", "kwt"}
    for values in found:
        ours = {"ds_cnn": "model.width", "kwt": "model.depth"}[values["model.name"]]
        assert set(values) == {"model.name", "augment.snr_db", ours}
        assert values["augment.snr_db"] in BY_MODEL["augment"]["snr_db"]
        space.apply(Config(), values)


def test_space_of_few_candidates_ends_the_search():
    assert len(proposed({"model": {"width": [8, 16]}}, "hyperband")) < 14


def test_error_of_a_trial_reaches_the_caller():
    def broken(values, share):
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        proposed(SPACE, "hyperband", score=broken)


def test_keras_tuner_leaves_our_keras_and_tfmot_alone():
    import keras_tuner  # noqa: F401
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras

    layers = [
        keras.layers.Conv2D(2, 1, kernel_initializer="ones", input_shape=(4, 4, 1)),
        keras.layers.ReLU(),
    ]
    model = tfmot.quantization.keras.quantize_model(keras.Sequential(layers))
    assert isinstance(model, keras.Model)
    assert keras.__version__.startswith("2.")


def test_share_of_the_epochs_is_taken_of_every_stage_and_rounded_up():
    config = from_dict({"train": {"epochs": 28, "warmup_epochs": 3.0}, "quantize": {"epochs": 2}})
    short = trial.shortened(config, 1 / 3)
    assert (short.train.epochs, short.prune.epochs, short.quantize.epochs) == (10, 4, 1)
    assert short.train.warmup_epochs == pytest.approx(1.0)
    assert trial.shortened(config, 1.0) is config


def row(name, size, share, status="done"):
    return {"name": name, "status": status, SIZE: size, "accuracy": share}


def test_trials_keep_no_lessons(tmp_path):
    plan = planned(tmp_path, lessons=5)
    assert plan.config.train.lessons == 5
    assert plan.candidate("001", {}, 1.0).train.lessons == 0


def test_front_holds_what_no_other_trial_beats():
    rows = [
        row("a", 1000, 0.8), row("b", 1500, 0.7), row("c", 2000, 0.9), row("d", 1999, 0.9),
        row("e", 3000, 0.95, "refused"), row("f", 998.5, 0.75), row("g", 500, 0.3),
    ]  # fmt: skip
    assert [found["name"] for found in pareto.front(rows, SIZE)] == ["g", "a", "d"]
    assert pareto.best(rows, SIZE)["name"] == "d"
    assert pareto.best(rows[4:5], SIZE) is None


def test_time_of_a_trial_is_expected_from_those_before():
    def timed(share, seconds, status="done", resumed=False):
        return {"share": share, "seconds": seconds, "status": status, "resumed": resumed}

    assert search.expected_s([], 1.0) == 0
    rows = [timed(1.0, 100), timed(1.0, 120), timed(1.0, 1, resumed=True), timed(1.0, 1, "refused")]
    assert search.expected_s(rows, 1.0) == 110
    assert search.expected_s(rows, 0.1) == pytest.approx(11)
    assert search.expected_s([*rows, timed(0.5, 60)], 0.25) == pytest.approx(35)
    tiny = [timed(1.0, 20), timed(0.1, 50)]  # the config as given may be the smallest of all
    assert search.expected_s(tiny, 0.3) == pytest.approx(50)


class Judge:
    """Stands for the training: width 8 is best; it fails above a learning rate of 0.05."""

    def __init__(self, monkeypatch):
        self.calls, self.now = [], 0.0
        monkeypatch.setattr(trial, "judge", self)

    def __call__(self, run, material, *, callbacks):
        config = run.config
        self.calls.append(run.dir.name)
        self.now += 60 * config.train.epochs / 9
        if config.train.learning_rate > 0.05:
            raise UserError("float: the loss is nan; lower the learning rate")
        right = round(100 * (1 - config.train.learning_rate))
        return {
            "accuracy": right / 100, "interval": list(wilson_interval(right, 100)), "n": 100,
            "float_accuracy": 0.9, "params": 10, SIZE: 1000 * config.model.width,
            "classifier_bytes": 5,
        }  # fmt: skip


@pytest.fixture
def judge(monkeypatch):
    return Judge(monkeypatch)


MATERIAL = SimpleNamespace(
    index=SimpleNamespace(labels=("a", "b"), outputs=SimpleNamespace(labels=(0, 1))),
    val=SimpleNamespace(waveforms=np.zeros((8, 16000), np.int16)),
)


def planned(folder, *, given=SPACE, algorithm="hyperband", limit=None, **keys):
    config = from_dict({"run": {"name": "r"}, "train": {"epochs": 9, **keys}})
    return Plan(config, space.parse(given, config), algorithm, limit or Limit(), folder)


def run(plan, judge, **budget):
    plan.begin("data")
    return search.search(plan, MATERIAL, Budget(lambda: judge.now, **budget))


def test_config_itself_is_tried_first_and_trials_are_counted_beside_it(tmp_path, judge):
    rows = run(planned(tmp_path), judge, trials=3)
    assert [row["name"] for row in rows] == judge.calls == ["base", "001", "002", "003"]
    assert (rows[0]["values"], rows[0]["share"]) == ({}, 1.0)


def test_finished_trials_are_not_repeated_and_the_rest_is_as_in_one_go(tmp_path, judge):
    whole = run(planned(tmp_path / "whole"), judge, trials=11)
    run(planned(tmp_path / "parts"), judge, trials=4)
    judge.calls.clear()
    assert run(planned(tmp_path / "parts"), judge, trials=11) == whole
    assert judge.calls == [f"{number:03d}" for number in range(5, 12)]


def test_no_trial_is_begun_that_does_not_fit_the_time_also_over_sessions(tmp_path, judge):
    rows = run(planned(tmp_path), judge, seconds=100)  # 60 s, then 60 / 9 s each
    assert sum(row["seconds"] for row in rows) == pytest.approx(judge.now, abs=0.1)
    assert len(rows) == 1 + 5  # the sixth would end at 100.02 s
    judge.calls.clear()
    assert run(planned(tmp_path), judge, seconds=100) == rows
    assert judge.calls == []
    assert len(run(planned(tmp_path), judge, seconds=110)) == len(rows) + 2


def test_failed_training_is_kept_with_its_reason_and_ends_nothing(tmp_path, judge):
    rows = run(planned(tmp_path), judge, trials=9)
    failed = [row for row in rows if row["status"] == "failed"]
    assert failed
    assert all("loss is nan" in row["reason"] for row in failed)
    assert all(row["values"]["train.learning_rate"] > 0.05 for row in failed)
    assert results.write(planned(tmp_path), rows)["best"] == "base"


def test_candidate_beyond_the_limit_is_refused_before_it_is_trained(tmp_path, judge, monkeypatch):
    costs = []

    def cost(self, config):
        costs.append(config.model.width)
        return {SIZE: 1000 * config.model.width, "classifier_bytes": 5}

    monkeypatch.setattr(Meter, "cost", cost)
    plan = planned(tmp_path, given={"model": {"width": [32, 64, 128]}}, limit=Limit(SIZE, 70_000))
    rows = run(plan, judge, trials=3)
    assert sorted(costs[:4]) == [32, 64, 64, 128]
    refused = [row for row in rows if row["status"] == "refused"]
    assert [row["values"]["model.width"] for row in refused] == [128]
    assert refused[0]["reason"] == "128000 bytes, more than 70000"
    assert refused[0]["name"] not in judge.calls


def test_cost_is_that_of_the_architecture_and_tells_sizes_apart(tmp_path):
    config = from_dict({"model": {"width": 4, "depth": 1}, "data": {"clip_s": 0.25}})
    meter = Meter(Limit(LATENCY, 1.0), MATERIAL, tmp_path)
    small = meter.cost(config)
    assert meter.cost(space.apply(config, {"train.learning_rate": 0.5})) is small
    large = meter.cost(space.apply(config, {"model.width": 64}))
    assert large["classifier_bytes"] > 4 * small["classifier_bytes"]
    assert large[SIZE] - small[SIZE] > 0.9 * (large["classifier_bytes"] - small["classifier_bytes"])
    assert large[LATENCY] > 0 < small[LATENCY]
    assert files.read_json(tmp_path / "reference.json")["device"]["cores"] > 0


def test_another_search_in_the_folder_is_refused_without_force(tmp_path, judge):
    run(planned(tmp_path), judge, trials=1)
    with pytest.raises(UserError, match="holds a search with another algorithm and limit; give"):
        run(planned(tmp_path, algorithm="bayesian", limit=Limit(SIZE, 9.0)), judge, trials=1)
    other = planned(tmp_path, learning_rate=1e-2)
    with pytest.raises(UserError, match="another config"):
        run(other, judge, trials=1)
    other.begin("data", force=True)
    assert not (tmp_path / "trials").exists()
    assert run(other, judge, trials=1)[0]["accuracy"] == 0.99


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"values": {"train.learning_rate": 7}}, "of another candidate"),
        ({"seconds": None}, "damag"),
    ],
)
def test_kept_trial_that_cannot_be_used_is_one_sentence(tmp_path, judge, change, said):
    run(planned(tmp_path), judge, trials=1)
    where = tmp_path / "trials/001/trial.json"
    where.write_text(json.dumps(json.loads(where.read_text()) | change))
    with pytest.raises(UserError, match=f"001/trial.json: {said}"):
        run(planned(tmp_path), judge, trials=1)


def test_hyperband_and_epochs_to_vary_exclude_each_other(tmp_path):
    given = {"train": {"epochs": [5, 9]}}
    with pytest.raises(UserError, match=r"train\.epochs: hyperband deals out the epochs itself"):
        planned(tmp_path, given=given)
    planned(tmp_path, given=given, algorithm="bayesian")


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"trials": 0}])
def test_empty_budget_is_refused(wrong):
    with pytest.raises(UserError, match="must be"):
        Budget(float, **wrong)


def test_results_name_the_best_and_draw_all(tmp_path, judge):
    plan = planned(tmp_path, limit=Limit(SIZE), learning_rate=0.04)
    rows = run(plan, judge, trials=9)
    rows.append(rows[0] | {"name": "x", "status": "refused", "reason": "1 bytes"})
    found = results.write(plan, rows)
    winner = next(row for row in rows if row["name"] == found["best"])
    assert winner["accuracy"] == max(row["accuracy"] for row in rows if row["status"] == "done")
    table = results.markdown(found).splitlines()
    assert len(table) == 2 + len(rows)
    assert table[2].startswith(f"| {found['best']} * | done | {100 * winner['accuracy']:.1f} % (")
    assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "best.toml").read_text()
    assert text.startswith(f"# {100 * winner['accuracy']:.1f} % (")
    from audio_edge.config import load_config

    best = load_config(tmp_path / "best.toml")
    wanted = plan.candidate(winner["name"], winner["values"], winner["share"])
    assert dataclasses.asdict(best) == dataclasses.asdict(wanted)
