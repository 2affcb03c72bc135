"""The ablation command on tones: what it trains, opens and writes, and that it goes on."""

from __future__ import annotations

import json

import pytest
import tf_keras as keras

from audio_edge import evaluation, files
from audio_edge.config import load_config
from audio_edge.datasets import decoder, pipeline
from audio_edge.datasets.index import SPLITS
from tests import tones
from training import ablate, session

pytestmark = [pytest.mark.xdist_group("ablate"), pytest.mark.timeout(600)]

CONFIG = """
[run]
name = "few"
[data]
kind = "folder"
words = ["low", "mid", "high"]
silence = true
clip_s = 0.25
val_share = 0.2
test_share = 0.2
[frontend]
hop_length = 320
[augment]
speed = 0.0
time_masks = 0
freq_masks = 0
[model]
width = 4
depth = 1
[train]
epochs = 3
batch_size = 16
learning_rate = 1e-2
"""


class Killed(BaseException):
    """In the place of a kill: nothing catches it."""


class Killer(keras.callbacks.Callback):
    """Kills the second run within its second epoch."""

    begun = 0

    def on_train_begin(self, logs=None):
        Killer.begun += 1

    def on_epoch_begin(self, epoch, logs=None):
        if (Killer.begun, epoch) == (2, 1):
            raise Killed


def arguments(place, *more, seeds="0,1"):
    sets = [f"--set=data.{key}={place / name}" for key, name in (("root", "data"), ("cache", "c"))]
    only = ["--only", "shift,made_noise", "--snr", "10", "--seeds", seeds]
    return [str(place / "few.toml"), "--out", str(place / "out"), *sets, *only, *more]


def times(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with recordings and, in "out", an ablation killed in its second run and finished.

    killed.json holds the table and the times of the first run at the kill, opened.json which
    recordings were opened thereafter, call by call.
    """
    folder = tmp_path_factory.mktemp("ablate")
    tones.make(folder / "data", words=("low", "mid", "high"), speakers=10)
    (folder / "few.toml").write_text(CONFIG)
    opened: list[list[str]] = []
    decode = decoder.decode

    def spy(paths, *rest, **keys):
        opened.append(sorted(str(path) for path in paths))
        return decode(paths, *rest, **keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "decode", spy)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(session, "epoch_bar", lambda stage: Killer())
            with pytest.raises(Killed):
                ablate.main(arguments(folder))
        table = (folder / "out/ablation.md").read_text()
        files.write_json(folder / "killed.json", [table, times(folder / "out/base/seed0/float")])
        opened.clear()
        assert ablate.main(arguments(folder)) == 0
    files.write_json(folder / "opened.json", opened)
    return folder


def rows(place):
    return json.loads((place / "out/ablation.json").read_text())["rows"]


def test_table_is_there_after_every_run(place):
    table, _ = files.read_json(place / "killed.json")
    assert "| base | as configured | " in table
    assert "| shift | " not in table
    assert "Not finished: base has seeds 0 only." in table


def test_finished_run_is_not_trained_again_and_the_one_under_way_goes_on(place):
    _, before = files.read_json(place / "killed.json")
    assert times(place / "out/base/seed0/float") == before
    boards = list((place / "out/shift/seed0/tensorboard/float/train").iterdir())
    assert len(boards) == 2  # one a session
    assert len(files.read_json(place / "out/shift/seed0/float/history.json")) == 3


def test_no_test_clip_is_opened(place):
    wanted = []
    for seed in (0, 1):  # of a folder, each seed has speakers of its own on either side
        sets = [f"data.root={place / 'data'}", f"data.cache={place / 'c'}", f"run.seed={seed}"]
        index = pipeline.index(load_config(place / "few.toml", sets))
        parts = [sorted(str(clip.path) for clip in index.split(name)) for name in SPLITS]
        assert all(parts)
        wanted += parts[:2]
    assert [paths for paths in files.read_json(place / "opened.json") if paths] == wanted


def test_figures_are_those_of_the_float_stages_on_the_selection_clips(place):
    for row in rows(place):
        shares = []
        for seed in (0, 1):
            stage = place / "out" / row["name"] / f"seed{seed}" / "float"
            score, labels, data = evaluation.scorer(stage)
            clips = evaluation.clips_of_run(stage, "val", labels, data)
            shares.append(evaluation.evaluate(score, labels, clips)[0]["accuracy"])
        assert row["seeds"] == [0, 1]
        assert row["sets"]["clean"]["accuracy"] == pytest.approx(sum(shares) / 2)
        assert list(row["sets"]) == ["clean", "silence", "10 dB"]


def test_runs_differ_in_the_augmentation_alone(place):
    base, shift = (
        json.loads((place / "out" / name / "seed1/config.json").read_text())
        for name in ("base", "shift")
    )
    assert base["augment"].pop("shift_s") == 0.1
    assert shift["augment"].pop("shift_s") == 0.0
    for config in (base, shift):
        assert config["run"].pop("seed") == 1
        del config["run"]
    assert base == shift


def test_ablation_that_is_finished_trains_nothing_more_and_prints_the_table(place, capsys):
    before = times(place / "out/shift/seed0/float")
    assert ablate.main(arguments(place)) == 0
    assert times(place / "out/shift/seed0/float") == before
    printed = capsys.readouterr().out
    assert "Left out: made_noise, no noise was recorded" in printed
    assert (place / "out/ablation.md").read_text() in printed
    assert printed.splitlines()[-1] == str(place / "out/ablation.md")


def test_other_settings_are_refused_in_the_same_folder(place, capsys):
    assert ablate.main(arguments(place, "--set", "train.epochs=2", seeds="0")) == 2
    assert "made with another config (train.epochs 3 -> 2)" in capsys.readouterr().err


def test_second_process_is_kept_out(place, capsys):
    with session.locked(place / "out", "--out"):
        assert ablate.main(arguments(place)) == 2
    assert "another process is working" in capsys.readouterr().err
