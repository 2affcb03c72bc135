"""One run for each fold or seed, and what they come to together."""

from __future__ import annotations

import json
import re
import statistics

import h5py
import numpy as np
import pytest

from audio_edge import files, repeats
from audio_edge.config import from_dict, load_config
from audio_edge.datasets import decoder
from audio_edge.errors import UserError
from audio_edge.metrics import wilson_interval
from audio_edge.run import Run
from tests import folded
from training import run, train

pytestmark = [pytest.mark.xdist_group("repeats"), pytest.mark.timeout(600)]

CONFIG = """
[run]
name = "few"
[data]
kind = "esc50"
esc10 = true
clip_s = 0.5
val_share = 0.3
[frontend]
hop_length = 320
[augment]
noise_share = 0.0
time_width = 2
[model]
width = 8
depth = 1
[train]
epochs = 1
batch_size = 8
[prune]
sparsity = 0.0
[quantize]
epochs = 1
"""


def arguments(place, out, *more):
    keys = {"data.root": "data", "data.cache": "cache", "run.dir": out}
    sets = [f"--set={key}={place / name}" for key, name in keys.items()]
    return [str(place / "few.toml"), "--runs", "100", *sets, *more]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the recordings and the config."""
    folder = tmp_path_factory.mktemp("folds")
    folded.esc50(folder / "data")
    (folder / "few.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def opened(place):
    """Runs folds 1 and 3; gives (fold, which clips were opened, steps done by then) in order."""
    from audio_edge import benchmark, parity

    seen = []
    decode = decoder.decode

    def spy(paths, *rest, **keys):
        begun = sorted((place / "out").glob("fold*"))  # fold 1 is finished when fold 3 begins
        steps = begun[-1] / "results" / "steps.json"
        done = list(json.loads(steps.read_text())) if steps.exists() else []
        seen.append((begun[-1].name, {path.name for path in paths}, done))
        return decode(paths, *rest, **keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "decode", spy)
        # one epoch leaves borderline probabilities, which int8 may turn over
        patch.setattr(parity, "limits_for", lambda a, b: parity.Limits(1.0, 0.0))
        patch.setattr(benchmark, "benchmark", lambda models, *, runs: {})
        patch.setattr(benchmark, "markdown", lambda results: "table")
        assert run.main(arguments(place, "out", "--folds", "1,3")) == 0
    return seen


def judge(session, runs, *, streaming=False):
    """In the place of the steps after training: made-up accuracies, and a seed that fails."""
    seed = session.run.config.run.seed
    judged = {"float": {"accuracy": 0.5 + seed / 100}, "int8": {"accuracy": 0.25, "n": 12}}
    files.write_json(session.run.results / "accuracy.json", judged)
    return int(seed == 13)


def accuracies(place, name):
    judged = json.loads((place / "out" / name / "results" / "accuracy.json").read_text())
    return {stage: judged[stage]["accuracy"] for stage in ("float", "int8")}


def test_each_fold_is_a_run_of_its_own_and_the_summary_holds_their_accuracies(place, opened):
    result = json.loads((place / "out/results/folds.json").read_text())
    assert result["missing"] == []
    assert [row["fold"] for row in result["rows"]] == [1, 3]
    for stage in ("float", "int8"):
        shares = [accuracies(place, f"fold{fold}")[stage] for fold in (1, 3)]
        assert [row[stage] for row in result["rows"]] == shares
        found = result[stage]
        assert found["mean"] == pytest.approx(statistics.mean(shares))
        assert found["deviation"] == pytest.approx(statistics.stdev(shares))
        assert found["n"] == 24
        correct = round(12 * sum(shares))  # twelve clips a fold
        assert found["accuracy"] == pytest.approx(correct / 24)
        assert found["interval"] == pytest.approx(wilson_interval(correct, 24))
    for fold in (1, 3):
        config = json.loads((place / f"out/fold{fold}/config.json").read_text())
        assert config["data"]["fold"] == fold
        assert config["run"]["name"] == f"few_fold{fold}"
        assert (place / f"out/fold{fold}/tflite/model_int8.tflite").exists()


def test_test_clips_of_a_fold_are_opened_by_its_evaluation_only(opened):
    for fold in (1, 3):
        calls = [(names, done) for name, names, done in opened if name == f"fold{fold}"]
        judging = [(names, done) for names, done in calls if any(n[0] == str(fold) for n in names)]
        assert len(judging) == 1
        names, done = judging[0]
        assert {name[0] for name in names} == {str(fold)}
        assert len(names) == 12
        assert done == ["convert", "compare"]  # all stages and steps before the judgement
        others = set().union(*(names for names, _ in calls)) - names
        assert {name[0] for name in others} == set("12345") - {str(fold)}


def test_folds_that_are_up_to_date_are_skipped(place, opened, capsys):
    made = [path for path in (place / "out").glob("fold*/*/*.*")]
    before = {path: path.stat().st_mtime_ns for path in made}
    assert run.main(arguments(place, "out", "--folds", "3,1")) == 0
    printed = capsys.readouterr().out
    assert printed.count("up to date") == 4
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert printed.splitlines()[-1] == str(place / "out/results/folds.json")
    table = [line for line in printed.splitlines() if line.startswith("| ")]
    assert any(line.startswith("| 3 | 12 | ") for line in table)
    assert table[-1].startswith("| all clips (95 %) | 24 | ")


def test_fold_after_another_has_the_weights_of_a_run_by_itself(place, opened):
    sets = [item for item in arguments(place, "alone") if item not in ("--runs", "100")]
    assert train.main([*sets, "--set", "data.fold=3"]) == 0
    found = []
    for name in ("out/fold3", "alone"):
        values = {}
        with h5py.File(place / name / "float/weights.h5") as file:
            file.visititems(
                lambda key, item, values=values: values.update(
                    {key: item[()]} if isinstance(item, h5py.Dataset) else {}
                )
            )
        found.append(values)
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][key], err_msg=key)


def test_seeds_give_runs_of_their_own_with_mean_and_spread(place, monkeypatch, capsys):
    monkeypatch.setattr(run, "_finish", judge)
    monkeypatch.setattr(Run, "stages", ("float",))
    assert run.main(arguments(place, "seeds", "--seeds", "0,5")) == 0
    result = json.loads((place / "seeds/results/seeds.json").read_text())
    assert [row["seed"] for row in result["rows"]] == [0, 5]
    assert [row["float"] for row in result["rows"]] == [0.5, 0.55]
    # the deviation of two values is their distance over the root of two; the same clips judged
    # twice are no larger test, so there is no interval
    spread = {"mean": 0.525, "deviation": 0.05 / 2**0.5, "least": 0.5, "greatest": 0.55}
    assert result["float"] == pytest.approx(spread)
    assert result["int8"] == {"mean": 0.25, "deviation": 0.0, "least": 0.25, "greatest": 0.25}
    for seed in (0, 5):
        config = json.loads((place / f"seeds/seed{seed}/config.json").read_text())
        assert (config["run"]["seed"], config["data"]["fold"]) == (seed, 1)
        assert (place / f"seeds/seed{seed}/float/weights.h5").exists()
    assert "| greatest | | 55.00 | 25.00 |" in capsys.readouterr().out


def test_run_that_fails_is_left_blank_and_the_others_go_on(place, monkeypatch, capsys):
    class Session:
        def __init__(self, args):
            self.run = Run.create(load_config(args.config, args.set))

    monkeypatch.setattr(run, "_run", lambda args: judge(Session(args), args.runs))
    assert run.main(arguments(place, "failing", "--seeds", "13,2")) == 1
    result = json.loads((place / "failing/results/seeds.json").read_text())
    assert ([row["seed"] for row in result["rows"]], result["missing"]) == ([2], [13])
    assert result["float"]["deviation"] is None
    printed = capsys.readouterr().out
    assert "| 13 | | | |" in printed
    assert "| deviation | |  |  |" in printed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--folds", "1,6"], "--folds takes different numbers of 1 to 5"),
        (["--folds", "0"], "--folds takes different numbers of 1 to 5"),
        (["--folds", "1,1"], "different numbers.*Received: '1,1'"),
        (["--folds", "one"], "different numbers"),
        (["--folds="], "different numbers.*Received: ''"),
        (["--seeds", "1,-1"], "--seeds takes different numbers of 0 to 2147483647"),
        (["--seeds", "9" * 5000], "--seeds takes different numbers"),
        (["--folds", "--seeds", "0,1"], "give either --folds or --seeds"),
        (["--folds", "--set", "data.kind=folder"], "data.kind 'folder' has no official folds"),
    ],
)
def test_what_cannot_be_repeated_is_one_sentence_before_any_training(
    place, tmp_path, given, message, capsys
):
    settings = [item for item in given if "kind" not in item]
    text = CONFIG
    if settings != given:
        settings.remove("--set")
        text = CONFIG.replace('kind = "esc50"\nesc10 = true', 'kind = "folder"')
    (tmp_path / "few.toml").write_text(text)
    assert run.main([str(tmp_path / "few.toml"), *settings, f"--set=run.dir={tmp_path / 'x'}"]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "x").exists()


def planned(**keys):
    config = from_dict(
        {"run": {"name": 'a"b', "dir": "odd 'dir\" \\ ü"}, "data": {"kind": "esc50"}}
    )
    return repeats.plan(config, **keys)


def test_all_folds_are_those_of_the_data_set():
    assert planned(folds="all").numbers == (1, 2, 3, 4, 5)
    urban = from_dict({"data": {"kind": "urbansound8k"}})
    assert repeats.plan(urban, folds="all").numbers == tuple(range(1, 11))
    assert planned(folds=" 5, 2").numbers == (5, 2)


def test_overrides_bring_any_name_through_toml(tmp_path):
    (tmp_path / "c.toml").write_text("[data]\nkind = 'esc50'\n")
    config = load_config(tmp_path / "c.toml", planned(folds="all").overrides(4))
    assert config.run.dir == "odd 'dir\" \\ ü/fold4"
    assert config.run.name == 'a"b_fold4'
    assert config.data.fold == 4


@pytest.mark.parametrize(
    "content",
    [
        {}, {"float": 1}, {"float": {"accuracy": "x"}, "int8": {}},
        {"float": {"accuracy": 0.5}, "int8": {"accuracy": 5, "n": 12}},
        {"float": {"accuracy": 0.5}, "int8": {"accuracy": 0.5, "n": 0}},
    ],
)  # fmt: skip
def test_damaged_results_name_the_file(tmp_path, content):
    config = from_dict({"run": {"dir": str(tmp_path)}, "data": {"kind": "esc50"}})
    path = tmp_path / "fold1/results/accuracy.json"
    files.write_json(path, content)
    with pytest.raises(UserError, match=f"{path}: damaged; delete it and run again"):
        repeats.summary(repeats.plan(config, folds="all"), [1])


def test_summary_of_nothing_yet_is_all_missing():
    result = repeats.summary(planned(folds="1,2"), [])
    assert result["missing"] == [1, 2]
    assert "| 2 | | | |" in repeats.markdown(result)
